/*
 * Frames over the event loop: a connected SOCK_SEQPACKET socket that is read as
 * frames arrive and written through a bounded queue.
 *
 * `on_frame` gets each frame, which it may read; the channel frees it. It
 * returns 0, or a negative errno to drop the peer. `on_close` runs once, when the peer
 * closed, broke the protocol (reason -EPROTO), flooded (-ENOBUFS), or on_frame
 * refused; afterwards the channel is dead and is freed by its owner, also from
 * inside either callback.
 */
#ifndef LOOP_CHANNEL_H
#define LOOP_CHANNEL_H

#include "loop/loop.h"
#include "wire/frame.h"

struct channel;

typedef int channel_frame_fn(struct channel *channel, struct wire_frame *frame, void *userdata);
typedef void channel_close_fn(struct channel *channel, int reason, void *userdata);

/* Takes the socket, which it makes non-blocking. */
int channel_new(struct loop *loop, int socket, channel_frame_fn *on_frame, channel_close_fn *on_close, void *userdata,
    struct channel **ret_channel);
/* Sends or queues; takes the frame's content in every case. -ENOBUFS when the queue is full, -EPIPE when dead. */
int channel_send(struct channel *channel, struct wire_frame *frame);
/* Stops and starts reading, for back-pressure. */
void channel_pause(struct channel *channel, bool pause);
/* Frames waiting to be sent. */
size_t channel_queued(const struct channel *channel);
void channel_free(struct channel *channel);
DEFINE_CLEANUP_PTR(struct channel, channel_free)

#endif
