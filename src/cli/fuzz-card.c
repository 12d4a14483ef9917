/*
 * Fuzzes what a person decides by: any text, and any JSON for an approval, becomes lines that fit the terminal and hold
 * nothing that could steer it or cannot be seen. First byte: the terminal's width.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/card-show.h"
#include "cli/visible.h"
#include "cli/watch-view.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

/* Whole characters, all of them with ink but for spaces. */
static void check_text(const char *text, size_t len, bool lines)
{
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t used = text_decode((const unsigned char *) text + at, len - at, &c);

        require(used > 0);
        require(!text_is_unseen(c) || (lines && (c == '\n' || c == '\t')));
        at += used;
    }
}

static void check_lines(const struct lines *lines)
{
    require(lines->error == 0);
    for (size_t i = 0; i < lines->len; i++) {
        const struct line *line = &lines->items[i];

        check_text(line->label, strlen(line->label), false);
        check_text(line->text, strlen(line->text), false);
        require(!lines->width || text_columns(line->label) + text_columns(line->text) <= lines->width);
    }
}

static void show_text(const char *text, size_t len, size_t width)
{
    CLEANUP(buf_free) struct buf visible = BUF_INIT(64 * 1024 * 1024);
    CLEANUP(lines_free) struct lines lines = { .width = width };
    CLEANUP_FREE char *copy = strndup(text, len);

    require(text_visible(text, len, true, &visible) == 0);
    check_text(buf_str(&visible), visible.len, true);
    buf_reset(&visible);
    require(text_visible(text, len, false, &visible) == 0);
    check_text(buf_str(&visible), visible.len, false);
    require(copy != NULL);
    lines_field(&lines, "Label", copy, false);
    for (size_t i = 1; i < lines.len; i++) /* none but the first can be taken for one of ours */
        require(lines.items[i].label[2] == ' ');
    lines_field(&lines, copy, copy, true);
    check_lines(&lines);
}

static void show_card(const json_t *approval, size_t width)
{
    CLEANUP(lines_free) struct lines lines = { .width = width };
    CLEANUP(buf_free) struct buf frame = BUF_INIT(64 * 1024 * 1024);
    CLEANUP_JSON json_t *list = json_pack("[O]", approval);
    struct watch_view view = { .list = list, .live = true, .pending = 1, .scroll = width };
    char *line, *rest;

    card_show(&lines, approval, 1795472940000);
    check_lines(&lines);
    require(watch_frame(&view, width, 8 + width % 40, &frame) == 0);
    rest = frame.data;
    while ((line = strsep(&rest, "\n"))) {
        check_text(line, strlen(line), false);
        require(text_columns(line) <= width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_JSON json_t *json = NULL;
    size_t width;

    if (size < 2)
        return 0;
    term_init();
    term_force_colour(0);
    width = 24 + data[0] % 120;
    show_text((const char *) data + 1, size - 1, width);
    if (json_parse((const char *) data + 1, size - 1, JSON_LIMITS(1024 * 1024), &json, NULL) == 0 && json_is_object(json))
        show_card(json, width);
    return 0;
}
