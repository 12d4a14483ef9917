/*
 * What must be impossible inside a worker, as data: each row attempts one thing
 * and says 0 when it worked, else the errno. The same rows run outside, where they must
 * work (unless `privileged`), so that a probe which never works proves nothing unnoticed.
 */
#ifndef TESTS_WAT_PROBE_H
#define TESTS_WAT_PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct probe {
    const char *name;
    int (*attempt)(void);
    bool privileged; /* may fail outside too: needs root, a newer kernel, or a parent that allows it */
};

extern const struct probe probes[];
extern const size_t probes_len;

#endif
