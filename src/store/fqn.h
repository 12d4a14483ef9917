/*
 * References to connectors and actions (SPEC §3): `scheme://owner/repo[/subpath…]`,
 * with `@VERSION` split at the last `@`. Pure.
 */
#ifndef STORE_FQN_H
#define STORE_FQN_H

#include "base/err.h"
#include "store/semver.h"

#include <stdbool.h>

#define FQN_MAX 512

enum fqn_scheme { FQN_GITHUB, FQN_GITLAB, FQN_LOCAL };

struct fqn {
    enum fqn_scheme scheme;
    char text[FQN_MAX]; /* as written, without @VERSION */
};

/* A name without a version. local:// needs an owner only (`local://google`), the others owner and repo. -EINVAL with the right form in `err`. */
int fqn_parse(const char *text, struct fqn *ret_fqn, struct err *err);
/* FQN@VERSION; `v` before the version is read and dropped. */
int fqn_parse_versioned(const char *text, struct fqn *ret_fqn, struct semver *ret_version, struct err *err);

#endif
