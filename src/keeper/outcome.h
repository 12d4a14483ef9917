/* Results of the vault and of calls as the doors tell them. Pure. */
#ifndef KEEPER_OUTCOME_H
#define KEEPER_OUTCOME_H

#include "keeper/client.h"

/* 0, an enum vault_result or a negative errno. */
enum keeper_result outcome_of(int result);

#endif
