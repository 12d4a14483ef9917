/*
 * Connections of the owner's door. A full house lets the next ones wait in the socket's backlog, until somebody leaves or
 * has asked nothing for a while. Whatever arrives may hold
 * a secret, so every frame is wiped. A peer that closes takes its derivation and its flow with it; a receipt that is being
 * written is waited for, and its effect follows, so that the log does not tell of what did not happen.
 */
#include "keeper/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/magic.h"
#include "keeper/lock.h"
#include "keeper/outcome.h"
#include "keeper/owner-private.h"
#include "keeper/vault.h"
#include "loop/channel.h"

#include "base/banned.h"

#define OWNER_MAGIC     0x6f776e72u
#define ACCEPT_PAUSE_MS 1000
#define IDLE_MS         5000 /* safe from being sent away */

struct owner {
    uint32_t magic;
    const struct parts *parts;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *pause; /* after an accept that failed for want of something, or of a place */
    bool open;
    struct peer *peers;
    size_t peers_len;
};

int owner_door_check(int fd)
{
    int type = 0, listens = 0, domain = 0;
    socklen_t len = sizeof type;

    if (fcntl(fd, F_GETFD) < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
        return -EINVAL;
    return type == SOCK_SEQPACKET && listens && domain == AF_UNIX ? 1 : -EINVAL;
}

static void watch_set(struct owner *owner, bool watch)
{
    loop_watch_set(owner->watch, watch && owner->open ? LOOP_READ : 0);
}

static void work_clear(struct work *work)
{
    attempts_cancel(work->attempt);
    receipts_cancel(work->receipt);
    if (work->flow)
        oauth_cancel(work->flow);
    secret_free(work->passphrase);
    secret_free(work->new_passphrase);
    secret_free(work->value);
    secret_free(work->key);
    free(work->path);
    free(work->type);
    free(work->environment);
    free(work->text);
    free(work->approval);
    free(work->seal);
    json_decref(work->labels);
    spec_free(work->spec);
    *work = (struct work){ .busy = false };
}

static void peer_free(struct peer *peer)
{
    struct owner *owner = peer->owner;
    struct peer **at = &owner->peers;

    while (*at && *at != peer)
        at = &(*at)->next;
    if (*at) {
        *at = peer->next;
        owner->peers_len--;
    }
    work_clear(&peer->work);
    channel_free(peer->channel);
    peer->magic = 0;
    free(peer);
    watch_set(owner, true);
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct peer *peer = MAGIC_CAST(struct peer, userdata, PEER_MAGIC);

    if (!peer->work.receipt) {
        peer_free(peer);
        return;
    }
    channel_free(peer->channel);
    peer->channel = NULL;
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct peer *peer = MAGIC_CAST(struct peer, userdata, PEER_MAGIC);
    enum gate_verdict verdict = GATE_REFUSED;
    gate_fn *fn = NULL;

    wire_mark_secret(frame);
    lock_check(peer->parts->lock);
    peer->gate.unlocked = vault_state(peer->parts->vault) == KEEPER_VAULT_UNLOCKED;
    peer->gate.busy = peer->work.busy;
    peer->gate.in_flow = peer->work.flow != NULL;
    verdict = gate_pass(&peer->gate, frame->type, &fn);
    peer->locked = verdict == GATE_LOCKED;
    peer->idle_since_ms = clock_boot_ms();
    return verdict == GATE_REFUSED ? -EPROTO : fn(peer, frame);
}

char *peer_text(struct wire_frame *frame, size_t max)
{
    char *text = strdup(wire_get_str(frame, max));

    if (!text)
        frame->bad = true;
    return text;
}

int peer_begin(struct peer *peer, struct wire_frame *frame, peer_step_fn *start)
{
    if (wire_end(frame) < 0)
        return -EPROTO;
    peer->work.busy = true;
    peer->work.id = frame->id;
    if (!peer->locked)
        start(peer);
    else if (vault_state(peer->parts->vault) == KEEPER_VAULT_MISSING)
        peer_finish(peer, (struct finish){ KEEPER_MISSING, "there is no vault yet", "aileron vault init makes one", NULL });
    else
        peer_finish(peer, (struct finish){ KEEPER_LOCKED, "the vault is locked", "aileron vault unlock opens it", NULL });
    return 0;
}

void peer_finish(struct peer *peer, struct finish finish)
{
    struct wire_frame frame;

    if (peer->channel) {
        wire_init(&frame, OWNER_DONE, peer->work.id);
        wire_put_u8(&frame, (uint8_t) finish.result);
        wire_put_str(&frame, finish.message);
        wire_put_str(&frame, finish.hint);
        wire_put_str(&frame, finish.detail);
        channel_send(peer->channel, &frame); /* who does not read has ended, and on_close tells */
    }
    work_clear(&peer->work);
    peer->idle_since_ms = clock_boot_ms();
    if (!peer->channel)
        peer_free(peer);
}

void peer_finish_err(struct peer *peer, int result, const struct err *err)
{
    peer_finish(peer, (struct finish){ outcome_of(result), err->message, err->hint, NULL });
}

static void on_recorded(int result, void *userdata)
{
    struct peer *peer = MAGIC_CAST(struct peer, userdata, PEER_MAGIC);

    peer->work.receipt = NULL;
    if (result == 0)
        peer->work.effect(peer);
    else
        peer_finish(peer, (struct finish){ KEEPER_FAILED, "the receipt could not be written, so nothing was changed",
                              "aileron status says what is wrong with the audit log", NULL });
}

void peer_record(struct peer *peer, const char *event, json_t *payload, peer_step_fn *effect)
{
    int r = receipts_ask(peer->parts->receipts, event, payload, on_recorded, peer, &peer->work.receipt);

    lock_used(peer->parts->lock);
    peer->work.effect = effect;
    if (r < 0)
        on_recorded(r, peer);
}

static bool is_own_user(int fd)
{
    struct ucred peer = { .uid = (uid_t) -1 };
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == getuid();
}

static int hello_send(struct peer *peer)
{
    struct wire_frame frame;

    wire_init(&frame, OWNER_HELLO, 0);
    wire_put_u32(&frame, KEEPER_PROTOCOL_VERSION);
    wire_put_u8(&frame, (uint8_t) vault_state(peer->parts->vault));
    wire_put_str(&frame, vault_file_path(peer->parts->vault));
    peer->gate.configured = true;
    return channel_send(peer->channel, &frame);
}

/* Takes the socket. */
static void peer_add(struct owner *owner, int socket)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer) {
        close(socket);
        return;
    }
    *peer = (struct peer){ .magic = PEER_MAGIC, .owner = owner, .parts = owner->parts, .next = owner->peers };
    peer->idle_since_ms = clock_boot_ms();
    peer->gate = (struct gate){ .rows = owner_rows, .rows_len = owner_rows_len };
    owner->peers = peer;
    owner->peers_len++;
    if (channel_new(owner->parts->loop, socket, on_frame, on_close, peer, &peer->channel) < 0 || hello_send(peer) < 0)
        peer_free(peer);
}

