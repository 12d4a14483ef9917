/*
 * aileron-keeper: the only program that holds credentials. Started by the broker
 * with their channel on descriptor 3. Everything it needs from the file system is
 * read first; then it locks itself down, and only then does it read the first
 * byte of a peer. It writes one-line diagnostics to standard error and nothing else.
 */
#include <errno.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/json.h"
#include "keeper/lockdown.h"
#include "keeper/memory.h"
#include "keeper/session.h"
#include "keeper/trust.h"

#include "base/banned.h"

#define DEGRADED_MAX 512
/* Connections in use and kept, and what curl needs beside them, of every pool. */
#define FILES_WANTED 4096

struct options {
    const char *home;
    const char *dev_ca;
    struct overrides overrides;
};

/* In the order of making; released in the reverse one. */
struct keeper {
    struct trust trust;
    struct vault *vault;
    struct loop *loop;
    struct resolver *resolver;
    struct session *session;
    int reason;
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

/* The channel must be there and be what we think it is. */
static int channel_check(struct err *err)
{
    int type = 0;
    socklen_t len = sizeof type;

    if (getsockopt(KEEPER_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return err_set(err, EINVAL, "aileron-keeper is started by aileron-broker, not by hand");
    return 0;
}

static void files_limit_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Libraries that read files or the environment when they start, while they still may. */
static int libraries_start(struct err *err)
{
    int r = 0;

    clearenv();
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    files_limit_raise();
    r = memory_wipe_on_release(err);
    if (r < 0)
        return r;
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) != 1)
        return err_set(err, EIO, "OpenSSL does not start");
    json_init();
    return 0;
}

static int keeper_load(struct keeper *keeper, const struct options *options, struct err *err)
{
    int r = trust_load(options->dev_ca, &keeper->trust, err);

    if (r == 0)
        r = vault_new(options->home, &keeper->vault, err);
    if (r == 0)
        r = loop_new(&keeper->loop, err);
    if (r == 0)
        r = resolver_new(keeper->loop, NULL, &keeper->resolver, err);
    return r;
}

static const char *degraded_describe(const struct keeper *keeper, char out[DEGRADED_MAX])
{
    bool locked = secret_memory_is_locked(), trusts = trust_has_system(&keeper->trust);

    snprintf(out, DEGRADED_MAX, "%s%s%s", trusts ? "" : "no system CA certificates, https fails: install ca-certificates",
        !trusts && !locked ? "; " : "", locked ? "" : "secrets are not locked in memory: raise RLIMIT_MEMLOCK");
    return out;
}

static void on_end(int reason, void *userdata)
{
    struct keeper *keeper = userdata;

    keeper->reason = reason;
    loop_stop(keeper->loop);
}

static void on_signal(int number, void *userdata)
{
    struct keeper *keeper = userdata;

    loop_stop(keeper->loop);
}

static void on_said_hello(void *userdata)
{
    struct keeper *keeper = userdata;

    trust_complete(&keeper->trust);
}

static int keeper_serve(
    struct keeper *keeper, const struct options *options, const struct confine_report *report, struct err *err)
{
    const struct http_context context = { keeper->loop, keeper->vault, keeper->resolver, &options->overrides,
        &keeper->trust };
    char confinement[256], degraded[DEGRADED_MAX];
    const struct session_hello hello = {
        .confinement = confine_describe(report, confinement, sizeof confinement),
        .overrides_active = options->dev_ca != NULL || options->overrides.len > 0,
        .degraded = degraded_describe(keeper, degraded),
    };
    int r = session_new(&context, KEEPER_CHANNEL_FD, &hello, on_end, keeper, &keeper->session, err);

    if (r == 0)
        r = loop_defer(keeper->loop, on_said_hello, keeper);
    if (r < 0)
        return r;
    r = loop_run(keeper->loop);
    if (r < 0)
        return err_errno(err, -r, "the event loop failed");
    if (keeper->reason < 0)
        return err_errno(err, -keeper->reason, "the channel to the broker ended");
    return 0;
}

static void keeper_release(struct keeper *keeper)
{
    session_free(keeper->session);
    resolver_free(keeper->resolver);
    loop_free(keeper->loop);
    vault_free(keeper->vault);
    trust_free(&keeper->trust);
}

static int keeper_run(int argc, char **argv, struct err *err)
{
    CLEANUP(keeper_release) struct keeper keeper = { .reason = 0 };
    struct options options = { .home = NULL };
    struct confine_report report;
    int r = options_read(argc, argv, &options, err);

    if (r == 0)
        r = channel_check(err);
    if (r == 0)
        r = libraries_start(err);
    if (r == 0)
        r = keeper_load(&keeper, &options, err);
    if (r < 0)
        return r;
    if (loop_signal(keeper.loop, SIGTERM, on_signal, &keeper) < 0 || loop_signal(keeper.loop, SIGINT, on_signal, &keeper) < 0)
        return err_set(err, EIO, "cannot watch signals");
    r = lockdown(options.home, &report, err);
    if (r < 0)
        return r;
    return keeper_serve(&keeper, &options, &report, err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    if (keeper_run(argc, argv, &err) < 0) {
        fprintf(stderr, "aileron-keeper: %s\n", err.message);
        if (err.hint[0])
            fprintf(stderr, "aileron-keeper: %s\n", err.hint);
        return 1;
    }
    return 0;
}
