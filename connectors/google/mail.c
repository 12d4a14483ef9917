/*
 * Reading mail and drafts. Only GET requests; answers are rebuilt from the
 * members that are known, so nothing else of Google's reaches an agent.
 */
#include "ops.h"

#include "api.h"
#include "charset.h"
#include "input.h"
#include "parts.h"
#include "when.h"

#include <string.h>

#define QUERY_MAX   2000
#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */
/* What a body leaves free of the answer, for attachments and the rest. */
#define BODY_RESERVE ((size_t) 96 * 1024)

/* Copies members that are text. `names` are pairs: ours, Google's. */
static void put_texts(struct aileron_writer *writer, const struct aileron_json *object, const char *const *names)
{
    for (; *names; names += 2)
        aileron_put_string(writer, names[0], aileron_json_string(object, names[1]));
}

/* A URL with the paging arguments of the call; NULL after bad_input. */
static const char *list_url(struct aileron_call *call, const char *base, const char *query)
{
    struct aileron_text url;
    const char *page_token = NULL;
    int64_t count;

    if (input_max_results(call, &count) != 0 || input_page_token(call, &page_token) != 0)
        return NULL;
    aileron_text_init(&url, call, 16 * 1024);
    aileron_text_add_str(&url, base);
    google_query_int(&url, "maxResults", count);
    google_query(&url, "q", query);
    google_query(&url, "pageToken", page_token);
    return url.data;
}

int list_recent_emails(struct aileron_call *call)
{
    static const char *const names[] = { "id", "id", "thread_id", "threadId", NULL };
    struct aileron_writer *output = aileron_output(call);
    const struct aileron_json *answer, *message;
    const char *query = NULL, *url;

    if (INPUT_ONLY(call, "query", "max_results", "page_token") != 0 ||
        input_text(call, "query", INPUT_ONE_LINE | INPUT_MAY_BE_EMPTY, QUERY_MAX, &query) != 0)
        return -1;
    url = list_url(call, GMAIL_URL "/messages", query && *query ? query : NULL);
    if (!url || google_get(call, url, &answer) != 0)
        return -1;
    aileron_put_array(output, "messages");
    message = aileron_json_each(aileron_json_get(answer, "messages"));
    for (int count = 0; message && count < MAX_RESULTS_CAP; message = message->next, count++) {
        if (!aileron_json_string(message, "id"))
            continue;
        aileron_put_object(output, NULL);
        put_texts(output, message, names);
        aileron_put_end(output);
    }
    aileron_put_end(output);
    aileron_put_string(output, "next_page_token", aileron_json_string(answer, "nextPageToken"));
    return 0;
}

int list_drafts(struct aileron_call *call)
{
    static const char *const names[] = { "message_id", "id", "thread_id", "threadId", NULL };
    struct aileron_writer *output = aileron_output(call);
    const struct aileron_json *answer, *draft;
    const char *url;

    if (INPUT_ONLY(call, "max_results", "page_token") != 0)
        return -1;
    url = list_url(call, GMAIL_URL "/drafts", NULL);
    if (!url || google_get(call, url, &answer) != 0)
        return -1;
    aileron_put_array(output, "drafts");
    draft = aileron_json_each(aileron_json_get(answer, "drafts"));
    for (int count = 0; draft && count < MAX_RESULTS_CAP; draft = draft->next, count++) {
        if (!aileron_json_string(draft, "id"))
            continue;
        aileron_put_object(output, NULL);
        aileron_put_string(output, "id", aileron_json_string(draft, "id"));
        put_texts(output, aileron_json_get(draft, "message"), names);
        aileron_put_end(output);
    }
    aileron_put_end(output);
    aileron_put_string(output, "next_page_token", aileron_json_string(answer, "nextPageToken"));
    return 0;
}

static const char *received_at(struct aileron_call *call, const struct aileron_json *message)
{
    const char *text = aileron_json_string(message, "internalDate");
    int64_t ms = 0;

    if (!text || strspn(text, "0123456789") != strlen(text) || strlen(text) == 0 || strlen(text) > 15)
        return NULL;
    for (; *text; text++)
        ms = ms * 10 + (*text - '0');
    return ms / 1000 > LAST_SECOND ? NULL : when_utc(call, ms / 1000);
}

/* Headers for people. `always`: a header that does not occur is empty instead of left out. */
static void put_headers(struct aileron_call *call, const struct aileron_json *message, const char *const *names, bool always)
{
    for (; *names; names += 2) {
        const char *value = parts_header(call, message, names[1]);

        aileron_put_string(aileron_output(call), names[0], value || !always ? value : "");
    }
}

