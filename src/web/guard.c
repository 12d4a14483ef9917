/*
 * The checks that keep another web page, another port and another host name out:
 * a browser always sends Host, and sends Origin with everything that could do harm.
 */
#include "web/guard.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

static const char *const OWN_HOSTS[] = { "127.0.0.1", "localhost" };

static bool host_is_own(const char *host, unsigned port)
{
    char own[32];

    for (size_t i = 0; i < ARRAY_LEN(OWN_HOSTS); i++) {
        snprintf(own, sizeof(own), "%s:%u", OWN_HOSTS[i], port);
        if (!strcasecmp(host, own))
            return true;
    }
    return false;
}

enum guard_verdict guard_check(bool tcp, unsigned port, const char *host, const char *origin)
{
    if (!tcp)
        return origin ? GUARD_FOREIGN_ORIGIN : GUARD_OK;
    if (!host || !host_is_own(host, port))
        return GUARD_FOREIGN_HOST;
    if (origin && (strncmp(origin, "http://", 7) || strcasecmp(origin + 7, host)))
        return GUARD_FOREIGN_ORIGIN;
    return GUARD_OK;
}

const char *guard_bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer ", 7))
        return NULL;
    authorization += 7;
    while (*authorization == ' ')
        authorization++;
    return *authorization ? authorization : NULL;
}
