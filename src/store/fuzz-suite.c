/*
 * Fuzzes suite.toml, and the forge's answers about releases. The first byte chooses
 * which. Every entry of a suite that is taken is a full reference with a version.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/suite.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_suite(const char *text, size_t len, const struct release_ref *ref, const struct semver *version)
{
    CLEANUP_PTR(suite_free) struct suite *suite = NULL;
    struct err err = ERR_INIT;
    struct semver own;
    struct fqn fqn;

    if (suite_parse(text, len, "suite.toml", ref, version, &suite, &err) < 0) {
        require(err.message[0] != '\0');
        return;
    }
    require(suite->actions_len > 0 && suite->actions_len <= SUITE_ACTIONS_MAX && suite->name && suite->description);
    for (size_t i = 0; i < suite->actions_len; i++)
        require(fqn_parse_versioned(suite->actions[i], &fqn, &own, NULL) == 0 && fqn.scheme != FQN_LOCAL);
}

static void check_answers(const char *text, size_t len, const struct release_ref *ref)
{
    struct release_search search = { 0 };
    struct semver version;
    bool last = false;

    release_latest_read(text, len, ref, &version, NULL);
    if (release_tags_read(text, len, ref, &search, &last, NULL) == 0)
        require(!search.found || (search.any && semver_compare(&search.version, &search.nearest) <= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct semver version = { "1.4.0" };
    const char *text = (const char *) data + 1;
    struct release_ref ref;

    if (size == 0)
        return 0;
    require(
        release_parse("github://acme/tools/suite.toml@0123456789abcdef0123456789abcdef01234567", RELEASE_FILE, &ref, NULL) == 0);
    if (data[0] == 'a')
        check_answers(text, size - 1, &ref);
    else
        check_suite(text, size - 1, data[0] == 'l' ? NULL : &ref, &version);
    return 0;
}
