/* SemVer 2.0 (semver.org): parse and compare, no ranges. Pure. */
#ifndef STORE_SEMVER_H
#define STORE_SEMVER_H

#include "base/err.h"

#define SEMVER_MAX 128

struct semver {
    char text[SEMVER_MAX]; /* without a leading v */
};

/* Accepts an optional leading `v`; -EINVAL. */
int semver_parse(const char *text, struct semver *ret_version, struct err *err);
/* Precedence (§11): <0, 0, >0; build metadata does not count. */
int semver_compare(const struct semver *a, const struct semver *b);

#endif
