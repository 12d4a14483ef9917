/* The question about a plan, and the lines and the table of what came of it. */
#include "cli/plan-show.h"
#include "cli/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static void expect_question(const char *facts, const char *question)
{
    const struct plan plan = { .facts = json_of(facts) };
    CLEANUP_FREE char *got = show_question(&plan);

    if (question)
        assert_string_equal(got, question);
    else
        assert_null(got);
    json_decref(plan.facts);
}

static void test_question(void **state)
{
    expect_question("{\"actions\":[{}],\"connectors\":[{}]}", "Install 1 action and 1 connector?");
    expect_question("{\"actions\":[{},{}],\"connectors\":[]}", "Install 2 actions?");
    expect_question("{\"actions\":[{\"updates\":\"1.0.0\"}],\"connectors\":[{}]}", "Update 1 action and install 1 connector?");
    expect_question("{\"actions\":[{\"updates\":\"1.0.0\"},{}],\"connectors\":[{},{}]}",
        "Update 1 action and install 1 action and 2 connectors?");
    expect_question("{\"connectors\":[{}]}", "Install 1 connector?");
    expect_question("{\"actions\":[{\"already_installed\":true}],\"connectors\":[{\"already_installed\":true}]}", NULL);
    /* Something that was edited is put right although its version stays. */
    expect_question(
        "{\"actions\":[{\"already_installed\":false}],\"connectors\":[{\"already_installed\":true}]}", "Install 1 action?");
}

static void test_badges(void **state)
{
    assert_string_equal(show_badge("comms_send"), "COMMS SEND");
    assert_string_equal(show_badge("comms_draft"), "COMMS DRAFT");
    assert_string_equal(show_badge("http_request"), "HTTP REQUEST");
    assert_string_equal(show_badge("action"), "ACTION");
    assert_string_equal(show_badge(""), "ACTION");
}

#define CONNECTOR(state)    "{\"kind\":\"connector\",\"name\":\"github://o/r\",\"version\":\"1.0.0\",\"state\":\"" state "\"}"
#define ACTION(name, state) "{\"kind\":\"action\",\"name\":\"" name "\",\"version\":\"1.1.0\",\"state\":\"" state "\"}"
#define FAILED(name, state)                                                                                                      \
    "{\"kind\":\"action\",\"name\":\"" name "\",\"version\":\"1.1.0\",\"state\":\"" state                                        \
    "\",\"error\":{\"code\":\"x\",\"message\":\"no\\u001broom\",\"hint\":\"make some\"}}"

/* Looks at each of `facts` in turn; what was printed, and whether anything failed. */
static char *seen(const char *const facts[], size_t len, const char *only, bool *ret_failed)
{
    struct cli cli = { 0 };
    struct show_results results = { .magic = SHOW_RESULTS_MAGIC, .cli = &cli };
    struct plan plan = { .cli = &cli };
    CLEANUP_JSON json_t *names = only ? json_of(only) : NULL;
    char *text = NULL;
    size_t size = 0;

    results.only = names;
    cli.out = open_memstream(&text, &size);
    for (size_t i = 0; i < len; i++) {
        json_decref(plan.facts);
        plan.facts = json_of(facts[i]);
        show_seen(&plan, &results);
    }
    *ret_failed = show_summary(&plan, &results);
    fclose(cli.out);
    json_decref(plan.facts);
    return text;
}

