/* Every result has a page of its own; nothing that came from elsewhere becomes markup; the style is the one the policy names. */
#include "web/page.h"

#include "base/encode.h"
#include "base/json.h"
#include "crypt/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *render(json_t *answer)
{
    struct buf out = BUF_INIT(64 * 1024);

    assert_non_null(answer);
    assert_int_equal(page_render(answer, &out), 0);
    json_decref(answer);
    return buf_take(&out);
}

static void expect(const char *page, const char *text)
{
    if (!strstr(page, text))
        fail_msg("no '%s' in %s", text, page);
}

static void test_results(void **state)
{
    static const char *const cases[][3] = {
        { "connected", "<title>Connected · Aileron</title>", "go back to the terminal" },
        { "denied", "<title>Access was denied", "Nothing was stored" },
        { "unknown", "<h1>This link is not good any more</h1>", "older than ten minutes" },
        { "locked", "<h1>The vault is locked</h1>", "<code>aileron vault unlock</code>" },
        { "interrupted", "<h1>Aileron was interrupted</h1>", "<code>aileron binding list</code>" },
        { "busy", "<h1>Too much at once</h1>", "in a moment" },
        { "failed", "<h1>The account was not connected</h1>", "The terminal says more" },
        { "something new", "<h1>The account was not connected</h1>", "The terminal says more" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *page = render(json_pack("{s:s}", "result", cases[i][0]));
        expect(page, cases[i][1]);
        expect(page, cases[i][2]);
        assert_null(strstr(page, "<script"));
        assert_int_equal(strncmp(page, "<!doctype html>\n", 16), 0);
    }
}

static void test_words_stay_words(void **state)
{
    const char *evil = "<img src=x onerror=alert(1)>\"'&`</style>\x01";
    CLEANUP_FREE char *page =
        render(json_pack("{s:s, s:s, s:s, s:s}", "result", "failed", "binding", evil, "message", evil, "hint", evil));
    CLEANUP_FREE char *error = render(json_pack("{s:{s:s, s:s}}", "error", "code", "x", "message", evil));

    assert_null(strstr(page, "<img"));
    assert_null(strchr(page, '\x01'));
    assert_null(strstr(error, "<img"));
    expect(page, "<code>&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;`&lt;/style&gt; </code>");
    expect(error, "<p>&lt;img src=x");
    /* One </style> only: the page's own. */
    assert_null(strstr(strstr(page, "</style>") + 1, "</style>"));
}

static void test_code_in_words_is_closed(void **state)
{
    CLEANUP_FREE char *page =
        render(json_pack("{s:s, s:s, s:s}", "result", "failed", "message", "run `a b` and `c", "hint", "`"));

    expect(page, "<p>run <code>a b</code> and c</p>");
    expect(page, "<p></p>");
}

static void test_policy_names_the_style(void **state)
{
    CLEANUP_FREE char *page = render(json_pack("{s:s}", "result", "connected"));
    CLEANUP(buf_free) struct buf want = BUF_INIT(64);
    char csp[PAGE_CSP_MAX];
    uint8_t hash[SHA256_BYTES];
    const char *style = strstr(page, "<style>") + 7;

    assert_int_equal(sha256(style, (size_t) (strstr(page, "</style>") - style), hash), 0);
    assert_int_equal(base64_encode(hash, sizeof hash, &want), 0);
    assert_non_null(page_csp(csp));
    expect(csp, buf_str(&want));
    expect(csp, "default-src 'none'");
    expect(csp, "frame-ancestors 'none'");
    assert_null(strstr(csp, "unsafe"));
    assert_null(strstr(csp, "script-src"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_words_stay_words),
        cmocka_unit_test(test_code_in_words_is_closed),
        cmocka_unit_test(test_policy_names_the_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
