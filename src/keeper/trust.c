/* Reads and decodes the certificate authorities. The environment is not asked: SSL_CERT_FILE changes nothing here. */
#include "keeper/trust.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/banned.h"

#define BUNDLE_MAX_BYTES ((size_t) 4 << 20)

/* Where Linux distributions keep the bundle. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

static bool bundle_read(const char *path, struct buf *bundle)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    buf_reset(bundle);
    return fd >= 0 && file_read_fd(fd, bundle, NULL) == 0 && strstr(buf_str(bundle), "-----BEGIN CERTIFICATE-----");
}

int trust_load(const char *dev_ca, struct trust *ret_trust, struct err *err)
{
    CLEANUP(trust_free) struct trust trust = { X509_STORE_new(), NULL, BUF_INIT(BUNDLE_MAX_BYTES) };
    bool found = false;

    if (dev_ca)
        trust.with_dev_ca = X509_STORE_new();
    if (!trust.store || (dev_ca && !trust.with_dev_ca))
        return err_set(err, ENOMEM, "out of memory");
    if (dev_ca && X509_STORE_load_file(trust.with_dev_ca, dev_ca) != 1) {
        ERR_clear_error();
        return err_set(err, EINVAL, "--dev-ca %s is not a readable file of PEM certificates", dev_ca);
    }
    for (size_t i = 0; i < ARRAY_LEN(bundles) && !found; i++)
        found = bundle_read(bundles[i], &trust.bundle);
    if (!found)
        buf_reset(&trust.bundle);
    *ret_trust = trust;
    trust = (struct trust){ NULL, NULL, BUF_INIT(0) };
    return 0;
}

X509_STORE *trust_store(const struct trust *trust, bool with_dev_ca)
{
    return with_dev_ca && trust->with_dev_ca ? trust->with_dev_ca : trust->store;
}

bool trust_has_system(const struct trust *trust)
{
    return trust->bundle.len > 0 || sk_X509_OBJECT_num(X509_STORE_get0_objects(trust->store)) > 0;
}

void trust_complete(struct trust *trust)
{
    BIO *bio = BIO_new_mem_buf(buf_str(&trust->bundle), (int) trust->bundle.len);
    X509 *certificate;

    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_STORE_add_cert(trust->store, certificate);
        if (trust->with_dev_ca)
            X509_STORE_add_cert(trust->with_dev_ca, certificate);
        X509_free(certificate);
    }
    ERR_clear_error(); /* the end of the bundle is one */
    BIO_free(bio);
    buf_free(&trust->bundle);
}

void trust_free(struct trust *trust)
{
    X509_STORE_free(trust->store);
    X509_STORE_free(trust->with_dev_ca);
    buf_free(&trust->bundle);
    trust->store = trust->with_dev_ca = NULL;
}
