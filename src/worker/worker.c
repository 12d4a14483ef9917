/*
 * Start of a worker: environment away, engine and timer made, process locked down,
 * READY sent. Only then the first byte of the channel is read. Nothing is printed
 * but one line when the start fails; the channel is descriptor 3.
 */
#include "worker/worker.h"

#include "confine/confine.h"
#include "worker/compile.h"
#include "worker/deadline.h"
#include "worker/serve.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/banned.h"

#define EXIT_USAGE 2
/* Code (LIMIT_BLOB_BYTES at most) and the engine's own memory, beside the guest's. */
#define RUN_DATA_MIB     320
#define COMPILE_DATA_MIB 4096
#define STACK_BYTES      ((rlim_t) 8 * MIB)
#define DESCRIPTION_MAX  256

static int confined_tighten(void)
{
    struct err err = ERR_INIT;

    return confine_tighten(CONFINE_WORKER, &err);
}

/* The guest's stack is this thread's: the engine must meet its own limit before the kernel's. */
static int check_stack(struct err *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) < 0)
        return err_errno(err, errno, "cannot read the stack limit");
    if (limit.rlim_cur >= STACK_BYTES)
        return 0;
    limit.rlim_cur = limit.rlim_max < STACK_BYTES ? limit.rlim_max : STACK_BYTES;
    if (limit.rlim_cur < STACK_BYTES)
        return err_set(err, EINVAL, "the stack limit is below 8 MiB");
    if (setrlimit(RLIMIT_STACK, &limit) < 0)
        return err_errno(err, errno, "cannot raise the stack limit");
    return 0;
}

static int check_channel(struct err *err)
{
    int type = 0;
    socklen_t len = sizeof(type);

    if (getsockopt(WORKER_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return err_set(err, EINVAL, "descriptor 3 is no channel; this program is started by aileron-broker");
    return 0;
}

static int start(enum confine_role role, uint32_t ceiling_mib, wasm_engine_t **ret_engine, struct err *err)
{
    struct confine_report report = { 0 };
    char description[DESCRIPTION_MAX];
    uint64_t data_mib = role == CONFINE_COMPILE ? COMPILE_DATA_MIB : RUN_DATA_MIB + ceiling_mib;
    int r = check_channel(err);

    if (r == 0)
        r = check_stack(err);
    if (r < 0)
        return r;
    /* An instance's own data is up to a megabyte for Go: give it from the heap and keep it there. */
    mallopt(M_MMAP_THRESHOLD, 32 * (int) MIB);
    mallopt(M_TRIM_THRESHOLD, 64 * (int) MIB);
    *ret_engine = engine_new();
    if (!*ret_engine)
        return err_set(err, ENOMEM, "the engine could not be made");
    r = deadline_init(*ret_engine, err);
    if (r == 0)
        r = confine_begin(role, NULL, data_mib * MIB, &report, err);
    if (r < 0)
        return r;
    return serve_ready(WORKER_CHANNEL_FD, confine_describe(&report, description, sizeof(description)));
}

static int run(enum confine_role role, uint32_t ceiling_mib, const struct host_table *extra, struct err *err)
{
    struct serve serve = { .channel = WORKER_CHANNEL_FD, .most_mib = ceiling_mib, .extra = extra, .on_loaded = confined_tighten };
    int r = start(role, ceiling_mib, &serve.engine, err);

    if (r < 0)
        return r;
    if (role == CONFINE_COMPILE)
        return compile_run(WORKER_CHANNEL_FD, serve.engine);
    r = serve_run(&serve);
    serve_free(&serve);
    return r;
}

/* --run [MIB] or --compile; 0 when it is neither. */
static bool read_arguments(int argc, char **argv, enum confine_role *ret_role, uint32_t *ret_ceiling_mib)
{
    char *end = NULL;
    unsigned long mib = CEILING_MEMORY_MIB;

    if (argc == 2 && strcmp(argv[1], "--compile") == 0) {
        *ret_role = CONFINE_COMPILE;
        return true;
    }
    if (argc < 2 || argc > 3 || strcmp(argv[1], "--run") != 0)
        return false;
    if (argc == 3)
        mib = strtoul(argv[2], &end, 10);
    *ret_role = CONFINE_WORKER;
    *ret_ceiling_mib = (uint32_t) mib;
    return (argc == 2 || (*argv[2] && !*end)) && mib > 0 && mib <= CEILING_MEMORY_MIB;
}

int worker_main(int argc, char **argv, const struct host_table *extra)
{
    struct err err = ERR_INIT;
    enum confine_role role = CONFINE_WORKER;
    uint32_t ceiling_mib = 0;
    int r = 0;

    clearenv();
    if (!read_arguments(argc, argv, &role, &ceiling_mib)) {
        fputs("usage: aileron-worker --run [MEMORY-MIB] | --compile, started by aileron-broker with a channel on descriptor 3\n",
            stderr);
        return EXIT_USAGE;
    }
    r = run(role, ceiling_mib, extra, &err);
    if (r < 0 && err.code != 0)
        fprintf(stderr, "aileron-worker: %s\n", err.message);
    fflush(NULL);
    /* No handlers at exit: the engine's would take back its signal stack, which the filter forbids. */
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
