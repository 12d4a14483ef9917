/* Loads the certificate store. The environment is not asked: SSL_CERT_FILE changes nothing here. */
#include "keeper/trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/banned.h"

/* Where Linux distributions keep the bundle. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

DEFINE_CLEANUP_PTR(X509_STORE, X509_STORE_free)

int trust_load(const char *dev_ca, X509_STORE **ret_store, bool *ret_has_system, struct err *err)
{
    CLEANUP_PTR(X509_STORE_free) X509_STORE *store = X509_STORE_new();
    bool has_system = false;

    if (!store)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_LEN(bundles) && !has_system; i++)
        has_system = access(bundles[i], R_OK) == 0 && X509_STORE_load_file(store, bundles[i]) == 1;
    if (dev_ca && X509_STORE_load_file(store, dev_ca) != 1) {
        ERR_clear_error();
        return err_set(err, EINVAL, "--dev-ca %s is not a readable file of PEM certificates", dev_ca);
    }
    ERR_clear_error();
    *ret_store = TAKE_PTR(store);
    *ret_has_system = has_system;
    return 0;
}