static void on_pause_over(void *userdata)
{
    watch_set(MAGIC_CAST(struct owner, userdata, OWNER_MAGIC), true);
}

/* Makes room for one by sending away whoever has asked nothing for longest. */
static bool room_is_made(struct owner *owner)
{
    struct peer *idlest = NULL;

    if (owner->peers_len < OWNER_PEERS_MAX)
        return true;
    for (struct peer *peer = owner->peers; peer; peer = peer->next)
        if (!peer->work.busy && (!idlest || peer->idle_since_ms < idlest->idle_since_ms))
            idlest = peer;
    if (!idlest || clock_boot_ms() - idlest->idle_since_ms < IDLE_MS)
        return false;
    peer_free(idlest);
    return true;
}

static void on_connection(int fd, int events, void *userdata)
{
    struct owner *owner = MAGIC_CAST(struct owner, userdata, OWNER_MAGIC);
    int socket = -1;

    if (!room_is_made(owner)) {
        watch_set(owner, false);
        loop_timer_set(owner->pause, ACCEPT_PAUSE_MS);
        return;
    }
    socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (socket >= 0 && is_own_user(socket)) {
        peer_add(owner, socket);
    } else if (socket >= 0) {
        close(socket);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        watch_set(owner, false);
        loop_timer_set(owner->pause, ACCEPT_PAUSE_MS);
        return;
    }
    watch_set(owner, true);
}

int owner_new(const struct parts *parts, int fd, struct owner **ret_owner)
{
    CLEANUP_PTR(owner_free) struct owner *owner = calloc(1, sizeof *owner);
    int flags = fcntl(fd, F_GETFL), r = 0;

    if (!owner) {
        close(fd);
        return -ENOMEM;
    }
    *owner = (struct owner){ .magic = OWNER_MAGIC, .parts = parts, .fd = fd };
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    r = loop_timer_new(parts->loop, on_pause_over, owner, &owner->pause);
    if (r == 0)
        r = loop_watch_new(parts->loop, fd, 0, on_connection, owner, &owner->watch);
    if (r < 0)
        return r;
    *ret_owner = TAKE_PTR(owner);
    return 0;
}

void owner_open(struct owner *owner)
{
    if (!owner || owner->open)
        return;
    owner->open = true;
    watch_set(owner, true);
}

void owner_free(struct owner *owner)
{
    if (!owner)
        return;
    owner->open = false;
    while (owner->peers)
        peer_free(owner->peers);
    loop_watch_free(owner->watch);
    loop_timer_free(owner->pause);
    close(owner->fd);
    owner->magic = 0;
    free(owner);
}
