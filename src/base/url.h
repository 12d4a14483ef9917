/*
 * The one strict reading of an outbound URL, shared by who checks a URL against
 * a manifest (broker) and who sends the request (keeper). It accepts less than
 * RFC 3986 so that no two parsers can disagree about the host: http and https
 * only, printable ASCII, no userinfo, no percent in the host, IP addresses in
 * their canonical form alone, a port of plain digits. Pure; allocates nothing.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_MAX_BYTES    8192
#define URL_HOST_MAX     253
#define URL_HOSTPORT_MAX (URL_HOST_MAX + 2 + 1 + 5 + 1) /* "[host]:port" and NUL */
#define URL_ORIGIN_MAX   (8 + URL_HOSTPORT_MAX)         /* "https://" before it */

enum url_host_kind { URL_HOST_NAME, URL_HOST_IPV4, URL_HOST_IPV6 };

struct url {
    bool tls; /* https */
    enum url_host_kind host_kind;
    char host[URL_HOST_MAX + 1]; /* lower case; IPv6 without its brackets */
    uint16_t port;               /* written or the scheme's default */
    const char *target;          /* path and query inside the parsed text, without the fragment; may be empty or start with '?' */
    size_t target_len;
};

/*
 * Reads an absolute URL of `len` bytes. -EINVAL with a sentence that does not repeat the URL, which may hold
 * private data. `ret->target` borrows from `text`.
 */
int url_parse(const char *text, size_t len, struct url *ret_url, struct err *err);

/*
 * Reads "host:port" as manifests and settings write it: the port is required, the host obeys the rules of a URL's
 * host ("[::1]:443" for IPv6). Fills host, host_kind and port; tls is false and target empty.
 */
int url_parse_hostport(const char *text, size_t len, struct url *ret_url, struct err *err);

/* "host:port", IPv6 in brackets. Returns `out`. */
char *url_hostport(const struct url *url, char out[URL_HOSTPORT_MAX]);
/* "https://host:port", the port always written. Returns `out`. */
char *url_origin(const struct url *url, char out[URL_ORIGIN_MAX]);
bool url_same_origin(const struct url *a, const struct url *b);
/* "localhost" or "127.0.0.1": the only hosts that plain http may go to. */
bool url_is_this_machine(const struct url *url);

#endif
