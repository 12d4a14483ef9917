/* From above: how many wait, the list with a window around the chosen one, its card with a window that scrolls, what happened, the keys. */
#include "cli/watch-view.h"

#include "base/json.h"
#include "cli/card-show.h"
#include "cli/print.h"
#include "cli/visible.h"

#include <string.h>

#include "base/banned.h"

#define LIST_LEAST  3
#define BLOCK_LINES 200 /* of one text, unless the card is looked at whole */
#define FRAME_MAX   ((size_t) 16 * 1024 * 1024)
#define WORDS_MAX   512
#define ROWS_LEAST  7

static const char KEYS[] = "a approve  d deny  j/k next, previous  s whole card  space, b scroll  r resolve  q quit";
static const char KEYS_NARROW[] = "a d j k s space r q";
static const char KEYS_WHOLE[] = "a approve  d deny  j/k scroll  space, b page  s back  q quit";

/* One line of the frame, cut at the width. */
static int add_line(struct buf *out, enum style style, const char *text, size_t columns)
{
    int r = buf_add_str(out, term_style(stdout, style));

    if (r >= 0)
        r = text_fit(text, columns, out);
    if (r >= 0 && style != STYLE_PLAIN)
        r = buf_add_str(out, term_end(stdout));
    return r < 0 ? r : buf_add_char(out, '\n');
}

static int add_heading(const struct watch_view *view, size_t columns, struct buf *out)
{
    char text[WORDS_MAX];

    if (!view->live)
        return add_line(out, STYLE_BAD, "Aileron · the daemon does not answer; trying again", columns);
    if (view->pending == 1)
        snprintf(text, sizeof text, "Aileron · 1 waits for you");
    else
        snprintf(text, sizeof text, "Aileron · %lld wait for you", view->pending);
    return add_line(out, STYLE_BOLD, text, columns);
}

static int add_row(const struct watch_view *view, size_t index, size_t columns, struct buf *out)
{
    const json_t *approval = json_array_get(view->list, index);
    const char *badge = json_get_str(approval, "badge");
    const char *title = card_title(approval);
    CLEANUP(buf_free) struct buf text = BUF_INIT(1024 * 1024);
    char ago[64];

    card_ago(json_get_str(approval, "requested_at"), view->now_unix_ms, ago);
    buf_printf(&text, "%s %s  %s  ", index == view->selected ? "▸" : " ", print_suffix(json_get_str(approval, "id")),
        card_is(approval, "unknown") ? "OUTCOME UNKNOWN"
        : badge                      ? badge
                                     : "");
    text_visible(title, strnlen(title, WORDS_MAX), false, &text);
    buf_add_str(&text, " · ");
    card_asker(approval, &text);
    buf_printf(&text, " · %s", ago);
    return add_line(out,
        index == view->selected                                                                    ? STYLE_BOLD
        : card_is(approval, "unknown") || json_array_size(json_object_get(approval, "difference")) ? STYLE_WARN
                                                                                                   : STYLE_PLAIN,
        buf_str(&text), columns);
}

/* Rows of the list that are shown, and which one comes first. */
static size_t list_window(const struct watch_view *view, size_t rows, size_t *ret_first)
{
    size_t len = json_array_size(view->list), most = rows / 4 > LIST_LEAST ? rows / 4 : LIST_LEAST;
    size_t shown = len < most ? len : most;
    size_t first = view->selected > shown / 2 ? view->selected - shown / 2 : 0;

    *ret_first = first + shown > len ? len - shown : first;
    return shown;
}

static int add_card(struct watch_view *view, size_t columns, size_t rows, struct buf *out)
{
    CLEANUP(lines_free) struct lines lines = { .width = columns, .block_max = view->whole ? 0 : BLOCK_LINES };
    int r = 0;

    card_show(&lines, json_array_get(view->list, view->selected), view->now_unix_ms);
    view->card_lines = lines.len;
    view->card_rows = rows;
    if (view->scroll + rows > lines.len)
        view->scroll = lines.len > rows ? lines.len - rows : 0;
    for (size_t i = 0; i < rows && r >= 0; i++) {
        if (view->scroll + i < lines.len)
            r = line_add(out, stdout, &lines.items[view->scroll + i]);
        if (r >= 0)
            r = buf_add_char(out, '\n');
    }
    return lines.error ? lines.error : r;
}

static int add_rule(const struct watch_view *view, size_t columns, struct buf *out)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    char more[64] = "";
    size_t below = view->card_lines > view->scroll + view->card_rows ? view->card_lines - view->scroll - view->card_rows : 0;

    if (below)
        snprintf(more, sizeof more, " %zu more line%s below ", below, below == 1 ? "" : "s");
    for (size_t i = text_columns(more); i < columns && i < 1000; i++)
        buf_add_str(&text, "─");
    buf_add_str(&text, more);
    return add_line(out, below ? STYLE_WARN : STYLE_DIM, buf_str(&text), columns);
}

bool watch_shows_end(const struct watch_view *view)
{
    return view->scroll + view->card_rows >= view->card_lines;
}

static int add_body(struct watch_view *view, size_t columns, size_t rows, struct buf *out)
{
    size_t first = 0, used = 0;
    int r = 0;

    view->card_lines = view->card_rows = 0;
    if (!json_array_size(view->list)) {
        if (view->live)
            r = add_line(
                out, STYLE_PLAIN, "Nothing waits for you. What an agent wants to do and needs you for appears here.", columns);
        return r;
    }
    if (!view->whole) {
        size_t shown = list_window(view, rows, &first);

        for (; used < shown && r >= 0; used++)
            r = add_row(view, first + used, columns, out);
        if (r >= 0)
            r = buf_add_char(out, '\n');
        used++;
    }
    if (r < 0 || rows <= used + 1)
        return r;
    r = add_card(view, columns, rows - used - 1, out);
    return r < 0 ? r : add_rule(view, columns, out);
}

int watch_frame(struct watch_view *view, size_t columns, size_t rows, struct buf *out)
{
    CLEANUP(buf_free) struct buf status = BUF_INIT(64 * 1024);
    int r;

    if (rows < ROWS_LEAST)
        rows = ROWS_LEAST;
    r = add_heading(view, columns, out);
    if (r >= 0)
        r = add_body(view, columns, rows - 3, out);
    if (r >= 0)
        r = text_visible(view->status, strlen(view->status), false, &status);
    if (r >= 0)
        r = add_line(out, view->status_style, buf_str(&status), columns);
    if (r >= 0)
        r = buf_add_str(out, term_style(stdout, STYLE_DIM));
    if (r >= 0)
        r = text_fit(columns < sizeof KEYS_WHOLE ? KEYS_NARROW : view->whole ? KEYS_WHOLE : KEYS, columns, out);
    return r < 0 ? r : buf_add_str(out, term_end(stdout));
}
