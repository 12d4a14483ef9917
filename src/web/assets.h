/*
 * The files of the web app (web/), embedded in the program. Nothing is read at run time.
 */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as in a URL; a page's own address: see assets_find() */
    const char *type, *etag;
    const unsigned char *data;
    size_t size;
};

/* Made by embed.py. */
extern const struct asset ASSETS[];
extern const size_t ASSETS_LEN;

#define ASSETS_CSP                                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "       \
    "form-action 'none'; frame-ancestors 'none'"

/* The file at a decoded path; the pages of the app share one. NULL: none. */
const struct asset *assets_find(const char *path);

#endif
