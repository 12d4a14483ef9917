/* The conversation of `aileron-worker --compile`: one module in, its code out. */
#ifndef WORKER_COMPILE_H
#define WORKER_COMPILE_H

#include "worker/engine.h"

/* Receives COMPILE, answers COMPILED or REFUSED. 0 also when the broker closed or the module was refused. */
int compile_run(int channel, wasm_engine_t *engine);

#endif
