/*
 * The door at agent.sock: each connection sends its session token as the first
 * line and JSON-RPC messages after it, one a line. Lines, waiting output,
 * connections and the time until the token comes are bounded.
 *
 * A client that goes away takes its rpc_peer with it; calls that run go on.
 */
#include "mcp/mcp.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "mcp/http.h"
#include "mcp/rpc.h"
#include "session/session.h"
#include "web/web.h"
#include "wire/limits.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/banned.h"

#define MCP_MAGIC        0x4d435044u
#define CLIENT_MAGIC     0x4d435043u
#define TOKEN_TIMEOUT_S  10
#define DRAIN_TIMEOUT_S  10
#define OUTPUT_MAX_BYTES (32 * MIB)
#define ACCEPT_PAUSE_MS  1000

struct client {
    uint32_t magic;
    struct mcp *mcp;
    struct bufferevent *bev;
    struct rpc_peer *peer; /* NULL until the token was accepted */
    char session_id[ULID_ID_MAX];
    bool ending; /* to be freed once its output is written */
    bool busy;   /* inside on_read: freed there, not below it */
    TAILQ_ENTRY(client) link;
};

struct mcp {
    uint32_t magic;
    struct broker *broker;
    struct web *web;
    struct mcp_http *http;
    struct evconnlistener *listener;
    struct loop_timer *resume; /* accepts again after a pause */
    unsigned clients_len;
    TAILQ_HEAD(, client) clients;
};

static void client_free(struct client *client)
{
    struct mcp *mcp = client->mcp;

    TAILQ_REMOVE(&mcp->clients, client, link);
    if (mcp->clients_len-- == LIMIT_CLIENTS)
        evconnlistener_enable(mcp->listener);
    rpc_peer_free(client->peer);
    bufferevent_free(client->bev);
    client->magic = 0;
    free(client);
}

/* Lets what is written so far reach the client, then closes. */
static void client_end(struct client *client)
{
    struct timeval drain_timeout = { DRAIN_TIMEOUT_S, 0 };

    client->ending = true;
    bufferevent_set_timeouts(client->bev, NULL, &drain_timeout);
}

static void send_message(void *userdata, const json_t *message)
{
    struct client *client = MAGIC_CAST(struct client, userdata, CLIENT_MAGIC);
    CLEANUP(buf_free) struct buf line = BUF_INIT(OUTPUT_MAX_BYTES);
    struct evbuffer *out = bufferevent_get_output(client->bev);

    if (client->ending)
        return;
    if (json_write(message, &line) < 0 || buf_add_char(&line, '\n') < 0 ||
        evbuffer_get_length(out) + line.len > OUTPUT_MAX_BYTES) {
        client_end(client); /* it does not read, or never could */
        return;
    }
    evbuffer_add(out, line.data, line.len);
}

/* One session cannot take all places: an agent that leaks connections harms itself only. */
static bool has_room(const struct mcp *mcp, const char *session_id)
{
    const struct client *client;
    unsigned places = 0;

    TAILQ_FOREACH(client, &mcp->clients, link)
    places += client->peer && !strcmp(client->session_id, session_id);
    return places < LIMIT_CLIENTS_PER_SESSION;
}

static void refuse(struct client *client, const char *message)
{
    CLEANUP_JSON json_t *refusal =
        json_pack("{s:s,s:n,s:{s:i,s:s}}", "jsonrpc", "2.0", "id", "error", "code", -32001, "message", message);

    send_message(client, refusal);
    client_end(client);
}

/* The first line. False: the client is being closed. */
static bool accept_token(struct client *client, const char *token)
{
    struct session *session = broker_session(client->mcp->broker, token);

    if (session && !has_room(client->mcp, session->id)) {
        refuse(client, "this session has too many connections open");
        return false;
    }
    if (session)
        client->peer = rpc_peer_new(client->mcp->broker, session->id, send_message, client);
    if (!client->peer) {
        refuse(client, "unknown or ended session");
        return false;
    }
    snprintf(client->session_id, sizeof client->session_id, "%s", session->id);
    bufferevent_set_timeouts(client->bev, NULL, NULL);
    return true;
}

static void handle_line(struct client *client, const char *line, size_t len)
{
    if (!client->peer) {
        accept_token(client, line);
        return;
    }
    if (len && rpc_handle(client->peer, line, len) < 0)
        client_end(client);
}

static void free_if_drained(struct client *client)
{
    if (client->ending && !client->busy && !evbuffer_get_length(bufferevent_get_output(client->bev)))
        client_free(client);
}

