/*
 * Libraries that handle credentials keep copies of them in ordinary heap memory.
 * Their allocators are replaced here by ones that wipe every block on release.
 */
#ifndef KEEPER_MEMORY_H
#define KEEPER_MEMORY_H

#include "base/err.h"

/* For jansson, OpenSSL and curl. Must be the first thing the program does with any of them. */
int memory_wipe_on_release(struct err *err);

#endif
