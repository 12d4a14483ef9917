/*
 * The conversation of `aileron-worker --run` with the broker: frames in, frames
 * out, in the order of protocol.h. Blocking, one thread.
 */
#ifndef WORKER_SERVE_H
#define WORKER_SERVE_H

#include "worker/engine.h"
#include "worker/link.h"
#include "worker/protocol.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct module;

struct serve {
    int channel;
    wasm_engine_t *engine;          /* borrowed */
    uint32_t most_mib;              /* the most that a LOAD may give */
    const struct host_table *extra; /* NULL, or more host functions (tests) */
    int (*on_loaded)(void);         /* runs when the module is ready and no guest code has run: tightens; NULL for none */
    struct module *module;          /* NULL until LOAD; owned */
    uint32_t ceiling_mib;
    uint32_t last_id; /* of the last RUN */
    uint32_t late_id; /* of the last RUN that ended while an HTTP frame was unanswered; 0: none */
};

/* READY with `confinement`, one line of text. 0 or a negative errno. */
int serve_ready(int channel, const char *confinement);
/* One frame of the broker, which stays the caller's. 0; -EPROTO and others end the worker. */
int serve_frame(struct serve *serve, struct wire_frame *frame);
/* Frames until the broker closes (0) or something is wrong (negative errno). */
int serve_run(struct serve *serve);
void serve_free(struct serve *serve);

/* REFUSED for the frame `id`. */
int serve_refuse(int channel, uint32_t id, const struct err *why);

#endif
