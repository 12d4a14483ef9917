/* See the header. */
#include "keeper/vault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct vault {
    char *path;
};

int vault_new(const char *home, struct vault **ret_vault, struct err *err)
{
    *ret_vault = calloc(1, sizeof **ret_vault);
    return *ret_vault ? 0 : err_set(err, ENOMEM, "out of memory");
}
void vault_free(struct vault *vault)
{
    free(vault);
}
enum keeper_vault_state vault_state(const struct vault *vault)
{
    return KEEPER_VAULT_MISSING;
}
const char *vault_file_path(const struct vault *vault)
{
    return "";
}
bool vault_is_dev(const struct vault *vault)
{
    return false;
}
int vault_salt(struct vault *vault, uint8_t out[KDF_SALT_BYTES], struct err *err)
{
    return VAULT_NOT_THERE;
}
int vault_unlock(struct vault *vault, const struct secret *key, struct err *err)
{
    return VAULT_NOT_THERE;
}
int vault_create(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], bool dev, struct err *err)
{
    return -ENOSYS;
}
int vault_rekey(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], struct err *err)
{
    return -ENOSYS;
}
void vault_lock(struct vault *vault) { }
int vault_put(struct vault *vault, const char *path, const struct secret *value, const struct vault_labels *labels, struct err *err)
{
    return -ENOSYS;
}
int vault_get(struct vault *vault, const char *path, struct secret **ret_value, struct err *err)
{
    return -ENOSYS;
}
int vault_delete(struct vault *vault, const char *path, struct err *err)
{
    return -ENOSYS;
}
json_t *vault_list(struct vault *vault)
{
    return json_array();
}
int vault_binding_put(struct vault *vault, const char *binding, const struct grant *grant, const struct secret *value,
    const json_t *labels, struct err *err)
{
    return -ENOSYS;
}
int vault_binding_regrant(
    struct vault *vault, const char *binding, const struct grant *grant, const json_t *labels, struct err *err)
{
    return -ENOSYS;
}
int vault_binding_delete(struct vault *vault, const char *binding, struct err *err)
{
    return -ENOSYS;
}
int vault_binding_set_default(struct vault *vault, const char *binding, bool is_default, struct err *err)
{
    return -ENOSYS;
}
int vault_binding_mark(struct vault *vault, const char *binding, const char *status, const char *stale_reason, struct err *err)
{
    return -ENOSYS;
}
void vault_binding_used(struct vault *vault, const char *binding, int64_t now_unix_s) { }
int vault_flush(struct vault *vault, struct err *err)
{
    return 0;
}
int vault_lend(struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    err_set(err, ENOENT, "there is no binding %s", binding);
    return VAULT_NO_BINDING;
}
json_t *vault_describe(struct vault *vault)
{
    return json_array();
}
bool vault_signing_public(const struct vault *vault, uint8_t out[SIGN_PUBLIC_BYTES])
{
    return false;
}
int vault_sign(struct vault *vault, const void *message, size_t len, uint8_t out[SIGN_BYTES], struct err *err)
{
    return VAULT_NOT_OPEN;
}
