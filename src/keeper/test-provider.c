/* See the header. Threads are never joined: they end with the test. */
#include "keeper/test-provider.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "base/banned.h"

struct conversation {
    struct provider *provider;
    int fd;
    SSL *ssl;
    unsigned requests;
    char head[PROVIDER_REQUEST_MAX]; /* the request as it is read */
    size_t len;
    size_t head_len;
};

static void require(int truth)
{
    if (!truth)
        abort();
}

static ssize_t talk_read(struct conversation *talk, char *data, size_t len)
{
    return talk->ssl ? SSL_read(talk->ssl, data, (int) len) : read(talk->fd, data, len);
}

/* False when the peer is gone. */
static bool talk_write(struct conversation *talk, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = talk->ssl ? SSL_write(talk->ssl, data, (int) len) : send(talk->fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t) n;
    }
    return true;
}

static bool talk_answer(struct conversation *talk, const char *status, const char *fields, const char *body, size_t len)
{
    char head[4096];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, len, fields);

    return talk_write(talk, head, (size_t) n) && (!strncmp(talk->head, "HEAD ", 5) || talk_write(talk, body, len));
}

/* Reads one request; false at the end of the connection. */
static bool request_read(struct conversation *talk)
{
    size_t want = SIZE_MAX;
    char *length = NULL, *end = NULL;

    talk->len = 0;
    while (talk->len < want) {
        ssize_t n =
            talk->len + 1 < sizeof talk->head ? talk_read(talk, talk->head + talk->len, sizeof talk->head - 1 - talk->len) : 0;

        if (n <= 0)
            return false;
        atomic_fetch_add(&talk->provider->bytes, (unsigned long) n);
        talk->len += (size_t) n;
        talk->head[talk->len] = '\0';
        end = strstr(talk->head, "\r\n\r\n");
        if (!end || want != SIZE_MAX)
            continue;
        talk->head_len = (size_t) (end + 4 - talk->head);
        length = strcasestr(talk->head, "\r\nContent-Length:");
        want = talk->head_len + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    memcpy(talk->provider->last, talk->head, talk->len + 1);
    talk->requests++;
    atomic_fetch_add(&talk->provider->requests, 1);
    return true;
}

/* ---- what a path does; false ends the connection ---- */

static bool do_ok(struct conversation *talk, const char *rest)
{
    return talk_answer(talk, "200 OK", "Set-Cookie: a=b\r\n", "hello", 5);
}

static bool do_echo(struct conversation *talk, const char *rest)
{
    return talk_answer(talk, "200 OK", "", talk->head, talk->len);
}

static bool do_split(struct conversation *talk, const char *rest)
{
    bool good = talk_write(talk, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);

    for (size_t i = 0; good && i < talk->len; i++) {
        char chunk[] = { '1', '\r', '\n', talk->head[i], '\r', '\n' };

        good = talk_write(talk, chunk, sizeof chunk);
    }
    return good && talk_write(talk, "0\r\n\r\n", 5);
}

static bool do_status(struct conversation *talk, const char *rest)
{
    char status[32];

    snprintf(status, sizeof status, "%.3s Whatever", rest);
    return talk_answer(talk, status, "", "status", 6);
}

static bool do_retry(struct conversation *talk, const char *rest)
{
    char fields[128];

    snprintf(fields, sizeof fields, "Retry-After: %.*s\r\n", (int) strcspn(rest, " "), rest);
    return talk_answer(talk, "429 Too Many Requests", fields, "", 0);
}

static bool do_big(struct conversation *talk, const char *rest)
{
    size_t len = strtoul(rest, NULL, 10);
    CLEANUP_FREE char *body = malloc(len + 1);

    require(body != NULL);
    memset(body, 'x', len);
    return talk_answer(talk, "200 OK", "", body, len);
}

static bool do_hop(struct conversation *talk, const char *rest)
{
    unsigned long left = strtoul(rest, NULL, 10);
    char fields[64];

    if (left == 0)
        return do_ok(talk, rest);
    snprintf(fields, sizeof fields, "Location: /hop/%lu\r\n", left - 1);
    return talk_answer(talk, "302 Found", fields, "", 0);
}

static bool do_to(struct conversation *talk, const char *rest)
{
    char fields[1024];

    snprintf(fields, sizeof fields, "Location: %.*s\r\n", (int) strcspn(rest, " "), rest);
    return talk_answer(talk, "302 Found", fields, "moved", 5);
}

static bool do_reset(struct conversation *talk, const char *rest)
{
    struct linger linger = { 1, 0 };

    setsockopt(talk->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return false;
}

static bool do_close(struct conversation *talk, const char *rest)
{
    return false;
}

static bool do_half(struct conversation *talk, const char *rest)
{
    talk_write(talk, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 43);
    return false;
}

static bool do_garbage(struct conversation *talk, const char *rest)
{
    talk_write(talk, "\x16\x03\x01garbage\r\n\r\n", 14);
    return false;
}

static bool do_endless(struct conversation *talk, const char *rest)
{
    static char block[65536];

    memset(block, 'y', sizeof block);
    talk_write(talk, "HTTP/1.1 200 OK\r\n\r\n", 19);
    while (talk_write(talk, block, sizeof block))
        ;
    return false;
}

static bool do_headers(struct conversation *talk, const char *rest)
{
    talk_write(talk, "HTTP/1.1 200 OK\r\n", 17);
    while (talk_write(talk, "X-More: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 65))
        ;
    return false;
}

static bool do_slow(struct conversation *talk, const char *rest)
{
    sleep(20);
    return false;
}

static bool do_gzip(struct conversation *talk, const char *rest)
{
    return talk_answer(talk, "200 OK", "Content-Encoding: gzip\r\n", "\x1f\x8b...", 5);
}

/* Answers a connection's first request and drops it at the second, as a server that was just about to close it. */
static bool do_first(struct conversation *talk, const char *rest)
{
    return talk->requests == 1 && do_ok(talk, rest);
}

static bool path_do(struct conversation *talk)
{
    static const struct {
        const char *path;
        bool (*fn)(struct conversation *talk, const char *rest);
    } paths[] = {
        { "/ok", do_ok },
        { "/echo", do_echo },
        { "/split", do_split },
        { "/status/", do_status },
        { "/retry/", do_retry },
        { "/big/", do_big },
        { "/hop/", do_hop },
        { "/to?", do_to },
        { "/reset", do_reset },
        { "/close", do_close },
        { "/half", do_half },
        { "/garbage", do_garbage },
        { "/endless", do_endless },
        { "/headers", do_headers },
        { "/slow", do_slow },
        { "/gzip", do_gzip },
        { "/first", do_first },
    };
    const char *path = strchr(talk->head, ' ');

    for (size_t i = 0; path && i < ARRAY_LEN(paths); i++)
        if (!strncmp(path + 1, paths[i].path, strlen(paths[i].path)))
            return paths[i].fn(talk, path + 1 + strlen(paths[i].path));
    return talk_answer(talk, "404 Not Found", "", "", 0);
}

static void *converse(void *argument)
{
    struct conversation *talk = argument;
    bool secure = true;

    if (talk->ssl) {
        SSL_set_fd(talk->ssl, talk->fd);
        secure = SSL_accept(talk->ssl) == 1;
    }
    while (secure && request_read(talk) && path_do(talk))
        ;
    if (talk->ssl)
        SSL_free(talk->ssl);
    close(talk->fd);
    free(talk);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct provider *provider = argument;

    for (;;) {
        struct conversation *talk = calloc(1, sizeof *talk);
        pthread_t thread;
        int one = 1;

        require(talk != NULL);
        talk->provider = provider;
        talk->fd = accept4(provider->listener, NULL, NULL, SOCK_CLOEXEC);
        require(talk->fd >= 0);
        setsockopt(talk->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        talk->ssl = provider->tls ? SSL_new(provider->tls) : NULL;
        atomic_fetch_add(&provider->connections, 1);
        require(pthread_create(&thread, NULL, converse, talk) == 0);
        pthread_detach(thread);
    }
    return NULL;
}

static int listen_loopback(uint16_t *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && bind(fd, (struct sockaddr *) &at, sizeof at) == 0 && listen(fd, 256) == 0);
    require(getsockname(fd, (struct sockaddr *) &at, &len) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

void provider_start(struct provider *provider, SSL_CTX *tls)
{
    pthread_t thread;

    memset(provider, 0, sizeof *provider);
    provider->tls = tls;
    provider->listener = listen_loopback(&provider->port);
    require(pthread_create(&thread, NULL, accept_all, provider) == 0);
    pthread_detach(thread);
}

uint16_t provider_closed_port(void)
{
    uint16_t port = 0;

    close(listen_loopback(&port));
    return port;
}

static X509 *certificate_new(EVP_PKEY *key, const char *name, X509 *issuer)
{
    X509 *certificate = X509_new();

    require(certificate && X509_set_version(certificate, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
    return certificate;
}

static void extension_add(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    require(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

SSL_CTX *provider_tls(const char *ca_path, const char *names)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = certificate_new(ca_key, "Test CA", NULL), *leaf = NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    FILE *file = NULL;

    extension_add(ca, NID_basic_constraints, "critical,CA:TRUE");
    require(X509_sign(ca, ca_key, EVP_sha256()) > 0);
    leaf = certificate_new(key, "test", ca_path ? ca : NULL);
    extension_add(leaf, NID_subject_alt_name, names);
    require(X509_sign(leaf, ca_path ? ca_key : key, EVP_sha256()) > 0);
    require(tls && SSL_CTX_use_certificate(tls, leaf) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1);
    if (ca_path) {
        file = fopen(ca_path, "w");
        require(file && PEM_write_X509(file, ca) == 1 && fclose(file) == 0);
    }
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return tls;
}
