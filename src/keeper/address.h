/*
 * Which IP addresses an outbound request may reach (DESIGN §5.2): public unicast
 * ones. Everything that leads back to this machine, into a private network or
 * around these rules by embedding one address in another is refused. Pure.
 */
#ifndef KEEPER_ADDRESS_H
#define KEEPER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 48
#define ADDRESS_LIST_MAX 16

struct address {
    bool v6;
    uint8_t bytes[16]; /* network order; IPv4 uses the first four */
};

struct address_list {
    struct address items[ADDRESS_LIST_MAX];
    size_t len;
};

/* NULL when the address may be reached, else what it is ("a private address"). */
const char *address_refusal(const struct address *address);

/* From a numeric text or a socket address; false when it is neither IPv4 nor IPv6. */
bool address_parse(const char *text, struct address *ret_address);
bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret_address);
/* Numeric text; IPv6 in brackets, as CURLOPT_RESOLVE wants it. Returns `out`. */
char *address_format(const struct address *address, char out[ADDRESS_TEXT_MAX]);

/* Copies what may be reached. Returns how many; 0 with *ret_reason set when all were refused. */
size_t address_list_filter(const struct address_list *from, struct address_list *ret_to, const char **ret_reason);

#endif
