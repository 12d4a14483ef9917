/*
 * aileron-demo-workspace: a small Google Workspace on 127.0.0.1 for `aileron
 * demo`. It has a seeded mailbox and calendar in memory, a throw-away
 * certificate authority and an authorization server with one client, and forgets all of it when its
 * standard input ends. With --forge it also stands in for GitHub, with the repositories of that folder.
 * It is a program of its own, linked into nothing.
 *
 *     aileron-demo-workspace --dir DIR [--forge DIR] [--delay-ms N] [--token-s N]
 *
 * Prints one line when it listens: {"port":N,"browser_port":N,"ca":"DIR/ca.pem","client_id":"…","client_secret":"…"}.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "calendar.h"
#include "certificates.h"
#include "mailbox.h"
#include "oauth.h"
#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DELAY_MAX_MS 10000
#define TOKEN_S      3600
#define TOKEN_MAX_S  86400

DEFINE_CLEANUP_PTR(struct event_base, event_base_free)
DEFINE_CLEANUP_PTR(struct event, event_free)
DEFINE_CLEANUP_PTR(SSL_CTX, SSL_CTX_free)

static const char *const HOSTS[] = { "gmail.googleapis.com", "www.googleapis.com", "accounts.google.com", "oauth2.googleapis.com",
    "github.com", "api.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com", NULL };

static int usage(void)
{
    fprintf(stderr, "usage: aileron-demo-workspace --dir DIR [--forge DIR] [--delay-ms N] [--token-s N]\n");
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

static int announce(const struct server_ports *ports, const char *ca_path)
{
    CLEANUP_JSON json_t *line = json_pack("{s:i,s:i,s:s,s:s,s:s}", "port", (int) ports->https, "browser_port",
        (int) ports->browser, "ca", ca_path, "client_id", OAUTH_CLIENT_ID, "client_secret", OAUTH_CLIENT_SECRET);
    CLEANUP(buf_free) struct buf text = BUF_INIT(16 * 1024);

    if (!line || json_write(line, &text) < 0)
        return -ENOMEM;
    return printf("%s\n", buf_str(&text)) < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

struct options {
    const char *dir, *forge;
    long delay_ms, token_s;
};

static int serve(const struct options *options, struct err *err)
{
    CLEANUP_PTR(event_base_free) struct event_base *base = event_base_new();
    CLEANUP_PTR(mailbox_free) struct mailbox *mailbox = mailbox_new(clock_unix_ms());
    CLEANUP_PTR(calendar_free) struct calendar *calendar = calendar_new(clock_unix_ms());
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(options->token_s);
    CLEANUP_PTR(SSL_CTX_free) SSL_CTX *tls = NULL;
    CLEANUP_PTR(server_free) struct server *server = NULL;
    CLEANUP_PTR(event_free) struct event *input = NULL;
    CLEANUP_FREE char *ca_path = NULL;
    CLEANUP_CLOSE int forge = -1;
    struct server_ports ports = { 0 };
    int r;

    if (!base || !mailbox || !calendar || !oauth || asprintf(&ca_path, "%s/ca.pem", options->dir) < 0)
        return -ENOMEM;
    forge = options->forge ? open(options->forge, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (options->forge && forge < 0)
        return err_errno(err, errno, "cannot open %s", options->forge);
    r = certificates_new(HOSTS, ca_path, &tls, err);
    if (r >= 0) {
        struct server_config config = { tls, mailbox, calendar, oauth, (int) options->delay_ms, forge };

        r = server_start(base, &config, &server, &ports, err);
    }
    if (r < 0)
        return r;
    input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, base);
    if (!input || event_add(input, NULL) < 0 || announce(&ports, ca_path) < 0)
        return err_set(err, EIO, "cannot watch standard input or write to standard output");
    event_base_dispatch(base);
    return 0;
}

static bool read_number(const char *text, long max, long *ret)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < 0 || value > max)
        return false;
    *ret = value;
    return true;
}

static bool read_option(const char *name, const char *value, struct options *options)
{
    if (!strcmp(name, "--delay-ms"))
        return read_number(value, DELAY_MAX_MS, &options->delay_ms);
    if (!strcmp(name, "--token-s"))
        return read_number(value, TOKEN_MAX_S, &options->token_s);
    if (!strcmp(name, "--forge"))
        options->forge = value;
    else if (!strcmp(name, "--dir"))
        options->dir = value;
    else
        return false;
    return true;
}

int main(int argc, char *argv[])
{
    struct options options = { .token_s = TOKEN_S };
    struct err err = ERR_INIT;

    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !read_option(argv[i], argv[i + 1], &options))
            return usage();
    if (!options.dir)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    return serve(&options, &err) < 0 ? fail(&err) : 0;
}
