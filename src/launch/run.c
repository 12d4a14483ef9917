/*
 * Job control for one job. The program is a process group of its own, so that
 * nothing it sends to its group reaches us, and gets the terminal when it was
 * ours to give. When it stops, so do we, that the shell notices; when we are
 * continued, it is. Everything arrives as an event: signals over a signalfd, and
 * what the fence tells over its channel.
 */
#include "launch/run.h"

#include "base/cleanup.h"
#include "confine/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/banned.h"

#define STOP_US 50000

/* What is sent to us is meant for the program: to the process, or, as a terminal does, to its group. */
static const struct {
    int number;
    bool group;
} handed_on[] = { { SIGINT, true }, { SIGQUIT, true }, { SIGTERM, false }, { SIGHUP, false }, { SIGUSR1, false },
    { SIGUSR2, false }, { SIGWINCH, false } };
static const int others[] = { SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU };

struct job {
    const struct run *run;
    sigset_t before; /* the mask that the program starts with */
    int tty;         /* -1: it does not get the terminal */
    bool gave;       /* it has it now */
    struct termios modes;
    int signals, channel, far_end;
    pid_t first; /* our child: the program, or the first process of its fence */
    pid_t pid;   /* the program; 0 until it has begun */
    bool reaped; /* `first` */
    bool ended;  /* the program, with `status` */
    int status;
    bool failed; /* it could not be started, `err` tells why */
};

static void fill_held(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(handed_on); i++)
        sigaddset(set, handed_on[i].number);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        sigaddset(set, others[i]);
}

int run_fill_streams(struct err *err)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return err_errno(err, errno, "cannot open /dev/null");
    } while (fd <= STDERR_FILENO);
    close(fd);
    return 0;
}

void run_hold(sigset_t *ret_before)
{
    sigset_t held;

    fill_held(&held);
    sigprocmask(SIG_BLOCK, &held, ret_before);
}

void run_release(const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
}

static void job_close(struct job *job)
{
    for (size_t i = 0; i < 4; i++) {
        int fd = (const int[]){ job->tty, job->signals, job->channel, job->far_end }[i];

        if (fd >= 0)
            close(fd);
    }
}

