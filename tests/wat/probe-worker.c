/*
 * aileron-worker with one more host function, probe.attempt(row of probe.h),
 * which answers with the errno. Only the tests build this program.
 */
#include "probe.h"

#include "base/cleanup.h"
#include "worker/worker.h"

#include <errno.h>

static int32_t attempt(struct call *call, const wasmtime_val_raw_t *args)
{
    size_t row = (uint32_t) args[0].i32;

    return row < probes_len ? probes[row].attempt() : ERANGE;
}

static const struct host_function functions[] = {
    { "attempt", "i", "i", attempt },
};

static const struct host_table table = { "probe", functions, ARRAY_LEN(functions), false };

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &table);
}
