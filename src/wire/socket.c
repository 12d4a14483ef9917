/*
 * Frames on sockets. One packet is one frame; descriptors arrive close-on-exec,
 * and whatever came along with a packet that is refused is closed here.
 */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

/* A full frame several times over; the kernel caps it as it likes, and the default already holds one. */
#define SOCKET_BUFFER_BYTES (4 * 64 * 1024)

struct header {
    uint16_t version;
    uint16_t type;
    uint32_t id;
    uint32_t body_len;
    uint32_t fds;
};
_Static_assert(sizeof(struct header) == WIRE_HEADER_BYTES, "the header is 16 bytes");

union control {
    struct cmsghdr align;
    char data[CMSG_SPACE(LIMIT_FRAME_FDS * sizeof(int))];
};

int wire_send(int socket, const struct wire_frame *frame)
{
    struct header header = { WIRE_VERSION, frame->type, frame->id, (uint32_t) frame->body.len, (uint32_t) frame->fds_len };
    struct iovec parts[2] = { { &header, sizeof header }, { frame->body.data, frame->body.len } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = frame->body.len ? 2 : 1 };
    union control control = { .data = { 0 } };
    struct cmsghdr *item;

    if (frame->bad)
        return -EMSGSIZE;
    if (frame->fds_len) {
        message.msg_control = control.data;
        message.msg_controllen = CMSG_SPACE(frame->fds_len * sizeof(int));
        item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(frame->fds_len * sizeof(int));
        memcpy(CMSG_DATA(item), frame->fds, frame->fds_len * sizeof(int));
    }
    for (;;) {
        if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
    }
}

/* Collects what descriptors came; more than fit is a broken packet. */
static bool take_descriptors(struct msghdr *message, struct wire_frame *frame)
{
    bool fits = true;

    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
        size_t len = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < len; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
            if (frame->fds_len < LIMIT_FRAME_FDS) {
                frame->fds[frame->fds_len++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

static ssize_t receive(int socket, struct msghdr *message)
{
    for (;;) {
        ssize_t n = recvmsg(socket, message, MSG_CMSG_CLOEXEC);

        if (n >= 0 || errno != EINTR)
            return n >= 0 ? n : errno == EWOULDBLOCK ? -EAGAIN : errno == ECONNRESET ? 0 : -errno;
    }
}

/* A small frame gives back the room that was held ready for a large one; what stood there may be a secret. */
static void shrink(struct buf *body)
{
    char *smaller;

    if (body->len > body->cap / 4)
        return;
    smaller = malloc(body->len + 1);
    if (!smaller)
        return;
    memcpy(smaller, body->data, body->len + 1);
    secret_wipe(body->data, body->len + 1);
    free(body->data);
    body->data = smaller;
    body->cap = body->len + 1;
}

int wire_recv(int socket, struct wire_frame *ret_frame)
{
    CLEANUP(wire_free) struct wire_frame frame;
    struct header header = { 0, 0, 0, 0, 0 };
    struct iovec parts[2] = { { &header, sizeof header }, { NULL, 0 } };
    union control control = { .data = { 0 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.data, .msg_controllen = sizeof control };
    bool fits;
    ssize_t n;

    wire_init(&frame, 0, 0);
    if (buf_reserve(&frame.body, frame.body.max) < 0)
        return -ENOMEM;
    parts[1].iov_base = frame.body.data;
    parts[1].iov_len = frame.body.max;
    n = receive(socket, &message);
    if (n < 0)
        return (int) n;
    frame.holds_secret = n > 0; /* until it is known to be whole and its owner decides */
    fits = take_descriptors(&message, &frame);
    if (n == 0 && frame.fds_len == 0)
        return 0;
    if (!fits || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t) n < sizeof header)
        return -EPROTO;
    if (header.version != WIRE_VERSION || header.body_len != (size_t) n - sizeof header || header.fds != frame.fds_len)
        return -EPROTO;
    frame.type = header.type;
    frame.id = header.id;
    frame.body.len = header.body_len;
    frame.body.data[frame.body.len] = '\0';
    shrink(&frame.body);
    frame.holds_secret = false;
    *ret_frame = frame;
    wire_init(&frame, 0, 0);
    return 1;
}

int wire_pair(int ret_sockets[2])
{
    int size = SOCKET_BUFFER_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_sockets) < 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        setsockopt(ret_sockets[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}
