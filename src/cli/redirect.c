/* inotify tells who reads the page. Signals that would end the program are caught meanwhile, so that the page never stays. */
#include "cli/redirect.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define READ_MS   60000 /* the code's own life */
#define QUIET_MS  10000 /* after a reader who does not sign in */
#define UNREAD_MS 20000 /* after what should open it has ended, without a reader */
#define LOOK_MS   100

static const int NUMBERS[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static volatile sig_atomic_t caught;

struct redirect {
    char *folder, *path;
    int watch; /* inotify */
    bool catching;
    struct sigaction before[ARRAY_LEN(NUMBERS)];
};

static void on_signal(int number)
{
    caught = number;
}

static void catch_signals(struct redirect *redirect)
{
    struct sigaction action = { .sa_handler = on_signal };

    caught = 0;
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        sigaction(NUMBERS[i], NULL, &redirect->before[i]);
        if (redirect->before[i].sa_handler != SIG_IGN)
            sigaction(NUMBERS[i], &action, NULL);
    }
    redirect->catching = true;
}

void redirect_free(struct redirect *redirect)
{
    if (!redirect)
        return;
    if (redirect->path)
        unlink(redirect->path);
    if (redirect->folder)
        rmdir(redirect->folder);
    cleanup_close(&redirect->watch);
    free(redirect->path);
    free(redirect->folder);
    if (redirect->catching)
        for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
            sigaction(NUMBERS[i], &redirect->before[i], NULL);
    free(redirect);
    if (caught) { /* it does now what it would have done */
        int number = caught;

        caught = 0;
        raise(number);
    }
}

const char *redirect_path(const struct redirect *redirect)
{
    return redirect->path;
}

/* A folder of ours that no other user can look into. */
static bool is_private(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/*
 * Both places are hidden from an agent in the fence (confine/fence-places.c), which runs as this user; so the environment has no
 * say in it, and /tmp itself will not do.
 */
int redirect_folder(const char *runtime, const char *fallback, char **ret_folder, struct err *err)
{
    CLEANUP_FREE char *folder = NULL;
    const char *place = is_private(runtime) ? runtime : fallback;

    if (place == fallback && mkdir(place, 0700) < 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make %s", place);
    if (!is_private(place))
        return err_set(err, EPERM, "%s is not this user's alone", place);
    if (asprintf(&folder, "%s/aileron-open-XXXXXX", place) < 0) {
        folder = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    if (!mkdtemp(folder)) /* 0700 */
        return err_errno(err, errno, "cannot make a folder in %s", place);
    *ret_folder = TAKE_PTR(folder);
    return 0;
}

static int make_folder(struct redirect *redirect, struct err *err)
{
    char runtime[64], fallback[64];

    snprintf(runtime, sizeof runtime, "/run/user/%u", (unsigned) geteuid());
    snprintf(fallback, sizeof fallback, "/tmp/aileron-%u", (unsigned) geteuid());
    return redirect_folder(runtime, fallback, &redirect->folder, err);
}

/* `url` is made here of digits, letters and a few signs; what HTML would read otherwise is no part of it. */
static bool is_plain(const char *url)
{
    return url[strcspn(url, "\"'<>&\\ \n")] == '\0';
}

static int write_page(const struct redirect *redirect, const char *url, struct err *err)
{
    CLEANUP(buf_free) struct buf page = BUF_INIT(8192);
    CLEANUP_CLOSE int fd = open(redirect->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return err_errno(err, errno, "cannot write %s", redirect->path);
    r = buf_printf(&page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">"
        "<meta http-equiv=\"refresh\" content=\"0;url=%s\"><title>Aileron</title></head>\n"
        "<body><p><a href=\"%s\" rel=\"noreferrer\">To Aileron</a></p></body></html>\n",
        url, url);
    if (r >= 0)
        r = file_write_full(fd, page.data, page.len);
    return r < 0 ? err_errno(err, -r, "cannot write %s", redirect->path) : 0;
}

int redirect_new(const char *url, struct redirect **ret_redirect, struct err *err)
{
    CLEANUP_PTR(redirect_free) struct redirect *redirect = calloc(1, sizeof *redirect);
    int r;

    if (!redirect)
        return err_set(err, ENOMEM, "out of memory");
    redirect->watch = -1;
    if (!is_plain(url))
        return err_set(err, EINVAL, "the daemon's address is not one");
    catch_signals(redirect);
    r = make_folder(redirect, err);
    if (r < 0)
        return r;
    if (asprintf(&redirect->path, "%s/open.html", redirect->folder) < 0) {
        redirect->path = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    r = write_page(redirect, url, err);
    if (r < 0)
        return r;
    redirect->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (redirect->watch < 0 || inotify_add_watch(redirect->watch, redirect->path, IN_CLOSE_NOWRITE) < 0)
        cleanup_close(&redirect->watch);
    *ret_redirect = TAKE_PTR(redirect);
    return 0;
}

/* True when somebody has read it since the last look. */
static bool was_read(const struct redirect *redirect)
{
    char events[4096];
    bool any = false;

    while (redirect->watch >= 0 && read(redirect->watch, events, sizeof events) > 0)
        any = true;
    return any;
}

int redirect_await(struct redirect *redirect, pid_t pid, redirect_spent_fn *spent, void *userdata, struct err *err)
{
    int64_t now = clock_boot_ms(), start = now, last_read = 0, ended = 0;
    int status = 0;

    while (!caught && now - start < READ_MS) {
        poll(NULL, 0, LOOK_MS);
        now = clock_boot_ms();
        if (was_read(redirect))
            last_read = now;
        if (!ended && waitpid(pid, &status, WNOHANG) == pid)
            ended = now;
        if (last_read && (now - last_read >= QUIET_MS || spent(userdata)))
            return 0;
        if (!last_read && ended && status)
            return err_set(err, ENOENT, "no browser could be started");
        if (!last_read && ended && now - ended >= UNREAD_MS)
            return 0;
    }
    return caught ? err_set(err, EINTR, "interrupted") : 0;
}
