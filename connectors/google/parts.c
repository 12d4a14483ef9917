/*
 * Walking the parts of a message.
 *
 * Of a multipart/alternative one version is shown, text/plain if there is one; of
 * every other multipart all inline texts are, one after the other, so that nothing
 * which a recipient reads is left out. Depth and number of parts are bounded by the
 * JSON reader.
 */
#include "parts.h"

#include "api.h"
#include "charset.h"
#include "input.h"

#include <string.h>
#include <strings.h>

#define TEXT_MAX          (8 * 1024 * 1024)
#define ATTACHMENT_ID_MAX 4096
#define NAME_SHOWN_MAX    200
#define FETCHES_MAX       4

struct walk {
    struct aileron_call *call;
    const char *message_id;
    unsigned fetches;
    struct parts *parts;
};

/* The next header of this name at or after *header, which is left there. */
static const char *raw_header(const struct aileron_json **header, const char *name)
{
    for (; *header; *header = (*header)->next) {
        const char *found = aileron_json_string(*header, "name"), *value = aileron_json_string(*header, "value");

        if (found && value && strcasecmp(found, name) == 0)
            return value;
    }
    return NULL;
}

static const char *first_header(const struct aileron_json *part, const char *name)
{
    const struct aileron_json *header = aileron_json_each(aileron_json_get(part, "headers"));

    return raw_header(&header, name);
}

const char *parts_header(struct aileron_call *call, const struct aileron_json *message, const char *name)
{
    const struct aileron_json *payload = aileron_json_get(message, "payload");
    const struct aileron_json *header = aileron_json_each(aileron_json_get(payload, "headers"));
    const char *joined = NULL, *value;

    while ((value = raw_header(&header, name))) {
        value = charset_header(call, value);
        joined = joined ? aileron_printf(call, "%s, %s", joined, value) : value;
        header = header->next;
    }
    return joined;
}

static bool is_type(const struct aileron_json *part, const char *prefix)
{
    const char *type = aileron_json_string(part, "mimeType");

    return type && strncasecmp(type, prefix, strlen(prefix)) == 0;
}

/* Text for people, as opposed to a file that happens to be text. */
static bool is_inline_text(const struct aileron_json *part)
{
    const char *name = aileron_json_string(part, "filename"), *disposition = first_header(part, "Content-Disposition");

    if (!is_type(part, "text/plain") && !is_type(part, "text/html"))
        return false;
    return (!name || !*name) && (!disposition || strncasecmp(disposition, "attachment", 10) != 0);
}

static void add_attachment(struct walk *walk, const struct aileron_json *part)
{
    struct parts *parts = walk->parts;
    const char *name = aileron_json_string(part, "filename"), *type = aileron_json_string(part, "mimeType");
    struct attachment *attachment;

    if (parts->attachments++ >= ATTACHMENTS_SHOWN)
        return;
    attachment = aileron_alloc(walk->call, sizeof(*attachment));
    type = type ? input_one_line(walk->call, type, NAME_SHOWN_MAX) : "application/octet-stream";
    attachment->mime_type = type;
    attachment->name = name && *name ? input_one_line(walk->call, charset_header(walk->call, name), NAME_SHOWN_MAX)
                                     : aileron_printf(walk->call, "(unnamed %s)", type);
    if (!aileron_json_int(aileron_json_get(aileron_json_get(part, "body"), "size"), &attachment->size) || attachment->size < 0)
        attachment->size = 0;
    if (parts->last)
        parts->last->next = attachment;
    else
        parts->first = attachment;
    parts->last = attachment;
}

/* The base64url data of a text, which Gmail keeps apart when it is large. NULL: there is none. */
static int text_data(struct walk *walk, const struct aileron_json *part, const char **ret_data)
{
    const struct aileron_json *body = aileron_json_get(part, "body"), *answer;
    const char *data = aileron_json_string(body, "data"), *id = aileron_json_string(body, "attachmentId");
    const char *url;

    if (!data && id && walk->message_id && walk->fetches < FETCHES_MAX && input_is_id(id, ATTACHMENT_ID_MAX)) {
        walk->fetches++;
        url = aileron_printf(walk->call, GMAIL_URL "/messages/%s/attachments/%s", walk->message_id, id);
        if (google_get(walk->call, url, &answer) != 0)
            return -1;
        data = aileron_json_string(answer, "data");
    }
    if (!data && id)
        walk->parts->incomplete = true;
    *ret_data = data;
    return 0;
}

