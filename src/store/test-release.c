/* References as people type them, with the right form in every refusal; the addresses that follow; the forge's answers. */
#include "base/cleanup.h"
#include "store/release.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct release_ref parse(const char *text, enum release_kind kind)
{
    struct release_ref ref;
    struct err err = ERR_INIT;

    if (release_parse(text, kind, &ref, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return ref;
}

static void test_right_forms(void **state)
{
    struct release_ref ref = parse("github://acme/tools@latest", RELEASE_THING);

    assert_string_equal(ref.owner, "acme");
    assert_string_equal(ref.repo, "tools");
    assert_string_equal(ref.subpath, "");
    assert_string_equal(ref.fqn.text, "github://acme/tools");
    assert_int_equal(ref.at, RELEASE_LATEST);
    ref = parse("github://acme/tools/connectors/mail@v1.2.3", RELEASE_THING);
    assert_string_equal(ref.subpath, "connectors/mail");
    assert_int_equal(ref.at, RELEASE_VERSION);
    assert_string_equal(ref.version.text, "1.2.3");
    ref = parse("github://acme/tools@1.2.3-rc.1+b", RELEASE_THING);
    assert_string_equal(ref.version.text, "1.2.3-rc.1+b");
    ref = parse("github://acme/tools@0123456789ABCDEF0123456789abcdef01234567", RELEASE_THING);
    assert_int_equal(ref.at, RELEASE_COMMIT);
    assert_string_equal(ref.commit, COMMIT);
    ref = parse("github://acme/tools/suite.toml@latest", RELEASE_FILE);
    assert_string_equal(ref.subpath, "suite.toml");
    assert_string_equal(parse("github://acme/tools/mail/suite.toml@v1.0.0", RELEASE_FILE).subpath, "mail/suite.toml");
}

/* Each wrong form has words of its own and says the right form. */
static void test_wrong_forms(void **state)
{
    static const struct {
        const char *text;
        enum release_kind kind;
        const char *message, *hint;
    } wrong[] = {
        { "acme/tools", RELEASE_THING, "no scheme", "github://acme/tools@latest" },
        { "acme/tools@v1.0.0", RELEASE_THING, "no scheme", "github://acme/tools@v1.0.0" },
        { "tools", RELEASE_THING, "no scheme", "github://OWNER/REPO@latest" },
        { "https://github.com/acme/tools", RELEASE_THING, "address of a page", "github://acme/tools@latest" },
        { "https://github.com/acme/tools/tree/main/x", RELEASE_THING, "address of a page", "github://acme/tools@latest" },
        { "git@github.com:acme/tools.git", RELEASE_THING, "address of a page", "github://acme/tools@latest" },
        { "https://github.com/acme/tools", RELEASE_FILE, "address of a page", "github://acme/tools/suite.toml@latest" },
        { "gitlab://acme/tools@v1.0.0", RELEASE_THING, "GitLab", "github://" },
        { "local://tools", RELEASE_THING, "local name", "--local" },
        { "./tools", RELEASE_THING, "a path", "--local" },
        { "/srv/tools", RELEASE_THING, "a path", "--local" },
        { "github://acme/tools", RELEASE_THING, "no version", "github://acme/tools@latest" },
        { "github://acme/tools@", RELEASE_THING, "ends after", "@latest" },
        { "github://acme@x/tools@v1.0.0", RELEASE_THING, "two @", "one version" },
        { "github://acme@v1.0.0", RELEASE_THING, "owner and a repository", "github://OWNER/REPO" },
        { "github://acme/../x@v1.0.0", RELEASE_THING, "not '.' or '..'", "github://OWNER/REPO" },
        { "github://"
          "o123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
          "890123456789/tools@v1.0.0",
            RELEASE_THING, "longer", "github://OWNER/REPO" },
        { "github://acme/tools/@v1.0.0", RELEASE_THING, "each part", "github://OWNER/REPO" },
        { "github://acme/tools@main", RELEASE_THING, "branch", "@latest" },
        { "github://acme/tools@release-1", RELEASE_THING, "branch", "@latest" },
        { "github://acme/tools@Latest", RELEASE_THING, "branch", "@latest" },
        { "github://acme/tools@0123456", RELEASE_THING, "too few or too many digits", "40 digits" },
        { "github://acme/tools@^1.2.0", RELEASE_THING, "range", "one version" },
        { "github://acme/tools@>=1", RELEASE_THING, "range", "one version" },
        { "github://acme/tools@1.x", RELEASE_THING, "range", "one version" },
        { "github://acme/tools@1.2", RELEASE_THING, "incomplete", "MAJOR.MINOR.PATCH" },
        { "github://acme/tools@v1", RELEASE_THING, "incomplete", "MAJOR.MINOR.PATCH" },
        { "github://acme/tools/suite.toml@latest", RELEASE_THING, "suite", "add-suite" },
        { "github://acme/tools/actions/x.md@latest", RELEASE_THING, "names a file", "actions/NAME" },
        { "github://acme/tools@latest", RELEASE_FILE, "no suite file", "github://acme/tools/suite.toml@latest" },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct release_ref ref;
        struct err err = ERR_INIT;

        if (release_parse(wrong[i].text, wrong[i].kind, &ref, &err) >= 0)
            fail_msg("taken: %s", wrong[i].text);
        if (!strstr(err.message, wrong[i].message) || !strstr(err.hint, wrong[i].hint))
            fail_msg("%s: %s (%s)", wrong[i].text, err.message, err.hint);
    }
}

static void test_addresses(void **state)
{
    struct release_ref plain = parse("github://acme/tools@v1.2.3+b", RELEASE_THING);
    struct release_ref deep = parse("github://acme/tools/connectors/mail@v1.2.3", RELEASE_THING);
    char url[RELEASE_URL_MAX];

    assert_int_equal(release_asset_url(&plain, &plain.version, url), 0);
    assert_string_equal(url, "https://github.com/acme/tools/releases/download/v1.2.3%2Bb/aileron.tar.gz");
    assert_int_equal(release_tag(&deep, &deep.version, url), 0);
    assert_string_equal(url, "connectors/mail/v1.2.3");
    assert_int_equal(release_asset_url(&deep, &deep.version, url), 0);
    assert_string_equal(url, "https://github.com/acme/tools/releases/download/connectors%2Fmail%2Fv1.2.3/aileron.tar.gz");
    assert_int_equal(release_raw_url(&plain, "HEAD", "keys/publisher.pub", url), 0);
    assert_string_equal(url, "https://raw.githubusercontent.com/acme/tools/HEAD/keys/publisher.pub");
    assert_int_equal(release_latest_path(&deep, url), 0);
    assert_string_equal(url, "/repos/acme/tools/releases/latest");
    assert_int_equal(release_tags_path(&deep, 2, url), 0);
    assert_string_equal(url, "/repos/acme/tools/tags?per_page=100&page=2");
}

static int latest(const char *text, struct semver *ret_version, struct err *err)
{
    struct release_ref ref = parse("github://acme/tools/sub@latest", RELEASE_THING);

    return release_latest_read(text, strlen(text), &ref, ret_version, err);
}

static void test_latest(void **state)
{
    static const char *const wrong[] = { "{\"tag_name\":\"1.2.3\"}", "{\"tag_name\":\"sub/v1.2.3\"}",
        "{\"tag_name\":\"vv1.2.3\"}", "{\"tag_name\":\"nightly\"}", "{\"tag_name\":7}", "{}", "{\"tag_name\":\"v1.2\"}" };
    struct semver version;
    struct err err = ERR_INIT;

    assert_int_equal(latest("{\"tag_name\":\"v1.2.3\",\"other\":[1]}", &version, &err), 0);
    assert_string_equal(version.text, "1.2.3");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(latest(wrong[i], &version, &err), -EINVAL);
        assert_non_null(strstr(err.hint, "github://acme/tools/sub@v1.2.3"));
    }
    assert_int_equal(latest("<html>", &version, &err), -EBADMSG);
}

static void test_tags(void **state)
{
    static const char page[] = "[{\"name\":\"v1.0.0\",\"commit\":{\"sha\":\"" COMMIT "\"}},"
                               "{\"name\":\"v1.10.0\",\"commit\":{\"sha\":\"ffffffffffffffffffffffffffffffffffffffff\"}},"
                               "{\"name\":\"mail/v3.0.0\",\"commit\":{\"sha\":\"" COMMIT "\"}},"
                               "{\"name\":\"nightly\",\"commit\":{\"sha\":\"" COMMIT "\"}},"
                               "{\"name\":\"v1.1.0\",\"commit\":{\"sha\":\"" COMMIT "\"}}, 5, {\"name\":\"v9.0.0\"}]";
    struct release_ref plain = parse("github://acme/tools@" COMMIT, RELEASE_THING);
    struct release_ref mail = parse("github://acme/tools/mail@" COMMIT, RELEASE_THING);
    struct release_ref file = parse("github://acme/tools/mail/suite.toml@" COMMIT, RELEASE_FILE);
    struct release_ref other = parse("github://acme/tools/other@" COMMIT, RELEASE_THING);
    struct release_search search = { 0 }, sub = { 0 }, own = { 0 }, none = { 0 };
    struct err err = ERR_INIT;
    bool last = false;

    assert_int_equal(release_tags_read(page, strlen(page), &plain, &search, &last, &err), 0);
    assert_true(last && search.found);
    assert_string_equal(search.version.text, "1.1.0");
    assert_string_equal(search.nearest.text, "1.10.0");
    assert_int_equal(release_tags_read(page, strlen(page), &mail, &sub, &last, &err), 0);
    assert_string_equal(sub.version.text, "3.0.0");
    assert_int_equal(release_tags_read(page, strlen(page), &file, &own, &last, &err), 0);
    assert_string_equal(own.version.text, "1.1.0");
    assert_int_equal(release_tags_read(page, strlen(page), &other, &none, &last, &err), 0);
    assert_false(none.found);
    assert_int_equal(release_not_tagged(&other, &none, &err), -ENOENT);
    assert_non_null(strstr(err.hint, "no release yet"));
    memcpy(plain.commit, "9999", 4);
    search = (struct release_search){ 0 };
    assert_int_equal(release_tags_read(page, strlen(page), &plain, &search, &last, &err), 0);
    assert_false(search.found);
    assert_int_equal(release_not_tagged(&plain, &search, &err), -ENOENT);
    assert_non_null(strstr(err.hint, "github://acme/tools@v1.10.0"));
    assert_int_equal(release_tags_read("{}", 2, &plain, &search, &last, &err), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_forms),
        cmocka_unit_test(test_wrong_forms),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
