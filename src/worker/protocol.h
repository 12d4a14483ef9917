/*
 * The frames between the broker and a worker (descriptor 3 of the worker).
 * Field lists are in the order of wire_put_*; docs/protocols.md repeats them.
 *
 * A worker started as `aileron-worker --run [MEMORY-MIB]` (the most that any LOAD will give, 1024 when left out; it
 * sizes RLIMIT_DATA) sends READY, gets one LOAD, answers
 * LOADED or REFUSED, then serves any number of RUN frames, one at a time. While a
 * call runs it may send LOG and HTTP (each HTTP gets exactly one HTTP_RESULT
 * before the guest goes on), then DONE. LOADED and REFUSED carry the id of the LOAD;
 * LOG, HTTP, HTTP_RESULT and DONE the id of the RUN that they belong to; ids of RUN grow. A call that
 * timed out while it waited ends with DONE and without its HTTP_RESULT; the broker may still send that, at any time (it
 * is dropped). Of the requests of one call
 * LIMIT_HTTP_REQUESTS_PER_CALL + 1 are sent, so that the broker can refuse the last one;
 * more get -1 without a frame. `aileron-worker --compile` sends READY,
 * gets one COMPILE, answers COMPILED or REFUSED and exits; `--unpack` gets one UNPACK, answers FILE … UNPACKED, or
 * REFUSED, and exits; `--pack`, which the command line starts, gets FILE … PACK, answers PACKED or REFUSED, and exits. Anything out of turn ends the worker, and makes the broker kill it.
 */
#ifndef WORKER_PROTOCOL_H
#define WORKER_PROTOCOL_H

#define WORKER_PROTOCOL_VERSION 1
#define WORKER_CHANNEL_FD       3

enum worker_frame_type {
    /* worker → broker: u32 protocol version, str engine version, str engine config and CPU key, str confinement */
    WORKER_READY = 1,
    /* broker → worker: blob compiled module, u32 memory ceiling MiB, str allowed host functions (comma-separated; "" = log and the http functions) */
    WORKER_LOAD = 2,
    /* worker → broker: u64 microseconds it took */
    WORKER_LOADED = 3,
    /* worker → broker: str reason in our own words, str detail (sanitised engine text) */
    WORKER_REFUSED = 4,
    /* broker → worker: blob stdin, u32 memory limit MiB, u32 wall time ms */
    WORKER_RUN = 5,
    /* worker → broker: u8 level (enum worker_log_level), str message (valid UTF-8, control characters removed, cut to LIMIT_LOG_LINE_BYTES) */
    WORKER_LOG = 6,
    /* worker → broker: blob request envelope as the guest wrote it (JSON text, unparsed) */
    WORKER_HTTP = 7,
    /* broker → worker: i64 result for the guest (0, -1, -2), u32 HTTP status, blob body */
    WORKER_HTTP_RESULT = 8,
    /*
     * worker → broker: u8 outcome (enum worker_outcome), u32 exit code, blob stdout, bytes stderr tail,
     * u64 peak memory bytes, u64 run time µs, str trap (sanitised, our words)
     */
    WORKER_DONE = 9,
    /* broker → worker: blob WebAssembly module */
    WORKER_COMPILE = 10,
    /* worker → broker: blob compiled module, str imports ("module.name" of functions, newline-separated), u8 has _start, u8 has memory */
    WORKER_COMPILED = 11,
    /* broker → worker: blob archive (gzip tar), str names of the files that may be in it, newline-separated */
    WORKER_UNPACK = 12,
    /* worker → broker: str name (one of those), blob bytes */
    WORKER_FILE = 13,
    /* worker → broker: u32 number of FILE frames before it */
    WORKER_UNPACKED = 14,
    /* → worker: u32 number of FILE frames before it */
    WORKER_PACK = 15,
    /* worker →: blob archive */
    WORKER_PACKED = 16,
};

enum worker_log_level { WORKER_LOG_DEBUG, WORKER_LOG_INFO, WORKER_LOG_WARN, WORKER_LOG_ERROR };

enum worker_outcome {
    WORKER_EXITED = 0,        /* proc_exit or return from _start; exit code says which */
    WORKER_TRAPPED = 1,       /* unreachable, out of bounds, ... */
    WORKER_TIMED_OUT = 2,     /* wall time */
    WORKER_OUT_OF_MEMORY = 3, /* a memory.grow or start was refused by the limit and the guest then failed */
    WORKER_STACK_OVERFLOW = 4,
    WORKER_STDOUT_TOO_LONG = 5,
};

#endif
