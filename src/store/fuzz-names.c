/*
 * Fuzzes names, versions and references. A version is one exactly when the
 * specification's own regular expression says so (semver.org, in POSIX form); what is accepted
 * reads the same again, and the addresses made from it hold nothing that could be taken for another.
 */
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/release.h"

#include "base/banned.h"

#define NUMBER   "(0|[1-9][0-9]*)"
#define PRE      "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
#define BUILD    "[0-9a-zA-Z-]+"
#define SEMVER   "^" NUMBER "\\." NUMBER "\\." NUMBER "(-" PRE "(\\." PRE ")*)?(\\+" BUILD "(\\." BUILD ")*)?$"
#define TEXT_MAX 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_semver(const char *text)
{
    static regex_t pattern;
    static bool ready;
    struct semver version, again;

    if (!ready)
        require(regcomp(&pattern, SEMVER, REG_EXTENDED | REG_NOSUB) == 0);
    ready = true;
    bool plain = regexec(&pattern, text[0] == 'v' ? text + 1 : text, 0, NULL, 0) == 0 && !strchr(text, '\n');
    bool ours = semver_parse(text, &version, NULL) == 0;
    /* Ours is bounded, theirs is not. */
    require(ours == (plain && strlen(text) - (text[0] == 'v') < SEMVER_MAX));
    if (ours)
        require(semver_parse(version.text, &again, NULL) == 0 && semver_compare(&version, &again) == 0);
}

static void check_reference(const char *text, enum release_kind kind)
{
    const struct semver one = { "1.2.3-rc.1+b" };
    struct release_ref ref;
    struct err err = ERR_INIT;
    char url[RELEASE_URL_MAX];

    if (release_parse(text, kind, &ref, &err) < 0) {
        require(err.message[0] && err.hint[0]);
        return;
    }
    require(strncmp(text, ref.fqn.text, strlen(ref.fqn.text)) == 0 && text[strlen(ref.fqn.text)] == '@');
    require(ref.owner[0] && ref.repo[0] && !strpbrk(ref.owner, "/%?#@:") && !strpbrk(ref.repo, "/%?#@:"));
    if (release_asset_url(&ref, ref.at == RELEASE_VERSION ? &ref.version : &one, url) == 0) {
        require(strncmp(url, "https://github.com/", 19) == 0 && !strstr(url, "/../") && !strpbrk(url, "?#@ \\\n"));
        require(strcmp(strrchr(url, '/'), "/aileron.tar.gz") == 0);
    }
    if (release_raw_url(&ref, "HEAD", "keys/publisher.pub", url) == 0)
        require(strncmp(url, "https://raw.githubusercontent.com/", 34) == 0 && !strpbrk(url, "?#@ \\\n%"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    struct fqn fqn;
    struct semver version;

    if (size >= sizeof text || memchr(data, 0, size))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_semver(text);
    check_reference(text, RELEASE_THING);
    check_reference(text, RELEASE_FILE);
    if (fqn_parse_versioned(text, &fqn, &version, NULL) == 0)
        require(!strchr(fqn.text, '@') && fqn_parse(fqn.text, &fqn, NULL) == 0);
    return 0;
}
