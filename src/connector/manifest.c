/*
 * manifest.toml (SPEC §3). Everything a connector may do later was written here
 * first and consented to, so the reader takes nothing that it does not
 * understand: an unknown key, host function or credential kind is an error with its
 * position. The struct grows in place; manifest_free() takes any state of it.
 */
#include "connector/manifest.h"

#include "base/json.h"
#include "base/reference.h"
#include "base/toml-read.h"
#include "base/toml.h"
#include "base/url.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

struct parse {
    const char *file; /* how errors call it */
    struct manifest *manifest;
    struct err *err;
};

static int check(
    struct parse *parse, const struct toml_node *table, const char *where, const struct toml_field *fields, size_t len)
{
    return toml_check(table, where, fields, len, parse->file, parse->err);
}

static int text(struct parse *parse, const struct toml_node *table, const char *key, char **ret_text)
{
    return toml_read_text(table, key, parse->file, ret_text, parse->err);
}

static int copy(struct parse *parse, const char *value, char **ret_text)
{
    *ret_text = strdup(value);
    return *ret_text ? 0 : err_set(parse->err, ENOMEM, "out of memory");
}

static int name_parse(struct parse *parse, const struct toml_node *table)
{
    const struct toml_node *node = toml_get(table, "name");
    const char *fault = reference_fqn_fault(node->text, strlen(node->text));

    if (fault)
        return toml_fail(node, parse->file, parse->err, "'name': %s", fault);
    return copy(parse, node->text, &parse->manifest->name);
}

static int version_parse(struct parse *parse, const struct toml_node *table)
{
    const struct toml_node *node = toml_get(table, "version");
    const char *plain = node->text[0] == 'v' ? node->text + 1 : node->text;

    if (!reference_is_semver(plain, strlen(plain)))
        return toml_fail(
            node, parse->file, parse->err, "'version' is not a SemVer version; write MAJOR.MINOR.PATCH such as \"1.0.0\"");
    return copy(parse, plain, &parse->manifest->version);
}

static int idempotency_parse(struct parse *parse, const struct toml_node *connector)
{
    static const struct toml_field fields[] = { { "default", TOML_STRING, false } };
    const struct toml_node *table = toml_get(connector, "idempotency"), *value = toml_get(table, "default");
    int r = table ? check(parse, table, "connector.idempotency", fields, ARRAY_LEN(fields)) : 0;

    if (r < 0)
        return r;
    if (value && strcmp(value->text, "idempotent") != 0 && strcmp(value->text, "not_idempotent") != 0)
        return toml_fail(value, parse->file, parse->err, "'default' must be \"idempotent\" or \"not_idempotent\"");
    parse->manifest->idempotent = !value || !strcmp(value->text, "idempotent");
    return 0;
}

static int connector_parse(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = {
        { "name", TOML_STRING, true },
        { "version", TOML_STRING, true },
        { "publisher", TOML_STRING, false },
        { "description", TOML_STRING, false },
        { "provenance_hash", TOML_STRING, false },
        { "origin", TOML_STRING, false },
        { "idempotency", TOML_TABLE, false },
    };
    const struct toml_node *table = toml_get(root, "connector"), *forwarder = toml_get(table, "forwarder");
    struct manifest *manifest = parse->manifest;
    int r = 0;

    /* Known, and refused in words of its own: an unknown key it is not. */
    if (forwarder)
        return toml_fail(forwarder, parse->file, parse->err,
            "'forwarder' is not supported by this version of Aileron; this connector cannot be installed yet");
    r = check(parse, table, "connector", fields, ARRAY_LEN(fields));
    if (r == 0)
        r = name_parse(parse, table);
    if (r == 0)
        r = version_parse(parse, table);
    if (r == 0)
        r = text(parse, table, "publisher", &manifest->publisher);
    if (r == 0)
        r = text(parse, table, "description", &manifest->description);
    if (r == 0)
        r = text(parse, table, "provenance_hash", &manifest->provenance_hash);
    if (r == 0)
        r = text(parse, table, "origin", &manifest->origin);
    return r < 0 ? r : idempotency_parse(parse, table);
}

