/*
 * The address rules as two tables of prefixes, from the IANA special-purpose
 * registries (RFC 6890 and its updates). IPv6 is read the other way round: only
 * 2000::/3 is global unicast, so all else is refused before the table is asked.
 */
#include "keeper/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#include "base/banned.h"

struct prefix {
    uint8_t bytes[8]; /* the longest prefix below has 64 bits */
    unsigned bits;
    const char *what;
};

static const struct prefix v4_refused[] = {
    { { 0 }, 8, "an address of this network" },
    { { 10 }, 8, "a private address" },
    { { 100, 64 }, 10, "a carrier's shared address" },
    { { 127 }, 8, "a loopback address" },
    { { 169, 254 }, 16, "a link-local address" },
    { { 172, 16 }, 12, "a private address" },
    { { 192, 0, 0 }, 24, "a protocol-assignment address" },
    { { 192, 0, 2 }, 24, "a documentation address" },
    { { 192, 31, 196 }, 24, "an AS112 address" },
    { { 192, 52, 193 }, 24, "an AMT address" },
    { { 192, 88, 99 }, 24, "a 6to4 relay address" },
    { { 192, 168 }, 16, "a private address" },
    { { 192, 175, 48 }, 24, "an AS112 address" },
    { { 198, 18 }, 15, "a benchmarking address" },
    { { 198, 51, 100 }, 24, "a documentation address" },
    { { 203, 0, 113 }, 24, "a documentation address" },
    { { 224 }, 4, "a multicast address" },
    { { 240 }, 4, "a reserved or broadcast address" },
};

/* Named for the message's sake where they lie outside 2000::/3. */
static const struct prefix v6_refused[] = {
    { { 0xfc }, 7, "a private address" },
    { { 0xfe, 0x80 }, 10, "a link-local address" },
    { { 0xfe, 0xc0 }, 10, "a site-local address" },
    { { 0xff }, 8, "a multicast address" },
    { { 0x00, 0x64, 0xff, 0x9b }, 32, "an address translated by NAT64" },
    { { 0x20, 0x01, 0x00, 0x00 }, 32, "a Teredo address" },
    { { 0x20, 0x01 }, 23, "a protocol-assignment address" },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "a documentation address" },
    { { 0x20, 0x02 }, 16, "a 6to4 address" },
    { { 0x26, 0x20, 0x00, 0x4f, 0x80, 0x00 }, 48, "an AS112 address" },
    { { 0x3f, 0xff }, 20, "a documentation address" },
};

static bool has_prefix(const uint8_t *bytes, const struct prefix *prefix)
{
    unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;
    uint8_t mask = (uint8_t) (0xff << (8 - rest));

    if (memcmp(bytes, prefix->bytes, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] & mask) == (prefix->bytes[whole] & mask);
}

static const char *find_prefix(const uint8_t *bytes, const struct prefix *table, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (has_prefix(bytes, &table[i]))
            return table[i].what;
    return NULL;
}

static const char *v6_refusal(const uint8_t bytes[16])
{
    static const uint8_t zero[16];
    const char *what = find_prefix(bytes, v6_refused, ARRAY_LEN(v6_refused));

    if (what)
        return what;
    if (!memcmp(bytes, zero, 15) && bytes[15] <= 1)
        return bytes[15] ? "a loopback address" : "the unspecified address";
    if (!memcmp(bytes, zero, 10) && bytes[10] == 0xff && bytes[11] == 0xff)
        return "an IPv4 address mapped into IPv6";
    if (!memcmp(bytes, zero, 12))
        return "an IPv4 address embedded in IPv6";
    if ((bytes[0] & 0xe0) != 0x20)
        return "not a global unicast address";
    return NULL;
}

const char *address_refusal(const struct address *address)
{
    return address->v6 ? v6_refusal(address->bytes) : find_prefix(address->bytes, v4_refused, ARRAY_LEN(v4_refused));
}

bool address_parse(const char *text, struct address *ret_address)
{
    struct address address = { .v6 = strchr(text, ':') != NULL };

    if (inet_pton(address.v6 ? AF_INET6 : AF_INET, text, address.bytes) != 1)
        return false;
    *ret_address = address;
    return true;
}

bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret_address)
{
    struct address address = { .v6 = false };

    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        memcpy(address.bytes, &((const struct sockaddr_in *) (const void *) sa)->sin_addr, 4);
    } else if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        address.v6 = true;
        memcpy(address.bytes, &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr, 16);
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

char *address_format(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(address->v6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    snprintf(out, ADDRESS_TEXT_MAX, "%s%s%s", address->v6 ? "[" : "", text, address->v6 ? "]" : "");
    return out;
}

size_t address_list_filter(const struct address_list *from, struct address_list *ret_to, const char **ret_reason)
{
    struct address_list to = { .len = 0 };
    const char *reason = "no address at all";

    for (size_t i = 0; i < from->len; i++) {
        const char *refusal = address_refusal(&from->items[i]);

        if (refusal)
            reason = refusal;
        else
            to.items[to.len++] = from->items[i];
    }
    if (to.len == 0)
        *ret_reason = reason;
    *ret_to = to;
    return to.len;
}
