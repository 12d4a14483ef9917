/*
 * aileron-keeper: the only program that holds credentials. Started by the broker
 * with their channel on descriptor 3 and keeper.sock, listening, on descriptor 4. Everything it needs from the file system is
 * read first; then it locks itself down, and only then does it read the first
 * byte of a peer. It writes one-line diagnostics to standard error and nothing else.
 * `aileron-keeper --fetch` is another program in the same file: see fetch.h.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "keeper/attempts.h"
#include "keeper/client.h"
#include "keeper/derive.h"
#include "keeper/fetch.h"
#include "keeper/http.h"
#include "keeper/lock.h"
#include "keeper/lockdown.h"
#include "keeper/oauth.h"
#include "keeper/owner.h"
#include "keeper/receipts.h"
#include "keeper/session.h"
#include "keeper/start.h"
#include "keeper/ticket.h"
#include "keeper/trust.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define DEGRADED_MAX 512

struct options {
    const char *home;
    const char *dev_ca;
    struct overrides overrides;
};

struct keeper {
    struct trust trust;
    struct overrides *overrides;
    struct resolver *resolver;
    struct parts parts;
    bool has_door;
    int reason;
    char degraded[DEGRADED_MAX];
};

static int options_read(int argc, char **argv, struct options *options, struct err *err)
{
    static const struct option known[] = {
        { "home", required_argument, NULL, 'h' },
        { "dev-connect-to", required_argument, NULL, 'c' },
        { "dev-ca", required_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
    };
    int c = 0, r = 0;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'h')
            options->home = optarg;
        else if (c == 'a')
            options->dev_ca = optarg;
        else if (c == 'c')
            r = overrides_add(&options->overrides, optarg, err);
        else
            r = err_set(err, EINVAL, "unknown or incomplete option");
        if (r < 0)
            return r;
    }
    if (optind != argc || !options->home || options->home[0] != '/')
        return err_set(err, EINVAL, "aileron-keeper is started by aileron-broker with --home DIR");
    return 0;
}

/* The channel must be there and be what we think it is; so must the owner's door, if there is one. */
static int doors_check(bool *ret_has_door, struct err *err)
{
    int type = 0, door = owner_door_check(KEEPER_OWNER_FD);
    socklen_t len = sizeof type;

    if (getsockopt(KEEPER_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET || door < 0)
        return err_set(err, EINVAL, "aileron-keeper is started by aileron-broker, not by hand");
    *ret_has_door = door > 0;
    return 0;
}

static int keeper_load(struct keeper *keeper, struct options *options, struct err *err)
{
    struct parts *parts = &keeper->parts;
    int r = trust_load(options->dev_ca, &keeper->trust, err);

    keeper->overrides = &options->overrides;
    if (r == 0)
        r = vault_new(options->home, &parts->vault, err);
    if (r == 0)
        r = loop_new(&parts->loop, err);
    if (r == 0)
        r = resolver_new(parts->loop, NULL, &keeper->resolver, err);
    return r;
}

/* Asked whenever it is told, for memory may run short later. */
static const char *degraded_describe(void *userdata)
{
    struct keeper *keeper = userdata;
    bool locked = secret_memory_is_locked(), trusts = trust_has_system(&keeper->trust);

    snprintf(keeper->degraded, sizeof keeper->degraded, "%s%s%s",
        trusts ? "" : "no system CA certificates, https fails: install ca-certificates", !trusts && !locked ? "; " : "",
        locked ? "" : "secrets are not locked in memory: raise RLIMIT_MEMLOCK");
    return keeper->degraded;
}

static void on_end(int reason, void *userdata)
{
    struct keeper *keeper = userdata;

    keeper->reason = reason;
    loop_stop(keeper->parts.loop);
}

static void on_signal(int number, void *userdata)
{
    struct keeper *keeper = userdata;

    loop_stop(keeper->parts.loop);
}

static void on_said_hello(void *userdata)
{
    struct keeper *keeper = userdata;

    trust_complete(&keeper->trust);
}

static void on_overrides(bool active, void *userdata)
{
    struct keeper *keeper = userdata;

    keeper->overrides->active = active;
}

static void on_bindings_changed(void *userdata)
{
    struct keeper *keeper = userdata;

    lock_changed(keeper->parts.lock);
}

/* Everything that needs the channel to the broker, in the order of making. */
static int parts_make(struct keeper *keeper, bool overrides_given, struct err *err)
{
    struct parts *parts = &keeper->parts;
    const struct http_context http = { parts->loop, parts->vault, keeper->resolver, keeper->overrides, &keeper->trust };
    const struct lock_context lock = { parts, overrides_given, on_overrides, keeper };
    struct oauth_context oauth = { parts->loop, parts->vault, NULL, NULL, on_bindings_changed, keeper };
    int r = http_new(&http, session_answer, parts->session, &parts->http);

    if (r == 0)
        r = receipts_new(parts->loop, session_channel(parts->session), &parts->receipts);
    oauth.http = parts->http;
    oauth.receipts = parts->receipts;
    if (r == 0)
        r = oauth_new(&oauth, &parts->oauth);
    if (r == 0)
        r = derive_new(parts->loop, &parts->derive);
    if (r == 0)
        r = attempts_new(parts, &parts->attempts);
    if (r == 0)
        r = tickets_new(&parts->tickets);
    if (r == 0)
        r = lock_new(&lock, &parts->lock);
    if (r == 0 && keeper->has_door)
        r = owner_new(parts, KEEPER_OWNER_FD, &parts->owner);
    return r < 0 ? err_errno(err, -r, "cannot start") : 0;
}

static int keeper_serve(
    struct keeper *keeper, const struct options *options, const struct confine_report *report, struct err *err)
{
    char confinement[256];
    const struct session_hello hello = {
        .confinement = confine_describe(report, confinement, sizeof confinement),
        .overrides_given = options->dev_ca != NULL || options->overrides.len > 0,
        .degraded = degraded_describe,
        .userdata = keeper,
    };
    int r = session_new(&keeper->parts, KEEPER_CHANNEL_FD, &hello, on_end, keeper, &keeper->parts.session, err);

    if (r == 0)
        r = parts_make(keeper, hello.overrides_given, err);
    if (r == 0)
        r = session_say_hello(keeper->parts.session, err);
    if (r == 0)
        r = loop_defer(keeper->parts.loop, on_said_hello, keeper);
    if (r < 0)
        return r;
    r = loop_run(keeper->parts.loop);
    if (r < 0)
        return err_errno(err, -r, "the event loop failed");
    if (keeper->reason < 0)
        return err_errno(err, -keeper->reason, "the channel to the broker ended");
    return 0;
}

/* Labels and tokens that are not on disk yet are written while everything is still there. */
static void keeper_release(struct keeper *keeper)
{
    struct parts *parts = &keeper->parts;

    if (parts->oauth)
        oauth_lock(parts->oauth);
    owner_free(parts->owner);
    attempts_free(parts->attempts);
    derive_free(parts->derive);
    tickets_free(parts->tickets);
    oauth_free(parts->oauth);
    lock_free(parts->lock);
    http_free(parts->http);
    receipts_free(parts->receipts);
    session_free(parts->session);
    resolver_free(keeper->resolver);
    loop_free(parts->loop);
    vault_free(parts->vault);
    trust_free(&keeper->trust);
}

static int keeper_run(int argc, char **argv, struct err *err)
{
    CLEANUP(keeper_release) struct keeper keeper = { .reason = 0 };
    struct options options = { .home = NULL };
    struct confine_report report;
    int r = options_read(argc, argv, &options, err);

    if (r == 0)
        r = doors_check(&keeper.has_door, err);
    if (r == 0)
        r = start_libraries(err);
    if (r == 0)
        r = keeper_load(&keeper, &options, err);
    if (r < 0)
        return r;
    if (loop_signal(keeper.parts.loop, SIGTERM, on_signal, &keeper) < 0 ||
        loop_signal(keeper.parts.loop, SIGINT, on_signal, &keeper) < 0)
        return err_set(err, EIO, "cannot watch signals");
    r = lockdown(options.home, &report, err);
    if (r < 0)
        return r;
    return keeper_serve(&keeper, &options, &report, err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    bool fetches = argc > 1 && !strcmp(argv[1], "--fetch");

    if ((fetches ? fetch_run(argc - 1, argv + 1, &err) : keeper_run(argc, argv, &err)) < 0) {
        fprintf(stderr, "aileron-keeper: %s\n", err.message);
        if (err.hint[0])
            fprintf(stderr, "aileron-keeper: %s\n", err.hint);
        return 1;
    }
    return 0;
}
