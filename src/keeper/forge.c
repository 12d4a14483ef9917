/* See the header. Paths are read by hand, piece by piece: what is not expected is refused, not escaped. */
#include "keeper/forge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keeper/headers.h"
#include "keeper/request.h"
#include "keeper/vault.h"
#include "wire/limits.h"

#include "base/banned.h"

#define ORIGIN     "https://api.github.com"
#define ACCEPT     "application/vnd.github+json"
#define ANSWER_MAX ((size_t) 4 * MIB)
#define TIMEOUT_MS 30000
#define PAGE_MAX   3 /* digits */

/* Behind `prefix`, or NULL when the text does not begin with it. */
static const char *behind(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text && !strncmp(text, prefix, len) ? text + len : NULL;
}

/* Behind one name of an owner or a repository and the slash that follows it. */
static const char *behind_name(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = text ? strspn(text, letters) : 0;

    if (len == 0 || text[len] != '/' || (text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.'))))
        return NULL;
    return text + len + 1;
}

bool forge_path_is_allowed(const char *path)
{
    const char *rest = strlen(path) < FORGE_PATH_MAX ? behind_name(behind_name(behind(path, "/repos/"))) : NULL;
    const char *page = behind(rest, "tags?per_page=100&page=");
    size_t digits = page ? strspn(page, "0123456789") : 0;

    if (!rest)
        return false;
    return !strcmp(rest, "releases/latest") || (digits > 0 && digits <= PAGE_MAX && page[digits] == '\0');
}

int forge_ask(
    struct http *http, struct vault *vault, const char *path, const char *etag, http_get_fn *fn, void *userdata, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *token = NULL;
    struct http_get *get = NULL;
    char url[sizeof ORIGIN + FORGE_PATH_MAX];

    if (!forge_path_is_allowed(path) || !header_value_is_valid(etag, strlen(etag)))
        return err_set(err, EINVAL, "this path of the forge's API is not asked for");
    snprintf(url, sizeof url, ORIGIN "%s", path);
    /* Without a token, or with one that is none, the forge is asked as anybody may. */
    if (vault_state(vault) == KEEPER_VAULT_UNLOCKED && vault_get(vault, FORGE_TOKEN, &token, NULL) == 0 &&
        grant_value_refusal(secret_bytes(token), secret_len(token))) {
        secret_free(token);
        token = NULL;
    }
    const struct request_download what = { .url = url,
        .pool = token ? "forge+token" : "forge",
        .accept = ACCEPT,
        .etag = etag,
        .token = token,
        .answer_max = ANSWER_MAX };
    return http_get(http, &what, TIMEOUT_MS, fn, userdata, &get, err);
}
