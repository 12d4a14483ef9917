/*
 * Messages are kept as JSON in Gmail's full form; the other forms are copies
 * with less. A draft is a message with the label DRAFT and an id of its own.
 */
#include "mailbox.h"

#include "answers.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "mime.h"
#include "seed.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define RAW_MAX (2u * 1024 * 1024)

struct mailbox {
    json_t *messages;    /* id → message, in the order of arrival */
    json_t *attachments; /* message id → {attachmentId → base64url} */
    json_t *drafts;      /* draft id → message id */
    unsigned long long next_id;
};

struct mailbox *mailbox_new(int64_t now_unix_ms)
{
    CLEANUP_PTR(mailbox_free) struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

    if (!mailbox)
        return NULL;
    mailbox->messages = json_object();
    mailbox->attachments = json_object();
    mailbox->drafts = json_object();
    mailbox->next_id = 0x18f3a1c09d5e4b01ull;
    if (!mailbox->messages || !mailbox->attachments || !mailbox->drafts || seed_mails(mailbox, now_unix_ms) < 0)
        return NULL;
    return TAKE_PTR(mailbox);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    json_decref(mailbox->messages);
    json_decref(mailbox->attachments);
    json_decref(mailbox->drafts);
    free(mailbox);
}

static json_t *labels(const char *label, bool unread)
{
    json_t *list = json_array();

    json_array_append_new(list, json_string(label ? label : "INBOX"));
    if (unread)
        json_array_append_new(list, json_string("UNREAD"));
    return list;
}

static bool thread_exists(const struct mailbox *mailbox, const char *thread_id)
{
    const char *key;
    json_t *message;

    json_object_foreach(mailbox->messages, key, message) if (!strcmp(json_get_str(message, "threadId"), thread_id)) return true;
    return false;
}

const char *mailbox_add(
    struct mailbox *mailbox, const char *raw, size_t len, const char *thread_id, const char *label, bool unread, int64_t unix_ms)
{
    CLEANUP_JSON json_t *attachments = json_object();
    CLEANUP_JSON json_t *payload = mime_payload(raw, len, attachments);
    CLEANUP_FREE char *snippet = payload ? mime_snippet(payload) : NULL;
    char id[32], date[32];
    json_t *message;

    if (!payload || !snippet || (thread_id && !thread_exists(mailbox, thread_id)))
        return NULL;
    snprintf(id, sizeof(id), "%llx", mailbox->next_id);
    mailbox->next_id += 0x10001;
    snprintf(date, sizeof(date), "%lld", (long long) unix_ms);
    message = json_pack("{s:s,s:s,s:o,s:s,s:s,s:I,s:O}", "id", id, "threadId", thread_id ? thread_id : id, "labelIds",
        labels(label, unread), "snippet", snippet, "internalDate", date, "sizeEstimate", (json_int_t) len, "payload", payload);
    if (!message || json_object_set_new(mailbox->messages, id, message) < 0 ||
        json_object_set(mailbox->attachments, id, attachments) < 0)
        return NULL;
    return json_get_str(message, "id");
}

static bool has_label(const json_t *message, const char *label)
{
    const json_t *item;
    size_t i;

    json_array_foreach(
        json_object_get(message, "labelIds"), i, item) if (!strcasecmp(json_string_value(item), label)) return true;
    return false;
}

/* Is `word` (of `len` bytes) somewhere in `text`, whatever its case? */
static bool contains(const char *text, const char *word, size_t len)
{
    for (; text && *text; text++)
        if (!strncasecmp(text, word, len))
            return true;
    return false;
}

