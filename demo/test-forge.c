/* Which file a URL is, and that none leads out of the folder. */
#include "base/cleanup.h"
#include "base/file.h"
#include "forge.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/banned.h"

struct fixture {
    char dir[64];
    int fd;
};

static void put(const struct fixture *fixture, const char *folder, const char *name, const char *text)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *file = NULL;

    assert_true(asprintf(&path, "%s/%s", fixture->dir, folder) > 0 && asprintf(&file, "%s/%s", path, name) > 0);
    assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, file, text, strlen(text), 0600, NULL), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/forge-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    put(fixture, "shop", "secret", "outside");
    put(fixture, "shop/acme/tools", "latest.json", "{\"tag_name\":\"v1.0.0\"}");
    put(fixture, "shop/acme/tools/tree/keys", "publisher.pub", "key");
    put(fixture, "shop/acme/tools/tree", "suite.toml", "suite");
    put(fixture, "shop/acme/tools/tree", ".hidden", "hidden");
    put(fixture, "shop/acme/tools/assets/v1.0.0", "aileron.tar.gz", "connector");
    put(fixture, "shop/acme/tools/assets/actions/get-email/v1.0.0", "aileron.tar.gz", "action");
    CLEANUP_FREE char *shop = NULL;

    assert_true(asprintf(&shop, "%s/shop", fixture->dir) > 0);
    fixture->fd = open(shop, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fixture->fd >= 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, fixture->dir), 0);
    free(fixture);
    return 0;
}

static const struct {
    const char *host, *path;
    int status;
    const char *text; /* body or location; NULL: none */
} CASES[] = {
    { "api.github.com", "/repos/acme/tools/releases/latest", 200, "{\"tag_name\":\"v1.0.0\"}" },
    { "api.github.com", "/repos/acme/other/releases/latest", 404, NULL },
    { "api.github.com", "/repos/acme/tools/tags", 404, NULL },
    { "api.github.com", "/acme/tools/releases/latest", 404, NULL },
    { "raw.githubusercontent.com", "/acme/tools/HEAD/keys/publisher.pub", 200, "key" },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0/suite.toml", 200, "suite" },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0/.hidden", 404, NULL },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0/../latest.json", 404, NULL },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0//suite.toml", 404, NULL },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0/keys", 404, NULL },
    { "raw.githubusercontent.com", "/acme/tools/v1.0.0", 404, NULL },
    { "raw.githubusercontent.com", "/acme", 404, NULL },
    { "raw.githubusercontent.com", "/", 404, NULL },
    { "raw.githubusercontent.com", "", 404, NULL },
    { "raw.githubusercontent.com", "/../shop/secret", 404, NULL },
    { "github.com", "/acme/tools/releases/download/v1.0.0/aileron.tar.gz", 302,
        "https://objects.githubusercontent.com/acme/tools/v1.0.0/aileron.tar.gz" },
    { "github.com", "/acme/tools", 404, NULL },
    { "github.com", "/acme/tools/releases/download/a b", 404, NULL },
    { "objects.githubusercontent.com", "/acme/tools/v1.0.0/aileron.tar.gz", 200, "connector" },
    { "objects.githubusercontent.com", "/acme/tools/actions/get-email/v1.0.0/aileron.tar.gz", 200, "action" },
    { "objects.githubusercontent.com", "/acme/tools/v2.0.0/aileron.tar.gz", 404, NULL },
};

static void test_gets(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(buf_free) struct buf body = BUF_INIT(FORGE_FILE_MAX);
        CLEANUP_FREE char *location = NULL;
        int status = forge_get(fixture->fd, CASES[i].host, CASES[i].path, &body, &location);

        if (status != CASES[i].status)
            fail_msg("%s%s: %d", CASES[i].host, CASES[i].path, status);
        if (CASES[i].text)
            assert_string_equal(status == 302 ? location : buf_str(&body), CASES[i].text);
    }
}

static void test_hosts(void **state)
{
    assert_true(forge_has("github.com") && forge_has("raw.githubusercontent.com"));
    assert_false(forge_has("gmail.googleapis.com") || forge_has("") || forge_has(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gets, set_up, tear_down),
        cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
