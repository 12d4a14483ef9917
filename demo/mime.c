/*
 * Enough MIME for mails of this program's own seed and of well-behaved clients:
 * folded headers, encoded words in UTF-8, quoted-printable and base64 bodies,
 * nested multiparts.
 */
#include "mime.h"

#include "base/buf.h"
#include "base/encode.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define DEPTH_MAX   8
#define BODY_MAX    (8u * 1024 * 1024)
#define HEADER_MAX  (64u * 1024)
#define SNIPPET_LEN 200

struct span {
    const char *at;
    size_t len;
};

/* Takes the next line off `text`, without its line end. False at the end. */
static bool next_line(struct span *text, struct span *ret_line)
{
    const char *newline;
    size_t len;

    if (!text->len)
        return false;
    newline = memchr(text->at, '\n', text->len);
    len = newline ? (size_t) (newline - text->at) : text->len;
    *ret_line = (struct span){ text->at, len && text->at[len - 1] == '\r' ? len - 1 : len };
    text->at += len + (newline ? 1 : 0);
    text->len -= len + (newline ? 1 : 0);
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The index of the line end after a "=" at `i` that has only spaces behind it; 0 when it is no soft line break. */
static size_t soft_break(struct span in, size_t i)
{
    for (i++; i < in.len; i++) {
        if (in.at[i] == '\n')
            return i;
        if (in.at[i] != ' ' && in.at[i] != '\t' && in.at[i] != '\r')
            return 0;
    }
    return 0;
}

/* RFC 2045 §6.7, and with `header` RFC 2047 §4.2, where _ is a space. */
static void decode_quoted(struct span in, bool header, struct buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        int high = c == '=' && i + 2 < in.len ? hex_digit(in.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(in.at[i + 2]) : -1;

        if (high >= 0 && low >= 0) {
            buf_add_char(out, (char) (high * 16 + low));
            i += 2;
        } else if (c == '=' && !header && soft_break(in, i)) {
            i = soft_break(in, i);
        } else {
            buf_add_char(out, header && c == '_' ? ' ' : c);
        }
    }
}

static void decode_base64(struct span in, struct buf *out)
{
    CLEANUP(buf_free) struct buf packed = BUF_INIT(BODY_MAX * 2);

    for (size_t i = 0; i < in.len; i++)
        if (!isspace((unsigned char) in.at[i]))
            buf_add_char(&packed, in.at[i]);
    base64_decode(buf_str(&packed), packed.len, out);
}

/* One "=?UTF-8?B?…?=" at the start of `text`: bytes taken, 0 when there is none. */
static size_t decode_word(struct span text, struct buf *out)
{
    static const char START[] = "=?utf-8?";
    const char *body, *end;
    struct span inner;
    char kind;

    if (text.len < sizeof(START) + 4 || strncasecmp(text.at, START, sizeof(START) - 1) != 0)
        return 0;
    kind = (char) tolower((unsigned char) text.at[sizeof(START) - 1]);
    body = text.at + sizeof(START) + 1;
    end = memmem(body, text.len - (size_t) (body - text.at), "?=", 2);
    if ((kind != 'b' && kind != 'q') || body[-1] != '?' || !end)
        return 0;
    inner = (struct span){ body, (size_t) (end - body) };
    if (kind == 'b')
        decode_base64(inner, out);
    else
        decode_quoted(inner, true, out);
    return (size_t) (end + 2 - text.at);
}

/* Header text with its encoded words decoded; the space between two of them is theirs. */
static void decode_header(struct span value, struct buf *out)
{
    bool after_word = false;

    for (size_t i = 0; i < value.len;) {
        struct span rest = { value.at + i, value.len - i };
        size_t gap = 0, used;

        while (after_word && gap < rest.len && (rest.at[gap] == ' ' || rest.at[gap] == '\t'))
            gap++;
        used = decode_word((struct span){ rest.at + gap, rest.len - gap }, out);
        if (used) {
            i += gap + used;
        } else {
            buf_add_char(out, value.at[i++]);
        }
        after_word = used > 0;
    }
}

static void add_header(json_t *headers, const struct buf *field)
{
    CLEANUP(buf_free) struct buf value = BUF_INIT(HEADER_MAX);
    const char *colon = field->len ? memchr(field->data, ':', field->len) : NULL;
    struct span raw;

    if (!colon || colon == field->data)
        return;
    raw.at = colon + 1 + strspn(colon + 1, " \t");
    raw.len = (size_t) (field->data + field->len - raw.at);
    decode_header(raw, &value);
    json_array_append_new(
        headers, json_pack("{s:s%,s:s}", "name", field->data, (size_t) (colon - field->data), "value", buf_str(&value)));
}

/* Reads the header block off `text`, unfolding; what is left is the body. */
static json_t *read_headers(struct span *text)
{
    CLEANUP(buf_free) struct buf field = BUF_INIT(HEADER_MAX);
    json_t *headers = json_array();
    struct span line;

    while (headers && next_line(text, &line) && line.len) {
        if (line.at[0] != ' ' && line.at[0] != '\t') {
            add_header(headers, &field);
            buf_reset(&field);
        }
        buf_add(&field, line.at, line.len);
    }
    add_header(headers, &field);
    return headers;
}

static const char *header_of(const json_t *headers, const char *name)
{
    const json_t *header;
    size_t i;

    json_array_foreach((json_t *) headers, i, header) if (!strcasecmp(json_get_str(header, "name"), name)) return json_get_str(
        header, "value");
    return NULL;
}

const char *mime_header(const json_t *payload, const char *name)
{
    return header_of(json_object_get(payload, "headers"), name);
}

/* The parameter of "text/plain; charset=utf-8; name=\"x\"". malloc'd; NULL without it. */
static char *parameter(const char *value, const char *name)
{
    const char *at = value ? strchr(value, ';') : NULL;
    size_t len = strlen(name);

    for (; at; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, len) != 0 || at[len] != '=')
            continue;
        at += len + 1;
        return *at == '"' ? strndup(at + 1, strcspn(at + 1, "\"")) : strndup(at, strcspn(at, "; \t"));
    }
    return NULL;
}

