/*
 * Who is asking, from what a request carries (DESIGN §5.6, §5.7). Pure: header
 * values in, verdict out. Nothing but the Authorization header authenticates on
 * the TCP door; on the owner's socket the peer's user does.
 */
#ifndef WEB_GUARD_H
#define WEB_GUARD_H

#include <stdbool.h>

enum guard_verdict { GUARD_OK, GUARD_FOREIGN_HOST, GUARD_FOREIGN_ORIGIN };

/*
 * `host` and `origin` are the header values, NULL when absent. On TCP the Host must be 127.0.0.1:PORT or
 * localhost:PORT and an Origin must name the same host; on the socket there is no Origin at all.
 */
enum guard_verdict guard_check(bool tcp, unsigned port, const char *host, const char *origin);
/* The token of "Bearer <token>" (scheme in any case), or NULL. Borrowed from `authorization`. */
const char *guard_bearer(const char *authorization);

#endif
