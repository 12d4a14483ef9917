/* Whose is a host? By the public suffix list, as browsers tell it. */
#ifndef CLI_DOMAIN_H
#define CLI_DOMAIN_H

enum domain_kinship {
    DOMAIN_SAME, /* the same host, or hosts of one registrable domain */
    DOMAIN_SHARED, /* of one domain that a registrar gave out, whose owner lets others have names under it (googleapis.com, github.io) */
    DOMAIN_OTHER,   /* of different ones, or a host that has none (an address, a public suffix itself) */
    DOMAIN_UNKNOWN, /* this machine has no public suffix list */
};

/* How near two hosts are. Both in lower case, as manifests write them. */
enum domain_kinship domain_compare(const char *host, const char *other);
/* The domain that a registrar gave out and `host` is under; NULL when there is none. Borrowed from `host`. */
const char *domain_registered(const char *host);
/* Without the list, for tests: 1 as if there were none, 0 as it is. */
void domain_forget_list(int forget);

#endif
