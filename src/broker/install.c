/* What installs share. */
#include "broker/install.h"

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

void install_pairs_free(struct install_pairs *pairs)
{
    for (size_t i = 0; i < pairs->len; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    pairs->len = 0;
}

const char *install_pairs_get(const struct install_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->len; i++)
        if (!strcmp(pairs->items[i].key, key))
            return pairs->items[i].value;
    return NULL;
}

int install_pairs_add(struct install_pairs *pairs, const char *key, const char *value)
{
    struct action_pair *pair = &pairs->items[pairs->len];

    if (install_pairs_get(pairs, key))
        return 0;
    if (pairs->len == INSTALL_PAIRS_MAX)
        return -ENOSPC;
    *pair = (struct action_pair){ strdup(key), strdup(value) };
    pairs->len++;
    return pair->key && pair->value ? 0 : -ENOMEM;
}

int install_pairs_from_json(struct install_pairs *pairs, const json_t *bind, struct err *err)
{
    const char *key;
    json_t *value;

    if (bind && !json_is_object(bind))
        return err_set(err, EINVAL, "bind must be an object of texts");
    json_object_foreach((json_t *) bind, key, value)
    {
        if (!json_is_string(value))
            return err_set(err, EINVAL, "the value bound to %.64s is no text", key);
        int r = install_pairs_add(pairs, key, json_string_value(value));
        if (r < 0)
            return err_set(err, -r, r == -ENOSPC ? "more than %d names are bound" : "out of memory (%d)", INSTALL_PAIRS_MAX);
    }
    return 0;
}

const char *install_path(const struct api_request *request, struct api_reply *reply)
{
    const char *path = json_get_str(request->body, "path");

    if (!path || path[0] != '/') {
        api_reply_error(reply, 400, "bad_request", "the body's path must be absolute", NULL);
        return NULL;
    }
    if (!json_is_true(json_object_get(request->body, "local"))) {
        api_reply_error(reply, 400, "not_supported", "the body needs a plan, or a path with \"local\": true", NULL);
        return NULL;
    }
    return path;
}
