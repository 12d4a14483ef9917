/*
 * Spec JSON. A table says which keys there are and which the three uses need or take; what remains is checked key by key
 * and by grant_read().
 */
#include "keeper/owner-spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "keeper/client.h"

#include "base/banned.h"

#define REDIRECT_BEFORE "http://127.0.0.1:"
#define REDIRECT_AFTER  "/oauth2/callback"
#define SPEC_DEPTH      4
#define SPEC_NODES      512

enum { OAUTH2 = 1, API_KEY = 2, FLOW = 4 }; /* FLOW: needed by SPEC_OAUTH */

static const struct {
    const char *name;
    unsigned kinds;
} keys[] = {
    { "binding", OAUTH2 | API_KEY },
    { "connector_fqn", OAUTH2 | API_KEY },
    { "origins", OAUTH2 | API_KEY },
    { "header", OAUTH2 | API_KEY },
    { "format", OAUTH2 | API_KEY },
    { "token_url", OAUTH2 },
    { "revoke_url", OAUTH2 },
    { "authorize_url", OAUTH2 | FLOW },
    { "client_id", OAUTH2 | FLOW },
    { "scopes", OAUTH2 },
    { "redirect_uri", OAUTH2 | FLOW },
    { "default", OAUTH2 | API_KEY },
    { "labels", OAUTH2 | API_KEY },
};

/* Labels that the keeper itself keeps; SPEC §1. */
static const char *const own_labels[] = { "service", "identity", "connector_fqn", "status", "created_at", "stale_reason",
    "last_used_at", "last_refreshed_at", "refresh_token_present", "granted_scopes", "missing_scopes", "default" };

