/*
 * HTTPS on 127.0.0.1 with the routes of Gmail and Calendar. Every request needs
 * the bearer token; each answer can be held back, as a provider far away would.
 */
#ifndef DEMO_SERVER_H
#define DEMO_SERVER_H

#include "base/cleanup.h"
#include "base/err.h"

#include <openssl/ssl.h>

struct calendar;
struct event_base;
struct mailbox;
struct server;

struct server_config {
    SSL_CTX *tls;
    struct mailbox *mailbox;
    struct calendar *calendar;
    const char *token;
    int delay_ms;
};

/* Listens on a free port. Everything in `config` is borrowed and must outlive the server. */
int server_start(
    struct event_base *base, const struct server_config *config, struct server **ret_server, unsigned *ret_port, struct err *err);
void server_free(struct server *server);
DEFINE_CLEANUP_PTR(struct server, server_free)

#endif