/* Lower case as written and in the form that a URL's host is compared in later. */
static int host_check(struct parse *parse, const struct toml_node *node)
{
    char canonical[URL_HOSTPORT_MAX];
    struct err why = ERR_INIT;
    struct url url;

    if (strchr(node->text, '*'))
        return toml_fail(node, parse->file, parse->err, "'hosts' takes no wildcard; list each host:port");
    if (strstr(node->text, "://") || strchr(node->text, '/'))
        return toml_fail(node, parse->file, parse->err, "'hosts' takes host:port such as \"api.example.com:443\", not a URL");
    if (url_parse_hostport(node->text, strlen(node->text), &url, &why) < 0)
        return toml_fail(
            node, parse->file, parse->err, "'hosts' takes host:port such as \"api.example.com:443\": %s", why.message);
    if (strcmp(node->text, url_hostport(&url, canonical)) != 0)
        return toml_fail(node, parse->file, parse->err, "write this host in lower case: \"%s\"", canonical);
    return 0;
}

static int network_parse(struct parse *parse, const struct toml_node *capabilities)
{
    static const struct toml_field fields[] = { { "hosts", TOML_ARRAY, true } };
    const struct toml_node *table = toml_get(capabilities, "network"), *hosts = toml_get(table, "hosts");
    int r = table ? check(parse, table, "capabilities.network", fields, ARRAY_LEN(fields)) : 0;

    if (r == 0)
        r = toml_read_texts(table, "hosts", parse->file, &parse->manifest->hosts, &parse->manifest->hosts_len, parse->err);
    for (size_t i = 0; i < parse->manifest->hosts_len && r == 0; i++)
        r = host_check(parse, hosts->items[i]);
    return r;
}

const char *credential_kind_name(enum credential_kind kind)
{
    static const char *const names[] = { "none", "oauth2", "api_key", "basic" };

    return names[kind];
}

static int kind_parse(struct parse *parse, const struct toml_node *table)
{
    const struct toml_node *node = toml_get(table, "kind");

    for (int kind = CREDENTIAL_OAUTH2; kind <= CREDENTIAL_BASIC; kind++)
        if (!strcmp(node->text, credential_kind_name((enum credential_kind) kind))) {
            parse->manifest->credential = (enum credential_kind) kind;
            return 0;
        }
    return toml_fail(node, parse->file, parse->err, "'kind' must be \"oauth2\", \"api_key\" or \"basic\"");
}

