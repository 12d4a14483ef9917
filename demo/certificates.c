/*
 * X.509 by OpenSSL's plain functions. The authority may sign exactly what the
 * stand-in needs: server certificates, path length 0.
 */
#include "certificates.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DAY_S (24 * 60 * 60)

DEFINE_CLEANUP_PTR(X509, X509_free)
DEFINE_CLEANUP_PTR(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP_PTR(BIO, BIO_free_all)

static int fail(struct err *err)
{
    return err_set(err, EIO, "OpenSSL could not make the certificates");
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    int ok;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return ok ? 0 : -1;
}

/* Subject, serial, times, key and issuer: all but extensions and signature. */
static X509 *certificate_new(const char *name, EVP_PKEY *key, X509 *issuer)
{
    CLEANUP_PTR(X509_free) X509 *certificate = X509_new();
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
    unsigned char serial[8];

    if (!subject || RAND_bytes(serial, sizeof(serial)) != 1)
        return NULL;
    serial[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));

    BN_free(number);
    ok = ok && X509_set_version(certificate, X509_VERSION_3) && X509_gmtime_adj(X509_getm_notBefore(certificate), -60 * 60) &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S) && X509_set_pubkey(certificate, key) &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *) name, -1, -1, 0) &&
         X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject);
    return ok ? TAKE_PTR(certificate) : NULL;
}

static X509 *authority_new(EVP_PKEY *key)
{
    CLEANUP_PTR(X509_free) X509 *ca = certificate_new("Aileron demo authority (throw-away)", key, NULL);

    if (!ca || add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") < 0 ||
        add_extension(ca, ca, NID_key_usage, "critical,keyCertSign") < 0 ||
        add_extension(ca, ca, NID_subject_key_identifier, "hash") < 0 || X509_sign(ca, key, EVP_sha256()) <= 0)
        return NULL;
    return TAKE_PTR(ca);
}

static X509 *leaf_new(const char *const *names, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
    CLEANUP_PTR(X509_free) X509 *leaf = certificate_new(names[0], key, ca);
    CLEANUP(buf_free) struct buf hosts = BUF_INIT(1024);

    for (; *names; names++)
        if (buf_printf(&hosts, "%sDNS:%s", hosts.len ? "," : "", *names) < 0)
            return NULL;
    if (!leaf || add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature") < 0 ||
        add_extension(leaf, ca, NID_ext_key_usage, "serverAuth") < 0 ||
        add_extension(leaf, ca, NID_subject_alt_name, buf_str(&hosts)) < 0 ||
        add_extension(leaf, ca, NID_authority_key_identifier, "keyid") < 0 || X509_sign(leaf, ca_key, EVP_sha256()) <= 0)
        return NULL;
    return TAKE_PTR(leaf);
}

static int write_pem(X509 *certificate, const char *path, struct err *err)
{
    CLEANUP_PTR(BIO_free_all) BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len;

    if (!memory || PEM_write_bio_X509(memory, certificate) != 1)
        return fail(err);
    len = BIO_get_mem_data(memory, &text);
    return file_write_atomic(AT_FDCWD, path, text, (size_t) len, 0644, err);
}

int certificates_new(const char *const *names, const char *ca_path, SSL_CTX **ret_context, struct err *err)
{
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP_PTR(X509_free) X509 *ca = ca_key ? authority_new(ca_key) : NULL;
    CLEANUP_PTR(X509_free) X509 *leaf = ca && key ? leaf_new(names, key, ca, ca_key) : NULL;
    SSL_CTX *context;
    int r;

    if (!leaf)
        return fail(err);
    r = write_pem(ca, ca_path, err);
    if (r < 0)
        return r;
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_use_certificate(context, leaf) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1) {
        SSL_CTX_free(context);
        return fail(err);
    }
    *ret_context = context;
    return 0;
}
