/*
 * Landlock by system call, since the C library has no functions for it. What a
 * kernel's version cannot hold back is left out; version 1 cannot allow renames across
 * folders, which the store needs, and counts as none.
 */
#ifndef CONFINE_LANDLOCK_H
#define CONFINE_LANDLOCK_H

#include "confine/confine.h"

/* The kernel's version, 0 when it has none that we can use. */
int landlock_version(void);
/* Restricts this thread, and what it starts, to the role's own places and `paths`. Needs no_new_privs. */
int landlock_restrict(enum confine_role role, const struct confine_paths *paths, int version, struct err *err);
/* From this version on a process can be kept from abstract sockets, and from signalling, outside of what it starts itself. */
#define LANDLOCK_SCOPES 6
/* Only that, for this thread and what it starts: no rule about files. Needs no_new_privs. */
int landlock_scope(struct err *err);

#endif
