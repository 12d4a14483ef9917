/* See the header. */
#include "keeper/test-vault-make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "keeper/token.h"

#include "base/banned.h"

static char home[] = "/tmp/aileron-test-vault-XXXXXX";

static void require(int truth)
{
    if (!truth)
        abort();
}

static void home_remove(void)
{
    char path[64];

    snprintf(path, sizeof path, "%s/secrets.json", home);
    unlink(path);
    rmdir(home);
}

struct vault *test_vault_make(void)
{
    static const uint8_t salt[KDF_SALT_BYTES] = { 1 };
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    struct vault *vault = NULL;

    json_init();
    require(mkdtemp(home) != NULL && atexit(home_remove) == 0);
    require(secret_new(KDF_KEY_BYTES, &key) == 0);
    require(vault_new(home, &vault, NULL) == 0 && vault_create(vault, key, salt, false, NULL) == 0);
    return vault;
}

static void value_make(const char *binding, const struct grant *grant, const char *text, struct secret **ret_value)
{
    char client[] = "the-client";
    struct token token = { .client_id = client, .token_url = grant->token_url };

    if (strncmp(binding, "oauth2/", 7) != 0) {
        require(secret_from(text, strlen(text), ret_value) == 0);
        return;
    }
    require(secret_from(text, strlen(text), &token.access) == 0 && token_format(&token, ret_value) == 0);
    secret_free(token.access);
}

void test_vault_bind(struct vault *vault, const char *binding, const char *text, const char *value_text)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP_JSON json_t *json = NULL;
    enum grant_kind kind = strncmp(binding, "oauth2/", 7) ? GRANT_API_KEY : GRANT_OAUTH2;

    require(json_parse(text, strlen(text), JSON_LIMITS(4096), &json, NULL) == 0 && grant_read(json, kind, &grant, NULL) == 0);
    value_make(binding, grant, value_text, &value);
    require(vault_binding_put(vault, binding, grant, value, NULL, NULL) == 0);
}
