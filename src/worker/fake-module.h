/* What the stand-in of fake-module.c saw, and what it says. */
#ifndef WORKER_FAKE_MODULE_H
#define WORKER_FAKE_MODULE_H

#include "worker/call.h"
#include "worker/module.h"

struct fake {
    unsigned loads;
    unsigned runs;
    int64_t left_us; /* answer of deadline_left_us() */
};

extern struct fake fake;

#endif
