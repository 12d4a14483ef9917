/*
 * Which file a path means: its own name, or the one page for every address of the app.
 */
#include "web/assets.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <string.h>

#include "base/banned.h"

/* Addresses of the app; web/js/app.js has the same list. */
static const char *const PAGES[] = { "/", "/approvals", "/actions", "/bindings", "/audit", "/sessions" };
#define ONE_OF "/approvals/"

static bool is_page(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(PAGES); i++)
        if (!strcmp(PAGES[i], path))
            return true;
    size_t len = strlen(ONE_OF);
    return !strncmp(path, ONE_OF, len) && path[len] && !strchr(path + len, '/');
}

const struct asset *assets_find(const char *path)
{
    const char *file = is_page(path) ? "/index.html" : path;

    for (size_t i = 0; i < ASSETS_LEN; i++)
        if (!strcmp(ASSETS[i].path, file))
            return &ASSETS[i];
    return NULL;
}
