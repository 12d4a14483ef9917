/* The sources of secrets, in their order: file, environment, terminal. Nobody to ask is an answer too, never a wait. */
#include "cli/passphrase.h"

#include "cli/ask.h"
#include "keeper/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define TRIES 3

static struct secret *from_environment;

void passphrase_take_environment(void)
{
    char *value = getenv(PASSPHRASE_VARIABLE);

    if (!value)
        return;
    if (*value && secret_from(value, strlen(value), &from_environment) < 0)
        from_environment = NULL;
    /* The bytes themselves go too: what stands there is what /proc/PID/environ shows. */
    secret_wipe(value, strlen(value));
    unsetenv(PASSPHRASE_VARIABLE);
}

void passphrase_forget(void)
{
    secret_free(from_environment);
    from_environment = NULL;
}

const char *passphrase_ways(void)
{
    return "run it at a terminal, or give the passphrase with --passphrase-file FILE or in " PASSPHRASE_VARIABLE;
}

enum passphrase_source passphrase_source(const struct cli *cli)
{
    if (args_has(cli->args, "passphrase-file"))
        return PASSPHRASE_FILE;
    if (from_environment)
        return PASSPHRASE_ENVIRONMENT;
    return ask_is_possible() ? PASSPHRASE_TERMINAL : PASSPHRASE_NOWHERE;
}

/* Opens what a person may name: links are followed, because /dev/fd/63 is one. */
static int open_source(const char *path, const char *what, struct err *err)
{
    CLEANUP_CLOSE int fd = -1;
    struct stat status;

    if (!strcmp(path, "-"))
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_errno(err, errno, "cannot read %s from %s", what, path);
    if (S_ISDIR(status.st_mode))
        return err_set(err, EISDIR, "cannot read %s from %s: it is a folder", what, path);
    if (S_ISREG(status.st_mode) && strcmp(path, "-") != 0 && status.st_mode & 077) {
        err_set(err, EPERM, "%s: others than you can read this file, so it is no place for %s", path, what);
        err_hint(err, "chmod 600 %s", path);
        return -EPERM;
    }
    return TAKE_FD(fd);
}

int secret_read_file(const char *path, const char *what, size_t max, struct secret **ret_secret, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    CLEANUP_CLOSE int fd = open_source(path, what, err);
    size_t len = 0, room = max + 2; /* a newline, and one to tell that there is more */

    if (fd < 0)
        return fd;
    if (secret_new(room, &secret) < 0)
        return -ENOMEM;
    while (len < room) {
        ssize_t n = read(fd, secret_data(secret) + len, room - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read %s from %s", what, path);
        if (n == 0)
            break;
        len += (size_t) n;
    }
    if (len && secret_bytes(secret)[len - 1] == '\n')
        len--;
    if (len > max)
        return err_set(err, E2BIG, "%s in %s is longer than %zu bytes", what, path, max);
    if (!len)
        return err_set(err, ENODATA, "there is no %s in %s: it is empty", what, path);
    secret_cut(secret, len);
    *ret_secret = TAKE_PTR(secret);
    return 0;
}

static int get_environment(struct secret **ret_secret, struct err *err)
{
    if (secret_len(from_environment) > KEEPER_PASSPHRASE_MAX)
        return err_set(err, E2BIG, "the passphrase in %s is longer than %d bytes", PASSPHRASE_VARIABLE, KEEPER_PASSPHRASE_MAX);
    return secret_from(secret_bytes(from_environment), secret_len(from_environment), ret_secret);
}

static int get_terminal(const char *prompt, bool keep, struct secret **ret_secret, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    int r = ask_secret(prompt, KEEPER_PASSPHRASE_MAX, keep, &secret, err);

    if (r == -E2BIG) {
        err_set(err, EAGAIN, "a passphrase has at most %d bytes", KEEPER_PASSPHRASE_MAX);
        return -EAGAIN;
    }
    if (r < 0)
        return r;
    if (!secret_len(secret))
        return err_set(err, EAGAIN, "an empty passphrase protects nothing");
    *ret_secret = TAKE_PTR(secret);
    return 0;
}

int passphrase_get(struct cli *cli, const char *prompt, struct secret **ret_secret, struct err *err)
{
    switch (passphrase_source(cli)) {
    case PASSPHRASE_FILE:
        return secret_read_file(
            args_value(cli->args, "passphrase-file"), "the passphrase", KEEPER_PASSPHRASE_MAX, ret_secret, err);
    case PASSPHRASE_ENVIRONMENT:
        return get_environment(ret_secret, err);
    case PASSPHRASE_TERMINAL:
        return get_terminal(prompt, false, ret_secret, err);
    default:
        err_set(err, ENOKEY, "this needs the vault's passphrase, and there is nobody to ask");
        err_hint(err, "%s", passphrase_ways());
        return -ENOKEY;
    }
}

int passphrase_ask_new(const char *prompt, const char *confirm, struct secret **ret_secret, struct err *err)
{
    for (unsigned i = 0; i < TRIES; i++) {
        CLEANUP_PTR(secret_free) struct secret *first = NULL;
        CLEANUP_PTR(secret_free) struct secret *second = NULL;
        int r = get_terminal(prompt, false, &first, err);

        if (r >= 0)
            r = ask_secret(confirm, KEEPER_PASSPHRASE_MAX, true, &second, err);
        if (r == -E2BIG)
            r = err_set(err, EAGAIN, "the two are not the same");
        if (r < 0 && r != -EAGAIN)
            return r;
        if (r >= 0 && secret_equal(first, second)) {
            *ret_secret = TAKE_PTR(first);
            return 0;
        }
        if (r >= 0)
            err_set(err, EAGAIN, "the two are not the same");
        if (i + 1 < TRIES)
            cli_note("aileron: %s; please type it again", err->message);
    }
    return err_set(err, EINVAL, "no passphrase was set: what was typed was empty or differed each time");
}
