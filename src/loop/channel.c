/*
 * Channels. Reading: at most READ_BATCH frames a turn, so that one busy peer does
 * not keep the others waiting. Writing: at once while nothing waits, else through a
 * queue bounded in frames and bytes; a peer that lets it overflow is dropped. The end is told once, from the
 * loop and never from inside channel_send(), so no caller loses its object under its feet.
 */
#include "loop/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/magic.h"

#include "base/banned.h"

#define CHANNEL_MAGIC   0x6368616eu
#define READ_BATCH      16
#define QUEUE_MAX_BYTES ((size_t) 16 * MIB)

struct queued {
    struct queued *next;
    struct wire_frame frame;
};

struct channel {
    uint32_t magic;
    int socket;
    struct loop_watch *watch;
    struct loop_timer *end_timer; /* tells on_close outside of the caller's stack */
    channel_frame_fn *on_frame;
    channel_close_fn *on_close;
    void *userdata;
    struct queued *queue;
    struct queued **queue_end;
    size_t queue_len;
    size_t queue_bytes;
    bool paused;
    bool dead;        /* nothing is read or written any more */
    bool write_ended; /* the peer reads no more; what it sent before is still read */
    int reason;
    bool *freed; /* set by channel_free() while a callback runs */
};

static void update_watch(struct channel *channel)
{
    int events = 0;

    if (!channel->dead && !channel->paused)
        events |= LOOP_READ;
    if (!channel->dead && channel->queue)
        events |= LOOP_WRITE;
    loop_watch_set(channel->watch, events);
}

static void drop_queue(struct channel *channel)
{
    while (channel->queue) {
        struct queued *first = channel->queue;

        channel->queue = first->next;
        wire_free(&first->frame);
        free(first);
    }
    channel->queue_end = &channel->queue;
    channel->queue_len = 0;
    channel->queue_bytes = 0;
}

static void on_end(void *userdata)
{
    struct channel *channel = MAGIC_CAST(struct channel, userdata, CHANNEL_MAGIC);

    channel->on_close(channel, channel->reason, channel->userdata);
}

/* Ends the channel; the owner is told at the next turn. */
static void condemn(struct channel *channel, int reason)
{
    if (channel->dead)
        return;
    channel->dead = true;
    channel->reason = reason;
    drop_queue(channel);
    update_watch(channel);
    loop_timer_set(channel->end_timer, 0);
}

/* One frame to the owner; false when the channel is gone. */
static bool deliver(struct channel *channel, struct wire_frame *frame)
{
    bool freed = false;
    int r;

    channel->freed = &freed;
    r = channel->on_frame(channel, frame, channel->userdata);
    wire_free(frame);
    if (freed)
        return false;
    channel->freed = NULL;
    if (r < 0)
        condemn(channel, r);
    return !channel->dead;
}

static void read_frames(struct channel *channel)
{
    for (int i = 0; i < READ_BATCH && !channel->paused; i++) {
        struct wire_frame frame;
        int r = wire_recv(channel->socket, &frame);

        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            condemn(channel, r);
            return;
        }
        if (!deliver(channel, &frame))
            return;
    }
}

static void write_ended(struct channel *channel)
{
    channel->write_ended = true;
    drop_queue(channel);
    update_watch(channel);
}

static void write_frames(struct channel *channel)
{
    while (channel->queue) {
        struct queued *first = channel->queue;
        int r = wire_send(channel->socket, &first->frame);

        if (r == -EAGAIN)
            return;
        if (r == -EPIPE) {
            write_ended(channel);
            return;
        }
        if (r < 0) {
            condemn(channel, r);
            return;
        }
        channel->queue = first->next;
        if (!channel->queue)
            channel->queue_end = &channel->queue;
        channel->queue_len--;
        channel->queue_bytes -= first->frame.body.len;
        wire_free(&first->frame);
        free(first);
    }
    update_watch(channel);
}

static void on_ready(int fd, int events, void *userdata)
{
    struct channel *channel = MAGIC_CAST(struct channel, userdata, CHANNEL_MAGIC);

    if (events & LOOP_WRITE)
        write_frames(channel);
    if ((events & LOOP_READ) && !channel->dead)
        read_frames(channel);
}

int channel_new(struct loop *loop, int socket, channel_frame_fn *on_frame, channel_close_fn *on_close, void *userdata,
    struct channel **ret_channel)
{
    CLEANUP_PTR(channel_free) struct channel *channel = calloc(1, sizeof *channel);
    int flags = fcntl(socket, F_GETFL), r;

    if (!channel) {
        close(socket);
        return -ENOMEM;
    }
    *channel = (struct channel){
        .magic = CHANNEL_MAGIC, .socket = socket, .on_frame = on_frame, .on_close = on_close, .userdata = userdata
    };
    channel->queue_end = &channel->queue;
    if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    r = loop_timer_new(loop, on_end, channel, &channel->end_timer);
    if (r == 0)
        r = loop_watch_new(loop, socket, LOOP_READ, on_ready, channel, &channel->watch);
    if (r < 0)
        return r;
    *ret_channel = TAKE_PTR(channel);
    return 0;
}

static int enqueue(struct channel *channel, struct wire_frame *frame)
{
    struct queued *entry;

    if (channel->queue_len >= LIMIT_CHANNEL_QUEUE || channel->queue_bytes + frame->body.len > QUEUE_MAX_BYTES) {
        condemn(channel, -ENOBUFS);
        return -ENOBUFS;
    }
    entry = malloc(sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->next = NULL;
    entry->frame = *frame;
    wire_init(frame, 0, 0);
    *channel->queue_end = entry;
    channel->queue_end = &entry->next;
    channel->queue_len++;
    channel->queue_bytes += entry->frame.body.len;
    if (channel->queue_len == 1)
        update_watch(channel);
    return 0;
}

int channel_send(struct channel *channel, struct wire_frame *frame)
{
    int r = -EAGAIN;

    if (channel->dead || channel->write_ended)
        r = -EPIPE;
    else if (frame->bad)
        r = -EMSGSIZE;
    else if (!channel->queue)
        r = wire_send(channel->socket, frame);
    if (r == -EAGAIN)
        r = enqueue(channel, frame);
    else if (r == -EPIPE && !channel->dead && !channel->write_ended)
        write_ended(channel);
    wire_free(frame);
    return r;
}

void channel_pause(struct channel *channel, bool pause)
{
    channel->paused = pause;
    update_watch(channel);
}

size_t channel_queued(const struct channel *channel)
{
    return channel->queue_len;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->magic != CHANNEL_MAGIC)
        abort();
    if (channel->freed)
        *channel->freed = true;
    drop_queue(channel);
    loop_watch_free(channel->watch);
    loop_timer_free(channel->end_timer);
    close(channel->socket);
    channel->magic = 0;
    free(channel);
}
