/*
 * Writing a message. Everything is composed here from checked values: no text of
 * a caller reaches a header except as an atom that was checked, within quotes
 * with its quotes escaped, or as base64 of an encoded word.
 */
#include "message.h"

#include "input.h"

#include <string.h>

#define COLUMNS_MAX       76
#define PLAIN_WORD_MAX    60
#define WORD_START        "=?UTF-8?B?"
#define WORD_END          "?="
#define WORD_EXTRA        (sizeof(WORD_START WORD_END) - 1)
#define MESSAGE_BYTES_MAX (6 * 1024 * 1024)
#define IDS_KEPT          40
#define ID_BYTES_MAX      250

/* A header in the making: its text, and the column its current line has reached. */
struct header {
    struct aileron_text *text;
    size_t column;
};

static void add(struct header *header, const char *bytes, size_t len)
{
    aileron_text_add(header->text, bytes, len);
    header->column += len;
}

static void add_str(struct header *header, const char *string)
{
    add(header, string, strlen(string));
}

/* A new line that continues the header; the space it starts with is the one between two words. */
static void fold(struct header *header)
{
    aileron_text_add_str(header->text, "\r\n ");
    header->column = 1;
}

/* A space, or a fold in its place when `len` more bytes would not fit. */
static void space_before(struct header *header, size_t len)
{
    if (header->column + 1 + len > COLUMNS_MAX)
        fold(header);
    else
        add_str(header, " ");
}

/* Text as encoded words, none cutting a character. At least 20 columns must be left on the line, or are made. */
static void add_encoded(struct header *header, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        size_t room, take;

        if (header->column + WORD_EXTRA + 8 > COLUMNS_MAX)
            fold(header);
        room = (COLUMNS_MAX - header->column - WORD_EXTRA) / 4 * 3;
        take = input_cut(text, len, room);
        add_str(header, WORD_START);
        add_str(header, aileron_base64(header->text->call, text, take, false, NULL));
        add_str(header, WORD_END);
        text += take;
        len -= take;
        if (len > 0)
            fold(header);
    }
}

/* Whether text may stand in a header as it is: ASCII, foldable, and not mistaken for an encoded word. */
static bool is_plain(const char *text)
{
    size_t word = 0;

    if (*text == ' ' || strstr(text, "=?") || strstr(text, "  "))
        return false;
    for (; *text; text++) {
        if ((unsigned char) *text >= 0x7f || (unsigned char) *text < 0x20)
            return false;
        word = *text == ' ' ? 0 : word + 1;
        if (word > PLAIN_WORD_MAX || (*text == ' ' && !text[1]))
            return false;
    }
    return true;
}

static void add_subject(struct aileron_text *text, const char *subject)
{
    struct header header = { text, 0 };

    add_str(&header, "Subject:");
    if (is_plain(subject)) {
        while (*subject) {
            size_t word = strcspn(subject, " ");

            space_before(&header, word);
            add(&header, subject, word);
            subject += word;
            subject += *subject == ' ';
        }
    } else {
        add_str(&header, " ");
        add_encoded(&header, subject);
    }
    aileron_text_add_str(text, "\r\n");
}

/* A name as it stands before an address: plain words, or quoted. NULL: it must be encoded. */
static const char *phrase(struct aileron_call *call, const char *name)
{
    struct aileron_text quoted;
    bool words = true;

    if (!is_plain(name) || strlen(name) > PLAIN_WORD_MAX)
        return NULL;
    aileron_text_init(&quoted, call, 4 * PLAIN_WORD_MAX);
    aileron_text_add_str(&quoted, "\"");
    for (const char *at = name; *at; at++) {
        char lower = (char) (*at | 0x20);

        if (*at == '"' || *at == '\\')
            aileron_text_add_str(&quoted, "\\");
        aileron_text_add(&quoted, at, 1);
        words = words && ((lower >= 'a' && lower <= 'z') || (*at >= '0' && *at <= '9') || *at == ' ' || *at == '-' || *at == '_');
    }
    aileron_text_add_str(&quoted, "\"");
    return words ? name : quoted.data;
}

static void add_address(struct header *header, const struct address *address)
{
    struct aileron_call *call = header->text->call;
    const char *tail = address->next ? "," : "", *mailbox, *name;

    if (!*address->name) {
        mailbox = aileron_printf(call, "%s%s", address->mailbox, tail);
        space_before(header, strlen(mailbox));
        add_str(header, mailbox);
        return;
    }
    mailbox = aileron_printf(call, "<%s>%s", address->mailbox, tail);
    name = phrase(call, address->name);
    if (name) {
        space_before(header, strlen(name));
        add_str(header, name);
    } else {
        space_before(header, WORD_EXTRA + 8);
        add_encoded(header, address->name);
    }
    space_before(header, strlen(mailbox));
    add_str(header, mailbox);
}

static void add_addresses(struct aileron_text *text, const char *name, const struct address_list *list)
{
    struct header header = { text, 0 };

    if (!list->count)
        return;
    add_str(&header, name);
    add_str(&header, ":");
    for (const struct address *address = list->first; address; address = address->next)
        add_address(&header, address);
    aileron_text_add_str(text, "\r\n");
}

