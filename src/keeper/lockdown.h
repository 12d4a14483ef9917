/* What the keeper may still touch once it serves: its home, the resolver's settings, sockets. The fetcher: the latter two. */
#ifndef KEEPER_LOCKDOWN_H
#define KEEPER_LOCKDOWN_H

#include "confine/confine.h"

/* Both stages of confinement for the keeper of this home; NULL: for the fetcher, which has none. */
int lockdown(const char *home, struct confine_report *ret_report, struct err *err);

#endif