/* One term of a search: is:unread, in:inbox, from:…, to:…, subject:…, or a word. */
static bool matches_term(const json_t *message, const char *term, size_t len)
{
    static const char *const HEADERS[] = { "from", "to", "subject" };
    const json_t *payload = json_object_get(message, "payload");
    const char *colon = memchr(term, ':', len);
    size_t name_len = colon ? (size_t) (colon - term) : 0, value_len = colon ? len - name_len - 1 : 0;
    char label[32];

    if (colon && ((name_len == 2 && (!strncasecmp(term, "is", 2) || !strncasecmp(term, "in", 2))))) {
        snprintf(label, sizeof(label), "%.*s", (int) value_len, colon + 1);
        return has_label(message, label);
    }
    for (size_t i = 0; colon && i < ARRAY_LEN(HEADERS); i++)
        if (name_len == strlen(HEADERS[i]) && !strncasecmp(term, HEADERS[i], name_len))
            return contains(mime_header(payload, HEADERS[i]), colon + 1, value_len);
    return contains(mime_header(payload, "Subject"), term, len) || contains(mime_header(payload, "From"), term, len) ||
           contains(json_get_str(message, "snippet"), term, len);
}

static bool matches(const json_t *message, const char *query)
{
    while (query && *(query += strspn(query, " "))) {
        size_t len = strcspn(query, " ");

        if (!matches_term(message, query, len))
            return false;
        query += len;
    }
    return true;
}

/* The page [pageToken, + maxResults) of `items` (stolen), newest first, under `name`. */
static int page(const json_t *query, const char *name, json_t *items, json_t **ret)
{
    size_t all = json_array_size(items), first = answer_count(query, "pageToken", 0, all);
    size_t count = answer_count(query, "maxResults", 100, 500);
    json_t *shown = json_array();

    for (size_t i = first; i < all && i < first + count; i++)
        json_array_append(shown, json_array_get(items, all - 1 - i));
    *ret = json_pack("{s:o,s:I}", name, shown, "resultSizeEstimate", (json_int_t) all);
    if (first + count < all) {
        char token[32];

        snprintf(token, sizeof(token), "%zu", first + count);
        json_object_set_new(*ret, "nextPageToken", json_string(token));
    }
    json_decref(items);
    return 200;
}

static int by_date(const void *a, const void *b)
{
    const char *left = json_get_str(*(json_t *const *) a, "internalDate"),
               *right = json_get_str(*(json_t *const *) b, "internalDate");
    size_t left_len = strlen(left), right_len = strlen(right);

    return left_len != right_len ? (left_len < right_len ? -1 : 1) : strcmp(left, right);
}

int mailbox_list(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    size_t len = 0;
    json_t **found = calloc(json_object_size(mailbox->messages) + 1, sizeof(json_t *));
    json_t *items = json_array(), *message;
    const char *key;

    if (!found)
        return answer_error(500, "out of memory", ret);
    json_object_foreach(mailbox->messages, key, message) if (matches(message, json_get_str(query, "q"))) found[len++] = message;
    qsort(found, len, sizeof(json_t *), by_date);
    for (size_t i = 0; i < len; i++)
        json_array_append_new(
            items, json_pack("{s:s,s:s}", "id", json_get_str(found[i], "id"), "threadId", json_get_str(found[i], "threadId")));
    free(found);
    return page(query, "messages", items, ret);
}

/* A message in the form that the query asks for. */
static json_t *in_form(const json_t *message, const json_t *query)
{
    const char *format = json_get_str(query, "format");
    json_t *copy, *payload;

    if (!format || !strcmp(format, "full"))
        return json_incref((json_t *) message);
    copy = json_copy((json_t *) message);
    json_object_del(copy, "payload");
    if (!strcmp(format, "metadata")) {
        payload = json_pack("{s:s,s:O}", "mimeType", json_get_str(json_object_get(message, "payload"), "mimeType"), "headers",
            json_object_get(json_object_get(message, "payload"), "headers"));
        json_object_set_new(copy, "payload", payload);
    }
    return copy;
}

int mailbox_get(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const json_t *message = json_object_get(mailbox->messages, id);

    if (!message)
        return answer_error(404, "Requested entity was not found.", ret);
    *ret = in_form(message, query);
    return 200;
}

