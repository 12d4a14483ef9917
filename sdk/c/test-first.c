/*
 * The reader's first connector, as docs/authoring-a-connector.md shows it, run
 * natively, its manifest and its action read by the product's own parsers: the page
 * must not promise what its files do not do. argv[1] is the folder they are in.
 */
#include "action/action.h"
#include "base/file.h"
#include "connector/manifest.h"
#include "fake-host.h"

#include <fcntl.h>
#include <stdio.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const char *folder;

/* A file of the page with its placeholders filled in; freed by the caller. */
static char *filled(const char *name, size_t *ret_len)
{
    static char fqn[] = "local://me/npm", version[] = "0.1.0",
                hash[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    const struct action_pair pairs[] = { { (char *) "FQN", fqn }, { (char *) "VERSION", version }, { (char *) "HASH", hash } };
    CLEANUP(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    struct err err = ERR_INIT;
    char path[4096], *text = NULL;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (file_read(AT_FDCWD, path, &buf, &err) != 0 ||
        action_substitute(buf.data, buf.len, name, pairs, ARRAY_LEN(pairs), &text, ret_len, &err) != 0)
        fail_msg("%s", err.message);
    return text;
}

static int reset(void **state)
{
    fake_host_reset();
    return 0;
}

static void answers_as_the_page_says(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200, "{\"name\":\"@types/node\",\"version\":\"22.10.1\",\"description\":\"Types\"}");
    output = fake_host_run("latest_version", "{\"package\":\"@types/node\"}");
    assert_non_null(output);
    assert_string_equal(aileron_json_string(output, "version"), "22.10.1");
    assert_string_equal(fake_host_request(0, "url"), "https://registry.npmjs.org/%40types%2Fnode/latest");
    assert_string_equal(fake_host_request(0, "method"), "GET");
}

static void fails_as_the_page_says(void **state)
{
    assert_null(fake_host_run("latest_version", "{}"));
    assert_string_equal(fake_host_error_class(), "bad_input");
    assert_int_equal(fake_host_requests(), 0);
    fake_host_answer(404, "\"Not Found\"");
    assert_null(fake_host_run("latest_version", "{\"package\":\"no-such-package\"}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
}

static void is_installed_as_the_page_says(void **state)
{
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    CLEANUP_PTR(action_free) struct action *action = NULL;
    struct err err = ERR_INIT;
    size_t len = 0;
    CLEANUP_FREE char *manifest_text = filled("manifest.toml", &len), *action_text = NULL;

    if (manifest_parse(manifest_text, len, "manifest.toml", &manifest, &err) != 0)
        fail_msg("%s", err.message);
    assert_true(manifest_allows(manifest, "registry.npmjs.org:443"));
    action_text = filled("latest-version.md", &len);
    if (action_parse(action_text, len, "latest-version.md", "latest-version", &action, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(action->requires_[0].name, manifest->name);
    assert_string_equal(action->steps[0].op, aileron_operations[0].name);
    assert_true(action_is_idempotent(action));
    assert_true(action_is_read_only(action));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_as_the_page_says, reset, reset),
        cmocka_unit_test_setup_teardown(fails_as_the_page_says, reset, reset),
        cmocka_unit_test(is_installed_as_the_page_says),
    };

    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
