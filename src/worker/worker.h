/* The worker program as a function, so that tests can add host functions of their own. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/link.h"

/* `extra` may be NULL. Returns the exit status. */
int worker_main(int argc, char **argv, const struct host_table *extra);

#endif
