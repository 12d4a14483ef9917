/* Reading, comparing and applying a grant; see the header. */
#include "keeper/grant.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "keeper/headers.h"

#include "base/banned.h"

#define KEY_MARK     "{key}"
#define KEY_MARK_LEN (sizeof KEY_MARK - 1)
#define FORMAT_MAX   256

static const char *const kind_names[] = { [GRANT_OAUTH2] = "oauth2", [GRANT_API_KEY] = "api_key" };

const char *grant_kind_name(enum grant_kind kind)
{
    return kind_names[kind];
}

bool grant_kind_parse(const char *name, enum grant_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (!strcmp(kind_names[i], name)) {
            *ret_kind = (enum grant_kind) i;
            return true;
        }
    return false;
}

/* One part of a binding name: its first character lower case (or a digit), then also `rest`. */
static size_t name_part(const char *text, bool digit_first, const char *rest)
{
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz", digits[] = "0123456789";
    size_t len = 0;

    for (; text[len]; len++) {
        bool letter = strchr(lower, text[len]) != NULL, digit = strchr(digits, text[len]) != NULL;

        if (!letter && !(digit && (len > 0 || digit_first)) && !(len > 0 && strchr(rest, text[len])))
            break;
    }
    return len;
}

bool grant_binding_name_is_valid(const char *name)
{
    static const struct {
        bool digit_first;
        const char *rest;
        char end;
    } parts[] = { { false, "_-", '/' }, { true, "._-", '/' }, { true, "._-", '\0' } };

    if (strlen(name) >= GRANT_NAME_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        size_t len = name_part(name, parts[i].digit_first, parts[i].rest);

        if (len == 0 || name[len] != parts[i].end)
            return false;
        name += len + 1;
    }
    return true;
}

const char *grant_value_refusal(const uint8_t *value, size_t len)
{
    if (len < GRANT_VALUE_MIN)
        return "is shorter than 8 bytes";
    if (len > GRANT_VALUE_MAX)
        return "is longer than 16 KiB";
    for (size_t i = 0; i < len; i++)
        if (value[i] <= 0x20 || value[i] >= 0x7f)
            return "has a blank or another character that cannot stand in a header";
    return NULL;
}

/* Text of a member; NULL (0) when it is absent and optional. */
static int text_get(
    const json_t *object, const char *key, const char *fallback, size_t max, const char **ret_text, struct err *err)
{
    const json_t *member = json_object_get(object, key);
    const char *text = member ? json_string_value(member) : fallback;

    if (member && !text)
        return err_set(err, EINVAL, "\"%s\" must be a text", key);
    if (text && (text[0] == '\0' || strlen(text) > max || !header_value_is_valid(text, strlen(text))))
        return err_set(err, EINVAL, "\"%s\" is empty, too long or has a control character", key);
    *ret_text = text;
    return 0;
}

static int origin_add(struct grant *grant, const json_t *item, struct err *err)
{
    const char *text = json_string_value(item);
    char origin[URL_ORIGIN_MAX];
    struct url url;
    int r = 0;

    if (!text)
        return err_set(err, EINVAL, "\"origins\" must be a list of texts such as \"https://gmail.googleapis.com:443\"");
    r = url_parse(text, strlen(text), &url, err);
    if (r < 0) {
        err_prefix(err, "\"origins\"");
        return r;
    }
    if (url.target_len > 0)
        return err_set(err, EINVAL, "\"origins\": %s has a path; write %s", text, url_origin(&url, origin));
    if (!url.tls && !url_is_this_machine(&url))
        return err_set(err, EINVAL, "\"origins\": %s is not https; plain http is only for localhost and 127.0.0.1", text);
    grant->origins[grant->origins_len] = strdup(url_origin(&url, origin));
    if (!grant->origins[grant->origins_len])
        return err_set(err, ENOMEM, "out of memory");
    grant->origins_len++;
    return 0;
}

