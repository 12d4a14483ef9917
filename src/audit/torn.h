/* What a crash left behind the last whole line of a file: kept in torn/, cut off the file. */
#ifndef AUDIT_TORN_H
#define AUDIT_TORN_H

#include <stdint.h>

/*
 * Moves everything of `fd` from `offset` on to <dirfd>/torn/<name>.<offset>.<n>; the piece is durable there before it leaves
 * the file. `fd` is open for reading and writing.
 */
int audit_torn_move(int dirfd, int fd, const char *name, uint64_t offset);

#endif
