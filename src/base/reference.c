/*
 * Names read byte by byte, from left to right, without regular expressions: each
 * function states one grammar. Lengths are bounded first, so that whoever copies
 * a name that passed may use an array of the stated size.
 */
#include "base/reference.h"

#include <string.h>

#include "base/banned.h"

#define HASH_HEX_LEN 64

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* `0` or digits without a leading zero. */
static bool is_number(const char *text, size_t len)
{
    if (len == 0 || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]))
            return false;
    return true;
}

/* One identifier of a pre-release or of build metadata; only the former must not be a number with a leading zero. */
static bool is_identifier(const char *text, size_t len, bool is_build)
{
    bool digits_only = true;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]) && !is_letter(text[i]) && text[i] != '-')
            return false;
        digits_only = digits_only && is_digit(text[i]);
    }
    return is_build || !digits_only || is_number(text, len);
}

static size_t span_until(const char *text, size_t len, char stop)
{
    const char *at = len ? memchr(text, stop, len) : NULL;

    return at ? (size_t) (at - text) : len;
}

static bool are_identifiers(const char *text, size_t len, bool is_build)
{
    for (;;) {
        size_t one = span_until(text, len, '.');

        if (!is_identifier(text, one, is_build))
            return false;
        if (one == len)
            return true;
        text += one + 1;
        len -= one + 1;
    }
}

bool reference_is_semver(const char *text, size_t len)
{
    size_t plus = 0, dash = 0, core = 0;

    if (len >= REFERENCE_SEMVER_MAX)
        return false;
    plus = span_until(text, len, '+');
    if (plus < len && !are_identifiers(text + plus + 1, len - plus - 1, true))
        return false;
    dash = span_until(text, plus, '-');
    if (dash < plus && !are_identifiers(text + dash + 1, plus - dash - 1, false))
        return false;
    for (int i = 0; i < 2; i++) {
        size_t one = span_until(text + core, dash - core, '.');

        if (core + one == dash || !is_number(text + core, one))
            return false;
        core += one + 1;
    }
    return is_number(text + core, dash - core);
}

static bool is_segment(const char *text, size_t len)
{
    if (len == 0 || (len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]) && !is_letter(text[i]) && !strchr("_.-", text[i]))
            return false;
    return true;
}

/* True when no NUL hides in the text: strchr above would take it for a match. */
static bool has_nul(const char *text, size_t len)
{
    return len > 0 && memchr(text, '\0', len) != NULL;
}

const char *reference_fqn_fault(const char *text, size_t len)
{
    static const struct {
        const char *prefix;
        unsigned segments;
    } schemes[] = { { "github://", 2 }, { "gitlab://", 2 }, { "local://", 1 } };
    unsigned needed = 0, found = 0;

    if (len >= REFERENCE_FQN_MAX || has_nul(text, len))
        return "a name has at most 511 characters and no NUL";
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && needed == 0; i++) {
        size_t prefix_len = strlen(schemes[i].prefix);

        if (len >= prefix_len && strncmp(text, schemes[i].prefix, prefix_len) == 0) {
            needed = schemes[i].segments;
            text += prefix_len;
            len -= prefix_len;
        }
    }
    if (needed == 0)
        return "a name starts with github://, gitlab:// or local://";
    for (;;) {
        size_t one = span_until(text, len, '/');

        if (!is_segment(text, one))
            return "each part between slashes is made of letters, digits, '_', '.' and '-', and is not '.' or '..'";
        found++;
        if (one == len)
            break;
        text += one + 1;
        len -= one + 1;
    }
    return found < needed ? "a name has an owner and a repository: scheme://owner/repo" : NULL;
}

bool reference_is_hash(const char *text)
{
    if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != 7 + HASH_HEX_LEN)
        return false;
    return strspn(text + 7, "0123456789abcdef") == HASH_HEX_LEN;
}