static int origins_read(struct grant *grant, const json_t *object, struct err *err)
{
    const json_t *list = json_object_get(object, "origins");
    size_t len = json_array_size(list);

    if (len == 0 || len > GRANT_ORIGINS_MAX)
        return err_set(
            err, EINVAL, "\"origins\" must list 1 to %d origins such as \"https://gmail.googleapis.com:443\"", GRANT_ORIGINS_MAX);
    grant->origins = calloc(len, sizeof *grant->origins);
    if (!grant->origins)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < len; i++) {
        int r = origin_add(grant, json_array_get(list, i), err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int header_check(enum grant_kind kind, const char *header, const char *format, struct err *err)
{
    const char *mark = strstr(format, KEY_MARK);

    if (!header_name_is_valid(header, strlen(header)) || header_is_reserved(header))
        return err_set(err, EINVAL, "\"header\": %s is not a header that can carry a credential", header);
    if (!mark || strstr(mark + KEY_MARK_LEN, KEY_MARK))
        return err_set(err, EINVAL, "\"format\" must have exactly one " KEY_MARK ", as in \"Bearer " KEY_MARK "\"");
    if (kind == GRANT_OAUTH2 && (strcmp(header, "Authorization") != 0 || strcmp(format, "Bearer " KEY_MARK) != 0))
        return err_set(err, EINVAL, "\"header\" and \"format\" are fixed for kind oauth2: leave them out");
    return 0;
}

/* An address of the provider that the keeper or the person's browser goes to; NULL when there is none. */
static int endpoint_read(const json_t *object, const char *key, char **ret_text, struct err *err)
{
    const char *text = NULL;
    struct url url;
    int r = text_get(object, key, NULL, URL_MAX_BYTES, &text, err);

    if (r < 0 || !text)
        return r;
    r = url_parse(text, strlen(text), &url, err);
    if (r == 0 && !url.tls && !url_is_this_machine(&url))
        r = err_set(err, EINVAL, "plain http is only for localhost and 127.0.0.1");
    if (r < 0) {
        err_prefix(err, "\"%s\"", key);
        return r;
    }
    *ret_text = strdup(text);
    return *ret_text ? 0 : err_set(err, ENOMEM, "out of memory");
}

int grant_read(const json_t *object, enum grant_kind kind, struct grant **ret_grant, struct err *err)
{
    CLEANUP_PTR(grant_free) struct grant *grant = calloc(1, sizeof *grant);
    const char *connector = NULL, *header = NULL, *format = NULL;
    int r = 0;

    if (!grant)
        return err_set(err, ENOMEM, "out of memory");
    grant->kind = kind;
    if ((r = text_get(object, "connector_fqn", NULL, GRANT_CONNECTOR_MAX - 1, &connector, err)) < 0 ||
        (r = text_get(object, "header", "Authorization", HEADER_NAME_MAX, &header, err)) < 0 ||
        (r = text_get(object, "format", "Bearer " KEY_MARK, FORMAT_MAX, &format, err)) < 0 ||
        (r = endpoint_read(object, "token_url", &grant->token_url, err)) < 0 ||
        (r = endpoint_read(object, "revoke_url", &grant->revoke_url, err)) < 0 ||
        (r = endpoint_read(object, "authorize_url", &grant->authorize_url, err)) < 0)
        return r;
    if (!header || !format || !connector || !strstr(connector, "://"))
        return err_set(err, EINVAL, "\"connector_fqn\" must name a connector, as in \"local://google\"");
    r = header_check(kind, header, format, err);
    if (r == 0)
        r = origins_read(grant, object, err);
    if (r < 0)
        return r;
    grant->connector_fqn = strdup(connector);
    grant->header = strdup(header);
    grant->format = strdup(format);
    if (!grant->connector_fqn || !grant->header || !grant->format)
        return err_set(err, ENOMEM, "out of memory");
    *ret_grant = TAKE_PTR(grant);
    return 0;
}

void grant_free(struct grant *grant)
{
    if (!grant)
        return;
    for (size_t i = 0; i < grant->origins_len; i++)
        free(grant->origins[i]);
    free(grant->origins);
    free(grant->connector_fqn);
    free(grant->header);
    free(grant->format);
    free(grant->token_url);
    free(grant->revoke_url);
    free(grant->authorize_url);
    free(grant);
}

static int set_text(json_t *json, const char *key, const char *text)
{
    return text ? json_object_set_new(json, key, json_string(text)) : 0;
}

static json_t *origins_to_json(const struct grant *grant)
{
    CLEANUP_JSON json_t *list = json_array();

    for (size_t i = 0; i < grant->origins_len; i++)
        if (json_array_append_new(list, json_string(grant->origins[i])) < 0)
            return NULL;
    return TAKE_PTR(list);
}

json_t *grant_to_json(const struct grant *grant)
{
    CLEANUP_JSON json_t *json = json_object();

    if (!json || set_text(json, "connector_fqn", grant->connector_fqn) < 0 ||
        json_object_set_new(json, "origins", origins_to_json(grant)) < 0 || set_text(json, "header", grant->header) < 0 ||
        set_text(json, "format", grant->format) < 0 || set_text(json, "token_url", grant->token_url) < 0 ||
        set_text(json, "revoke_url", grant->revoke_url) < 0 || set_text(json, "authorize_url", grant->authorize_url) < 0)
        return NULL;
    return TAKE_PTR(json);
}

int grant_copy(const struct grant *grant, struct grant **ret_copy)
{
    CLEANUP_JSON json_t *json = grant_to_json(grant);
    int r = json ? grant_read(json, grant->kind, ret_copy, NULL) : -ENOMEM;

    return r < 0 ? -ENOMEM : 0;
}

bool grant_is_for(const struct grant *grant, const char *connector_fqn)
{
    return !strcmp(grant->connector_fqn, connector_fqn);
}

bool grant_covers(const struct grant *grant, const struct url *url)
{
    char origin[URL_ORIGIN_MAX];

    if (!url->tls && !url_is_this_machine(url))
        return false;
    url_origin(url, origin);
    for (size_t i = 0; i < grant->origins_len; i++)
        if (!strcmp(grant->origins[i], origin))
            return true;
    return false;
}

int grant_header_line(const struct grant *grant, const struct secret *value, struct secret **ret_line, size_t *ret_value_at)
{
    const char *mark = strstr(grant->format, KEY_MARK);
    const char *tail = mark + KEY_MARK_LEN;
    size_t before = (size_t) (mark - grant->format), name_len = strlen(grant->header);
    size_t value_at = name_len + 2 + before;
    struct secret *line = NULL;
    uint8_t *at = NULL;
    int r = secret_new(value_at + secret_len(value) + strlen(tail) + 1, &line);

    if (r < 0)
        return r;
    at = mempcpy(secret_data(line), grant->header, name_len);
    at = mempcpy(at, ": ", 2);
    at = mempcpy(at, grant->format, before);
    at = mempcpy(at, secret_bytes(value), secret_len(value));
    memcpy(at, tail, strlen(tail) + 1);
    *ret_line = line;
    *ret_value_at = value_at;
    return 0;
}
