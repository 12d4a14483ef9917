/* The conversation of `aileron-worker --unpack`: one archive in, its files out. */
#ifndef WORKER_UNPACK_H
#define WORKER_UNPACK_H

/* Receives UNPACK, answers a FILE for each file and UNPACKED, or REFUSED. 0 also when the broker closed or the archive was refused. */
int unpack_run(int channel);

#endif
