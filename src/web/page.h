/*
 * The few pages that a browser is shown without the web app: how a consent ended.
 * Everything is text, escaped; no script, no picture, nothing from elsewhere.
 */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include "base/buf.h"

#include <jansson.h>

#define PAGE_CSP_MAX 256

/*
 * Appends the page for an answer of api_oauth_callback(), or for an error body. 0, -ENOMEM or -E2BIG.
 */
int page_render(const json_t *answer, struct buf *out);
/* The Content-Security-Policy of these pages, with the hash of their style. Returns `out`; NULL when it cannot be made. */
const char *page_csp(char out[PAGE_CSP_MAX]);

#endif
