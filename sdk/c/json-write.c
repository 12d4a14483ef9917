/*
 * Writing JSON into a bounded text. A writer starts as an open object; it keeps
 * the commas and the brackets, so its result is always well formed and always
 * UTF-8, whatever is put into it. One that outgrew its bound gives no text.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

void aileron_writer_init(struct aileron_writer *writer, struct aileron_call *call, size_t max_bytes)
{
    aileron_text_init(&writer->text, call, max_bytes);
    aileron_text_add(&writer->text, "{", 1);
    writer->closing[0] = '}';
    writer->depth = 1;
}

struct aileron_writer *aileron_writer_new(struct aileron_call *call)
{
    struct aileron_writer *writer = aileron_alloc(call, sizeof(*writer));

    aileron_writer_init(writer, call, AILERON_REQUEST_MAX);
    return writer;
}

static void quote(struct aileron_text *text, const char *bytes, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t done = 0, at = 0;

    aileron_text_add(text, "\"", 1);
    while (at < len) {
        unsigned char c = (unsigned char) bytes[at];
        size_t size = c < 0x80 ? 1 : aileron_utf8_next(bytes + at, len - at);

        if (size && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            at += size;
            continue;
        }
        aileron_text_add(text, bytes + done, at - done);
        if (size == 0 || c == 0) /* readers down the line refuse NUL, and would lose the whole answer */
            aileron_text_add_str(text, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            aileron_text_add(text, (const char[]){ '\\', (char) c }, 2);
        else if (c == '\n')
            aileron_text_add_str(text, "\\n");
        else
            aileron_text_add(text, (const char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
        done = ++at;
    }
    aileron_text_add(text, bytes + done, at - done);
    aileron_text_add(text, "\"", 1);
}

/* Comma and name, before every value. A name is written exactly where the enclosing level is an object. */
static void begin(struct aileron_writer *writer, const char *name)
{
    bool in_object = writer->depth && writer->closing[writer->depth - 1] == '}';

    if (writer->comma)
        aileron_text_add(&writer->text, ",", 1);
    writer->comma = true;
    if (in_object != (name != NULL) || !writer->depth)
        writer->misused = true;
    if (name) {
        quote(&writer->text, name, strlen(name));
        aileron_text_add(&writer->text, ":", 1);
    }
}

void aileron_put_bytes(struct aileron_writer *writer, const char *name, const char *text, size_t len)
{
    begin(writer, name);
    quote(&writer->text, text, len);
}

void aileron_put_string(struct aileron_writer *writer, const char *name, const char *text)
{
    if (text)
        aileron_put_bytes(writer, name, text, strlen(text));
}

void aileron_put_int(struct aileron_writer *writer, const char *name, int64_t value)
{
    begin(writer, name);
    aileron_text_printf(&writer->text, "%lld", (long long) value);
}

void aileron_put_bool(struct aileron_writer *writer, const char *name, bool value)
{
    begin(writer, name);
    aileron_text_add_str(&writer->text, value ? "true" : "false");
}

static void open_level(struct aileron_writer *writer, const char *name, char opening, char closing)
{
    begin(writer, name);
    aileron_text_add(&writer->text, &opening, 1);
    if (writer->depth >= AILERON_DEPTH_MAX) {
        writer->misused = true;
        return;
    }
    writer->closing[writer->depth++] = closing;
    writer->comma = false;
}

void aileron_put_object(struct aileron_writer *writer, const char *name)
{
    open_level(writer, name, '{', '}');
}

void aileron_put_array(struct aileron_writer *writer, const char *name)
{
    open_level(writer, name, '[', ']');
}

void aileron_put_end(struct aileron_writer *writer)
{
    if (writer->depth == 0) {
        writer->misused = true;
        return;
    }
    aileron_text_add(&writer->text, &writer->closing[--writer->depth], 1);
    writer->comma = true;
}

void aileron_put_json(struct aileron_writer *writer, const char *name, const struct aileron_json *value)
{
    if (!value)
        return;
    switch (value->type) {
    case AILERON_STRING:
        aileron_put_bytes(writer, name, value->text, value->len);
        return;
    case AILERON_BOOL:
        aileron_put_bool(writer, name, value->boolean);
        return;
    case AILERON_NULL:
    case AILERON_NUMBER:
        begin(writer, name);
        aileron_text_add_str(&writer->text, value->type == AILERON_NULL ? "null" : value->text);
        return;
    case AILERON_ARRAY:
    case AILERON_OBJECT:
        if (value->type == AILERON_ARRAY)
            aileron_put_array(writer, name);
        else
            aileron_put_object(writer, name);
        for (const struct aileron_json *child = value->first; child; child = child->next)
            aileron_put_json(writer, child->key, child);
        aileron_put_end(writer);
    }
}

size_t aileron_output_left(struct aileron_call *call)
{
    struct aileron_writer *writer = call->output;
    size_t used = writer->text.len + writer->depth;

    return used < writer->text.max ? writer->text.max - used : 0;
}

const char *aileron_writer_text(struct aileron_writer *writer, size_t *ret_len)
{
    while (writer->depth)
        aileron_put_end(writer);
    if (writer->misused || writer->text.overflow) {
        struct aileron_call *call = writer->text.call;

        if (writer->misused)
            aileron_fail(call, "connector_runtime_error", "the operation put its answer together wrongly");
        else
            aileron_fail(call, "resource_limit_exceeded", "the answer is larger than %zu bytes", writer->text.max);
        return NULL;
    }
    if (ret_len)
        *ret_len = writer->text.len;
    return writer->text.data;
}
