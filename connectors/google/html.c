/*
 * HTML as plain text, for mails that have no other. It is not a renderer: it
 * walks the markup once, left to right, and needs no memory besides its output.
 * A link shows where it leads, since a reader decides by that.
 */
#include "charset.h"

#include "input.h"

#include <string.h>
#include <strings.h>

#define TARGET_MAX   2000
#define TAG_NAME_MAX 12

struct walk {
    struct aileron_text out;
    const char *link; /* target of the link that is open, or NULL */
    size_t link_len, link_start;
    bool space, started; /* a space is due; something was written */
    unsigned lines;      /* line ends at the end of the output, at most 2 */
};

struct entity {
    const char *name;
    uint32_t character;
};

static const struct entity entities[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' },
    { "nbsp", ' ' }, { "copy", 0xa9 }, { "reg", 0xae }, { "euro", 0x20ac }, { "hellip", 0x2026 }, { "mdash", 0x2014 },
    { "ndash", 0x2013 }, { "lsquo", 0x2018 }, { "rsquo", 0x2019 }, { "ldquo", 0x201c }, { "rdquo", 0x201d }, { "bull", 0x2022 },
    { "middot", 0xb7 }, { "trade", 0x2122 }, { "auml", 0xe4 }, { "ouml", 0xf6 }, { "uuml", 0xfc }, { "Auml", 0xc4 },
    { "Ouml", 0xd6 }, { "Uuml", 0xdc }, { "szlig", 0xdf }, { "eacute", 0xe9 }, { "egrave", 0xe8 }, { "agrave", 0xe0 },
    { "ccedil", 0xe7 }, { "zwnj", 0 }, { "zwj", 0 }, { "shy", 0 } };

/* An entity at `at` (which is &): its length and character (0: shows nothing); 0 when it is none. */
static size_t entity(const char *at, uint32_t *ret_character)
{
    size_t len = strcspn(at + 1, "; &<\r\n\t");
    uint32_t c = 0;

    if (len == 0 || len > 10 || at[1 + len] != ';')
        return 0;
    if (at[1] == '#') {
        bool hex = (at[2] | 0x20) == 'x';
        const char *digits = at + (hex ? 3 : 2), *allowed = hex ? "0123456789abcdefABCDEF" : "0123456789";
        size_t count = strspn(digits, allowed);

        if (count == 0 || digits + count != at + 1 + len)
            return 0;
        for (size_t i = 0; i < count && c < 0x110000; i++)
            c = c * (hex ? 16 : 10) + (uint32_t) (digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 0x20) - 'a' + 10);
        *ret_character = c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
        return len + 2;
    }
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        if (strlen(entities[i].name) == len && memcmp(entities[i].name, at + 1, len) == 0) {
            *ret_character = entities[i].character;
            return len + 2;
        }
    }
    return 0;
}

const char *html_entities(struct aileron_call *call, const char *text)
{
    struct aileron_text out;

    aileron_text_init(&out, call, strlen(text) + 1);
    while (*text) {
        uint32_t c = 0;
        size_t len = *text == '&' ? entity(text, &c) : 0;

        if (len && c)
            charset_add(&out, c);
        if (!len) {
            len = strcspn(text, "&");
            len += len == 0;
            aileron_text_add(&out, text, len);
        }
        text += len;
    }
    return out.data;
}

static void new_lines(struct walk *walk, unsigned count)
{
    walk->space = false;
    while (walk->started && walk->lines < count) {
        aileron_text_add_str(&walk->out, "\n");
        walk->lines++;
    }
}

