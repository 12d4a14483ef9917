/*
 * References as people type them. The order of the checks is that of the likely
 * mistakes, so that each is answered with its own right form; what passes is
 * held to the grammar of names and versions at the end.
 */
#include "store/release.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define GITHUB "github://"
#define SHOWN  80 /* characters of a wrong reference that are repeated */

static bool starts_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* ---- reading ---- */

/* "github://owner/repo" out of an address of the forge's pages, for the hint; false when there is none in it. */
static bool page_address(const char *text, char *out, size_t size)
{
    static const char *const prefixes[] = { "https://github.com/", "http://github.com/", "https://www.github.com/", "github.com/",
        "git@github.com:", "ssh://git@github.com/" };

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const char *rest = text + strlen(prefixes[i]);
        size_t owner = 0, repo = 0;

        if (!starts_with(text, prefixes[i]))
            continue;
        owner = strcspn(rest, "/@?#");
        repo = rest[owner] == '/' ? strcspn(rest + owner + 1, "/@?#") : 0;
        if (repo > 4 && !strncmp(rest + owner + 1 + repo - 4, ".git", 4))
            repo -= 4;
        snprintf(out, size, GITHUB "%.*s/%.*s", (int) owner, rest, (int) repo, rest + owner + 1);
        return owner > 0 && repo > 0;
    }
    return false;
}

static int fault(struct err *err, int code, const char *text, const char *what, const char *hint)
{
    err_set(err, code, "'%.*s' %s", SHOWN, text, what);
    err_hint(err, "%s", hint);
    return -code;
}

static int scheme_check(const char *text, enum release_kind kind, struct err *err)
{
    const char *file = kind == RELEASE_FILE ? "/suite.toml" : "";
    const char *name = NULL;
    char right[256], hint[512];

    if (starts_with(text, GITHUB))
        return 0;
    if (starts_with(text, "gitlab://"))
        return fault(err, ENOTSUP, text, "is on GitLab, which cannot be fetched from yet", "write github://OWNER/REPO@latest");
    if (starts_with(text, "local://"))
        return fault(err, EINVAL, text, "is a local name; there is nothing to fetch", "install it from its folder: --local PATH");
    if (page_address(text, right, sizeof right)) {
        snprintf(hint, sizeof hint, "write %.200s%s@latest", right, file);
        return fault(err, EINVAL, text, "is the address of a page, not a reference", hint);
    }
    if (text[0] == '.' || text[0] == '/' || text[0] == '~')
        return fault(err, EINVAL, text, "is a path, not a reference", "to install from a folder, add --local");
    name = strchr(text, '/') && !strchr(text, ' ') ? text : "OWNER/REPO";
    snprintf(hint, sizeof hint, "write github://%.120s%s", name, strchr(name, '@') ? "" : "@latest");
    return fault(err, EINVAL, text, "has no scheme", hint);
}

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdefABCDEF") == len;
}

static int at_read(const char *text, const char *at, struct release_ref *ref, struct err *err)
{
    size_t len = strlen(at);

    if (!strcmp(at, "latest")) {
        ref->at = RELEASE_LATEST;
        return 0;
    }
    if (len == RELEASE_COMMIT_LEN && is_hex(at, len)) {
        ref->at = RELEASE_COMMIT;
        for (size_t i = 0; i < len; i++)
            ref->commit[i] = (char) tolower((unsigned char) at[i]);
        return 0;
    }
    ref->at = RELEASE_VERSION;
    if (semver_parse(at, &ref->version, NULL) == 0)
        return 0;
    if (len == 0)
        return fault(err, EINVAL, text, "ends after the @", "write @latest, @v1.2.3 or @ and a commit's 40 digits");
    if (len >= 7 && is_hex(at, len))
        return fault(
            err, EINVAL, text, "names a commit by too few or too many digits", "write all 40 digits: git rev-parse HEAD");
    if (strpbrk(at, "^~<>=*xX ") && strpbrk(at, "0123456789*"))
        return fault(err, EINVAL, text, "names a range of versions",
            "ranges are not supported: write one version, such as @v1.2.3, or @latest");
    if (at[strspn(at, "v0123456789.")] == '\0')
        return fault(err, EINVAL, text, "has an incomplete version", "write all three numbers: @vMAJOR.MINOR.PATCH");
    return fault(err, EINVAL, text, "names a branch or another tag", "write @latest, @v1.2.3 or @ and a commit's 40 digits");
}

