/* A certificate authority that lives as long as the program, and one server certificate of it. */
#ifndef DEMO_CERTIFICATES_H
#define DEMO_CERTIFICATES_H

#include "base/err.h"

#include <openssl/ssl.h>

/*
 * Makes both with fresh P-256 keys, valid for a day around now, for the NULL-terminated host `names`. The authority's certificate is
 * written to `ca_path` (PEM); its key is never stored. *ret_context serves TLS 1.2 and newer; owned by the caller.
 */
int certificates_new(const char *const *names, const char *ca_path, SSL_CTX **ret_context, struct err *err);

#endif
