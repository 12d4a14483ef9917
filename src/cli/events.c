/* Bytes go through the HTTP reader, which takes the chunks off; what is left are blocks of lines, an empty line behind each. */
#include "cli/events.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define BEGIN_MS  5000
#define BLOCK_MAX (256u * 1024)

struct events {
    int fd;
    struct http_reader reader;
    struct buf text; /* not taken yet */
    bool ended;
};

void events_close(struct events *events)
{
    if (!events)
        return;
    cleanup_close(&events->fd);
    http_reader_free(&events->reader);
    buf_free(&events->text);
    free(events);
}

int events_fd(const struct events *events)
{
    return events->fd;
}

/* What is there now. 0, or -EAGAIN when nothing was; other errors end the stream. */
static int pull(struct events *events, struct err *err)
{
    char data[16 * 1024];
    ssize_t n = recv(events->fd, data, sizeof data, MSG_DONTWAIT);
    int r;

    if (n < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (n == 0)
        return -EPIPE;
    r = http_reader_feed(&events->reader, data, (size_t) n, err);
    if (r >= 0 && events->reader.body.len)
        r = buf_add(&events->text, events->reader.body.data, events->reader.body.len) < 0 ? -ENOBUFS : r;
    buf_reset(&events->reader.body);
    return r > 0 ? -EPIPE : r;
}

/* Until the headers are there. */
static int await_begin(struct events *events, const volatile sig_atomic_t *interrupted, struct err *err)
{
    int64_t end_ms = clock_boot_ms() + BEGIN_MS;

    while (!events->reader.status || !events->reader.chunked) {
        struct pollfd poll_fd = { .fd = events->fd, .events = POLLIN };
        int64_t left = end_ms - clock_boot_ms();
        int r;

        if (interrupted && *interrupted)
            return err_set(err, EINTR, "interrupted");
        if (left <= 0)
            return err_set(err, ETIMEDOUT, "the daemon's events do not begin");
        if (poll(&poll_fd, 1, (int) left) < 0 && errno != EINTR)
            return err_errno(err, errno, "cannot wait for the daemon");
        r = pull(events, err);
        if (r < 0 && r != -EAGAIN)
            return err_set(err, EPROTO, "the daemon has no events to give (status %d)", events->reader.status);
    }
    return events->reader.status == 200 ? 0 : err_set(err, EPROTO, "the daemon answered with status %d", events->reader.status);
}

int events_open(const char *socket_path, const volatile sig_atomic_t *interrupted, struct events **ret_events, struct err *err)
{
    const struct http_request request = { .method = "GET", .path = "/v1/events" };
    CLEANUP_PTR(events_close) struct events *events = calloc(1, sizeof *events);
    int r;

    if (!events)
        return err_set(err, ENOMEM, "out of memory");
    events->reader = (struct http_reader) HTTP_READER_INIT;
    events->text = (struct buf) BUF_INIT(BLOCK_MAX);
    events->fd = http_open(socket_path, &request, err);
    if (events->fd < 0)
        return events->fd;
    r = await_begin(events, interrupted, err);
    if (r < 0)
        return r;
    *ret_events = TAKE_PTR(events);
    return 0;
}

/* One block: "event: TYPE" and "data: JSON" lines. False for a comment, or what nobody can read. */
static bool read_block(char *block, struct event *event)
{
    json_t *data = NULL;
    char *line, *rest = block;

    event->type[0] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        if (!strncmp(line, "event: ", 7))
            snprintf(event->type, sizeof event->type, "%s", line + 7);
        else if (!strncmp(line, "data: ", 6) && !data)
            json_parse(line + 6, strlen(line + 6), JSON_LIMITS(BLOCK_MAX), &data, NULL);
    }
    if (!event->type[0]) {
        json_decref(data);
        return false;
    }
    event->data = data ? data : json_object();
    return true;
}

/* True when a whole event was there. */
static bool take(struct events *events, struct event *ret_event)
{
    const char *end;

    while (events->text.len && (end = strstr(events->text.data, "\n\n"))) {
        CLEANUP_FREE char *block = strndup(events->text.data, (size_t) (end - events->text.data));
        bool is_event;

        buf_consume(&events->text, (size_t) (end - events->text.data) + 2);
        is_event = block && read_block(block, ret_event);
        if (is_event)
            return true;
    }
    return false;
}

int events_next(struct events *events, struct event *ret_event)
{
    struct err err = ERR_INIT;

    for (;;) {
        int r;

        if (take(events, ret_event))
            return 1;
        if (events->ended)
            return -EPIPE;
        r = pull(events, &err);
        if (r == -EAGAIN)
            return 0;
        events->ended = r < 0;
    }
}
