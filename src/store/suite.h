/* suite.toml (SPEC §4): a list of actions that are installed together. Unknown key = error with its position. Pure. */
#ifndef STORE_SUITE_H
#define STORE_SUITE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "store/release.h"

#define SUITE_ACTIONS_MAX 128

struct suite {
    char *name, *description;
    char **actions; /* each FQN@VERSION, all different */
    size_t actions_len;
};

/*
 * `ref` and `version` (of the tag that the reference stands for) resolve entries of the form "actions/<x>"; NULL for a
 * local file, in which only full FQN@VERSION may stand. `name` is how errors call the file.
 */
int suite_parse(const char *text, size_t len, const char *name, const struct release_ref *ref, const struct semver *version,
    struct suite **ret_suite, struct err *err);
void suite_free(struct suite *suite);
DEFINE_CLEANUP_PTR(struct suite, suite_free)

#endif