static void test_lines_come_once_and_in_order(void **state)
{
    static const char *const FACTS[] = {
        "{\"state\":\"installing\",\"results\":[" CONNECTOR("installing") "," ACTION("a", "waiting") "," ACTION(
            "b", "waiting") "]}",
        "{\"state\":\"installing\",\"results\":[" CONNECTOR("installed") "," ACTION("a", "installing") "," ACTION(
            "b", "already") "]}",
        "{\"state\":\"installing\",\"results\":[" CONNECTOR("installed") "," ACTION("a", "updated") "," ACTION(
            "b", "already") "]}",
        "{\"state\":\"done\",\"results\":[" CONNECTOR("installed") "," ACTION("a", "updated") "," ACTION("b", "already") "]}",
    };
    bool failed = true;
    CLEANUP_FREE char *text = seen(FACTS, ARRAY_LEN(FACTS), NULL, &failed);
    static const char WANTED[] = "connector github://o/r ✓\n[1/2] a ✓ updated to 1.1.0\n[2/2] b ✓ already installed\n";

    assert_int_equal(strncmp(text, WANTED, strlen(WANTED)), 0);
    assert_non_null(strstr(text, "\n3 of 3 done\n"));
    assert_false(failed);
}

static void test_failures(void **state)
{
    static const char *const FACTS[] = { "{\"state\":\"done\",\"results\":[" CONNECTOR("already") "," FAILED(
        "a", "failed") "," ACTION("b", "installed") "," FAILED("c", "skipped") "]}" };
    bool failed = false;
    CLEANUP_FREE char *text = seen(FACTS, 1, NULL, &failed);

    assert_true(failed);
    assert_non_null(strstr(text, "[1/3] a ✗ no\xef\xbf\xbdroom; make some\n[2/3] b ✓\n[3/3] c ✗ "));
    assert_null(strstr(text, "connector github"));
    assert_non_null(strstr(text, "2 of 4 done, 2 failed"));
    assert_null(strchr(text, '\033'));
}

/* What was not chosen neither counts nor fails. */
static void test_only_what_was_chosen(void **state)
{
    static const char *const FACTS[] = { "{\"state\":\"done\",\"results\":[" CONNECTOR("skipped") "," FAILED(
        "a", "skipped") "," ACTION("b", "installed") "]}" };
    bool failed = true;
    CLEANUP_FREE char *text = seen(FACTS, 1, "[\"b\"]", &failed);

    assert_string_equal(text, "[1/1] b ✓\n");
    assert_false(failed);
}

static bool is_told_as_trusted(const char *facts)
{
    struct home home = { .path = (char *) "/home" };
    struct cli cli = { .out = stdout, .home = &home };
    CLEANUP_JSON json_t *trust = json_array();
    CLEANUP_JSON json_t *json = json_of(facts);
    struct show_results results = { .magic = SHOW_RESULTS_MAGIC, .cli = &cli, .trust = trust, .quiet = true };
    const struct plan plan = { .cli = &cli, .facts = json };

    show_seen(&plan, &results);
    return results.trust == NULL;
}

/* Never before it stands in the keyring. */
static void test_trusted_once_it_is_saved(void **state)
{
    assert_false(is_told_as_trusted("{\"state\":\"installing\",\"results\":[" CONNECTOR("waiting") "]}"));
    assert_false(
        is_told_as_trusted("{\"state\":\"installing\",\"results\":[" CONNECTOR("already") "," ACTION("a", "waiting") "]}"));
    assert_false(
        is_told_as_trusted("{\"state\":\"installing\",\"results\":[" CONNECTOR("skipped") "," ACTION("a", "waiting") "]}"));
    assert_false(is_told_as_trusted("{\"state\":\"failed\",\"error\":{\"message\":\"disk full\"}}"));
    assert_true(is_told_as_trusted("{\"state\":\"installing\",\"results\":[" CONNECTOR("installing") "]}"));
    assert_true(
        is_told_as_trusted("{\"state\":\"installing\",\"results\":[" CONNECTOR("already") "," ACTION("a", "failed") "]}"));
    assert_true(is_told_as_trusted("{\"state\":\"done\",\"results\":[" CONNECTOR("already") "]}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_badges),
        cmocka_unit_test(test_lines_come_once_and_in_order),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_only_what_was_chosen),
        cmocka_unit_test(test_trusted_once_it_is_saved),
    };

    term_init();
    term_force_colour(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
