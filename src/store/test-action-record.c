/* Records of signed actions: what is put comes back, what was edited is not believed, names cannot leave their folder. */
#include "base/file.h"
#include "base/json.h"
#include "store/action-record.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/buf.h"

static char home[64];

static int setup(void **state)
{
    snprintf(home, sizeof home, "/tmp/aileron-record-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, home);
}

static int put(const char *name, const char *text, struct err *err)
{
    struct action_record record = { .fqn = "github://acme/tools/actions/send", .version = "1.2.3" };

    memset(record.signature, 7, sizeof record.signature);
    record.text = (char *) (uintptr_t) text;
    record.text_len = strlen(text);
    return action_record_put(home, name, &record, err);
}

static void test_put_and_get(void **state)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    struct err err = ERR_INIT;
    char path[128];
    struct stat st;

    assert_int_equal(action_record_get(home, "send", &record, &err), -ENOENT);
    assert_int_equal(put("send", "first \xE2\x9C\x93\n", &err), 0);
    assert_int_equal(put("send", "second \xE2\x9C\x93\n", &err), 0);
    assert_int_equal(action_record_get(home, "send", &record, &err), 0);
    assert_string_equal(record.text, "second \xE2\x9C\x93\n");
    assert_string_equal(record.fqn, "github://acme/tools/actions/send");
    assert_string_equal(record.version, "1.2.3");
    assert_int_equal(record.signature[63], 7);
    assert_int_equal(strlen(record.hash), 71);
    snprintf(path, sizeof path, "%s/store/actions/send.json", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(action_record_drop(home, "send", &err), 0);
    assert_int_equal(action_record_drop(home, "send", &err), 0);
    action_record_free(&record);
    assert_int_equal(action_record_get(home, "send", &record, &err), -ENOENT);
}

static void test_edited(void **state)
{
    static const char *const edits[][2] = { { "first", "other" }, { "sha256:", "sha256:0" }, { "\"fqn\"", "\"fnq\"" },
        { "github://", "hithub://" }, { "1.2.3", "1.2" }, { "{", "[" } };
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    char path[128];

    snprintf(path, sizeof path, "%s/store/actions/send.json", home);
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
        CLEANUP(buf_free) struct buf edited = BUF_INIT(4096);
        struct err err = ERR_INIT;
        char *at = NULL;

        assert_int_equal(put("send", "first\n", &err), 0);
        assert_int_equal(file_read(AT_FDCWD, path, &text, &err), 0);
        at = strstr(text.data, edits[i][0]);
        assert_non_null(at);
        assert_int_equal(buf_add(&edited, text.data, (size_t) (at - text.data)), 0);
        assert_int_equal(buf_printf(&edited, "%s%s", edits[i][1], at + strlen(edits[i][0])), 0);
        assert_int_equal(file_write_atomic(AT_FDCWD, path, edited.data, edited.len, 0600, &err), 0);
        if (action_record_get(home, "send", &record, &err) != -EBADMSG)
            fail_msg("believed: %s", edited.data);
    }
}

static void test_names(void **state)
{
    static const char *const wrong[] = { "", ".", "..", "../x", "a/b", "A", ".x", "a b", "-x",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    struct err err = ERR_INIT;
    json_t *names = NULL;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(put(wrong[i], "x", &err), -EINVAL);
    assert_int_equal(action_record_names(home, &names, &err), 0);
    assert_int_equal(json_array_size(names), 0);
    json_decref(names);
    assert_int_equal(put("b.c", "x", &err), 0);
    assert_int_equal(put("a-1", "x", &err), 0);
    assert_int_equal(action_record_names(home, &names, &err), 0);
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "a-1");
    assert_string_equal(json_string_value(json_array_get(names, 1)), "b.c");
    json_decref(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
