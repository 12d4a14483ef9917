/* JSON for terminals, times, durations, tables and the cleaning of foreign text. */
#include "cli/print.h"
#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void expect_json(const char *in, const char *out)
{
    CLEANUP_JSON json_t *json = json_loads(in, 0, NULL);
    CLEANUP(buf_free) struct buf text = BUF_INIT(100000);

    assert_non_null(json);
    assert_int_equal(print_json_text(json, &text), 0);
    assert_string_equal(buf_str(&text), out);
}

static void test_json_steers_no_terminal(void **state)
{
    expect_json("{\"a\": \"\\u001b[31m\\u0007\"}", "{\n  \"a\": \"\\u001B[31m\\u0007\"\n}");
    expect_json("[\"\\u009b31m\\u007f\"]", "[\n  \"\\u009b31m\\u007f\"\n]");
    expect_json("[\"a\\u202eb\\u2066c\\u200fd\\u061c\\u2028\"]", "[\n  \"a\\u202eb\\u2066c\\u200fd\\u061c\\u2028\"\n]");
    expect_json("[\"Grüße – 山田 …\"]", "[\n  \"Grüße – 山田 …\"\n]");
    expect_json("[\"\\u00a0\\u2000\\u3000\"]", "[\n  \"\xc2\xa0\xe2\x80\x80\xe3\x80\x80\"\n]");
    expect_json("[\"\\u200b\\u2065\\ufeff\\udb40\\udc41\"]", "[\n  \"\\u200b\\u2065\\ufeff\\udb40\\udc41\"\n]");
    expect_json("[\"\\ud83d\\ude00\"]", "[\n  \"\xf0\x9f\x98\x80\"\n]");
}

static void expect_clean(const char *in, size_t len, bool lines, const char *out)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1000);

    assert_int_equal(text_clean(in, len, lines, &text), 0);
    assert_string_equal(buf_str(&text), out);
}

#define R "\xef\xbf\xbd"

static void test_clean(void **state)
{
    expect_clean("plain ü", 8, false, "plain ü");
    expect_clean("a\033[2Jb", 6, false, "a" R "[2Jb");
    expect_clean("a\r\nb\tc", 6, false, "a  b c");
    expect_clean("a\r\nb\tc", 6, true, "a\nb\tc");
    expect_clean("\xc2\x9b"
                 "31m",
        5, true, R "31m");
    expect_clean("a\0b", 3, true, "a" R "b");
    expect_clean("\xff\xc3", 2, true, R R);
    expect_clean("\xc0\xaf\xed\xa0\x80", 5, true, R R R R R);
    expect_clean("\xe2\x80\xae"
                 "x",
        4, true, R "x");
}

static void test_columns_and_fit(void **state)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1000);

    assert_int_equal(text_columns("abc"), 3);
    assert_int_equal(text_columns("äöü…"), 4);
    assert_int_equal(text_columns("山田"), 4);
    assert_int_equal(text_columns("e\xcc\x81"), 1);
    text_fit("abcdef", 6, &text);
    assert_string_equal(buf_str(&text), "abcdef");
    buf_reset(&text);
    text_fit("abcdef", 4, &text);
    assert_string_equal(buf_str(&text), "abc…");
    buf_reset(&text);
    text_fit("山田花子", 4, &text);
    assert_string_equal(buf_str(&text), "山…");
    buf_reset(&text);
    text_fit("abc", 0, &text);
    assert_string_equal(buf_str(&text), "");
}

static void test_durations(void **state)
{
    char out[PRINT_TIME_MAX];

    assert_string_equal(print_duration(8, out), "8 s");
    assert_string_equal(print_duration(600, out), "10 min");
    assert_string_equal(print_duration(7260, out), "2 h 1 min");
    assert_string_equal(print_duration(90000, out), "1 d 1 h");
    assert_string_equal(print_suffix("aud_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "Q69G5FAV");
    assert_string_equal(print_suffix("abc"), "abc");
    assert_string_equal(print_suffix(NULL), "");
}

static void test_times(void **state)
{
    char out[PRINT_TIME_MAX];

    setenv("TZ", "UTC-2", 1);
    tzset();
    assert_string_equal(print_local_time("2026-11-23T22:29:00.123Z", out), "2026-11-24 00:29:00");
    assert_string_equal(print_local_time("yesterday", out), "yesterday");
    assert_string_equal(print_local_time(NULL, out), "");
}

static char *table_text(const struct table *table, size_t width)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    assert_int_equal(table_print(table, file, width), 0);
    fclose(file);
    return text;
}

static void test_table(void **state)
{
    static const struct table_column COLUMNS[] = { { "NAME", false, 4 }, { "N", true, 0 }, { "ABOUT", false, 5 } };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, 3);
    CLEANUP_FREE char *wide = NULL;
    CLEANUP_FREE char *narrow = NULL;
    CLEANUP_FREE char *tiny = NULL;

    table_row(table);
    table_cell(table, "müller");
    table_cellf(table, "%d", 7);
    table_cell(table, "two\nlines \033[1m");
    table_row(table);
    table_cell(table, "x");
    table_cell(table, "100");
    assert_int_equal(table_rows(table), 2);
    wide = table_text(table, 0);
    assert_string_equal(wide, "NAME      N  ABOUT\n"
                              "müller    7  two lines " R "[1m\n"
                              "x       100  \n");
    narrow = table_text(table, 20);
    assert_string_equal(narrow, "NAME      N  ABOUT\n"
                                "müller    7  two li…\n"
                                "x       100  \n");
    tiny = table_text(table, 5);
    assert_string_equal(tiny, "NAME    N  ABOUT\n"
                              "mül…    7  two …\n"
                              "x     100  \n");
}

static void test_colour(void **state)
{
    term_force_colour(1);
    assert_string_equal(term_style(stdout, STYLE_GOOD), "\033[32m");
    assert_string_equal(term_style(stdout, STYLE_PLAIN), "");
    term_force_colour(0);
    assert_string_equal(term_style(stdout, STYLE_GOOD), "");
    assert_string_equal(term_end(stdout), "");
}

static void test_paragraph(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    term_paragraph(file, "one two\n\n  - three\nfour", 2);
    fclose(file);
    assert_string_equal(text, "  one two\n\n    - three\n  four\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_steers_no_terminal),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_columns_and_fit),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_paragraph),
    };

    term_init();
    term_force_colour(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
