/*
 * Start of a worker: environment away, engine and timer made, process locked down,
 * READY sent. Only then the first byte of the channel is read. Nothing is printed
 * but one line when the start fails; the channel is descriptor 3.
 */
#include "worker/worker.h"

#include "base/cleanup.h"
#include "confine/confine.h"
#include "worker/compile.h"
#include "worker/deadline.h"
#include "worker/serve.h"
#include "worker/unpack.h"

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
/* The tar, inflated by doubling, and its files. */
#define UNPACK_DATA_MIB 1024
#define STACK_BYTES     ((rlim_t) 8 * MIB)
#define DESCRIPTION_MAX 256

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

enum mode { MODE_RUN, MODE_COMPILE, MODE_UNPACK, MODE_PACK };

static const struct {
    const char *flag;
    enum confine_role role;
    uint32_t data_mib; /* beside a guest's memory */
} modes[] = {
    [MODE_RUN] = { "--run", CONFINE_WORKER, RUN_DATA_MIB },
    [MODE_COMPILE] = { "--compile", CONFINE_COMPILE, COMPILE_DATA_MIB },
    [MODE_UNPACK] = { "--unpack", CONFINE_WORKER, UNPACK_DATA_MIB },
    [MODE_PACK] = { "--pack", CONFINE_WORKER, UNPACK_DATA_MIB },
};

static int start_engine(wasm_engine_t **ret_engine, struct err *err)
{
    /* An instance's own data is up to a megabyte for Go: give it from the heap and keep it there. */
    mallopt(M_MMAP_THRESHOLD, 32 * (int) MIB);
    mallopt(M_TRIM_THRESHOLD, 64 * (int) MIB);
    *ret_engine = engine_new();
    if (!*ret_engine)
        return err_set(err, ENOMEM, "the engine could not be made");
    return deadline_init(*ret_engine, err);
}

static int start(enum mode mode, uint32_t ceiling_mib, wasm_engine_t **ret_engine, struct err *err)
{
    struct confine_report report = { 0 };
    char description[DESCRIPTION_MAX];
    uint64_t data_mib = modes[mode].data_mib + ceiling_mib;
    int r = check_channel(err);

    if (r == 0)
        r = check_stack(err);
    if (r == 0 && (mode == MODE_RUN || mode == MODE_COMPILE))
        r = start_engine(ret_engine, err);
    if (r == 0)
        r = confine_begin(modes[mode].role, NULL, data_mib * MIB, &report, err);
    if (r == 0 && (mode == MODE_UNPACK || mode == MODE_PACK))
        r = confine_tighten(modes[mode].role, err);
    if (r < 0)
        return r;
    return serve_ready(WORKER_CHANNEL_FD, confine_describe(&report, description, sizeof(description)));
}

static int run(enum mode mode, uint32_t ceiling_mib, const struct host_table *extra, struct err *err)
{
    struct serve serve = { .channel = WORKER_CHANNEL_FD, .most_mib = ceiling_mib, .extra = extra, .on_loaded = confined_tighten };
    int r = start(mode, ceiling_mib, &serve.engine, err);

    if (r < 0)
        return r;
    if (mode == MODE_COMPILE)
        return compile_run(WORKER_CHANNEL_FD, serve.engine);
    if (mode == MODE_UNPACK)
        return unpack_run(WORKER_CHANNEL_FD);
    if (mode == MODE_PACK)
        return pack_run(WORKER_CHANNEL_FD);
    r = serve_run(&serve);
    serve_free(&serve);
    return r;
}

/* --run [MIB], --compile, --unpack or --pack; false when it is none of them. */
static bool read_arguments(int argc, char **argv, enum mode *ret_mode, uint32_t *ret_ceiling_mib)
{
    char *end = NULL;
    unsigned long mib = 0;
    size_t mode = 0;

    while (argc >= 2 && mode < ARRAY_LEN(modes) && strcmp(argv[1], modes[mode].flag) != 0)
        mode++;
    if (argc < 2 || mode == ARRAY_LEN(modes) || argc > (mode == MODE_RUN ? 3 : 2))
        return false;
    *ret_mode = (enum mode) mode;
    if (mode != MODE_RUN)
        return true;
    mib = argc == 3 ? strtoul(argv[2], &end, 10) : CEILING_MEMORY_MIB;
    *ret_ceiling_mib = (uint32_t) mib;
    return (argc == 2 || (*argv[2] && !*end)) && mib > 0 && mib <= CEILING_MEMORY_MIB;
}

int worker_main(int argc, char **argv, const struct host_table *extra)
{
    struct err err = ERR_INIT;
    enum mode mode = MODE_RUN;
    uint32_t ceiling_mib = 0;
    int r = 0;

    clearenv();
    if (!read_arguments(argc, argv, &mode, &ceiling_mib)) {
        fputs("usage: aileron-worker --run [MEMORY-MIB] | --compile | --unpack | --pack, started by aileron-broker with a "
              "channel on "
              "descriptor 3\n",
            stderr);
        return EXIT_USAGE;
    }
    r = run(mode, ceiling_mib, extra, &err);
    if (r < 0 && err.code != 0)
        fprintf(stderr, "aileron-worker: %s\n", err.message);
    fflush(NULL);
    /* No handlers at exit: the engine's would take back its signal stack, which the filter forbids. */
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
