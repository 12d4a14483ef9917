/*
 * The reader's first connector, as docs/authoring-a-connector.md shows it, run
 * natively: the page must not promise what its code does not do.
 */
#include "fake-host.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_as_the_page_says, reset, reset),
        cmocka_unit_test_setup_teardown(fails_as_the_page_says, reset, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
