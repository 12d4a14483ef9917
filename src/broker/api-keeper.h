/* How routes answer when the keeper said no, or could not be asked. */
#ifndef BROKER_API_KEEPER_H
#define BROKER_API_KEEPER_H

#include "broker/api.h"
#include "broker/keeper-link.h"

/* Any result but KEEPER_OK. */
void api_keeper_failed(struct api_reply *reply, const struct keeper_reply *answer);
/* keeper_ask() returned `r`. */
void api_keeper_not_asked(struct api_reply *reply, int r);

#endif
