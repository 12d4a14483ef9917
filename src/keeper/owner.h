/*
 * The owner's door: keeper.sock (client.h, OWNER_*), the only way of a passphrase or secret into the keeper. Each
 * connection is one program of the same user, with one request under way at a time. Offences end that connection alone.
 */
#ifndef KEEPER_OWNER_H
#define KEEPER_OWNER_H

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/parts.h"

#include <stdbool.h>

#define OWNER_PEERS_MAX 64

struct owner;

/* 1 when the descriptor is a listening AF_UNIX SOCK_SEQPACKET socket, 0 when it is not open, -EINVAL when it is something else. */
int owner_door_check(int fd);
/* Takes the listening socket. Nobody is let in before owner_open(). */
int owner_new(const struct parts *parts, int fd, struct owner **ret_owner);
/* The broker has configured the keeper: receipts can be written from now on. NULL allowed. */
void owner_open(struct owner *owner);
void owner_free(struct owner *owner);
DEFINE_CLEANUP_PTR(struct owner, owner_free)

#endif
