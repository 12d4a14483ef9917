/*
 * The certificate authorities that the keeper believes: the system's bundle, and a second
 * store that has one development CA beside it, for while the overrides are active. Everything
 * is read before lock-down; the bundle's hundred and more certificates are decoded after the keeper
 * said hello, in trust_complete(), because that takes longer than all the rest of a start.
 */
#ifndef KEEPER_TRUST_H
#define KEEPER_TRUST_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <openssl/x509_vfy.h>
#include <stdbool.h>

struct trust {
    X509_STORE *store;
    X509_STORE *with_dev_ca; /* NULL when no development CA was given */
    struct buf bundle;       /* the system's, as PEM, until it is decoded */
};

/*
 * Reads both. `dev_ca` is a PEM file or NULL and is decoded at once: -EINVAL when it holds no certificate. Without a
 * system bundle the stores stay empty but for it: https then fails, it is never unverified. Free with trust_free.
 */
int trust_load(const char *dev_ca, struct trust *ret_trust, struct err *err);
/* Borrowed. The store to verify with: the one with the development CA only when that is asked for and there is one. */
X509_STORE *trust_store(const struct trust *trust, bool with_dev_ca);
/* True as long as there is a system bundle, decoded or not. */
bool trust_has_system(const struct trust *trust);
/*
 * Decodes the system's bundle into the stores. Must have run before a TLS handshake ends. A certificate that OpenSSL does not
 * read is left out.
 */
void trust_complete(struct trust *trust);
void trust_free(struct trust *trust);

#endif
