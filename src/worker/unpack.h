/*
 * The conversations of `aileron-worker --unpack` (one archive in, its files out) and of
 * `--pack` (the other way round).
 */
#ifndef WORKER_UNPACK_H
#define WORKER_UNPACK_H

/* Receives UNPACK, answers a FILE for each file and UNPACKED, or REFUSED. 0 also when the broker closed or the archive was refused. */
int unpack_run(int channel);
/* Receives FILE frames and PACK, answers PACKED or REFUSED. */
int pack_run(int channel);

#endif
