/*
 * Widths, colour and the cleaning of foreign text. Nothing here allocates beyond
 * the caller's buffer. UTF-8 is decoded by hand so that one bad byte is shown as
 * U+FFFD instead of ending the text.
 */
#include "cli/term.h"

#include "base/cleanup.h"

#include <errno.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/banned.h"

#define REPLACEMENT   "\xef\xbf\xbd"
#define ELLIPSIS      "…"
#define PARAGRAPH_MAX 100

static int forced_colour = -1;

void term_init(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
}

bool term_is_tty(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

bool term_can_draw(FILE *file)
{
    const char *term = getenv("TERM");

    return term_is_tty(file) && term && *term && strcmp(term, "dumb") != 0;
}

size_t term_width(FILE *file)
{
    struct winsize size;

    if (!term_is_tty(file))
        return 0;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

void term_force_colour(int on)
{
    forced_colour = on;
}

static bool colour_on(FILE *file)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (forced_colour >= 0)
        return forced_colour;
    if (no_color && *no_color)
        return false;
    return term_is_tty(file) && term && strcmp(term, "dumb") != 0;
}

const char *term_style(FILE *file, enum style style)
{
    static const char *const CODES[] = { "", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[1;31m" };

    return style != STYLE_PLAIN && colour_on(file) ? CODES[style] : "";
}

const char *term_end(FILE *file)
{
    return colour_on(file) ? "\033[0m" : "";
}

size_t text_decode(const unsigned char *text, size_t len, uint32_t *ret)
{
    static const uint32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t need = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;
    uint32_t value;

    if (!need || need > len)
        return 0;
    value = need == 1 ? text[0] : text[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3f);
    }
    if (value < LEAST[need] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *ret = value;
    return need;
}

/* C0, DEL, C1, line and paragraph separators, bidirectional controls. */
static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || c == 0x061c || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

int text_clean(const char *text, size_t len, bool keep_lines, struct buf *out)
{
    const unsigned char *at = (const unsigned char *) text;
    int r = 0;

    while (len && r >= 0) {
        uint32_t c = 0;
        size_t used = text_decode(at, len, &c);

        if (!used)
            r = buf_add_str(out, REPLACEMENT);
        else if (c == '\n' || c == '\t')
            r = buf_add_char(out, keep_lines ? (char) c : ' ');
        else if (c == '\r')
            r = keep_lines ? 0 : buf_add_char(out, ' ');
        else if (steers(c))
            r = buf_add_str(out, REPLACEMENT);
        else
            r = buf_add(out, at, used);
        at += used ? used : 1;
        len -= used ? used : 1;
    }
    return r;
}

static size_t char_columns(uint32_t c)
{
    int width = wcwidth((wchar_t) c);

    return width < 0 ? 1 : (size_t) width;
}

size_t text_columns(const char *text)
{
    size_t len = strlen(text), columns = 0;

    while (len) {
        uint32_t c = 0xfffd;
        size_t used = text_decode((const unsigned char *) text, len, &c);

        columns += char_columns(c);
        text += used ? used : 1;
        len -= used ? used : 1;
    }
    return columns;
}

int text_fit(const char *text, size_t columns, struct buf *out)
{
    size_t len = strlen(text), taken = 0;
    int r = 0;

    if (text_columns(text) <= columns)
        return buf_add(out, text, len);
    while (len && r >= 0) {
        uint32_t c = 0xfffd;
        size_t used = text_decode((const unsigned char *) text, len, &c);

        used = used ? used : 1;
        if (taken + char_columns(c) + 1 > columns)
            break;
        taken += char_columns(c);
        r = buf_add(out, text, used);
        text += used;
        len -= used;
    }
    return r < 0 || !columns ? r : buf_add_str(out, ELLIPSIS);
}

void term_put(FILE *file, const char *text)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(64 * 1024 * 1024);

    text_clean(text, strlen(text), false, &clean);
    fputs(buf_str(&clean), file);
}

/* Prints the words of one line, broken where the width ends. */
static void put_line(FILE *file, const char *line, size_t len, size_t indent, size_t width)
{
    size_t hang = indent + strspn(line, " "), column = 0;

    if (hang > indent + len)
        hang = indent;
    for (size_t at = 0; at < len;) {
        size_t gap = strspn(line + at, " ");
        size_t word = 0;
        char text[512];

        at += gap;
        while (at + word < len && line[at + word] != ' ' && word < sizeof(text) - 1)
            word++;
        if (!word)
            break;
        memcpy(text, line + at, word);
        text[word] = '\0';
        if (column && column + gap + text_columns(text) > width) {
            fputc('\n', file);
            column = 0;
        }
        fprintf(file, "%*s%s", (int) (column ? gap : hang), "", text);
        column += (column ? gap : hang) + text_columns(text);
        at += word;
    }
    fputc('\n', file);
}

void term_paragraph(FILE *file, const char *text, size_t indent)
{
    size_t width = term_width(file);

    if (!width || width > PARAGRAPH_MAX)
        width = width ? PARAGRAPH_MAX : 80;
    while (*text) {
        size_t len = strcspn(text, "\n");

        put_line(file, text, len, indent, width);
        text += len + (text[len] ? 1 : 0);
    }
}