static int part_copy(char *out, size_t size, const char *from, size_t len, const char *what, struct err *err)
{
    if (len >= size) {
        err_set(err, EINVAL, "the %s is longer than %zu characters", what, size - 1);
        err_hint(err, "write github://OWNER/REPO@latest");
        return -EINVAL;
    }
    memcpy(out, from, len);
    out[len] = '\0';
    return 0;
}

static int parts_read(struct release_ref *ref, struct err *err)
{
    const char *owner = ref->fqn.text + strlen(GITHUB), *repo = strchr(owner, '/') + 1;
    size_t repo_len = strcspn(repo, "/");
    const char *rest = repo[repo_len] ? repo + repo_len + 1 : "";
    int r = part_copy(ref->owner, sizeof ref->owner, owner, (size_t) (repo - 1 - owner), "name of the owner", err);

    if (r == 0)
        r = part_copy(ref->repo, sizeof ref->repo, repo, repo_len, "name of the repository", err);
    return r < 0 ? r : part_copy(ref->subpath, sizeof ref->subpath, rest, strlen(rest), "path", err);
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text), end_len = strlen(end);

    return text_len >= end_len && !strcmp(text + text_len - end_len, end);
}

static int kind_check(const char *text, enum release_kind kind, const struct release_ref *ref, struct err *err)
{
    bool is_file = ends_with(ref->subpath, ".toml") || ends_with(ref->subpath, ".md");
    char hint[512];

    if (kind == RELEASE_FILE && !ends_with(ref->subpath, ".toml")) {
        snprintf(hint, sizeof hint, "write github://%s/%s/suite.toml%s", ref->owner, ref->repo, strrchr(text, '@'));
        return fault(err, EINVAL, text, "names no suite file", hint);
    }
    if (kind == RELEASE_THING && ends_with(ref->subpath, "suite.toml"))
        return fault(err, EINVAL, text, "is a suite of actions", "install it with: aileron action add-suite");
    if (kind == RELEASE_THING && is_file)
        return fault(err, EINVAL, text, "names a file of a repository, not what was released from it",
            "leave out the ending: github://OWNER/REPO/actions/NAME@latest");
    return 0;
}

int release_parse(const char *text, enum release_kind kind, struct release_ref *ret_ref, struct err *err)
{
    struct release_ref ref = { .at = RELEASE_LATEST };
    char name[FQN_MAX], hint[FQN_MAX + 32];
    const char *at = NULL;
    int r = scheme_check(text, kind, err);

    if (r < 0)
        return r;
    at = strrchr(text, '@');
    if (!at) {
        snprintf(hint, sizeof hint, "add it: %.*s@latest", SHOWN, text);
        return fault(err, EINVAL, text, "has no version", hint);
    }
    r = part_copy(name, sizeof name, text, (size_t) (at - text), "reference", err);
    if (r == 0 && strchr(name, '@'))
        r = fault(err, EINVAL, text, "has two @", "write one version: github://OWNER/REPO@v1.2.3");
    if (r == 0)
        r = fqn_parse(name, &ref.fqn, err);
    if (r == 0)
        r = at_read(text, at + 1, &ref, err);
    if (r == 0)
        r = parts_read(&ref, err);
    if (r == 0)
        r = kind_check(text, kind, &ref, err);
    if (r == 0)
        *ret_ref = ref;
    return r;
}

/* ---- addresses ---- */

static int address(char out[RELEASE_URL_MAX], const struct buf *text, int r)
{
    if (r < 0 || text->len >= RELEASE_URL_MAX)
        return r < 0 && r != -E2BIG ? r : -ENAMETOOLONG;
    memcpy(out, buf_str(text), text->len + 1);
    return 0;
}

int release_tag(const struct release_ref *ref, const struct semver *version, char out[RELEASE_URL_MAX])
{
    int n = snprintf(out, RELEASE_URL_MAX, "%s%sv%s", ref->subpath, ref->subpath[0] ? "/" : "", version->text);

    return n >= RELEASE_URL_MAX ? -ENAMETOOLONG : 0;
}

