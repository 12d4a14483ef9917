/*
 * SemVer 2.0: the grammar is base/reference's; here a version is kept and two are
 * ordered by §11 of the specification. Numbers are compared as text (length,
 * then digits), so that no number is too large.
 */
#include "store/semver.h"

#include "base/reference.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/banned.h"

static_assert(SEMVER_MAX == REFERENCE_SEMVER_MAX, "one bound for versions");

int semver_parse(const char *text, struct semver *ret_version, struct err *err)
{
    const char *plain = text[0] == 'v' ? text + 1 : text;
    size_t len = strlen(plain);

    if (!reference_is_semver(plain, len)) {
        err_set(err, EINVAL, "'%.60s' is not a version", text);
        err_hint(err, "write MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-rc.1 (semver.org); ranges are not supported");
        return -EINVAL;
    }
    memcpy(ret_version->text, plain, len + 1);
    return 0;
}

/* A run of digits or of an identifier; advances past one separator. */
static size_t part_take(const char **at, const char *stops, const char **ret_part)
{
    size_t len = strcspn(*at, stops);

    *ret_part = *at;
    *at += len;
    return len;
}

static int number_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    return strncmp(a, b, a_len);
}

static int identifier_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    bool a_number = strspn(a, "0123456789") >= a_len, b_number = strspn(b, "0123456789") >= b_len;
    int order = 0;

    if (a_number && b_number)
        return number_compare(a, a_len, b, b_len);
    if (a_number != b_number)
        return a_number ? -1 : 1;
    order = strncmp(a, b, a_len < b_len ? a_len : b_len);
    if (order != 0)
        return order;
    return a_len < b_len ? -1 : a_len > b_len;
}

/* Both stand behind the core: at '-', '+' or the end. A version with a pre-release comes before one without. */
static int prerelease_compare(const char *a, const char *b)
{
    if (*a != '-' || *b != '-')
        return (*b == '-') - (*a == '-');
    for (;;) {
        const char *one = NULL, *other = NULL;
        size_t one_len = 0, other_len = 0;
        int order = 0;

        a++;
        b++;
        one_len = part_take(&a, ".+", &one);
        other_len = part_take(&b, ".+", &other);
        order = identifier_compare(one, one_len, other, other_len);
        if (order != 0 || *a != '.' || *b != '.')
            return order != 0 ? order : (*a == '.') - (*b == '.');
    }
}

int semver_compare(const struct semver *a, const struct semver *b)
{
    const char *x = a->text, *y = b->text;

    for (int i = 0; i < 3; i++) {
        const char *one = NULL, *other = NULL;
        size_t one_len = part_take(&x, ".-+", &one), other_len = part_take(&y, ".-+", &other);
        int order = number_compare(one, one_len, other, other_len);

        if (order != 0)
            return order;
        if (i < 2) {
            x++;
            y++;
        }
    }
    return prerelease_compare(x, y);
}
