/*
 * References as people write them. The grammar is base/reference's; this file
 * splits the version off and says what the right form would have been. Names are
 * kept as written, for they are compared byte for byte.
 */
#include "store/fqn.h"

#include "base/reference.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/banned.h"

static_assert(FQN_MAX == REFERENCE_FQN_MAX, "one bound for names");

#define COMMIT_LEN 40

static enum fqn_scheme scheme_of(const char *text)
{
    if (text[0] == 'l')
        return FQN_LOCAL;
    return strncmp(text, "github", 6) == 0 ? FQN_GITHUB : FQN_GITLAB;
}

static int fqn_parse_span(const char *text, size_t len, struct fqn *ret_fqn, struct err *err)
{
    const char *fault = reference_fqn_fault(text, len);

    if (fault) {
        err_set(err, EINVAL, "'%.*s' is not a name: %s", (int) (len < 80 ? len : 80), text, fault);
        err_hint(err, "write github://OWNER/REPO, github://OWNER/REPO/SUBPATH or local://NAME");
        return -EINVAL;
    }
    ret_fqn->scheme = scheme_of(text);
    memcpy(ret_fqn->text, text, len);
    ret_fqn->text[len] = '\0';
    return 0;
}

int fqn_parse(const char *text, struct fqn *ret_fqn, struct err *err)
{
    if (strchr(text, '@')) {
        err_set(err, EINVAL, "'%.80s' has a version where only a name is expected", text);
        err_hint(err, "leave out '@' and what follows it");
        return -EINVAL;
    }
    return fqn_parse_span(text, strlen(text), ret_fqn, err);
}

int fqn_parse_versioned(const char *text, struct fqn *ret_fqn, struct semver *ret_version, struct err *err)
{
    const char *at = strrchr(text, '@');
    struct fqn fqn;
    int r = 0;

    if (!at) {
        err_set(err, EINVAL, "'%.80s' has no version", text);
        err_hint(err, "add it: %.80s@1.2.3", text);
        return -EINVAL;
    }
    r = fqn_parse_span(text, (size_t) (at - text), &fqn, err);
    if (r < 0)
        return r;
    if (strlen(at + 1) == COMMIT_LEN && strspn(at + 1, "0123456789abcdefABCDEF") == COMMIT_LEN)
        return err_set(err, EINVAL, "'%.80s' names a commit; write the version that was released from it", text);
    r = semver_parse(at + 1, ret_version, err);
    if (r < 0)
        return r;
    *ret_fqn = fqn;
    return 0;
}