static char *file_name(const json_t *headers)
{
    char *name = parameter(header_of(headers, "Content-Disposition"), "filename");

    return name ? name : parameter(header_of(headers, "Content-Type"), "name");
}

/* "text/plain" of a Content-Type, lower case. malloc'd. */
static char *media_type(const char *content_type)
{
    const char *text = content_type ? content_type : "text/plain";
    char *type = strndup(text, strcspn(text, "; \t"));

    for (char *c = type; c && *c; c++)
        *c = (char) tolower((unsigned char) *c);
    return type;
}

static json_t *read_part(struct span text, const char *id, json_t *attachments, unsigned depth);

/* The bodies between the boundary's lines, as parts "1", "2" or "1.1", …. */
static json_t *read_parts(struct span text, const char *boundary, const char *id, json_t *attachments, unsigned depth)
{
    CLEANUP_JSON json_t *parts = json_array();
    size_t len = strlen(boundary);
    const char *start = NULL;
    struct span line;

    while (next_line(&text, &line)) {
        bool mark = line.len >= len + 2 && !memcmp(line.at, "--", 2) && !memcmp(line.at + 2, boundary, len);

        if (!mark)
            continue;
        if (start) {
            char inner[32];
            json_t *part;

            snprintf(inner, sizeof(inner), "%s%s%zu", id, *id ? "." : "", json_array_size(parts));
            part = read_part((struct span){ start, (size_t) (line.at - start) }, inner, attachments, depth + 1);
            if (json_array_append_new(parts, part) < 0)
                return NULL;
        }
        if (line.len >= len + 4 && !memcmp(line.at + 2 + len, "--", 2))
            break;
        start = text.at;
    }
    return TAKE_PTR(parts);
}