static int keys_check(const struct spec *spec, enum spec_use use, struct err *err)
{
    unsigned kind = spec->grant->kind == GRANT_OAUTH2 ? OAUTH2 : API_KEY;
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(spec->json, name, value)
    {
        size_t i = 0;

        while (i < ARRAY_LEN(keys) && strcmp(keys[i].name, name) != 0)
            i++;
        if (i == ARRAY_LEN(keys))
            return err_set(err, EINVAL, "the spec has a key that is not known");
        if (!(keys[i].kinds & kind))
            return err_set(err, EINVAL, "\"%s\" has no place in a binding of kind api_key", name);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (use == SPEC_OAUTH && (keys[i].kinds & FLOW) && !json_object_get(spec->json, keys[i].name))
            return err_set(err, EINVAL, "\"%s\" is missing", keys[i].name);
    if (kind == OAUTH2 && !json_object_get(spec->json, "token_url"))
        return err_set(err, EINVAL, "\"token_url\" is missing");
    return 0;
}

/* Printable ASCII but for `without`. */
static bool is_visible(const char *text, size_t max, const char *without)
{
    size_t len = 0;

    for (; text[len]; len++)
        if (text[len] < 0x20 || text[len] > 0x7e || strchr(without, text[len]))
            return false;
    return len > 0 && len <= max;
}

/* An endpoint that the person's browser or the keeper goes to. */
static int endpoint_check(const json_t *json, const char *key, struct err *err)
{
    const json_t *member = json_object_get(json, key);
    const char *text = json_string_value(member);
    struct url url;
    int r = 0;

    if (!member)
        return 0;
    if (!text)
        return err_set(err, EINVAL, "\"%s\" must be a text", key);
    r = url_parse(text, strlen(text), &url, err);
    if (r == 0 && strchr(text, '#'))
        r = err_set(err, EINVAL, "a fragment has no place here");
    if (r == 0 && !url.tls && !url_is_this_machine(&url))
        r = err_set(err, EINVAL, "plain http is only for localhost and 127.0.0.1");
    if (r < 0)
        err_prefix(err, "\"%s\"", key);
    return r;
}

bool spec_redirect_is_valid(const char *uri)
{
    const char *port = uri + sizeof REDIRECT_BEFORE - 1;
    unsigned long number = 0;
    char again[SPEC_REDIRECT_MAX];

    if (strncmp(uri, REDIRECT_BEFORE, sizeof REDIRECT_BEFORE - 1) != 0 || strspn(port, "0123456789") > 5)
        return false;
    number = strtoul(port, NULL, 10);
    snprintf(again, sizeof again, REDIRECT_BEFORE "%lu" REDIRECT_AFTER, number);
    return number > 0 && number <= 65535 && !strcmp(again, uri);
}

static int scopes_read(struct spec *spec, struct err *err)
{
    const json_t *list = json_object_get(spec->json, "scopes");

    if (list && (!json_is_array(list) || json_array_size(list) > SPEC_SCOPES_MAX))
        return err_set(err, EINVAL, "\"scopes\" must be a list of at most %d texts", SPEC_SCOPES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *scope = json_string_value(json_array_get(list, i));

        if (!scope || !is_visible(scope, SPEC_SCOPE_MAX, " \"\\"))
            return err_set(err, EINVAL, "\"scopes\": an entry is no scope of RFC 6749");
        spec->scopes[spec->scopes_len++] = scope;
    }
    return 0;
}

static int flow_read(struct spec *spec, struct err *err)
{
    const json_t *json = spec->json, *client = json_object_get(json, "client_id"),
                 *redirect = json_object_get(json, "redirect_uri");
    int r = endpoint_check(json, "authorize_url", err);

    if (r == 0)
        r = endpoint_check(json, "token_url", err);
    if (r == 0)
        r = endpoint_check(json, "revoke_url", err);
    if (r < 0)
        return r;
    if (client && (!json_string_value(client) || !is_visible(json_string_value(client), SPEC_CLIENT_MAX, "")))
        return err_set(err, EINVAL, "\"client_id\" must be 1 to %d printable characters", SPEC_CLIENT_MAX);
    if (redirect && (!json_string_value(redirect) || !spec_redirect_is_valid(json_string_value(redirect))))
        return err_set(err, EINVAL, "\"redirect_uri\" must be http://127.0.0.1:PORT/oauth2/callback");
    spec->authorize_url = json_get_str(json, "authorize_url");
    spec->client_id = json_string_value(client);
    spec->redirect_uri = json_string_value(redirect);
    return scopes_read(spec, err);
}

static int label_check(const char *name, const json_t *value, struct err *err)
{
    const char *text = json_string_value(value);

    if (!is_visible(name, 64, "") || !text || strlen(text) > SPEC_LABEL_MAX || !utf8_is_valid(text, strlen(text)))
        return err_set(err, EINVAL, "\"labels\" must be an object of texts of at most %d bytes", SPEC_LABEL_MAX);
    return 0;
}

static int labels_check(const json_t *labels, bool of_binding, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    if (!json_is_object(labels) || json_object_size(labels) > SPEC_LABELS_MAX)
        return err_set(err, EINVAL, "\"labels\" must be an object of at most %d texts", SPEC_LABELS_MAX);
    json_object_foreach((json_t *) labels, name, value)
    {
        int r = label_check(name, value, err);

        if (r < 0)
            return r;
        for (size_t i = 0; of_binding && i < ARRAY_LEN(own_labels); i++)
            if (!strcmp(own_labels[i], name))
                return err_set(err, EINVAL, "\"labels\": %s is kept by Aileron itself", name);
    }
    return 0;
}

int spec_labels_parse(const char *text, size_t len, json_t **ret_labels, struct err *err)
{
    CLEANUP_JSON json_t *labels = NULL;
    int r = 0;

    if (len > 0)
        r = json_parse(text, len, (struct json_limits){ KEEPER_SPEC_MAX, 2, SPEC_NODES }, &labels, err);
    if (r == 0 && labels)
        r = labels_check(labels, false, err);
    if (r < 0)
        return r;
    *ret_labels = TAKE_PTR(labels);
    return 0;
}

static int binding_read(struct spec *spec, enum grant_kind *ret_kind, struct err *err)
{
    const char *name = json_get_str(spec->json, "binding");
    char kind[GRANT_NAME_MAX];

    if (!name || !grant_binding_name_is_valid(name))
        return err_set(err, EINVAL, "\"binding\" must be KIND/SERVICE/IDENTITY, as in oauth2/google/me");
    snprintf(kind, sizeof kind, "%.*s", (int) strcspn(name, "/"), name);
    if (!grant_kind_parse(kind, ret_kind))
        return err_set(err, EINVAL, "\"binding\": there is no kind %s; oauth2 and api_key are", kind);
    spec->binding = name;
    return 0;
}

static int extras_read(struct spec *spec, struct err *err)
{
    const json_t *is_default = json_object_get(spec->json, "default");

    if (is_default && !json_is_boolean(is_default))
        return err_set(err, EINVAL, "\"default\" must be true or false");
    spec->make_default = json_is_true(is_default);
    spec->labels = json_object_get(spec->json, "labels");
    return spec->labels ? labels_check(spec->labels, true, err) : 0;
}

int spec_parse(const char *text, size_t len, enum spec_use use, struct spec **ret_spec, struct err *err)
{
    CLEANUP_PTR(spec_free) struct spec *spec = calloc(1, sizeof *spec);
    enum grant_kind kind = GRANT_OAUTH2;
    int r = 0;

    if (!spec)
        return err_set(err, ENOMEM, "out of memory");
    r = json_parse(text, len, (struct json_limits){ KEEPER_SPEC_MAX, SPEC_DEPTH, SPEC_NODES }, &spec->json, err);
    if (r == 0 && !json_is_object(spec->json))
        r = err_set(err, EINVAL, "the spec must be an object");
    if (r == 0)
        r = binding_read(spec, &kind, err);
    if (r == 0 && use != SPEC_REBIND && kind != (use == SPEC_KEY ? GRANT_API_KEY : GRANT_OAUTH2))
        r = err_set(err, EINVAL, "\"binding\": this needs one of kind %s",
            grant_kind_name(use == SPEC_KEY ? GRANT_API_KEY : GRANT_OAUTH2));
    if (r == 0)
        r = grant_read(spec->json, kind, &spec->grant, err);
    if (r == 0)
        r = keys_check(spec, use, err);
    if (r == 0)
        r = flow_read(spec, err);
    if (r == 0)
        r = extras_read(spec, err);
    if (r < 0)
        return r;
    *ret_spec = TAKE_PTR(spec);
    return 0;
}

void spec_free(struct spec *spec)
{
    if (!spec)
        return;
    grant_free(spec->grant);
    json_decref(spec->json);
    free(spec);
}
