/*
 * Every bound of DESIGN §5.9 and SPEC §12 in one place: bytes, depth, nodes and
 * counts per peer, time-outs in milliseconds.
 */
#ifndef WIRE_LIMITS_H
#define WIRE_LIMITS_H

#define KIB (1024u)
#define MIB (1024u * 1024u)

/* Frames between our programs. */
#define LIMIT_FRAME_BYTES   (64 * KIB)  /* header and inline body */
#define LIMIT_BLOB_BYTES    (256 * MIB) /* one payload passed as a memfd */
#define LIMIT_FRAME_FDS     4
#define LIMIT_CHANNEL_QUEUE 1024 /* frames waiting to be sent to one peer */

/* What agents, people and connectors send. */
#define LIMIT_ARGS_BYTES          (1 * MIB)
#define LIMIT_API_BODY_BYTES      (2 * MIB)
#define LIMIT_HTTP_HEADER_BYTES   (32 * KIB)
#define LIMIT_JSON_DEPTH          64
#define LIMIT_JSON_NODES          100000
#define LIMIT_CLIENTS             1000
#define LIMIT_CLIENTS_PER_SESSION 64 /* connections of one session at agent.sock */
#define LIMIT_MCP_LINE_BYTES      (2 * MIB)

/* Connectors. */
#define LIMIT_STDOUT_BYTES           (1 * MIB)
#define LIMIT_STDERR_TAIL_BYTES      256
#define LIMIT_RESPONSE_BYTES         (8 * MIB)
#define LIMIT_REQUEST_ENVELOPE_BYTES (8 * MIB)
#define LIMIT_REQUEST_HEADERS        64
#define LIMIT_LOG_LINE_BYTES         1024
#define LIMIT_LOG_LINES_PER_CALL     64
#define LIMIT_HTTP_REQUESTS_PER_CALL 1000
#define LIMIT_WASM_BYTES             (64 * MIB)
#define LIMIT_REDIRECTS              3
#define LIMIT_RETRIES                3
#define LIMIT_CALLS                  2048 /* calls of actions under way */
#define LIMIT_CALLS_PER_SESSION      64
#define LIMIT_PREVIEW_MS             10000 /* of one preview */
#define LIMIT_UNCOLLECTED            4096  /* kept ends of ungated calls; the oldest are forgotten */

#define LIMIT_WORKERS_ALL            32
#define LIMIT_WORKERS_PER_CONNECTOR  16
#define LIMIT_WORKER_IDLE_MS         60000
#define LIMIT_WORKER_QUEUE           256
#define LIMIT_KILL_GRACE_MS          1000
#define LIMIT_COMPILE_MS             60000

#define DEFAULT_MEMORY_MIB           64
#define DEFAULT_WALL_TIME_S          30
#define CEILING_MEMORY_MIB           1024
#define CEILING_WALL_TIME_S          300

#define LIMIT_MODULE_CACHE_BYTES     (1024ull * MIB)
#define LIMIT_LOG_FILE_BYTES         (10 * MIB)

#endif