static int add_text(struct walk *walk, const struct aileron_json *part)
{
    struct parts *parts = walk->parts;
    const char *data = NULL, *bytes, *text, *type = first_header(part, "Content-Type");
    size_t len = 0;

    if (text_data(walk, part, &data) != 0)
        return -1;
    if (!data || !*data)
        return 0;
    bytes = aileron_base64_decode(walk->call, data, strlen(data), &len);
    if (!bytes) {
        parts->incomplete = true;
        return 0;
    }
    text = charset_text(walk->call, bytes, len, charset_parameter(walk->call, type, "charset"));
    if (is_type(part, "text/html")) {
        text = html_text(walk->call, text);
        parts->html = true;
    } else {
        parts->plain = true;
    }
    if (parts->text.len && *text)
        aileron_text_add_str(&parts->text, "\n\n");
    aileron_text_add_str(&parts->text, text);
    parts->incomplete = parts->incomplete || parts->text.overflow;
    return 0;
}

/* Whether a part or one inside it is inline text of a type. */
static bool holds(const struct aileron_json *part, const char *type)
{
    if (is_inline_text(part) && is_type(part, type))
        return true;
    part = aileron_json_each(aileron_json_get(part, "parts"));
    for (; part; part = part->next)
        if (holds(part, type))
            return true;
    return false;
}

static int walk_part(struct walk *walk, const struct aileron_json *part);

/* One version of several: the first that holds plain text, else the last that holds HTML. All others show as what they attach. */
static int walk_alternative(struct walk *walk, const struct aileron_json *versions)
{
    const struct aileron_json *chosen = NULL, *html = NULL, *part;

    for (part = aileron_json_each(versions); part; part = part->next) {
        if (!chosen && holds(part, "text/plain"))
            chosen = part;
        if (holds(part, "text/html"))
            html = part;
    }
    if (chosen && html && html != chosen)
        walk->parts->html_unshown = true;
    if (!chosen)
        chosen = html;
    for (part = aileron_json_each(versions); part; part = part->next) {
        if (part == chosen) {
            if (walk_part(walk, part) != 0)
                return -1;
        } else if (!is_inline_text(part) && !is_type(part, "multipart/")) {
            add_attachment(walk, part);
        } else if (is_type(part, "multipart/")) {
            /* Pictures of the version that is not shown. */
            const struct aileron_json *inner = aileron_json_each(aileron_json_get(part, "parts"));

            for (; inner; inner = inner->next)
                if (!is_inline_text(inner) && !is_type(inner, "multipart/"))
                    add_attachment(walk, inner);
        }
    }
    return 0;
}

static int walk_part(struct walk *walk, const struct aileron_json *part)
{
    const struct aileron_json *inner = aileron_json_get(part, "parts");

    if (is_inline_text(part))
        return add_text(walk, part);
    if (!is_type(part, "multipart/")) {
        if (part && part->type == AILERON_OBJECT)
            add_attachment(walk, part);
        return 0;
    }
    if (is_type(part, "multipart/alternative"))
        return walk_alternative(walk, inner);
    for (inner = aileron_json_each(inner); inner; inner = inner->next)
        if (walk_part(walk, inner) != 0)
            return -1;
    return 0;
}

int parts_read(struct aileron_call *call, const struct aileron_json *message, struct parts *ret_parts)
{
    const char *id = aileron_json_string(message, "id");
    struct walk walk = { .call = call, .parts = ret_parts };

    *ret_parts = (struct parts){ 0 };
    aileron_text_init(&ret_parts->text, call, TEXT_MAX);
    walk.message_id = id && input_is_id(id, 256) ? id : NULL;
    return walk_part(&walk, aileron_json_get(message, "payload"));
}

const char *parts_kind(const struct parts *parts)
{
    if (parts->incomplete)
        return "incomplete: part of the text could not be read";
    if (parts->html && parts->plain)
        return "plain text, partly from HTML";
    if (parts->html)
        return "HTML, shown as text";
    if (parts->html_unshown)
        return "plain text; most readers will see its HTML version instead";
    return "plain text";
}

const char *parts_attachment_list(struct aileron_call *call, const struct parts *parts)
{
    struct aileron_text text;

    if (!parts->first)
        return "none";
    aileron_text_init(&text, call, ATTACHMENTS_SHOWN * (NAME_SHOWN_MAX + 64));
    for (const struct attachment *a = parts->first; a; a = a->next)
        aileron_text_printf(&text, "%s%s (%lld bytes)", text.len ? ", " : "", a->name, (long long) a->size);
    if (parts->attachments > ATTACHMENTS_SHOWN)
        aileron_text_printf(&text, " and %zu more", parts->attachments - ATTACHMENTS_SHOWN);
    return text.data;
}

void parts_put_attachments(struct aileron_writer *writer, const struct parts *parts)
{
    aileron_put_array(writer, "attachments");
    for (const struct attachment *a = parts->first; a; a = a->next) {
        aileron_put_object(writer, NULL);
        aileron_put_string(writer, "name", a->name);
        aileron_put_string(writer, "mime_type", a->mime_type);
        aileron_put_int(writer, "size", a->size);
        aileron_put_end(writer);
    }
    aileron_put_end(writer);
}
