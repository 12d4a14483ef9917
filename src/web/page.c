/*
 * Pages as a table: an answer's word, a title that says what happened, what it
 * means and what to do now. Two of them leave room for the keeper's own words.
 */
#include "web/page.h"

#include "base/encode.h"
#include "base/json.h"
#include "crypt/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define STYLE                                                                                                                    \
    ":root{color-scheme:light dark}"                                                                                             \
    "body{margin:0;font:1rem/1.5 system-ui,sans-serif;background:#f5f6f8;color:#1b1f24}"                                         \
    "main{box-sizing:border-box;max-width:34rem;margin:12vh auto 2rem;padding:1.75rem 2rem;background:#fff;"                     \
    "border:1px solid #d5d9df;border-top:4px solid #6b7480;border-radius:10px;overflow-wrap:anywhere}"                           \
    "main.good{border-top-color:#1a7f4b}main.bad{border-top-color:#b3372f}"                                                      \
    "h1{margin:.2rem 0 .8rem;font-size:1.45rem;line-height:1.25}"                                                                \
    "p{margin:.6rem 0}.name{color:#5b6470;margin:0;font-size:.9rem}"                                                             \
    "code{font:.92em ui-monospace,monospace;background:#eceef2;padding:.1em .35em;border-radius:4px}"                            \
    "@media(max-width:40rem){main{margin:1rem;padding:1.25rem}}"                                                                 \
    "@media(prefers-color-scheme:dark){body{background:#14171b;color:#e4e7eb}"                                                   \
    "main{background:#1d2126;border-color:#373d45}.name{color:#9aa4b0}code{background:#2b3138}}"

struct page {
    const char *result, *tone, *title, *text, *next;
};

static const struct page PAGES[] = {
    { "connected", "good", "Connected", "Aileron may now use this account, within what you agreed to.",
        "You can close this tab and go back to the terminal." },
    { "denied", "bad", "Access was denied", "The provider says that access was not granted. Nothing was stored.",
        "You can close this tab. To try again, run the command in the terminal once more." },
    { "unknown", "bad", "This link is not good any more",
        "It was used already, is older than ten minutes, or did not come from Aileron. Nothing was changed.",
        "Close this tab and start again in the terminal." },
    { "locked", "bad", "The vault is locked", "It was locked meanwhile, so nothing could be stored.",
        "Open it in the terminal with `aileron vault unlock`, then start again." },
    { "busy", "bad", "Too much at once", "Too many sign-ins are under way. Nothing was changed.",
        "Close this tab and start again in the terminal in a moment." },
    { "interrupted", "bad", "Aileron was interrupted",
        "The part of Aileron that keeps credentials was not there to the end, so it is not certain whether the account was "
        "connected.",
        "Look in the terminal with `aileron binding list`, then start again if it is not there." },
    { "failed", "bad", "The account was not connected", "The sign-in could not be completed.",
        "You can close this tab. The terminal says more." },
};

static const struct page *page_find(const char *result)
{
    for (size_t i = 0; result && i < ARRAY_LEN(PAGES); i++)
        if (!strcmp(PAGES[i].result, result))
            return &PAGES[i];
    return &PAGES[ARRAY_LEN(PAGES) - 1];
}

static int add_char(struct buf *out, char c)
{
    switch (c) {
    case '&':
        return buf_add_str(out, "&amp;");
    case '<':
        return buf_add_str(out, "&lt;");
    case '>':
        return buf_add_str(out, "&gt;");
    case '"':
        return buf_add_str(out, "&quot;");
    case '\'':
        return buf_add_str(out, "&#39;");
    default:
        return buf_add_char(out, (unsigned char) c < ' ' || c == 0x7f ? ' ' : c);
    }
}

/* Escaped; what stands between backquotes becomes code. */
static int add_text(struct buf *out, const char *text)
{
    bool code = false;
    int r = 0;

    for (; *text && !r; text++) {
        if (*text != '`') {
            r = add_char(out, *text);
        } else if (code || strchr(text + 1, '`')) {
            r = buf_add_str(out, code ? "</code>" : "<code>");
            code = !code;
        }
    }
    return r;
}

static int add_paragraph(struct buf *out, const char *text)
{
    int r = text ? buf_add_str(out, "<p>") : 0;

    if (!r && text)
        r = add_text(out, text);
    if (!r && text)
        r = buf_add_str(out, "</p>\n");
    return r;
}

int page_render(const json_t *answer, struct buf *out)
{
    const json_t *error = json_object_get(answer, "error"), *words = error ? error : answer;
    const struct page *page = page_find(json_get_str(answer, "result"));
    const char *binding = json_get_str(answer, "binding"), *hint = json_get_str(words, "hint");
    int r = buf_printf(out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>%s · Aileron</title>\n<style>" STYLE "</style>\n</head>\n"
        "<body>\n<main class=\"%s\">\n<p class=\"name\">Aileron</p>\n<h1>%s</h1>\n",
        page->title, page->tone, page->title);

    if (!r && binding)
        r = buf_add_str(out, "<p><code>");
    for (; !r && binding && *binding; binding++)
        r = add_char(out, *binding);
    if (!r && binding)
        r = buf_add_str(out, "</code></p>\n");
    if (!r)
        r = add_paragraph(out, page->text);
    if (!r)
        r = add_paragraph(out, json_get_str(words, "message"));
    if (!r)
        r = add_paragraph(out, hint ? hint : page->next);
    return r ? r : buf_add_str(out, "</main>\n</body>\n</html>\n");
}

const char *page_csp(char out[PAGE_CSP_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64);
    uint8_t hash[SHA256_BYTES];

    if (sha256(STYLE, strlen(STYLE), hash) < 0 || base64_encode(hash, sizeof hash, &text) < 0)
        return NULL;
    snprintf(out, PAGE_CSP_MAX,
        "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", buf_str(&text));
    return out;
}