/* {"size","data"} of a text, or {"size","attachmentId"} with the bytes kept apart. */
static json_t *read_body(struct span text, const json_t *headers, const char *id, bool attachment, json_t *attachments)
{
    CLEANUP(buf_free) struct buf bytes = BUF_INIT(BODY_MAX);
    CLEANUP(buf_free) struct buf encoded = BUF_INIT(BODY_MAX * 2);
    const char *encoding = header_of(headers, "Content-Transfer-Encoding");
    char name[64];

    if (encoding && !strcasecmp(encoding, "base64"))
        decode_base64(text, &bytes);
    else if (encoding && !strcasecmp(encoding, "quoted-printable"))
        decode_quoted(text, false, &bytes);
    else
        buf_add(&bytes, text.at, text.len);
    if (base64url_encode(buf_str(&bytes), bytes.len, &encoded) < 0)
        return NULL;
    if (!attachment)
        return json_pack("{s:I,s:s}", "size", (json_int_t) bytes.len, "data", buf_str(&encoded));
    snprintf(name, sizeof(name), "att-%s", id);
    if (json_object_set_new(attachments, name, json_string(buf_str(&encoded))) < 0)
        return NULL;
    return json_pack("{s:I,s:s}", "size", (json_int_t) bytes.len, "attachmentId", name);
}

static json_t *read_part(struct span text, const char *id, json_t *attachments, unsigned depth)
{
    CLEANUP_JSON json_t *headers = read_headers(&text);
    const char *content_type = header_of(headers, "Content-Type");
    CLEANUP_FREE char *type = media_type(content_type);
    CLEANUP_FREE char *boundary = parameter(content_type, "boundary");
    CLEANUP_FREE char *name = file_name(headers);
    bool multipart = type && !strncmp(type, "multipart/", 10) && boundary;
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *parts = NULL;

    if (!headers || !type || depth > DEPTH_MAX)
        return NULL;
    if (multipart) {
        body = json_pack("{s:i}", "size", 0);
        parts = read_parts(text, boundary, id, attachments, depth);
    } else {
        body = read_body(text, headers, id, name != NULL, attachments);
    }
    if (!body || (multipart && !parts))
        return NULL;
    return json_pack("{s:s,s:s,s:s,s:O,s:O,s:O*}", "partId", id, "mimeType", type, "filename", name ? name : "", "headers",
        headers, "body", body, "parts", parts);
}

json_t *mime_payload(const char *raw, size_t len, json_t *attachments)
{
    return read_part((struct span){ raw, len }, "", attachments, 0);
}

/* The first part that is inline text. */
static const json_t *first_text(const json_t *part)
{
    const char *type = json_get_str(part, "mimeType"), *name = json_get_str(part, "filename");
    const json_t *inner;
    size_t i;

    if (type && !strncmp(type, "text/", 5) && name && !*name)
        return part;
    json_array_foreach(json_object_get(part, "parts"), i, inner)
    {
        const json_t *found = first_text(inner);

        if (found)
            return found;
    }
    return NULL;
}

char *mime_snippet(const json_t *payload)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(BODY_MAX);
    CLEANUP(buf_free) struct buf line = BUF_INIT(SNIPPET_LEN + 8);
    const char *data = json_get_str(json_object_get(first_text(payload), "body"), "data");
    bool in_tag = false;

    if (data)
        base64_decode(data, strlen(data), &text);
    for (size_t i = 0; i < text.len && line.len < SNIPPET_LEN; i++) {
        char c = isspace((unsigned char) text.data[i]) ? ' ' : text.data[i];

        in_tag = c == '<' || (in_tag && c != '>');
        if (!in_tag && c != '>' && !(c == ' ' && (!line.len || line.data[line.len - 1] == ' ')))
            buf_add_char(&line, c);
    }
    while (line.len && !utf8_is_valid(line.data, line.len)) /* a character was cut */
        line.data[--line.len] = '\0';
    return buf_take(&line);
}
