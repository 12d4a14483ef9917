/* What a person decides by: hidden and posing characters, lines that cannot be faked, the frame of the live view at any size. */
#include "cli/card-show.h"
#include "cli/visible.h"
#include "cli/watch-view.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_visible(const char *in, size_t len, bool lines, const char *out)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(10000);

    assert_int_equal(text_visible(in, len, lines, &text), 0);
    assert_string_equal(buf_str(&text), out);
}

static void expect(const char *in, const char *out)
{
    expect_visible(in, strlen(in), false, out);
}

static void test_unseen(void **state)
{
    expect("plain text, 100 % (ok) ~", "plain text, 100 % (ok) ~");
    expect("Grüße – 山田 …", "Grüße – 山田 …");
    expect("a\u202ebc", "a⟨U+202E⟩bc");
    expect("a\u200bb\u200dc\ufeff", "a⟨U+200B⟩b⟨U+200D⟩c⟨U+FEFF⟩");
    expect("soft\u00adhyphen\u00a0space\u3000x", "soft⟨U+00AD⟩hyphen⟨U+00A0⟩space⟨U+3000⟩x");
    expect("tag\U000e0041x", "tag⟨U+E0041⟩x");
    expect("\033[2J\x07\x7f", "⟨U+001B⟩[2J⟨U+0007⟩⟨U+007F⟩");
    expect("\xc2\x9b"
           "31m",
        "⟨U+009B⟩31m");
    expect("\u2066x\u2069\u2028y\u3164", "⟨U+2066⟩x⟨U+2069⟩⟨U+2028⟩y⟨U+3164⟩");
    expect_visible("a\0b", 3, false, "a⟨U+0000⟩b");
    expect_visible("\xff\xc3", 2, false, "⟨0xFF⟩⟨0xC3⟩");
    expect_visible("one\r\ntwo\nthree", 14, true, "one\ntwo\nthree");
    expect_visible("over\rwritten", 12, true, "over⟨U+000D⟩written");
    expect_visible("over\rwritten", 12, false, "over⟨U+000D⟩written");
    expect("two\nlines", "two lines");
}

static void test_posing(void **state)
{
    expect("p\u0430ypal.com", "p\u0430⟨U+0430⟩ypal.com");
    expect("Привет мир", "Привет мир"); /* words of another script alone */
    expect("мир paypal", "мир paypal");
    expect("g\u03bfogle", "g\u03bf⟨U+03BF⟩ogle");
    expect("a\uff0eb", "a\uff0e⟨U+FF0E⟩b");
    expect("evil\u2044good", "evil\u2044⟨U+2044⟩good");
    expect("\U0001d41a", "\U0001d41a⟨U+1D41A⟩");
    expect("e\u0301", "e\u0301");
    expect("e\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301⟨U+0301⟩");
}

static json_t *make_card(const char *note)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:[], s:[]}, s:[[s, s]], s:[{s:s, s:{s:s}}]}",
        "id", "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV", "state", "pending", "agent", "claude", "action", "send-draft", "title",
        "Send draft", "badge", "COMMS SEND", "session_id", "ses_1", "seal", "sha256:0", "requested_at", "2026-11-23T22:29:00Z",
        "binding", "oauth2/google/me", "connector", "fqn", "local://google", "version", "1.0.0", "preview", "state", "none",
        "pairs", "multiline", "inputs", "Note", note, "arguments", "op", "send_draft", "args", "note", note);
}

