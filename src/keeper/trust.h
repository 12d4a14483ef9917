/*
 * The certificate authorities that the keeper believes: the system's bundle and
 * perhaps one development CA, in one store. Everything is read before lock-down;
 * the bundle's hundred and more certificates are decoded after the keeper said
 * hello, in trust_complete(), because that takes longer than all the rest of a start.
 */
#ifndef KEEPER_TRUST_H
#define KEEPER_TRUST_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <openssl/x509_vfy.h>
#include <stdbool.h>

struct trust {
    X509_STORE *store; /* owned; its address stays, so it may be handed on before it is complete */
    struct buf bundle; /* the system's, as PEM, until it is decoded */
};

/*
 * Reads both. `dev_ca` is a PEM file or NULL and is decoded at once: -EINVAL when it holds no certificate. Without a
 * system bundle the store stays empty but for it: https then fails, it is never unverified. Free with trust_free.
 */
int trust_load(const char *dev_ca, struct trust *ret_trust, struct err *err);
bool trust_has_system(const struct trust *trust);
/* Decodes the system's bundle into the store. Must have run before a TLS handshake ends. A certificate that OpenSSL does not read is left out. */
void trust_complete(struct trust *trust);
void trust_free(struct trust *trust);

#endif
