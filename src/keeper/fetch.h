/*
 * aileron-keeper --fetch [--dev-connect-to ROW]… [--dev-ca FILE]: downloads what needs no credential. Started by the broker when
 * something is to be fetched, with their channel on descriptor 3 (client.h, FETCH_*). No vault, no home, no door, no secret;
 * confined before it reads its first byte; exits when nothing was asked of it for FETCH_IDLE_MS.
 */
#ifndef KEEPER_FETCH_H
#define KEEPER_FETCH_H

#include "base/err.h"

#define FETCH_IDLE_MS     60000
#define FETCH_PROGRESS_MS 200
#define FETCH_MAX         64 /* downloads at once */

/* `argv[0]` is "--fetch". 0 when the broker is gone or it was idle. */
int fetch_run(int argc, char **argv, struct err *err);

#endif
