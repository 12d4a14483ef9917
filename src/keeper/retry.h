/* Retry-After (RFC 9110 §10.2.3): how long an answer asks us to wait. Pure. */
#ifndef KEEPER_RETRY_H
#define KEEPER_RETRY_H

#include <stddef.h>
#include <stdint.h>

#define RETRY_AFTER_MAX_MS (24 * 3600 * 1000ll)

/*
 * Seconds or an HTTP date, the latter against `now_unix_ms`. Milliseconds from now, at least 0 and at
 * most RETRY_AFTER_MAX_MS; -1 when the value is neither.
 */
int64_t retry_after_parse(const char *value, size_t len, int64_t now_unix_ms);

/* X-RateLimit-Reset as forges send it: the Unix time in seconds at which requests are answered again. As retry_after_parse(). */
int64_t rate_reset_parse(const char *value, size_t len, int64_t now_unix_ms);

#endif