int mailbox_attachment(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *ids, json_t **ret)
{
    static const char MIDDLE[] = "/attachments/";
    const char *middle = strstr(ids, MIDDLE);
    CLEANUP_FREE char *id = middle ? strndup(ids, (size_t) (middle - ids)) : NULL;
    const char *data = id ? json_get_str(json_object_get(mailbox->attachments, id), middle + sizeof(MIDDLE) - 1) : NULL;

    if (!data)
        return answer_error(404, "Requested entity was not found.", ret);
    *ret = json_pack("{s:I,s:s}", "size", (json_int_t) (strlen(data) * 3 / 4), "data", data);
    return 200;
}

/* The mail of {"raw","threadId"?}, stored under `label`. Returns a status; 200 with its id. */
static int store(struct mailbox *mailbox, const json_t *message, const char *label, const char **ret_id, json_t **ret)
{
    CLEANUP(buf_free) struct buf raw = BUF_INIT(RAW_MAX);
    CLEANUP(buf_free) struct buf mail = BUF_INIT(RAW_MAX + 1024);
    const char *encoded = json_get_str(message, "raw");

    if (!encoded || base64_decode(encoded, strlen(encoded), &raw) < 0 || !raw.len)
        return answer_error(400, "Invalid value for ByteString: the message's raw is missing or not base64url", ret);
    buf_add_str(&mail, "From: " SEED_OWNER "\r\n");
    buf_add(&mail, raw.data, raw.len);
    *ret_id = mailbox_add(mailbox, buf_str(&mail), mail.len, json_get_str(message, "threadId"), label, false, clock_unix_ms());
    if (!*ret_id)
        return answer_error(400, "Invalid message, or its threadId does not exist", ret);
    return 200;
}

static json_t *brief(const struct mailbox *mailbox, const char *id)
{
    const json_t *message = json_object_get(mailbox->messages, id);

    return json_pack("{s:s,s:s,s:O}", "id", id, "threadId", json_get_str(message, "threadId"), "labelIds",
        json_object_get(message, "labelIds"));
}

int mailbox_send(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const char *new_id = NULL;
    int status = store(mailbox, body, "SENT", &new_id, ret);

    if (status == 200)
        *ret = brief(mailbox, new_id);
    return status;
}

int mailbox_list_drafts(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    json_t *items = json_array(), *message_id;
    const char *draft_id;

    json_object_foreach(mailbox->drafts, draft_id, message_id) json_array_append_new(
        items, json_pack("{s:s,s:o}", "id", draft_id, "message", brief(mailbox, json_string_value(message_id))));
    return page(query, "drafts", items, ret);
}

int mailbox_get_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const char *message_id = json_get_str(mailbox->drafts, id);

    if (!message_id)
        return answer_error(404, "Requested entity was not found.", ret);
    *ret = json_pack("{s:s,s:o}", "id", id, "message", in_form(json_object_get(mailbox->messages, message_id), query));
    return 200;
}

int mailbox_create_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const char *message_id = NULL;
    char draft_id[48];
    int status = store(mailbox, json_object_get(body, "message"), "DRAFT", &message_id, ret);

    if (status != 200)
        return status;
    snprintf(draft_id, sizeof(draft_id), "r-%s", message_id);
    json_object_set_new(mailbox->drafts, draft_id, json_string(message_id));
    *ret = json_pack("{s:s,s:o}", "id", draft_id, "message", brief(mailbox, message_id));
    return 200;
}

int mailbox_send_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret)
{
    const char *draft_id = json_get_str(body, "id");
    const char *message_id = draft_id ? json_get_str(mailbox->drafts, draft_id) : NULL;

    if (!message_id)
        return answer_error(404, "Requested entity was not found.", ret);
    json_object_set_new(json_object_get(mailbox->messages, message_id), "labelIds", labels("SENT", false));
    *ret = brief(mailbox, message_id);
    json_object_del(mailbox->drafts, draft_id);
    return 200;
}
