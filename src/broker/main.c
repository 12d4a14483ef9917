/*
 * aileron-broker: policy and receipts. Started by the CLI with a fixed
 * environment, an exact list of arguments and a descriptor on which it says "ok",
 * or why not.
 *
 *     aileron-broker --home DIR --libexec DIR [--dev-connect-to HOST:PORT:HOST2:PORT2]...
 *         [--dev-ca FILE] [--ready-fd N]
 *     aileron-broker --verify-audit DIR
 *     aileron-broker --home DIR --notify SOCKET_DIR
 */
#include "base/json.h"
#include "broker/broker.h"
#include "broker/notify.h"
#include "broker/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static const struct option OPTIONS[] = {
    { "home", required_argument, NULL, 'h' },
    { "libexec", required_argument, NULL, 'l' },
    { "dev-connect-to", required_argument, NULL, 't' },
    { "dev-ca", required_argument, NULL, 'a' },
    { "ready-fd", required_argument, NULL, 'r' },
    { "verify-audit", required_argument, NULL, 'v' },
    { "notify", required_argument, NULL, 'n' },
    { NULL, 0, NULL, 0 },
};

static int add_connect_to(struct broker_flags *flags, const char *row, struct err *err)
{
    if (flags->dev_connect_to_len == DEV_CONNECT_TO_MAX)
        return err_set(err, E2BIG, "more than %d --dev-connect-to", DEV_CONNECT_TO_MAX);
    flags->dev_connect_to[flags->dev_connect_to_len++] = row;
    return 0;
}

static int parse_fd(const char *text, int *ret_fd, struct err *err)
{
    size_t len = strspn(text, "0123456789");

    if (!len || len > 4 || text[len])
        return err_set(err, EINVAL, "--ready-fd takes a number");
    *ret_fd = (int) strtol(text, NULL, 10);
    if (*ret_fd < 3 || fcntl(*ret_fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(err, EBADF, "--ready-fd %s is no open descriptor", text);
    return 0;
}

struct modes {
    const char *verify; /* the folder of an audit log; NULL */
    const char *notify; /* the socket folder; NULL */
};

static int parse_flags(int argc, char **argv, struct broker_flags *flags, struct modes *modes, struct err *err)
{
    int option, r = 0;

    opterr = 0;
    while (!r && (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'h':
            flags->home = optarg;
            break;
        case 'l':
            flags->libexec = optarg;
            break;
        case 't':
            r = add_connect_to(flags, optarg, err);
            break;
        case 'a':
            flags->dev_ca = optarg;
            break;
        case 'r':
            r = parse_fd(optarg, &flags->ready_fd, err);
            break;
        case 'v':
            modes->verify = optarg;
            break;
        case 'n':
            modes->notify = optarg;
            break;
        default:
            r = err_set(err, EINVAL, "unknown argument %s", argv[optind - 1]);
        }
    }
    if (!r && optind < argc)
        r = err_set(err, EINVAL, "unknown argument %s", argv[optind]);
    if (!r && modes->notify && !flags->home)
        r = err_set(err, EINVAL, "--notify needs --home");
    if (!r && !modes->verify && !modes->notify &&
        (!flags->home || !flags->libexec || flags->home[0] != '/' || flags->libexec[0] != '/'))
        r = err_set(err, EINVAL, "--home and --libexec, both absolute, are required");
    return r;
}

static int fail(const struct broker_flags *flags, const struct err *err)
{
    if (flags->ready_fd >= 0)
        dprintf(flags->ready_fd, "%s\n", err->message);
    fprintf(stderr, "aileron-broker: %s\n", err->message);
    return 2;
}

int main(int argc, char **argv)
{
    struct broker_flags flags = { .ready_fd = -1 };
    CLEANUP_PTR(broker_free) struct broker *broker = NULL;
    struct modes modes = { 0 };
    struct err err = ERR_INIT;

    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (parse_flags(argc, argv, &flags, &modes, &err) < 0)
        return fail(&flags, &err);
    if (modes.verify)
        return verify_main(modes.verify);
    if (modes.notify)
        return notifier_main(flags.home, modes.notify);
    json_init();
    if (broker_new(&flags, &broker, &err) < 0) {
        fprintf(stderr, "aileron-broker: %s\n", err.message);
        return 1;
    }
    return broker_run(broker);
}
