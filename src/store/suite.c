/*
 * Reading suite.toml. An entry ends as FQN@VERSION, whatever it was written as,
 * so nothing after this file knows of relative ones.
 */
#include "store/suite.h"

#include "base/reference.h"
#include "base/toml-read.h"
#include "base/toml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ACTIONS_DIR "actions/"

static const struct toml_field fields[] = {
    { "name", TOML_STRING, true },
    { "description", TOML_STRING, true },
    { "actions", TOML_ARRAY, true },
};

void suite_free(struct suite *suite)
{
    if (!suite)
        return;
    free(suite->name);
    free(suite->description);
    toml_texts_free(suite->actions, suite->actions_len);
    free(suite);
}

/* "actions/<x>" of the suite's own repository as FQN@VERSION; NULL when it is no such entry. */
static char *relative_resolve(const char *entry, const struct release_ref *ref, const struct semver *version)
{
    char *full = NULL;

    if (strchr(entry, '@') || strchr(entry + strlen(ACTIONS_DIR), '/') ||
        asprintf(&full, "github://%s/%s/%s@%s", ref->owner, ref->repo, entry, version->text) < 0)
        return NULL;
    return full;
}

static int entry_resolve(char **entry, const struct toml_node *at, const char *name, const struct release_ref *ref,
    const struct semver *version, struct err *err)
{
    struct fqn fqn;
    struct semver own;
    char *full = NULL;

    if (strncmp(*entry, ACTIONS_DIR, strlen(ACTIONS_DIR)) == 0) {
        if (!ref)
            return toml_fail(
                at, name, err, "'%.80s': a local suite names actions in full: github://OWNER/REPO/actions/NAME@1.2.3", *entry);
        full = relative_resolve(*entry, ref, version);
        if (!full)
            return toml_fail(
                at, name, err, "'%.80s': write \"actions/NAME\" (no version: it is the suite's own) or a full reference", *entry);
        free(*entry);
        *entry = full;
    }
    if (fqn_parse_versioned(*entry, &fqn, &own, err) < 0)
        return toml_fail(
            at, name, err, "'%.80s' is no action: write \"actions/NAME\" or github://OWNER/REPO/actions/NAME@1.2.3", *entry);
    if (fqn.scheme == FQN_LOCAL)
        return toml_fail(at, name, err, "'%.80s': a suite cannot name a local action", *entry);
    /* One spelling: without the v, so that doubles are seen. */
    if (asprintf(&full, "%s@%s", fqn.text, own.text) < 0)
        return err_set(err, ENOMEM, "out of memory");
    free(*entry);
    *entry = full;
    return 0;
}

static int entries_resolve(struct suite *suite, const struct toml_node *list, const char *name, const struct release_ref *ref,
    const struct semver *version, struct err *err)
{
    for (size_t i = 0; i < suite->actions_len; i++) {
        int r = entry_resolve(&suite->actions[i], list->items[i], name, ref, version, err);

        if (r < 0)
            return r;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(suite->actions[k], suite->actions[i]))
                return toml_fail(list->items[i], name, err, "'%.80s' is there twice", suite->actions[i]);
    }
    return 0;
}

int suite_parse(const char *text, size_t len, const char *name, const struct release_ref *ref, const struct semver *version,
    struct suite **ret_suite, struct err *err)
{
    CLEANUP_PTR(suite_free) struct suite *suite = calloc(1, sizeof *suite);
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    const struct toml_node *list = NULL;
    int r = suite ? toml_parse(text, len, name, 1, &root, err) : err_set(err, ENOMEM, "out of memory");

    if (r == 0)
        r = toml_check(root, "the suite", fields, ARRAY_LEN(fields), name, err);
    if (r == 0)
        r = toml_read_text(root, "name", name, &suite->name, err);
    if (r == 0)
        r = toml_read_text(root, "description", name, &suite->description, err);
    if (r == 0)
        r = toml_read_texts(root, "actions", name, &suite->actions, &suite->actions_len, err);
    if (r < 0)
        return r;
    list = toml_get(root, "actions");
    if (suite->actions_len == 0)
        return toml_fail(list, name, err, "'actions' is empty: a suite names at least one action");
    if (suite->actions_len > SUITE_ACTIONS_MAX)
        return toml_fail(list, name, err, "'actions' names more than %d actions", SUITE_ACTIONS_MAX);
    r = entries_resolve(suite, list, name, ref, version, err);
    if (r < 0)
        return r;
    *ret_suite = TAKE_PTR(suite);
    return 0;
}