/* Ids separated by single spaces, as message_ids() gives them. */
static void add_ids(struct aileron_text *text, const char *name, const char *ids)
{
    struct header header = { text, 0 };

    if (!ids || !*ids)
        return;
    add_str(&header, name);
    add_str(&header, ":");
    while (*ids) {
        size_t len = strcspn(ids, " ");

        space_before(&header, len);
        add(&header, ids, len);
        ids += len;
        ids += *ids == ' ';
    }
    aileron_text_add_str(text, "\r\n");
}

static const char *id_at(const char *at, size_t *ret_len)
{
    for (; (at = strchr(at, '<')); at++) {
        size_t len = 1;

        while (at[len] > ' ' && at[len] < 0x7f && at[len] != '<' && at[len] != '>')
            len++;
        if (at[len] == '>' && len > 1 && len < ID_BYTES_MAX) {
            *ret_len = len + 1;
            return at;
        }
    }
    return NULL;
}

const char *message_ids(struct aileron_call *call, const char *value)
{
    struct aileron_text ids;
    size_t count = 0, index = 0, len;

    aileron_text_init(&ids, call, 2 * IDS_KEPT * (ID_BYTES_MAX + 2));
    for (const char *at = value; (at = id_at(at, &len)); at += len)
        count++;
    for (const char *at = value; (at = id_at(at, &len)); at += len, index++) {
        if (index > 0 && index + IDS_KEPT < count)
            continue;
        if (ids.len)
            aileron_text_add_str(&ids, " ");
        aileron_text_add(&ids, at, len);
    }
    return ids.data;
}

/* The body with CRLF for every kind of line end. */
static struct aileron_text canonical(struct aileron_call *call, const char *body)
{
    struct aileron_text text;

    aileron_text_init(&text, call, MESSAGE_BYTES_MAX);
    while (*body) {
        size_t len = strcspn(body, "\r\n");

        aileron_text_add(&text, body, len);
        body += len;
        if (*body) {
            body += body[0] == '\r' && body[1] == '\n' ? 2 : 1;
            aileron_text_add_str(&text, "\r\n");
        }
    }
    return text;
}

/* Whether a byte of canonical text stands for itself in quoted-printable. */
static bool literal(const char *at)
{
    if (*at == ' ' || *at == '\t')
        return at[1] != '\r' && at[1] != '\0';
    return *at > ' ' && *at < 0x7f && *at != '=';
}

static void add_quoted_printable(struct aileron_text *text, const struct aileron_text *body)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;

    for (const char *at = body->data; *at; at++) {
        unsigned char c = (unsigned char) *at;
        size_t width = literal(at) ? 1 : 3;

        if (c == '\r' && at[1] == '\n') {
            aileron_text_add(text, "\r\n", 2);
            column = 0;
            at++;
            continue;
        }
        if (column + width > COLUMNS_MAX - 1) {
            aileron_text_add_str(text, "=\r\n");
            column = 0;
        }
        if (width == 1)
            aileron_text_add(text, at, 1);
        else
            aileron_text_add(text, (const char[]){ '=', hex[c >> 4], hex[c & 15] }, 3);
        column += width;
    }
}

static void add_base64(struct aileron_text *text, const struct aileron_text *body)
{
    size_t len;
    const char *encoded = aileron_base64(text->call, body->data, body->len, false, &len);

    for (size_t at = 0; at < len; at += COLUMNS_MAX) {
        aileron_text_add(text, encoded + at, len - at < COLUMNS_MAX ? len - at : COLUMNS_MAX);
        aileron_text_add_str(text, "\r\n");
    }
}

/* Quoted-printable where that stays readable, base64 where most of it would be escapes. */
static void add_body(struct aileron_text *text, const char *body)
{
    struct aileron_text lines = canonical(text->call, body);
    size_t escapes = 0;
    bool readable;

    for (size_t i = 0; i < lines.len; i++)
        escapes += (unsigned char) lines.data[i] >= 0x80;
    readable = escapes * 5 <= lines.len;
    aileron_text_printf(text,
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
        readable ? "quoted-printable" : "base64");
    if (readable)
        add_quoted_printable(text, &lines);
    else
        add_base64(text, &lines);
}

const char *message_write(struct aileron_call *call, const struct message *message, size_t *ret_len)
{
    struct aileron_text text;

    aileron_text_init(&text, call, MESSAGE_BYTES_MAX);
    add_addresses(&text, "To", &message->to);
    add_addresses(&text, "Cc", &message->cc);
    add_addresses(&text, "Bcc", &message->bcc);
    add_subject(&text, message->subject);
    add_ids(&text, "In-Reply-To", message->in_reply_to);
    add_ids(&text, "References", message->references);
    add_body(&text, message->body);
    if (text.overflow) {
        aileron_fail(call, "bad_input", "the message is larger than %d bytes", MESSAGE_BYTES_MAX);
        return NULL;
    }
    *ret_len = text.len;
    return text.data;
}
