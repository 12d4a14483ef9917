/* See the header. */
#include "keeper/vault-grant.h"

#include <errno.h>
#include <string.h>

#include "base/encode.h"
#include "crypt/aead.h"
#include "crypt/digest.h"
#include "keeper/secret-json.h"

#include "base/banned.h"

#define HASH_TAG "sha256:"

/* "connector_fqn" and so on belong to grant_read(). */
static const char *const known_keys[] = { "connector_fqn", "origins", "header", "format", "token_url", "revoke_url",
    "authorize_url", "value_sha256", "binding" };

static int hash_text(const struct secret *value, char out[SHA256_HEX_MAX])
{
    uint8_t hash[SHA256_BYTES];
    int r = sha256(secret_bytes(value), secret_len(value), hash);

    if (r == 0)
        hex_encode(hash, sizeof hash, out);
    return r;
}

int vault_grant_seal(
    const struct secret *key, const char *binding, const struct grant *grant, const struct secret *value, struct buf *out)
{
    CLEANUP_JSON json_t *json = grant_to_json(grant);
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    char hash[SHA256_HEX_MAX];
    int r = json ? hash_text(value, hash) : -ENOMEM;

    if (r < 0)
        return r;
    if (json_object_set_new(json, "value_sha256", json_string(hash)) < 0 ||
        json_object_set_new(json, "binding", json_string(binding)) < 0)
        return -ENOMEM;
    r = secret_json_write(json, &text);
    return r < 0 ? r : aead_seal(key, secret_bytes(text), secret_len(text), out);
}

static int check_keys(const json_t *json, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *) json, name, value)
    {
        size_t i = 0;

        while (i < ARRAY_LEN(known_keys) && strcmp(known_keys[i], name) != 0)
            i++;
        if (i == ARRAY_LEN(known_keys))
            return err_set(err, EINVAL, "its grant has a key that is not known");
    }
    return 0;
}

static int check_value(const json_t *json, const char *binding, const struct secret *value, struct err *err)
{
    const json_t *of = json_object_get(json, "binding");
    const char *hash = json_get_str(json, "value_sha256");
    uint8_t wanted[SHA256_BYTES], is[SHA256_BYTES];
    int r = 0;

    if (of && (!json_is_string(of) || strcmp(json_string_value(of), binding) != 0))
        return err_set(err, EINVAL, "its grant is that of another binding");
    if (hash && !strncmp(hash, HASH_TAG, sizeof HASH_TAG - 1))
        hash += sizeof HASH_TAG - 1;
    if (!hash || hex_decode(hash, wanted, sizeof wanted) < 0)
        return err_set(err, EINVAL, "its grant does not say which value it is for");
    r = sha256(secret_bytes(value), secret_len(value), is);
    if (r == 0 && !secret_memequal(wanted, is, sizeof is))
        r = err_set(err, EINVAL, "its grant is for another value");
    return r;
}

int vault_grant_open(const struct secret *key, const char *binding, const void *sealed, size_t len, const struct secret *value,
    struct grant **ret_grant, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    CLEANUP_JSON json_t *json = NULL;
    enum grant_kind kind = GRANT_API_KEY;
    char kind_text[GRANT_NAME_MAX];
    size_t kind_len = strcspn(binding, "/");
    int r = aead_open(key, sealed, len, &text);

    if (r == AEAD_FORGED) {
        err_set(err, EBADMSG, "the seal of its grant is broken");
        return VAULT_GRANT_BAD;
    }
    if (r < 0)
        return r;
    if (kind_len >= sizeof kind_text)
        return -EINVAL;
    memcpy(kind_text, binding, kind_len);
    kind_text[kind_len] = '\0';
    r = grant_kind_parse(kind_text, &kind) ? secret_json_parse(text, &json, err)
                                           : err_set(err, EINVAL, "bindings of kind %s cannot be used", kind_text);
    if (r == 0)
        r = check_keys(json, err);
    if (r == 0)
        r = check_value(json, binding, value, err);
    if (r == 0)
        r = grant_read(json, kind, ret_grant, err);
    return r == -EINVAL || r == -E2BIG ? VAULT_GRANT_BAD : r;
}
