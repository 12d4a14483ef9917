/*
 * The HTTP door: daemon.sock (owner, same user by SO_PEERCRED) and 127.0.0.1
 * (Authorization: Bearer with the owner's or a session's token). Routes are a
 * table of method, path, function and who may use it.
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "base/cleanup.h"
#include "base/err.h"

struct broker;
struct exchange;
struct web;

/*
 * Listens on both. `port` 0: any free one. `socket_fd` is a listening AF_UNIX stream socket, taken.
 * *ret_port is the TCP port in use. The broker writes daemon.json afterwards.
 */
int web_start(struct broker *broker, int socket_fd, unsigned port, struct web **ret_web, unsigned *ret_port, struct err *err);
/*
 * What a folder above answers itself, by the rows of the table that say so (src/mcp: /mcp). It gets the exchange, which is
 * then its own, and the id of the session that asks. NULL: no longer.
 */
typedef void web_mount_fn(void *userdata, struct exchange *exchange, const char *session_id);
void web_mount(struct web *web, web_mount_fn *fn, void *userdata);
/* Stops accepting; requests that run are still answered until web_free. */
void web_stop(struct web *web);
void web_free(struct web *web);
DEFINE_CLEANUP_PTR(struct web, web_free)

#endif