/* A header that the keeper writes: a token of RFC 9110, and none that would change the meaning of the request. */
static int header_check(struct parse *parse, const struct toml_node *node)
{
    static const char *const reserved[] = { "host", "content-length", "transfer-encoding", "connection", "cookie", "te",
        "trailer", "upgrade" };
    size_t len = strlen(node->text);
    size_t good = strspn(node->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");

    if (len == 0 || len > 128 || good != len)
        return toml_fail(node, parse->file, parse->err,
            "'header' is not the name of an HTTP header, such as \"Authorization\" or \"X-Api-Key\"");
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (!strcasecmp(node->text, reserved[i]) || !strncasecmp(node->text, "proxy-", 6))
            return toml_fail(
                node, parse->file, parse->err, "'header' must not be %s, which belongs to the connection", node->text);
    return 0;
}

static int format_check(struct parse *parse, const struct toml_node *node)
{
    const char *key = strstr(node->text, "{key}");

    for (const char *c = node->text; *c; c++)
        if ((unsigned char) *c < 0x20 || (unsigned char) *c > 0x7e)
            return toml_fail(node, parse->file, parse->err, "'format' must be printable ASCII without line breaks");
    if (!key || strstr(key + 1, "{key}"))
        return toml_fail(
            node, parse->file, parse->err, "'format' must contain {key} once, where the key goes, such as \"Bearer {key}\"");
    if (strlen(node->text) > 256)
        return toml_fail(node, parse->file, parse->err, "'format' is longer than 256 characters");
    return 0;
}

static int key_form_parse(struct parse *parse, const struct toml_node *table)
{
    const struct toml_node *header = toml_get(table, "header"), *format = toml_get(table, "format");
    const struct toml_node *stray = header ? header : format;
    int r = 0;

    if (stray && parse->manifest->credential != CREDENTIAL_API_KEY)
        return toml_fail(stray, parse->file, parse->err, "'%s' is for credentials of kind api_key; remove it here", stray->key);
    if (header)
        r = header_check(parse, header);
    if (format && r == 0)
        r = format_check(parse, format);
    if (r == 0)
        r = copy(parse, header ? header->text : "Authorization", &parse->manifest->credential_header);
    return r < 0 ? r : copy(parse, format ? format->text : "Bearer {key}", &parse->manifest->credential_format);
}

/* https, or http to this machine. Absent: nothing. */
static int url_read(struct parse *parse, const struct toml_node *table, const char *key, char **ret_url)
{
    const struct toml_node *node = toml_get(table, key);
    struct err why = ERR_INIT;
    struct url url;

    if (!node)
        return 0;
    if (url_parse(node->text, strlen(node->text), &url, &why) < 0)
        return toml_fail(node, parse->file, parse->err, "'%s' is not a URL that can be used: %s", key, why.message);
    if (!url.tls && !url_is_this_machine(&url))
        return toml_fail(
            node, parse->file, parse->err, "'%s' must start with https:// (http:// only to localhost or 127.0.0.1)", key);
    return copy(parse, node->text, ret_url);
}

static int oauth2_parse(struct parse *parse, const struct toml_node *credential)
{
    static const struct toml_field fields[] = {
        { "authorize_url", TOML_STRING, true },
        { "token_url", TOML_STRING, true },
        { "client_id", TOML_STRING, true },
        { "scopes", TOML_ARRAY, true },
        { "client_secret", TOML_STRING, false },
        { "revoke_url", TOML_STRING, false },
    };
    const struct toml_node *table = toml_get(credential, "oauth2");
    struct manifest_oauth2 *oauth2 = &parse->manifest->oauth2;
    bool wanted = parse->manifest->credential == CREDENTIAL_OAUTH2;
    int r = 0;

    if (wanted && !table)
        return toml_fail(credential, parse->file, parse->err,
            "a credential of kind oauth2 needs [capabilities.credential.oauth2] with authorize_url, token_url, client_id and "
            "scopes");
    if (!wanted && table)
        return toml_fail(
            table, parse->file, parse->err, "[capabilities.credential.oauth2] is for credentials of kind oauth2; remove it");
    if (!table)
        return 0;
    r = check(parse, table, "capabilities.credential.oauth2", fields, ARRAY_LEN(fields));
    if (r == 0)
        r = url_read(parse, table, "authorize_url", &oauth2->authorize_url);
    if (r == 0)
        r = url_read(parse, table, "token_url", &oauth2->token_url);
    if (r == 0)
        r = url_read(parse, table, "revoke_url", &oauth2->revoke_url);
    if (r == 0)
        r = text(parse, table, "client_id", &oauth2->client_id);
    /* A secret that was filled in with nothing is none. */
    if (r == 0 && toml_get(table, "client_secret") && toml_get(table, "client_secret")->text[0])
        r = text(parse, table, "client_secret", &oauth2->client_secret);
    return r < 0 ? r : toml_read_texts(table, "scopes", parse->file, &oauth2->scopes, &oauth2->scopes_len, parse->err);
}

static int credential_parse(struct parse *parse, const struct toml_node *capabilities)
{
    static const struct toml_field fields[] = {
        { "kind", TOML_STRING, true },
        { "scope", TOML_STRING, false },
        { "header", TOML_STRING, false },
        { "format", TOML_STRING, false },
        { "oauth2", TOML_TABLE, false },
    };
    const struct toml_node *table = toml_get(capabilities, "credential");
    int r = 0;

    if (!table)
        return 0;
    r = check(parse, table, "capabilities.credential", fields, ARRAY_LEN(fields));
    if (r == 0)
        r = kind_parse(parse, table);
    if (r == 0)
        r = text(parse, table, "scope", &parse->manifest->credential_scope);
    if (r == 0)
        r = key_form_parse(parse, table);
    return r < 0 ? r : oauth2_parse(parse, table);
}

static int import_check(struct parse *parse, const struct toml_node *node)
{
    static const struct {
        const char *name;
        bool is_spawn;
    } functions[] = {
        { "log", false },
        { "http_request", false },
        { "http_response_status", false },
        { "http_response_size", false },
        { "http_response_read", false },
        { "spawn", true },
        { "spawn_op", true },
        { "spawn_status", true },
        { "spawn_output_size", true },
        { "spawn_output_read", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (strcmp(functions[i].name, node->text) != 0)
            continue;
        if (functions[i].is_spawn && !parse->manifest->wants_spawn)
            return toml_fail(node, parse->file, parse->err, "the import %s needs [capabilities.spawn]", node->text);
        return 0;
    }
    return toml_fail(node, parse->file, parse->err,
        "there is no host function \"%.64s\"; imports are log and the http_ and spawn functions", node->text);
}

static int runtime_parse(struct parse *parse, const struct toml_node *capabilities)
{
    static const struct toml_field fields[] = { { "imports", TOML_ARRAY, false } };
    const struct toml_node *table = toml_get(capabilities, "runtime"), *imports = toml_get(table, "imports");
    int r = table ? check(parse, table, "capabilities.runtime", fields, ARRAY_LEN(fields)) : 0;

    if (r < 0 || !imports)
        return r;
    parse->manifest->has_imports = true;
    r = toml_read_texts(table, "imports", parse->file, &parse->manifest->imports, &parse->manifest->imports_len, parse->err);
    for (size_t i = 0; i < imports->items_len && r == 0; i++)
        r = import_check(parse, imports->items[i]);
    return r;
}

static int limit_read(struct parse *parse, const struct toml_node *table, const char *key, unsigned ceiling, unsigned *limit)
{
    const struct toml_node *node = toml_get(table, key);

    if (!node)
        return 0;
    if (node->integer < 1 || node->integer > (int64_t) ceiling)
        return toml_fail(node, parse->file, parse->err, "'%s' must be from 1 to %u", key, ceiling);
    *limit = (unsigned) node->integer;
    return 0;
}

static int limits_parse(struct parse *parse, const struct toml_node *capabilities)
{
    static const struct toml_field fields[] = { { "memory_mib", TOML_INTEGER, false }, { "wall_time_s", TOML_INTEGER, false } };
    const struct toml_node *table = toml_get(capabilities, "limits");
    int r = table ? check(parse, table, "capabilities.limits", fields, ARRAY_LEN(fields)) : 0;

    parse->manifest->memory_mib = DEFAULT_MEMORY_MIB;
    parse->manifest->wall_time_s = DEFAULT_WALL_TIME_S;
    if (r == 0)
        r = limit_read(parse, table, "memory_mib", CEILING_MEMORY_MIB, &parse->manifest->memory_mib);
    return r < 0 ? r : limit_read(parse, table, "wall_time_s", CEILING_WALL_TIME_S, &parse->manifest->wall_time_s);
}

/* Read and shown, not executed; its keys are not ours to judge yet. */
static int spawn_parse(struct parse *parse, const struct toml_node *capabilities)
{
    const struct toml_node *node = toml_get(capabilities, "spawn");

    if (!node)
        return 0;
    parse->manifest->wants_spawn = true;
    parse->manifest->spawn = toml_to_json(node);
    return parse->manifest->spawn ? 0 : err_set(parse->err, ENOMEM, "out of memory");
}

static int capabilities_parse(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = {
        { "network", TOML_TABLE, false },
        { "credential", TOML_TABLE, false },
        { "runtime", TOML_TABLE, false },
        { "limits", TOML_TABLE, false },
        { "spawn", TOML_TABLE, false },
    };
    const struct toml_node *table = toml_get(root, "capabilities");
    int r = table ? check(parse, table, "capabilities", fields, ARRAY_LEN(fields)) : 0;

    if (r == 0)
        r = network_parse(parse, table);
    if (r == 0)
        r = credential_parse(parse, table);
    if (r == 0)
        r = spawn_parse(parse, table);
    if (r == 0)
        r = runtime_parse(parse, table);
    return r < 0 ? r : limits_parse(parse, table);
}

static int provides_parse(struct parse *parse, const struct toml_node *root)
{
    static const struct toml_field fields[] = { { "intents", TOML_ARRAY, false } };
    const struct toml_node *table = toml_get(root, "provides");
    int r = table ? check(parse, table, "provides", fields, ARRAY_LEN(fields)) : 0;

    return r < 0 || !table ? r
                           : toml_read_texts(table, "intents", parse->file, &parse->manifest->intents,
                                 &parse->manifest->intents_len, parse->err);
}

int manifest_parse(const char *source, size_t len, const char *name, struct manifest **ret_manifest, struct err *err)
{
    static const struct toml_field fields[] = {
        { "connector", TOML_TABLE, true },
        { "capabilities", TOML_TABLE, false },
        { "provides", TOML_TABLE, false },
    };
    CLEANUP_PTR(manifest_free) struct manifest *manifest = calloc(1, sizeof *manifest);
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    struct parse parse = { name, manifest, err };
    int r = 0;

    if (!manifest)
        return err_set(err, ENOMEM, "out of memory");
    r = toml_parse(source, len, name, 1, &root, err);
    if (r == 0)
        r = check(&parse, root, "the manifest", fields, ARRAY_LEN(fields));
    if (r == 0)
        r = connector_parse(&parse, root);
    if (r == 0)
        r = capabilities_parse(&parse, root);
    if (r == 0)
        r = provides_parse(&parse, root);
    if (r < 0)
        return r;
    *ret_manifest = TAKE_PTR(manifest);
    return 0;
}

void manifest_free(struct manifest *manifest)
{
    if (!manifest)
        return;
    free(manifest->name);
    free(manifest->version);
    free(manifest->publisher);
    free(manifest->description);
    free(manifest->provenance_hash);
    free(manifest->origin);
    toml_texts_free(manifest->hosts, manifest->hosts_len);
    free(manifest->credential_scope);
    free(manifest->credential_header);
    free(manifest->credential_format);
    free(manifest->oauth2.authorize_url);
    free(manifest->oauth2.token_url);
    free(manifest->oauth2.client_id);
    free(manifest->oauth2.client_secret);
    free(manifest->oauth2.revoke_url);
    toml_texts_free(manifest->oauth2.scopes, manifest->oauth2.scopes_len);
    toml_texts_free(manifest->imports, manifest->imports_len);
    toml_texts_free(manifest->intents, manifest->intents_len);
    json_decref(manifest->spawn);
    free(manifest);
}

bool manifest_allows(const struct manifest *manifest, const char *hostport)
{
    return toml_texts_have(manifest->hosts, manifest->hosts_len, hostport);
}

static json_t *texts_json(char *const *texts, size_t len)
{
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static json_t *credential_json(const struct manifest *manifest)
{
    const struct manifest_oauth2 *oauth2 = &manifest->oauth2;
    json_t *json =
        json_pack("{s:s, s:s*}", "kind", credential_kind_name(manifest->credential), "scope", manifest->credential_scope);

    if (json && manifest->credential == CREDENTIAL_API_KEY)
        json_object_update_new(
            json, json_pack("{s:s, s:s}", "header", manifest->credential_header, "format", manifest->credential_format));
    if (json && manifest->credential == CREDENTIAL_OAUTH2)
        json_object_set_new(json, "oauth2",
            json_pack("{s:s, s:s, s:s*, s:s, s:o}", "authorize_url", oauth2->authorize_url, "token_url", oauth2->token_url,
                "revoke_url", oauth2->revoke_url, "client_id", oauth2->client_id, "scopes",
                texts_json(oauth2->scopes, oauth2->scopes_len)));
    return json;
}

json_t *manifest_to_json(const struct manifest *manifest)
{
    CLEANUP_JSON json_t *json =
        json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s}", "name", manifest->name, "version", manifest->version, "publisher",
            manifest->publisher, "description", manifest->description, "provenance_hash", manifest->provenance_hash, "origin",
            manifest->origin, "idempotency", manifest->idempotent ? "idempotent" : "not_idempotent");
    int bad = json == NULL;

    bad |= json_object_set_new(json, "hosts", texts_json(manifest->hosts, manifest->hosts_len));
    if (manifest->credential != CREDENTIAL_NONE)
        bad |= json_object_set_new(json, "credential", credential_json(manifest));
    if (manifest->has_imports)
        bad |= json_object_set_new(json, "imports", texts_json(manifest->imports, manifest->imports_len));
    bad |= json_object_set_new(json, "limits",
        json_pack("{s:i, s:i}", "memory_mib", (int) manifest->memory_mib, "wall_time_s", (int) manifest->wall_time_s));
    if (manifest->wants_spawn)
        bad |= json_object_set(json, "spawn", manifest->spawn);
    bad |= json_object_set_new(json, "intents", texts_json(manifest->intents, manifest->intents_len));
    return bad ? NULL : TAKE_PTR(json);
}