static void tell(int channel, enum fence_event_kind kind, int code, const char *what)
{
    struct fence_event event = { .kind = kind };

    if (what)
        err_errno(&event.err, code, "cannot start %s", what);
    while (send(channel, &event, sizeof(event), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

/* The program's process, inside the fence or not. Above the three streams everything closes at exec. */
static void become_program(void *userdata)
{
    struct job *job = userdata;
    const struct run *run = job->run;

    setpgid(0, 0);
    if (job->tty >= 0)
        tcsetpgrp(job->tty, getpgrp());
    tell(job->far_end, FENCE_STARTED, 0, NULL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &job->before, NULL);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(run->program, run->argv, run->envp);
    tell(job->far_end, FENCE_FAILED, errno, run->program);
    _exit(127);
}

static bool is_terminal_ours(int tty)
{
    return tcgetpgrp(tty) == getpgrp();
}

/* It gets the terminal when it writes there and we have it. When a pipe follows, the reader in our group may need it more. */
static void look_at_terminal(struct job *job)
{
    if (!isatty(STDOUT_FILENO))
        return;
    job->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (job->tty < 0)
        return;
    tcgetattr(job->tty, &job->modes);
    job->gave = is_terminal_ours(job->tty);
    if (!job->gave) {
        close(job->tty);
        job->tty = -1;
    }
}

static int start_plain(struct job *job, struct err *err)
{
    job->first = fork();
    if (job->first == 0)
        become_program(job);
    if (job->first < 0)
        return err_errno(err, errno, "cannot fork");
    return 0;
}

static int start(struct job *job, struct err *err)
{
    int ends[2], on = 1, r;
    sigset_t held;

    fill_held(&held);
    job->signals = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    if (job->signals < 0)
        return err_errno(err, errno, "cannot watch signals");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_errno(err, errno, "cannot make a channel");
    job->channel = ends[0];
    job->far_end = ends[1];
    setsockopt(job->channel, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    look_at_terminal(job);
    r = job->run->fence ? fence_start(job->run->fence, ends, become_program, job, &job->first, err) : start_plain(job, err);
    close(job->far_end);
    job->far_end = -1;
    return r;
}

static void give_terminal(struct job *job)
{
    if (job->tty < 0)
        return;
    job->gave = is_terminal_ours(job->tty) || tcgetpgrp(job->tty) == job->pid;
    if (job->gave)
        tcsetpgrp(job->tty, job->pid);
}

static void take_terminal(struct job *job)
{
    if (job->tty >= 0 && job->gave)
        tcsetpgrp(job->tty, getpgrp());
    job->gave = false;
}

/* The program was stopped. We stop as a terminal would have stopped us; in an orphaned group that does nothing, and we go on. */
static void stop_too(struct job *job, int number)
{
    sigset_t one, before;

    take_terminal(job);
    number = number == SIGSTOP ? SIGTSTP : number;
    sigemptyset(&one);
    sigaddset(&one, number);
    kill(0, number);
    sigprocmask(SIG_UNBLOCK, &one, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (number != SIGTSTP)
        usleep(STOP_US); /* in an orphaned group it would stop again at once */
    give_terminal(job);
    kill(-job->pid, SIGCONT);
}

static void take_status(struct job *job, int status)
{
    if (WIFSTOPPED(status)) {
        stop_too(job, WSTOPSIG(status));
    } else if (WIFEXITED(status) || WIFSIGNALED(status)) {
        job->ended = true;
        job->status = status;
    }
}

/* Our child: without a fence the program itself. */
static void look_at_child(struct job *job)
{
    int status;

    while (!job->reaped && waitpid(job->first, &status, WNOHANG | WUNTRACED) == job->first) {
        job->reaped = WIFEXITED(status) || WIFSIGNALED(status);
        if (!job->run->fence)
            take_status(job, status);
    }
}

static void take_signal(struct job *job, int number)
{
    if (number == SIGCHLD) {
        look_at_child(job);
        return;
    }
    if (!job->pid || job->ended)
        return;
    if (number == SIGCONT) {
        give_terminal(job);
        kill(-job->pid, SIGCONT);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(handed_on); i++)
        if (handed_on[i].number == number)
            kill(handed_on[i].group ? -job->pid : job->pid, number);
    if (number == SIGTSTP)
        kill(-job->pid, SIGTSTP);
}

/* One message; its sender's number is as seen from here. 0 at the end of the channel. */
static ssize_t receive(int channel, struct fence_event *event, pid_t *ret_pid)
{
    union {
        char data[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec part = { event, sizeof(*event) };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    struct ucred sender = { 0 };

    if (header && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    *ret_pid = sender.pid;
    return n;
}

/* False when nobody is left to tell anything. */
static bool take_events(struct job *job, struct err *err)
{
    for (;;) {
        struct fence_event event = { 0 };
        pid_t sender;
        ssize_t n = receive(job->channel, &event, &sender);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n != sizeof(event))
            return false;
        if (event.kind == FENCE_STARTED)
            job->pid = sender;
        else if (event.kind == FENCE_STATUS)
            take_status(job, event.status);
        else if (event.kind == FENCE_FAILED && !job->failed) {
            job->failed = true;
            if (err)
                *err = event.err;
        }
    }
}

static void attend(struct job *job, struct err *err)
{
    bool told = true;

    while (!job->reaped) {
        struct pollfd fds[] = { { .fd = job->signals, .events = POLLIN }, { .fd = told ? job->channel : -1, .events = POLLIN } };
        struct signalfd_siginfo info;

        poll(fds, ARRAY_LEN(fds), -1);
        if (told && fds[1].revents)
            told = take_events(job, err);
        while (read(job->signals, &info, sizeof(info)) == sizeof(info))
            take_signal(job, (int) info.ssi_signo);
    }
    take_events(job, err);
}

/* A program that was killed may have left the terminal in a mode of its own. */
static void restore_terminal(struct job *job)
{
    bool killed = job->ended && WIFSIGNALED(job->status);

    if (job->tty >= 0 && job->gave && killed) {
        take_terminal(job);
        tcsetattr(job->tty, TCSADRAIN, &job->modes);
    }
    take_terminal(job);
}

int run_job(const struct run *run, int *ret_code, struct err *err)
{
    CLEANUP(job_close) struct job job = { .run = run, .tty = -1, .signals = -1, .channel = -1, .far_end = -1 };
    int r;

    sigprocmask(SIG_SETMASK, NULL, &job.before);
    for (size_t i = 0; i < ARRAY_LEN(handed_on); i++)
        sigdelset(&job.before, handed_on[i].number);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        sigdelset(&job.before, others[i]);
    r = start(&job, err);
    if (r < 0)
        return r;
    attend(&job, err);
    restore_terminal(&job);
    if (job.failed)
        return err && err->code ? -err->code : -EIO;
    if (!job.ended)
        return err_set(err, EIO, "what held the agent ended before it");
    *ret_code = WIFEXITED(job.status) ? WEXITSTATUS(job.status) : 128 + WTERMSIG(job.status);
    return 0;
}
