/*
 * The development file as a credential source. The text is read straight into
 * secret memory; jansson's copies are wiped in place once the value is taken (its
 * own buffers are wiped on release, see memory.h).
 */
#include "keeper/development.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"

#include "base/banned.h"

#define DEVELOPMENT_MAGIC 0x6b646576u
/* KEEPER_STATE carries the descriptions inside one frame. */
#define DESCRIPTION_MAX (48 * 1024)

struct credential {
    char *binding;
    struct grant *grant;
    struct secret *value;
};

struct development {
    struct vault vault; /* first */
    uint32_t magic;
    struct credential *items;
    size_t len;
};

static struct development *development_of(const struct vault *vault)
{
    struct development *development = (struct development *) vault;

    magic_check(&development->magic, DEVELOPMENT_MAGIC);
    return development;
}

static enum keeper_vault_state development_state(const struct vault *vault)
{
    return KEEPER_VAULT_DEVELOPMENT;
}

static int development_lend(
    struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    const struct development *development = development_of(vault);

    for (size_t i = 0; i < development->len; i++) {
        const struct credential *item = &development->items[i];

        if (!strcmp(item->binding, binding) && grant_is_for(item->grant, connector_fqn)) {
            *ret_loan = (struct vault_loan){ item->grant, item->value };
            return 0;
        }
    }
    err_set(err, ENOENT, "the development credentials have no binding %s for this connector", binding);
    return VAULT_NO_BINDING;
}

