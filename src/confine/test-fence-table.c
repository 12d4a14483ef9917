/* Paths and mounts as rows: what the fence decides by them is wrong when a name with a space is. */
#include "confine/fence-parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/banned.h"

static void test_below(void **state)
{
    assert_true(path_is_below("/a/b", "/a/b"));
    assert_true(path_is_below("/a/b/c", "/a/b"));
    assert_true(path_is_below("/a", "/"));
    assert_false(path_is_below("/a/bc", "/a/b"));
    assert_false(path_is_below("/a", "/a/b"));
}

static void test_row(void **state)
{
    struct mount_table table = { 0 };
    struct mount_row row = { 0 };

    assert_int_equal(
        mount_row_parse("36 35 98:1 /sub\\040dir /mnt\\011a\\134b rw,noatime master:1 - ext3 /dev/root rw\n", &row), 0);
    assert_int_equal(row.major, 98);
    assert_int_equal(row.minor, 1);
    assert_string_equal(row.root, "/sub dir");
    assert_string_equal(row.point, "/mnt\ta\\b");
    assert_string_equal(row.type, "ext3");
    table.rows = malloc(sizeof(row));
    assert_non_null(table.rows);
    table.rows[table.len++] = row;
    mount_table_free(&table);
}

static void test_bad_rows(void **state)
{
    static const char *const BAD[] = { "", "36 35 98:1 /", "36 35 98:1 / /mnt rw", "x y z - t", "36 35 98:1 / /mnt rw - " };

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct mount_table table = { 0 };

        table.rows = calloc(1, sizeof(*table.rows));
        assert_non_null(table.rows);
        table.len = 1;
        assert_true(mount_row_parse(BAD[i], &table.rows[0]) < 0);
        mount_table_free(&table);
    }
}

/* The machine's own table has a root and can be read to its end. */
static void test_read(void **state)
{
    struct mount_table table = { 0 };
    struct err err = ERR_INIT;
    bool root = false;

    assert_int_equal(mount_table_read(&table, &err), 0);
    for (size_t i = 0; i < table.len; i++)
        root = root || !strcmp(table.rows[i].point, "/");
    assert_true(root);
    mount_table_free(&table);
    assert_null(table.rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_below), cmocka_unit_test(test_row), cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_read) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
