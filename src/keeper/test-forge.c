/* Which paths of the forge's API may be asked with the person's token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "keeper/forge.h"

#include "base/banned.h"

static void test_paths(void **state)
{
    static const char *const right[] = { "/repos/acme/tools/releases/latest", "/repos/a.b/c-d_e/tags?per_page=100&page=1",
        "/repos/acme/tools/tags?per_page=100&page=20", "/repos/acme/.github/releases/latest" };
    static const char *const wrong[] = { "", "/", "/user", "/user/repos", "/repos/acme/tools", "/repos/acme/tools/",
        "/repos/acme/tools/releases/latest/", "/repos/acme/tools/releases/latest?x=1", "/repos/acme/tools/releases/latest#x",
        "/repos/../user/releases/latest", "/repos/acme/../releases/latest", "/repos/./tools/releases/latest",
        "/repos/acme//releases/latest", "/repos//tools/releases/latest", "repos/acme/tools/releases/latest",
        "//evil.example/repos/acme/tools/releases/latest", "@evil.example/repos/acme/tools/releases/latest",
        ".evil.example/repos/acme/tools/releases/latest", "/repos/acme/tools/tags?per_page=100&page=", "/repos/acme/tools/tags",
        "/repos/acme/tools/tags?per_page=100&page=1&x=1", "/repos/acme/tools/tags?per_page=100&page=1000",
        "/repos/acme/tools/tags?per_page=1&page=1", "/repos/ac%6de/tools/releases/latest", "/repos/acme/to ols/releases/latest",
        "/repos/acme/tools/contents/x", "/REPOS/acme/tools/releases/latest", "/repos/acme/tools/releases/latest\n" };

    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        if (!forge_path_is_allowed(right[i]))
            fail_msg("refused: %s", right[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (forge_path_is_allowed(wrong[i]))
            fail_msg("allowed: %s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
