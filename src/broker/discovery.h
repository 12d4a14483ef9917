/*
 * The daemon's place in its home: the lock that makes it the only one, its
 * listening sockets, and the files by which others find it (SPEC §7). All of it
 * is removed at a clean end; what a killed daemon left behind is replaced under
 * the lock. The keeper's socket stays here, so that its clients queue while a
 * keeper is replaced.
 */
#ifndef BROKER_DISCOVERY_H
#define BROKER_DISCOVERY_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/home.h"

#include <stdbool.h>
#include <stdint.h>

#define DISCOVERY_TOKEN_MAX 64

struct discovery;

struct discovery_facts {
    char url[64];
    char token[DISCOVERY_TOKEN_MAX]; /* "ago_" and 43 characters of base64url: the owner's */
};

/* Takes daemon.lock and makes the sockets. -EALREADY when another daemon has the home. `home` is borrowed. */
int discovery_open(const struct home *home, struct discovery **ret_discovery, struct err *err);
/* Removes the files and gives up the lock. */
void discovery_close(struct discovery *discovery);
DEFINE_CLEANUP_PTR(struct discovery, discovery_close)

/* The listening sockets; the caller owns them from now on. */
int discovery_take_owner_socket(struct discovery *discovery);
int discovery_take_agent_socket(struct discovery *discovery);
/* keeper.sock, listening (SOCK_SEQPACKET); borrowed: every keeper gets it. */
int discovery_keeper_socket(const struct discovery *discovery);
/* The port of the last daemon, 0 when unknown or in use. */
unsigned discovery_last_port(const struct discovery *discovery);
/* Writes daemon.json (0600), daemon.pid and daemon.url: from now on the daemon can be found. */
int discovery_publish(struct discovery *discovery, unsigned port, int64_t started_unix_ms, struct err *err);
const struct discovery_facts *discovery_facts(const struct discovery *discovery);
/* Constant time. */
bool discovery_is_token(const struct discovery *discovery, const char *token);

#endif