/* The longest part of `text` whose JSON form takes at most `room` bytes. */
static size_t fitting(const char *text, size_t len, size_t room)
{
    size_t at = 0, used = 0;

    for (; at < len; at++) {
        unsigned char c = (unsigned char) text[at];
        size_t width = c == '"' || c == '\\' || c == '\n' ? 2 : c < 0x20 || c == 0x7f ? 6 : 1;

        if (used + width > room)
            break;
        used += width;
    }
    return input_cut(text, len, at);
}

static int put_body(struct aileron_call *call, const struct aileron_json *message)
{
    struct aileron_writer *output = aileron_output(call);
    size_t room = aileron_output_left(call), len;
    struct parts parts;

    if (parts_read(call, message, &parts) != 0)
        return -1;
    len = fitting(parts.text.data, parts.text.len, room > BODY_RESERVE ? room - BODY_RESERVE : 0);
    aileron_put_bytes(output, "body", parts.text.data, len);
    aileron_put_string(output, "body_kind", parts_kind(&parts));
    if (len < parts.text.len)
        aileron_put_bool(output, "body_truncated", true);
    parts_put_attachments(output, &parts);
    return 0;
}

int get_email(struct aileron_call *call)
{
    static const char *const headers[] = { "from", "From", "to", "To", "cc", "Cc", "bcc", "Bcc", "reply_to", "Reply-To",
        "subject", "Subject", "date", "Date", "message_id", "Message-ID", NULL };
    struct aileron_writer *output = aileron_output(call);
    const struct aileron_json *message, *label;
    const char *id = NULL, *format = "full", *snippet;
    int64_t size;

    if (INPUT_ONLY(call, "id", "format") != 0 || input_id(call, "id", INPUT_REQUIRED, &id) != 0 ||
        input_text(call, "format", INPUT_ONE_LINE, 16, &format) != 0)
        return -1;
    if (strcmp(format, "full") != 0 && strcmp(format, "metadata") != 0)
        return aileron_fail(call, "bad_input", "format is metadata (headers and the first words) or full (the whole text too)");
    if (google_get(call, aileron_printf(call, GMAIL_URL "/messages/%s?format=%s", id, format), &message) != 0)
        return -1;
    aileron_put_string(output, "id", aileron_json_string(message, "id"));
    aileron_put_string(output, "thread_id", aileron_json_string(message, "threadId"));
    put_headers(call, message, headers, false);
    aileron_put_string(output, "received_at", received_at(call, message));
    aileron_put_array(output, "labels");
    label = aileron_json_each(aileron_json_get(message, "labelIds"));
    for (; label; label = label->next)
        if (label->type == AILERON_STRING)
            aileron_put_string(output, NULL, label->text);
    aileron_put_end(output);
    snippet = aileron_json_string(message, "snippet");
    if (snippet)
        aileron_put_string(output, "snippet", html_entities(call, snippet));
    if (aileron_json_int(aileron_json_get(message, "sizeEstimate"), &size))
        aileron_put_int(output, "size_estimate", size);
    return strcmp(format, "full") == 0 ? put_body(call, message) : 0;
}

/*
 * A draft, complete: a person decides by this whether it is sent. Too much for an answer is therefore an error, never cut, and a
 * text that cannot be read whole is said to be so.
 */
int get_draft(struct aileron_call *call)
{
    static const char *const headers[] = { "to", "To", "cc", "Cc", "bcc", "Bcc", "subject", "Subject", NULL };
    struct aileron_writer *output = aileron_output(call);
    const struct aileron_json *draft, *message;
    const char *id = NULL;
    struct parts parts;

    if (INPUT_ONLY(call, "id") != 0 || input_id(call, "id", INPUT_REQUIRED, &id) != 0 ||
        google_get(call, aileron_printf(call, GMAIL_URL "/drafts/%s?format=full", id), &draft) != 0)
        return -1;
    message = aileron_json_get(draft, "message");
    if (!aileron_json_string(message, "id"))
        return aileron_fail_status(call, 200, -1, "Gmail's answer has no message in the draft");
    if (parts_read(call, message, &parts) != 0)
        return -1;
    aileron_put_string(output, "id", id);
    aileron_put_string(output, "message_id", aileron_json_string(message, "id"));
    aileron_put_string(output, "thread_id", aileron_json_string(message, "threadId"));
    put_headers(call, message, headers, true);
    aileron_put_bytes(output, "body", parts.text.data, parts.text.len);
    aileron_put_string(output, "body_kind", parts_kind(&parts));
    aileron_put_string(output, "attachment_list", parts_attachment_list(call, &parts));
    parts_put_attachments(output, &parts);
    return 0;
}
