/* Development overrides and host lists; see the header. */
#include "keeper/overrides.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

/* End of "host:port" at the start of `text`: the ':' after the port or the NUL; NULL when there is none. */
static const char *hostport_end(const char *text)
{
    const char *colon = text[0] == '[' ? strchr(text, ']') : text;

    colon = colon ? strchr(colon, ':') : NULL;
    return colon ? colon + 1 + strcspn(colon + 1, ":") : NULL;
}

static const struct connect_to *row_find(const struct overrides *overrides, const struct url *url)
{
    for (size_t i = 0; i < overrides->len; i++) {
        const struct url *from = &overrides->rows[i].from;

        if (from->port == url->port && from->host_kind == url->host_kind && !strcmp(from->host, url->host))
            return &overrides->rows[i];
    }
    return NULL;
}

int overrides_add(struct overrides *overrides, const char *text, struct err *err)
{
    struct connect_to row;
    const char *middle = hostport_end(text);
    int r = 0;

    if (!middle || *middle != ':')
        return err_set(err, EINVAL, "--dev-connect-to %s: write HOST1:PORT1:HOST2:PORT2, all four", text);
    r = url_parse_hostport(text, (size_t) (middle - text), &row.from, err);
    if (r == 0)
        r = url_parse_hostport(middle + 1, strlen(middle + 1), &row.to, err);
    if (r < 0) {
        err_prefix(err, "--dev-connect-to %s", text);
        return r;
    }
    if (row_find(overrides, &row.from))
        return err_set(err, EINVAL, "--dev-connect-to %s: there is already a row for this host and port", text);
    if (overrides->len == OVERRIDES_MAX)
        return err_set(err, E2BIG, "more than %d --dev-connect-to rows", OVERRIDES_MAX);
    overrides->rows[overrides->len++] = row;
    return 0;
}

const struct connect_to *overrides_find(const struct overrides *overrides, const struct url *url)
{
    return overrides->active ? row_find(overrides, url) : NULL;
}

bool hostlist_contains(const char *list, const struct url *url)
{
    char wanted[URL_HOSTPORT_MAX];
    size_t wanted_len = strlen(url_hostport(url, wanted));

    while (*list) {
        size_t len = strcspn(list, "\n");

        if (len == wanted_len && !memcmp(list, wanted, len))
            return true;
        list += len + (list[len] == '\n');
    }
    return false;
}
