/*
 * HTTPS on 127.0.0.1 with the routes of Gmail, Calendar and Google's authorization server. Gmail and Calendar want a live access
 * token; each answer can be held back, as a provider far away would. Beside it plain HTTP, as whatever host it is asked,
 * with the consent page alone: what the tour's browser visits. With a folder of repositories it is a forge too (forge.h).
 */
#ifndef DEMO_SERVER_H
#define DEMO_SERVER_H

#include "base/cleanup.h"
#include "base/err.h"

#include <openssl/ssl.h>

struct calendar;
struct event_base;
struct mailbox;
struct oauth;
struct server;

struct server_config {
    SSL_CTX *tls;
    struct mailbox *mailbox;
    struct calendar *calendar;
    struct oauth *oauth;
    int delay_ms; /* of the provider */
    int forge_fd; /* -1: no forge */
};

struct server_ports {
    unsigned https, browser;
};

/* Listens on free ports. Everything in `config` is borrowed and must outlive the server. */
int server_start(struct event_base *base, const struct server_config *config, struct server **ret_server,
    struct server_ports *ret_ports, struct err *err);
void server_free(struct server *server);
DEFINE_CLEANUP_PTR(struct server, server_free)

#endif
