/* The seccomp filters of each role, made with libseccomp from the tables in filter.c. */
#ifndef CONFINE_FILTER_H
#define CONFINE_FILTER_H

#include "confine/confine.h"

int filter_begin(enum confine_role role, struct err *err);
int filter_tighten(enum confine_role role, struct err *err);

#endif
