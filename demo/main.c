/*
 * aileron-demo-workspace: a small Google Workspace on 127.0.0.1 for `aileron
 * demo`. It has a seeded mailbox and calendar in memory, a throw-away
 * certificate authority and one access token, and forgets all of it when its
 * standard input ends. It is a program of its own, linked into nothing.
 *
 *     aileron-demo-workspace --dir DIR [--delay-ms N]
 *
 * Prints one line when it listens: {"port":N,"ca":"DIR/ca.pem","token":"…"}.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "calendar.h"
#include "certificates.h"
#include "mailbox.h"
#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#define DELAY_MAX_MS 10000

DEFINE_CLEANUP_PTR(struct event_base, event_base_free)
DEFINE_CLEANUP_PTR(struct event, event_free)
DEFINE_CLEANUP_PTR(SSL_CTX, SSL_CTX_free)

static const char *const HOSTS[] = { "gmail.googleapis.com", "www.googleapis.com", NULL };

static int usage(void)
{
    fprintf(stderr, "usage: aileron-demo-workspace --dir DIR [--delay-ms N]\n");
    return 2;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "aileron-demo-workspace: %s\n", err->message[0] ? err->message : "out of memory");
    return 1;
}

/* Whoever started us is gone. */
static void on_input(evutil_socket_t fd, short what, void *userdata)
{
    char data[64];

    if (read(fd, data, sizeof(data)) <= 0)
        event_base_loopbreak(userdata);
}

static int token_new(struct buf *token)
{
    unsigned char bytes[24];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) || buf_add_str(token, "ya29.demo-") < 0)
        return -errno;
    return base64url_encode(bytes, sizeof(bytes), token);
}

static int announce(unsigned port, const char *ca_path, const char *token)
{
    CLEANUP_JSON json_t *line = json_pack("{s:i,s:s,s:s}", "port", (int) port, "ca", ca_path, "token", token);
    CLEANUP(buf_free) struct buf text = BUF_INIT(16 * 1024);

    if (!line || json_write(line, &text) < 0)
        return -ENOMEM;
    return printf("%s\n", buf_str(&text)) < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

static int serve(const char *dir, int delay_ms, struct err *err)
{
    CLEANUP_PTR(event_base_free) struct event_base *base = event_base_new();
    CLEANUP_PTR(mailbox_free) struct mailbox *mailbox = mailbox_new(clock_unix_ms());
    CLEANUP_PTR(calendar_free) struct calendar *calendar = calendar_new(clock_unix_ms());
    CLEANUP_PTR(SSL_CTX_free) SSL_CTX *tls = NULL;
    CLEANUP_PTR(server_free) struct server *server = NULL;
    CLEANUP_PTR(event_free) struct event *input = NULL;
    CLEANUP(buf_free) struct buf token = BUF_INIT(128);
    CLEANUP_FREE char *ca_path = NULL;
    unsigned port = 0;
    int r;

    if (!base || !mailbox || !calendar || token_new(&token) < 0 || asprintf(&ca_path, "%s/ca.pem", dir) < 0)
        return -ENOMEM;
    r = certificates_new(HOSTS, ca_path, &tls, err);
    if (r >= 0) {
        struct server_config config = { tls, mailbox, calendar, buf_str(&token), delay_ms };

        r = server_start(base, &config, &server, &port, err);
    }
    if (r < 0)
        return r;
    input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, base);
    if (!input || event_add(input, NULL) < 0 || announce(port, ca_path, buf_str(&token)) < 0)
        return err_set(err, EIO, "cannot watch standard input or write to standard output");
    event_base_dispatch(base);
    return 0;
}

int main(int argc, char *argv[])
{
    struct err err = ERR_INIT;
    const char *dir = NULL;
    long delay_ms = 0;

    for (int i = 1; i < argc; i++) {
        char *end;

        if (!strcmp(argv[i], "--dir") && i + 1 < argc) {
            dir = argv[++i];
        } else if (!strcmp(argv[i], "--delay-ms") && i + 1 < argc) {
            delay_ms = strtol(argv[++i], &end, 10);
            if (*end || delay_ms < 0 || delay_ms > DELAY_MAX_MS)
                return usage();
        } else {
            return usage();
        }
    }
    if (!dir)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    return serve(dir, (int) delay_ms, &err) < 0 ? fail(&err) : 0;
}
