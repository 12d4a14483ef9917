/* See the header. */
#include "broker/trusted.h"

#include "broker/file-id.h"
#include "broker/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define LOCAL    "local://"
#define KEYS_MAX 64 /* that may sign for one name */

struct trusted {
    const char *home;
    char *path;
    struct file_id id; /* zeroed: there was no file */
    uint64_t generation;
    struct keyring *keyring; /* NULL: it cannot be read, for the reason in */
    struct err err;
};

int trusted_new(const char *home, struct trusted **ret_trusted, struct err *err)
{
    CLEANUP_PTR(trusted_free) struct trusted *trusted = calloc(1, sizeof *trusted);

    if (!trusted)
        return err_set(err, ENOMEM, "out of memory");
    trusted->home = home;
    if (asprintf(&trusted->path, "%s/keyring.json", home) < 0) {
        trusted->path = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    *ret_trusted = TAKE_PTR(trusted);
    return 0;
}

void trusted_free(struct trusted *trusted)
{
    if (!trusted)
        return;
    keyring_free(trusted->keyring);
    free(trusted->path);
    free(trusted);
}

uint64_t trusted_generation(struct trusted *trusted)
{
    struct file_id id = { 0 };
    struct stat st;

    if (lstat(trusted->path, &st) == 0)
        id = file_id(&st);
    if (trusted->generation > 0 && file_id_same(&id, &trusted->id))
        return trusted->generation;
    /* The stat comes before the reading: what changes in between is another file at the next question. */
    trusted->id = id;
    trusted->generation++;
    keyring_free(TAKE_PTR(trusted->keyring));
    err_clear(&trusted->err);
    if (keyring_load(trusted->home, &trusted->keyring, &trusted->err) < 0)
        log_warn("nobody is trusted: %s", trusted->err.message);
    return trusted->generation;
}

static size_t keys_of(struct trusted *trusted, const char *fqn, struct keyring_key keys[KEYS_MAX])
{
    size_t len = 0;

    trusted_generation(trusted);
    len = trusted->keyring ? keyring_keys_for(trusted->keyring, fqn, keys, KEYS_MAX) : 0;
    return len < KEYS_MAX ? len : KEYS_MAX;
}

bool trusted_has_any(struct trusted *trusted, const char *fqn)
{
    struct keyring_key keys[KEYS_MAX];

    return keys_of(trusted, fqn, keys) > 0;
}

bool trusted_has(struct trusted *trusted, const char *fqn, const struct keyring_key *key)
{
    struct keyring_key keys[KEYS_MAX];
    size_t len = keys_of(trusted, fqn, keys);

    for (size_t i = 0; i < len; i++)
        if (!memcmp(keys[i].raw, key->raw, sizeof key->raw))
            return true;
    return false;
}

static int refuse(const struct trusted *trusted, const char *fqn, size_t keys_len, struct err *err)
{
    char authority[KEYRING_AUTHORITY_MAX];

    trusted_authority(fqn, authority);
    if (!trusted->keyring)
        err_set(err, EKEYREJECTED, "nobody is trusted, because of the keyring: %s", trusted->err.message);
    else if (keys_len == 0)
        err_set(err, EKEYREJECTED, "its publisher %s is not trusted (any more)", authority);
    else
        err_set(err, EKEYREJECTED, "no key that is trusted for %s made its signature", authority);
    if (!trusted->keyring)
        err_hint(err, "repair keyring.json, or remove it and trust the publishers again");
    else
        err_hint(err, "aileron keyring list shows who is trusted; aileron keyring trust %.200s trusts a publisher", authority);
    return -EKEYREJECTED;
}

int trusted_verify(struct trusted *trusted, const char *fqn, const struct keyring_part *parts, size_t parts_len,
    const uint8_t signature[SIGN_BYTES], struct keyring_key *ret_key, struct err *err)
{
    struct keyring_key keys[KEYS_MAX];
    size_t len = keys_of(trusted, fqn, keys), which = 0;

    if (!keyring_verify(keys, len, parts, parts_len, signature, &which))
        return refuse(trusted, fqn, len, err);
    *ret_key = keys[which];
    return 0;
}

bool trusted_is_local(const char *fqn)
{
    return !strncmp(fqn, LOCAL, sizeof LOCAL - 1);
}

const char *trusted_authority(const char *fqn, char out[KEYRING_AUTHORITY_MAX])
{
    const char *at = strstr(fqn, "://");
    size_t len = 0;

    at = at ? strchr(at + 3, '/') : NULL;
    at = at ? strchr(at + 1, '/') : NULL;
    len = at ? (size_t) (at - fqn) : strcspn(fqn, "@");
    snprintf(out, KEYRING_AUTHORITY_MAX, "%.*s", (int) len, fqn);
    return out;
}