static int development_describe(const struct vault *vault, json_t *list)
{
    const struct development *development = development_of(vault);

    for (size_t i = 0; i < development->len; i++) {
        const struct credential *item = &development->items[i];

        if (json_array_append_new(list, vault_describe_binding(item->binding, item->grant, "active")) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void development_free(struct vault *vault)
{
    struct development *development = development_of(vault);

    for (size_t i = 0; i < development->len; i++) {
        free(development->items[i].binding);
        grant_free(development->items[i].grant);
        secret_free(development->items[i].value);
    }
    free(development->items);
    free(development);
}

static const struct vault_source development_source = { development_state, development_lend, development_describe,
    development_free };

/* Moves a JSON text into secret memory and wipes it where it was. */
static int value_take(const json_t *member, struct secret **ret_value, struct err *err)
{
    const char *text = json_string_value(member);
    size_t len = json_string_length(member);
    struct secret *value = NULL;
    const char *refusal = NULL;

    if (!text)
        return err_set(err, EINVAL, "\"value\" must be a text: the token or key itself");
    refusal = grant_value_refusal((const uint8_t *) text, len);
    if (!refusal && secret_from(text, len, &value) < 0)
        refusal = "does not fit into protected memory";
    secret_wipe((void *) text, len);
    if (refusal)
        return err_set(err, EINVAL, "\"value\" %s", refusal);
    *ret_value = value;
    return 0;
}

static int keys_check(const json_t *object, const char *const *known, size_t known_len, struct err *err)
{
    const char *key = NULL;
    json_t *member = NULL;

    json_object_foreach((json_t *) object, key, member)
    {
        size_t i = 0;

        while (i < known_len && strcmp(known[i], key) != 0)
            i++;
        /* The key itself is not repeated: a value in the wrong place may be one. */
        if (i == known_len)
            return err_set(err, EINVAL,
                "an unknown key of %zu letters; known are binding, connector_fqn, kind, origins, header, "
                "format, token_url, value",
                strlen(key));
    }
    return 0;
}

static int credential_read(const json_t *object, struct credential *credential, struct err *err)
{
    static const char *const known[] = { "binding", "connector_fqn", "kind", "origins", "header", "format", "token_url",
        "value" };
    const char *binding = json_string_value(json_object_get(object, "binding"));
    const char *kind_name = json_string_value(json_object_get(object, "kind"));
    enum grant_kind kind = GRANT_OAUTH2;
    int r = value_take(json_object_get(object, "value"), &credential->value, err);

    if (r == 0)
        r = keys_check(object, known, ARRAY_LEN(known), err);
    if (r < 0)
        return r;
    if (!binding || !grant_binding_name_is_valid(binding))
        return err_set(err, EINVAL, "\"binding\" must look like \"oauth2/google/me\"");
    if (!kind_name || !grant_kind_parse(kind_name, &kind))
        return err_set(err, EINVAL, "\"kind\" must be \"oauth2\" or \"api_key\"");
    if (strncmp(binding, kind_name, strlen(kind_name)) != 0 || binding[strlen(kind_name)] != '/')
        return err_set(err, EINVAL, "\"binding\" must start with its kind: \"%s/...\"", kind_name);
    credential->binding = strdup(binding);
    if (!credential->binding)
        return err_set(err, ENOMEM, "out of memory");
    return grant_read(object, kind, &credential->grant, err);
}

static int binding_check_unique(const struct development *development, struct err *err)
{
    const struct credential *last = &development->items[development->len - 1];

    for (size_t i = 0; i + 1 < development->len; i++)
        if (last->binding && !strcmp(development->items[i].binding, last->binding))
            return err_set(err, EINVAL, "\"binding\": %s is there twice", last->binding);
    return 0;
}

static int size_check(const struct vault *vault, struct err *err)
{
    CLEANUP_JSON json_t *list = vault_describe(vault);

    if (!list)
        return err_set(err, ENOMEM, "out of memory");
    if (json_dumpb(list, NULL, 0, JSON_COMPACT) > DESCRIPTION_MAX)
        return err_set(err, E2BIG, "the bindings and origins together are too long");
    return 0;
}

static int credentials_read(struct development *development, const json_t *root, const char *name, struct err *err)
{
    static const char *const known[] = { "credentials" };
    const json_t *list = json_object_get(root, "credentials");
    size_t len = json_array_size(list);
    int r = 0;

    if (!list || keys_check(root, known, ARRAY_LEN(known), NULL) < 0 || len == 0 || len > DEVELOPMENT_CREDENTIALS_MAX)
        return err_set(err, EINVAL, "%s must be {\"credentials\":[...]} with 1 to %d entries and nothing else", name,
            DEVELOPMENT_CREDENTIALS_MAX);
    development->items = calloc(len, sizeof *development->items);
    if (!development->items)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < len; i++) {
        development->len++;
        r = credential_read(json_array_get(list, i), &development->items[i], err);
        if (r == 0)
            r = binding_check_unique(development, err);
        if (r < 0) {
            err_prefix(err, "%s: entry %zu", name, i + 1);
            return r;
        }
    }
    return size_check(&development->vault, err);
}

/* Wipes every text below `json`, however it is nested. */
static void texts_wipe(json_t *json)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t i = 0;

    if (json_is_string(json))
        secret_wipe((void *) json_string_value(json), json_string_length(json));
    json_object_foreach(json, key, member) texts_wipe(member);
    json_array_foreach(json, i, member) texts_wipe(member);
}

int development_parse(const char *text, size_t len, const char *name, struct vault **ret_vault, struct err *err)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    struct development *development = NULL;
    struct json_limits limits = JSON_LIMITS(DEVELOPMENT_FILE_MAX);
    json_t *root = NULL;
    int r = 0;

    /* The parser's own message is dropped: it quotes the text. */
    if (json_parse(text, len, limits, &root, NULL) < 0) {
        err_set(err, EINVAL, "%s is not valid JSON (no part of it is shown, as it holds secrets)", name);
        err_hint(err, "python3 -m json.tool %s >/dev/null tells where", name);
        return -EINVAL;
    }
    development = calloc(1, sizeof *development);
    if (development) {
        development->vault.source = &development_source;
        development->magic = DEVELOPMENT_MAGIC;
        vault = &development->vault;
        r = credentials_read(development, root, name, err);
    } else {
        r = err_set(err, ENOMEM, "out of memory");
    }
    texts_wipe(root);
    json_decref(root);
    if (r == 0)
        *ret_vault = TAKE_PTR(vault);
    return r;
}

int development_load(const char *path, struct vault **ret_vault, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    struct stat st;
    int r = 0;

    if (fd < 0 && errno == ELOOP)
        return err_set(err, ELOOP, "%s is a symbolic link; name the file itself", path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    r = file_check_private(fd, path, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot read %s", path);
    if (st.st_size == 0 || st.st_size > DEVELOPMENT_FILE_MAX)
        return err_set(err, EFBIG, "%s is empty or longer than %d bytes", path, DEVELOPMENT_FILE_MAX);
    r = secret_new((size_t) st.st_size, &text);
    if (r < 0)
        return err_errno(err, -r, "cannot keep %s in protected memory", path);
    r = file_read_full(fd, secret_data(text), secret_len(text));
    if (r < 0)
        return err_errno(err, -r, "cannot read %s", path);
    return development_parse((const char *) secret_bytes(text), secret_len(text), path, ret_vault, err);
}
