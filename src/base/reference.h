/*
 * The grammar of the names that several concerns read alike (SPEC §3, §4): SemVer
 * 2.0 versions, references to connectors and actions, content hashes. Only
 * yes or no and why; what a name means belongs to src/store. Pure.
 */
#ifndef BASE_REFERENCE_H
#define BASE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#define REFERENCE_FQN_MAX    512 /* bytes, NUL included */
#define REFERENCE_SEMVER_MAX 128

/* SemVer 2.0 as by its own regular expression (semver.org), without a leading `v`, shorter than REFERENCE_SEMVER_MAX. */
bool reference_is_semver(const char *text, size_t len);
/*
 * `scheme://owner/repo[/subpath…]`, schemes github, gitlab, local; local needs an owner only. NULL when it is
 * one, else static text that says what is wrong, fit to follow the name and ": ".
 */
const char *reference_fqn_fault(const char *text, size_t len);
/* "sha256:" and 64 lower-case hexadecimal digits. */
bool reference_is_hash(const char *text);

#endif
