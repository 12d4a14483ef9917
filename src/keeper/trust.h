/*
 * The certificate authorities that the keeper believes: the system's bundle and
 * perhaps one development CA, read once into one store before lock-down.
 */
#ifndef KEEPER_TRUST_H
#define KEEPER_TRUST_H

#include "base/cleanup.h"
#include "base/err.h"

#include <openssl/x509_vfy.h>
#include <stdbool.h>

/*
 * `dev_ca` is a PEM file or NULL. Without a system bundle the store is empty but for it, and *ret_has_system is false:
 * https then fails, it is never unverified. Free with X509_STORE_free.
 */
int trust_load(const char *dev_ca, X509_STORE **ret_store, bool *ret_has_system, struct err *err);

#endif
