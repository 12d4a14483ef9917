/*
 * Rules that name a host:port: the development overrides --dev-connect-to, in
 * curl's connect-to syntax but with all four parts written, and lists of host:port as
 * manifests and settings have them. Compared byte for byte with url_hostport(). Pure.
 */
#ifndef KEEPER_OVERRIDES_H
#define KEEPER_OVERRIDES_H

#include "base/url.h"

#define OVERRIDES_MAX 64

struct connect_to {
    struct url from; /* a request for this host:port ... */
    struct url to;   /* ... is connected there; TLS still checks the certificate of `from` */
};

struct overrides {
    struct connect_to rows[OVERRIDES_MAX];
    size_t len;
    bool
        active; /* only while the open vault is a development one (vault_is_dev); also decides whether the development CA is believed */
};

/* Adds one H1:P1:H2:P2. -EINVAL says what is wrong, -E2BIG when there are too many. */
int overrides_add(struct overrides *overrides, const char *text, struct err *err);
/* The row for the URL's host:port, or NULL; always NULL while they are not active. */
const struct connect_to *overrides_find(const struct overrides *overrides, const struct url *url);

/* True when the newline-separated list has exactly this URL's host:port. */
bool hostlist_contains(const char *list, const struct url *url);

#endif
