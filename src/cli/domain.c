/* The list is that of libpsl: what the system has newer on disk, else what is built in. Read once. */
#include "cli/domain.h"

#include <arpa/inet.h>
#include <libpsl.h>
#include <stdbool.h>
#include <string.h>

#include "base/banned.h"

static int forgotten;

static const psl_ctx_t *list(void)
{
    static const psl_ctx_t *latest;
    static bool asked;

    if (!asked)
        latest = psl_latest(NULL);
    asked = true;
    return forgotten ? NULL : latest;
}

void domain_forget_list(int forget)
{
    forgotten = forget;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

const char *domain_registered(const char *host)
{
    const char *found = NULL, *at = host;

    if (!list() || is_address(host))
        return NULL;
    while (*at && !psl_is_public_suffix2(list(), at, PSL_TYPE_ICANN)) {
        const char *dot = strchr(at, '.');

        found = at;
        if (!dot)
            break;
        at = dot + 1;
    }
    return found;
}

enum domain_kinship domain_compare(const char *host, const char *other)
{
    const char *ours, *theirs;

    if (!strcmp(host, other))
        return DOMAIN_SAME;
    if (is_address(host) || is_address(other))
        return DOMAIN_OTHER;
    if (!list())
        return DOMAIN_UNKNOWN;
    ours = psl_registrable_domain(list(), host);
    theirs = psl_registrable_domain(list(), other);
    if (ours && theirs && !strcmp(ours, theirs))
        return DOMAIN_SAME;
    ours = domain_registered(host);
    theirs = domain_registered(other);
    return ours && theirs && !strcmp(ours, theirs) ? DOMAIN_SHARED : DOMAIN_OTHER;
}
