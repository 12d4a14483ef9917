/*
 * The one built-in grant: GET requests of a few paths below https://api.github.com, with the person's own token
 * (entry user/github) when the vault is open and has one, else without. The token goes nowhere else: no redirect to
 * another origin, nothing else in the request is chosen by whoever asks.
 */
#ifndef KEEPER_FORGE_H
#define KEEPER_FORGE_H

#include "base/err.h"
#include "keeper/http.h"

#include <stdbool.h>

#define FORGE_PATH_MAX 512
#define FORGE_ETAG_MAX 256
#define FORGE_TOKEN    "user/github"

struct vault;

/* "/repos/O/R/releases/latest" or "/repos/O/R/tags?per_page=100&page=N"; nothing else. Pure. */
bool forge_path_is_allowed(const char *path);
/* `fn` as of http_get(); with an `etag` ("" = none) that is still true, status 304. -EINVAL for a path that is not allowed. */
int forge_ask(
    struct http *http, struct vault *vault, const char *path, const char *etag, http_get_fn *fn, void *userdata, struct err *err);

#endif
