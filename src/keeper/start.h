/* What both programs of this folder do first: environment, limits, and libraries that read files when they start. */
#ifndef KEEPER_START_H
#define KEEPER_START_H

#include "base/err.h"

/* Before the lock-down, while files may be read; once. */
int start_libraries(struct err *err);

#endif