int release_asset_url(const struct release_ref *ref, const struct semver *version, char out[RELEASE_URL_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(RELEASE_URL_MAX);
    char tag[RELEASE_URL_MAX];
    int r = release_tag(ref, version, tag);

    if (r == 0)
        r = buf_printf(&text, "https://github.com/%s/%s/releases/download/", ref->owner, ref->repo);
    if (r == 0)
        r = percent_encode(tag, strlen(tag), &text);
    if (r == 0)
        r = buf_add_str(&text, "/aileron.tar.gz");
    return address(out, &text, r);
}

int release_raw_url(const struct release_ref *ref, const char *at, const char *path, char out[RELEASE_URL_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(RELEASE_URL_MAX);
    int r = buf_printf(&text, "https://raw.githubusercontent.com/%s/%s/", ref->owner, ref->repo);

    if (r == 0)
        r = percent_encode(at, strlen(at), &text);
    if (r == 0)
        r = buf_printf(&text, "/%s", path);
    return address(out, &text, r);
}

int release_latest_path(const struct release_ref *ref, char out[RELEASE_URL_MAX])
{
    int n = snprintf(out, RELEASE_URL_MAX, "/repos/%s/%s/releases/latest", ref->owner, ref->repo);

    return n >= RELEASE_URL_MAX ? -ENAMETOOLONG : 0;
}

int release_tags_path(const struct release_ref *ref, unsigned page, char out[RELEASE_URL_MAX])
{
    int n =
        snprintf(out, RELEASE_URL_MAX, "/repos/%s/%s/tags?per_page=%d&page=%u", ref->owner, ref->repo, RELEASE_PAGE_TAGS, page);

    return n >= RELEASE_URL_MAX ? -ENAMETOOLONG : 0;
}

/* ---- answers of the API ---- */

static int answer_parse(const char *text, size_t len, const struct release_ref *ref, json_t **ret_json, struct err *err)
{
    if (json_parse(text, len, JSON_LIMITS(RELEASE_API_MAX), ret_json, NULL) == 0)
        return 0;
    return err_set(err, EBADMSG, "what api.github.com says of %s/%s is not the JSON that it should be", ref->owner, ref->repo);
}

/* A tag is `v` and a version, nothing else; ranges of other names (release-1, 1.0) are none. */
static bool tag_version(const char *tag, const char *subpath, struct semver *ret_version)
{
    size_t len = strlen(subpath);

    if (len > 0) {
        if (strncmp(tag, subpath, len) != 0 || tag[len] != '/')
            return false;
        tag += len + 1;
    }
    return tag[0] == 'v' && tag[1] != 'v' && semver_parse(tag, ret_version, NULL) == 0;
}

int release_latest_read(const char *text, size_t len, const struct release_ref *ref, struct semver *ret_version, struct err *err)
{
    CLEANUP_JSON json_t *root = NULL;
    const char *tag = NULL;
    int r = answer_parse(text, len, ref, &root, err);

    if (r < 0)
        return r;
    tag = json_get_str(root, "tag_name");
    if (tag && tag_version(tag, "", ret_version))
        return 0;
    err_set(err, EINVAL, "the latest release of %s/%s is tagged '%.60s', which is not v and a version", ref->owner, ref->repo,
        tag ? tag : "");
    err_hint(err, "say which version: %.120s@v1.2.3", ref->fqn.text);
    return -EINVAL;
}

/* The subpath whose tags count: a file's version is its repository's. */
static const char *tags_subpath(const struct release_ref *ref)
{
    return ends_with(ref->subpath, ".toml") ? "" : ref->subpath;
}

static void keep_higher(struct semver *kept, bool *is_set, const struct semver *version)
{
    if (!*is_set || semver_compare(version, kept) > 0)
        *kept = *version;
    *is_set = true;
}

int release_tags_read(
    const char *text, size_t len, const struct release_ref *ref, struct release_search *search, bool *ret_last, struct err *err)
{
    CLEANUP_JSON json_t *root = NULL;
    const json_t *item = NULL;
    size_t i = 0;
    int r = answer_parse(text, len, ref, &root, err);

    if (r < 0)
        return r;
    if (!json_is_array(root))
        return err_set(err, EBADMSG, "what api.github.com says of the tags of %s/%s is no list", ref->owner, ref->repo);
    json_array_foreach(root, i, item)
    {
        const char *name = json_get_str(item, "name"), *sha = json_get_str(json_object_get(item, "commit"), "sha");
        struct semver version;

        if (!name || !sha || !tag_version(name, tags_subpath(ref), &version))
            continue;
        keep_higher(&search->nearest, &search->any, &version);
        if (!strcmp(sha, ref->commit))
            keep_higher(&search->version, &search->found, &version);
    }
    *ret_last = json_array_size(root) < RELEASE_PAGE_TAGS;
    return 0;
}

int release_not_tagged(const struct release_ref *ref, const struct release_search *search, struct err *err)
{
    err_set(err, ENOENT, "no release of %.200s was made from the commit %s", ref->fqn.text, ref->commit);
    if (search->any)
        err_hint(err, "the newest release is %.120s@v%.100s", ref->fqn.text, search->nearest.text);
    else
        err_hint(err, "it has no release yet: no tag v1.2.3 points at anything");
    return -ENOENT;
}
