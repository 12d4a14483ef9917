/*
 * A small hostile provider for the keeper's tests: HTTP/1.1 on a loopback port, plain or behind TLS, one thread a
 * connection, whose misbehaviour the path chooses. It counts every byte that reaches it, so that "nothing was sent"
 * is a fact.
 *
 *     /ok  /echo (the request's head)  /split (the same, byte by byte)  /status/N  /retry/VALUE  /big/N  /hop/N (N redirects)
 *     /to?URL (302)  /reset  /close  /half  /garbage  /endless  /headers  /slow  /gzip  /first (only as a connection's first request)
 */
#ifndef KEEPER_TEST_PROVIDER_H
#define KEEPER_TEST_PROVIDER_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdint.h>

#define PROVIDER_REQUEST_MAX 300000

struct provider {
    uint16_t port;
    int listener;
    SSL_CTX *tls; /* NULL: plain */
    atomic_uint connections;
    atomic_uint requests;
    atomic_ulong bytes;              /* of HTTP; a TLS handshake alone is none */
    char last[PROVIDER_REQUEST_MAX]; /* head and body of the newest request */
};

/* Starts the threads; aborts when it cannot. `tls` is borrowed. */
void provider_start(struct provider *provider, SSL_CTX *tls);
/* A port on which nobody listens. */
uint16_t provider_closed_port(void);

/*
 * A throw-away CA written to `ca_path` as PEM, and a server certificate for the names (comma-separated), signed by it;
 * by itself when `ca_path` is NULL.
 */
SSL_CTX *provider_tls(const char *ca_path, const char *names);

#endif
