/*
 * Where the files of a reference are (SPEC §3): reading what a person typed, the
 * addresses that follow from it, and what the forge's API answers about
 * releases and tags. Pure: no network.
 */
#ifndef STORE_RELEASE_H
#define STORE_RELEASE_H

#include "base/err.h"
#include "store/fqn.h"

#include <stddef.h>

#define RELEASE_URL_MAX    2048
#define RELEASE_PART_MAX   128
#define RELEASE_API_MAX    (4 * 1024 * 1024) /* bytes of one answer of the API */
#define RELEASE_PAGE_TAGS  100
#define RELEASE_PAGES_MAX  20
#define RELEASE_COMMIT_LEN 40

enum release_at { RELEASE_LATEST, RELEASE_VERSION, RELEASE_COMMIT };

/* RELEASE_THING: a connector or an action, fetched as its release; RELEASE_FILE: a file of the repository (suite.toml), fetched raw. */
enum release_kind { RELEASE_THING, RELEASE_FILE };

struct release_ref {
    struct fqn fqn; /* without @…; of a file: with its path */
    char owner[RELEASE_PART_MAX], repo[RELEASE_PART_MAX];
    char subpath[FQN_MAX]; /* "" = none; of a file: its path in the repository */
    enum release_at at;
    struct semver version;               /* RELEASE_VERSION */
    char commit[RELEASE_COMMIT_LEN + 1]; /* RELEASE_COMMIT; lower case */
};

/*
 * `github://owner/repo[/subpath…]@latest`, `@vX.Y.Z`, `@X.Y.Z` or `@<40 hex>`. Every wrong form has a message of its own and
 * the right form as the hint. -EINVAL; -ENOTSUP for gitlab://, which is recognised and cannot be fetched yet.
 */
int release_parse(const char *text, enum release_kind kind, struct release_ref *ret_ref, struct err *err);

/* "v1.2.3", or "<subpath>/v1.2.3" of a thing with a subpath. -ENAMETOOLONG, as all below. */
int release_tag(const struct release_ref *ref, const struct semver *version, char out[RELEASE_URL_MAX]);
/* https://github.com/O/R/releases/download/<tag>/aileron.tar.gz, the tag percent-escaped. */
int release_asset_url(const struct release_ref *ref, const struct semver *version, char out[RELEASE_URL_MAX]);
/* https://raw.githubusercontent.com/O/R/<at>/<path>; `at`: a tag, a commit or HEAD. */
int release_raw_url(const struct release_ref *ref, const char *at, const char *path, char out[RELEASE_URL_MAX]);
/* Paths below https://api.github.com. Pages count from 1. */
int release_latest_path(const struct release_ref *ref, char out[RELEASE_URL_MAX]);
int release_tags_path(const struct release_ref *ref, unsigned page, char out[RELEASE_URL_MAX]);

/* tag_name of the latest release: must be `v` and a version. -EINVAL says so and asks for a version. */
int release_latest_read(const char *text, size_t len, const struct release_ref *ref, struct semver *ret_version, struct err *err);

/* What pages of tags told so far; zero-initialised before the first. */
struct release_search {
    bool found, any;
    struct semver version; /* whose tag points at the commit; the highest of several */
    struct semver nearest; /* the highest released version seen */
};
/* Reads one page. 0 with *ret_last when no further page can hold more. */
int release_tags_read(
    const char *text, size_t len, const struct release_ref *ref, struct release_search *search, bool *ret_last, struct err *err);
/* The search is over without a hit: fills `err` with the nearest release to name. */
int release_not_tagged(const struct release_ref *ref, const struct release_search *search, struct err *err);

#endif