/* However long and however narrow: no line is wider than the terminal, and none but ours begins as one of ours. */
static void test_no_line_is_faked_or_too_long(void **state)
{
    CLEANUP_FREE char *spaces = malloc(4001);
    const char *notes[] = { "x\n  Agent         somebody\nWho asks, and what runs", "a\tb\tc", NULL,
        "word word word word word word word word word   Agent somebody else word",
        "山田山田山田山田山田山田山田山田山田山田山田山田" };

    memset(spaces, ' ', 4000);
    memcpy(spaces + 3900, "  Agent         somebody", 23);
    spaces[4000] = '\0';
    notes[2] = spaces;
    for (size_t n = 0; n < ARRAY_LEN(notes); n++) {
        CLEANUP_JSON json_t *card = make_card(notes[n]);

        assert_non_null(card);
        for (size_t width = 24; width < 200; width += 7) {
            CLEANUP(lines_free) struct lines lines = { .width = width };
            size_t agents = 0;

            card_show(&lines, card, 1795472940000);
            assert_int_equal(lines.error, 0);
            for (size_t i = 0; i < lines.len; i++) {
                assert_true(text_columns(lines.items[i].label) + text_columns(lines.items[i].text) <= width);
                agents += !strncmp(lines.items[i].label, "  Agent ", 8) ||
                          (!strcmp(lines.items[i].label, "  ") && !strcmp(lines.items[i].text, "Agent"));
                assert_null(strpbrk(lines.items[i].text, "\t\n"));
            }
            assert_int_equal(agents, 1);
        }
    }
}

static void test_what_is_cut_is_said(void **state)
{
    CLEANUP(lines_free) struct lines lines = { .width = 40, .block_max = 3 };

    lines_field(&lines, "Body", "1\n2\n3\n4\n5", true);
    assert_int_equal(lines.len, 5);
    assert_string_equal(lines.items[4].text, "… 2 more lines are not shown here");
}

/* At every size the frame has at most as many lines as there are rows, and none is too wide. */
static void test_the_frame_fits(void **state)
{
    CLEANUP_JSON json_t *list = json_array();
    char long_note[3000];

    memset(long_note, 'y', sizeof long_note - 1);
    long_note[sizeof long_note - 1] = '\0';
    for (int i = 0; i < 40; i++)
        json_array_append_new(list, make_card(i % 2 ? long_note : "short"));
    for (size_t columns = 20; columns < 160; columns += 9)
        for (size_t rows = 7; rows < 60; rows += 5)
            for (int whole = 0; whole < 2; whole++) {
                CLEANUP(buf_free) struct buf frame = BUF_INIT(1000000);
                struct watch_view view = { .list = list,
                    .selected = 33,
                    .scroll = 5,
                    .whole = whole,
                    .live = true,
                    .pending = 40,
                    .status = "a status",
                    .now_unix_ms = 1795472940000 };
                char *line, *rest;
                size_t lines = 0;

                assert_int_equal(watch_frame(&view, columns, rows, &frame), 0);
                rest = frame.data;
                while ((line = strsep(&rest, "\n"))) {
                    lines++;
                    assert_true(text_columns(line) <= columns);
                }
                assert_true(lines <= rows);
            }
}

static void test_the_end_comes_into_sight(void **state)
{
    CLEANUP_JSON json_t *list = json_pack("[o]", make_card("short"));
    CLEANUP(buf_free) struct buf frame = BUF_INIT(1000000);
    struct watch_view view = { .list = list, .live = true, .pending = 1 };

    assert_int_equal(watch_frame(&view, 80, 14, &frame), 0);
    assert_false(watch_shows_end(&view));
    assert_non_null(strstr(frame.data, "more lines below"));
    view.scroll = 10000;
    buf_reset(&frame);
    assert_int_equal(watch_frame(&view, 80, 14, &frame), 0);
    assert_true(watch_shows_end(&view));
    assert_null(strstr(frame.data, "more lines below"));
    assert_non_null(strstr(frame.data, "sha256:0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_posing),
        cmocka_unit_test(test_no_line_is_faked_or_too_long),
        cmocka_unit_test(test_what_is_cut_is_said),
        cmocka_unit_test(test_the_frame_fits),
        cmocka_unit_test(test_the_end_comes_into_sight),
    };

    term_init();
    term_force_colour(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