static void put(struct walk *walk, const char *bytes, size_t len)
{
    if (walk->space && walk->started && walk->lines == 0)
        aileron_text_add_str(&walk->out, " ");
    aileron_text_add(&walk->out, bytes, len);
    walk->space = false;
    walk->started = true;
    walk->lines = 0;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

/* Where the element's text ends, for elements whose text is not for people. */
static const char *skip_element(const char *at, const char *name)
{
    size_t len = strlen(name);

    for (; (at = strchr(at, '<')); at++)
        if (at[1] == '/' && strncasecmp(at + 2, name, len) == 0)
            return at;
    return "";
}

/* The end of a tag, minding quoted attribute values; the end of the text when it has none. */
static const char *tag_end(const char *at)
{
    char quote = 0;

    for (; *at; at++) {
        if (quote) {
            quote = *at == quote ? 0 : quote;
        } else if ((*at == '"' || *at == '\'') && at[-1] == '=') {
            quote = *at;
        } else if (*at == '>') {
            break;
        }
    }
    return at;
}

static void open_link(struct walk *walk, const char *tag, const char *end)
{
    walk->link = NULL;
    for (; tag < end; tag++) {
        char quote;

        if ((*tag != ' ' && *tag != '\n' && *tag != '\t' && *tag != '\r') || strncasecmp(tag + 1, "href=", 5) != 0)
            continue;
        tag += 6;
        quote = *tag == '"' || *tag == '\'' ? *tag++ : ' ';
        walk->link = tag;
        while (tag < end && *tag != quote)
            tag++;
        walk->link_len = (size_t) (tag - walk->link);
        walk->link_start = walk->out.len;
        return;
    }
}

/* Adds a link's target unless the link's text is the target. */
static void close_link(struct walk *walk)
{
    const char *target;
    size_t len;

    if (!walk->link)
        return;
    target = html_entities(walk->out.call, aileron_copy(walk->out.call, walk->link, walk->link_len));
    target = input_one_line(walk->out.call, target, TARGET_MAX);
    walk->link = NULL;
    len = strlen(target);
    if (len && *target != '#' && !strstr(walk->out.data + walk->link_start, target)) {
        put(walk, " (", 2);
        put(walk, target, len);
        put(walk, ")", 1);
    }
}

static const char *tag(struct walk *walk, const char *at)
{
    static const char *const hidden[] = { "script", "style", "title", "template", NULL };
    static const char *const blocks[] = { "p", "div", "table", "ul", "ol", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6",
        "pre", "hr", "section", "article", NULL };
    static const char *const lines[] = { "br", "tr", "li", NULL };
    bool closing = at[1] == '/';
    const char *start = at + 1 + closing, *end;
    char name[TAG_NAME_MAX + 1] = "";

    if (strncmp(at, "<!--", 4) == 0) {
        end = strstr(at + 4, "-->");
        return end ? end + 3 : "";
    }
    for (size_t i = 0; i < TAG_NAME_MAX && ((*start | 0x20) >= 'a') && ((*start | 0x20) <= 'z'); i++)
        name[i] = *start++;
    for (size_t i = strlen(name); i > 0 && i < TAG_NAME_MAX && *start >= '0' && *start <= '9'; i++)
        name[i] = *start++;
    if (!*name && *start != '!' && *start != '?') {
        put(walk, "<", 1);
        return at + 1;
    }
    end = tag_end(start);
    if (is_one_of(name, hidden) && !closing)
        return skip_element(end, name);
    if (strcasecmp(name, "a") == 0) {
        close_link(walk);
        if (!closing)
            open_link(walk, start, end);
    } else if (is_one_of(name, blocks)) {
        new_lines(walk, 2);
    } else if (is_one_of(name, lines)) {
        new_lines(walk, strcasecmp(name, "br") == 0 && walk->lines < 2 ? walk->lines + 1 : 1);
        if (strcasecmp(name, "li") == 0 && !closing)
            put(walk, "- ", 2);
    } else if (strcasecmp(name, "td") == 0 || strcasecmp(name, "th") == 0) {
        walk->space = true;
    }
    return *end ? end + 1 : end;
}

const char *html_text(struct aileron_call *call, const char *html)
{
    struct walk walk = { 0 };

    aileron_text_init(&walk.out, call, 2 * strlen(html) + 64);
    while (*html) {
        size_t len = strspn(html, " \t\r\n");
        uint32_t c = 0;

        if (len) {
            walk.space = true;
        } else if (*html == '<') {
            html = tag(&walk, html);
            continue;
        } else if (*html == '&' && (len = entity(html, &c)) > 0) {
            if (c == ' ')
                walk.space = true;
            else if (c) {
                put(&walk, "", 0);
                charset_add(&walk.out, c);
            }
        } else {
            len = strcspn(html, " \t\r\n<&");
            len += len == 0;
            put(&walk, html, len);
        }
        html += len;
    }
    close_link(&walk);
    while (walk.out.len && walk.out.data[walk.out.len - 1] == '\n')
        walk.out.data[--walk.out.len] = '\0';
    return walk.out.data;
}