static void on_read(struct bufferevent *bev, void *userdata)
{
    struct client *client = MAGIC_CAST(struct client, userdata, CLIENT_MAGIC);
    struct evbuffer *in = bufferevent_get_input(bev);

    client->busy = true;
    while (!client->ending) {
        size_t len = 0;
        CLEANUP_FREE char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

        if (!line) {
            if (evbuffer_get_length(in) > LIMIT_MCP_LINE_BYTES)
                client_end(client);
            break;
        }
        if (len && line[len - 1] == '\r')
            line[--len] = '\0';
        handle_line(client, line, len);
    }
    if (client->ending)
        evbuffer_drain(in, evbuffer_get_length(in)); /* still read, so that its end is seen */
    client->busy = false;
    free_if_drained(client);
}

static void on_written(struct bufferevent *bev, void *userdata)
{
    free_if_drained(MAGIC_CAST(struct client, userdata, CLIENT_MAGIC));
}

static void on_event(struct bufferevent *bev, short events, void *userdata)
{
    struct client *client = MAGIC_CAST(struct client, userdata, CLIENT_MAGIC);

    if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        client_free(client);
}

static bool peer_is_same_user(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == geteuid();
}

static void on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int address_len, void *userdata)
{
    struct mcp *mcp = MAGIC_CAST(struct mcp, userdata, MCP_MAGIC);
    struct timeval token_timeout = { TOKEN_TIMEOUT_S, 0 };
    struct client *client = peer_is_same_user(fd) ? calloc(1, sizeof(*client)) : NULL;
    struct bufferevent *bev =
        client ? bufferevent_socket_new(loop_base(broker_loop(mcp->broker)), fd, BEV_OPT_CLOSE_ON_FREE) : NULL;

    if (!bev) {
        free(client);
        close(fd);
        return;
    }
    client->magic = CLIENT_MAGIC;
    client->mcp = mcp;
    client->bev = bev;
    TAILQ_INSERT_TAIL(&mcp->clients, client, link);
    if (++mcp->clients_len == LIMIT_CLIENTS)
        evconnlistener_disable(listener);
    bufferevent_setcb(bev, on_read, on_written, on_event, client);
    bufferevent_setwatermark(bev, EV_READ, 0, LIMIT_MCP_LINE_BYTES + 1);
    bufferevent_set_timeouts(bev, &token_timeout, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* Out of descriptors: without a pause the listener would spin. */
static void on_accept_error(struct evconnlistener *listener, void *userdata)
{
    struct mcp *mcp = MAGIC_CAST(struct mcp, userdata, MCP_MAGIC);

    evconnlistener_disable(listener);
    loop_timer_set(mcp->resume, ACCEPT_PAUSE_MS);
}

static void on_resume(void *userdata)
{
    struct mcp *mcp = MAGIC_CAST(struct mcp, userdata, MCP_MAGIC);

    if (mcp->clients_len < LIMIT_CLIENTS)
        evconnlistener_enable(mcp->listener);
}

static void on_actions_changed(void *userdata)
{
    struct mcp *mcp = MAGIC_CAST(struct mcp, userdata, MCP_MAGIC);
    struct client *client;

    TAILQ_FOREACH(client, &mcp->clients, link)
    {
        if (client->peer)
            rpc_notify_tools_changed(client->peer);
    }
    mcp_http_tools_changed(mcp->http);
}

int mcp_start(struct broker *broker, struct web *web, int socket_fd, struct mcp **ret_mcp, struct err *err)
{
    CLEANUP_CLOSE int fd = socket_fd;
    CLEANUP_PTR(mcp_free) struct mcp *mcp = calloc(1, sizeof(*mcp));

    if (!mcp)
        return err_set(err, ENOMEM, "out of memory");
    mcp->magic = MCP_MAGIC;
    mcp->broker = broker;
    TAILQ_INIT(&mcp->clients);
    int r = loop_timer_new(broker_loop(broker), on_resume, mcp, &mcp->resume);
    if (r < 0)
        return err_set(err, -r, "cannot make a timer");
    r = mcp_http_new(broker, &mcp->http);
    if (r < 0)
        return err_set(err, -r, "out of memory");
    evutil_make_socket_nonblocking(fd);
    mcp->listener =
        evconnlistener_new(loop_base(broker_loop(broker)), on_accept, mcp, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!mcp->listener)
        return err_set(err, ENOMEM, "cannot listen for agents");
    TAKE_FD(fd);
    evconnlistener_set_error_cb(mcp->listener, on_accept_error);
    r = broker_on_actions_changed(broker, on_actions_changed, mcp);
    if (r < 0)
        return err_set(err, -r, "out of memory");
    mcp->web = web;
    web_mount(web, mcp_http_serve, mcp->http);
    *ret_mcp = TAKE_PTR(mcp);
    return 0;
}

void mcp_free(struct mcp *mcp)
{
    struct client *client;

    if (!mcp)
        return;
    while ((client = TAILQ_FIRST(&mcp->clients)))
        client_free(client);
    if (mcp->web)
        web_mount(mcp->web, NULL, NULL);
    mcp_http_free(mcp->http);
    if (mcp->listener)
        evconnlistener_free(mcp->listener);
    loop_timer_free(mcp->resume);
    mcp->magic = 0;
    free(mcp);
}
