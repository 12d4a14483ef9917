/*
 * Writing mail: drafts, messages, and drafts that are sent. A message is composed
 * wholly before anything changes at Gmail; whatever is wrong with the arguments
 * or with the mail that is answered leaves no trace there.
 */
#include "ops.h"

#include "api.h"
#include "input.h"
#include "message.h"
#include "parts.h"

#include <string.h>

#define SUBJECT_MAX    2000
#define BODY_MAX       (1024 * 1024)
#define RECIPIENTS_MAX 500

/* A message's id and thread at Gmail, and what an answer to it must name. */
static int read_original(struct aileron_call *call, const char *id, struct message *message, const char **ret_thread_id)
{
    const struct aileron_json *original;
    const char *thread_id, *own, *references;

    if (google_get(call, aileron_printf(call, GMAIL_URL "/messages/%s?format=metadata", id), &original) != 0)
        return -1;
    thread_id = aileron_json_string(original, "threadId");
    if (!thread_id || !input_is_id(thread_id, 256))
        return aileron_fail_status(call, 200, -1, "Gmail's answer about the mail to reply to names no thread");
    own = parts_header(call, original, "Message-ID");
    own = message_ids(call, own ? own : "");
    references = parts_header(call, original, "References");
    if (!references)
        references = parts_header(call, original, "In-Reply-To");
    references = message_ids(call, references ? references : "");
    message->in_reply_to = aileron_copy(call, own, strcspn(own, " "));
    message->references = *references && *own ? aileron_printf(call, "%s %s", references, message->in_reply_to)
                          : *own              ? message->in_reply_to
                                              : references;
    *ret_thread_id = thread_id;
    return 0;
}

/* The members "raw" and "threadId" of a message, from the call's arguments. */
static int put_message(struct aileron_call *call, struct aileron_writer *writer)
{
    struct message message = { .subject = "", .body = "" };
    const char *reply_to_id = NULL, *thread_id = NULL, *text;
    size_t len;

    if (INPUT_ONLY(call, "to", "cc", "bcc", "subject", "body", "reply_to_id") != 0 ||
        address_input(call, "to", true, &message.to) != 0 || address_input(call, "cc", false, &message.cc) != 0 ||
        address_input(call, "bcc", false, &message.bcc) != 0 ||
        input_text(call, "subject", INPUT_REQUIRED | INPUT_ONE_LINE | INPUT_MAY_BE_EMPTY, SUBJECT_MAX, &message.subject) != 0 ||
        input_text(call, "body", INPUT_REQUIRED | INPUT_MAY_BE_EMPTY, BODY_MAX, &message.body) != 0 ||
        input_id(call, "reply_to_id", 0, &reply_to_id) != 0)
        return -1;
    if (message.to.count + message.cc.count + message.bcc.count > RECIPIENTS_MAX)
        return aileron_fail(call, "bad_input", "to, cc and bcc together have more than %d addresses", RECIPIENTS_MAX);
    if (reply_to_id && read_original(call, reply_to_id, &message, &thread_id) != 0)
        return -1;
    text = message_write(call, &message, &len);
    if (!text)
        return -1;
    aileron_put_string(writer, "raw", aileron_base64(call, text, len, true, NULL));
    aileron_put_string(writer, "threadId", thread_id);
    return 0;
}

/* What was done, from Gmail's answer; when that cannot be read, that it was done all the same. */
static void put_result(struct aileron_call *call, const char *done, const struct aileron_json *message)
{
    struct aileron_writer *output = aileron_output(call);

    aileron_put_string(output, "message_id", aileron_json_string(message, "id"));
    aileron_put_string(output, "thread_id", aileron_json_string(message, "threadId"));
    aileron_put_string(output, "result", done);
    if (!aileron_json_string(message, "id"))
        aileron_put_string(output, "note", "Gmail accepted it but its answer names no id; do not repeat it");
}

int draft_email(struct aileron_call *call)
{
    struct aileron_writer *body = aileron_writer_new(call);
    const struct aileron_json *draft;

    aileron_put_object(body, "message");
    if (put_message(call, body) != 0 || google_post(call, GMAIL_URL "/drafts", body, &draft) != 0)
        return -1;
    aileron_put_string(aileron_output(call), "id", aileron_json_string(draft, "id"));
    put_result(call, "draft saved; nothing was sent", aileron_json_get(draft, "message"));
    return 0;
}

int send_email(struct aileron_call *call)
{
    struct aileron_writer *body = aileron_writer_new(call);
    const struct aileron_json *message;

    if (put_message(call, body) != 0 || google_post(call, GMAIL_URL "/messages/send", body, &message) != 0)
        return -1;
    put_result(call, "sent", message);
    return 0;
}

/* Gmail gives a draft's message a new id with every change, so the id tells whether it is still what was looked at. */
static int check_version(struct aileron_call *call, const char *draft_id, const char *version)
{
    const struct aileron_json *draft;
    const char *now;

    if (google_get(call, aileron_printf(call, GMAIL_URL "/drafts/%s?format=minimal", draft_id), &draft) != 0)
        return -1;
    now = aileron_json_string(aileron_json_get(draft, "message"), "id");
    if (!now)
        return aileron_fail_status(call, 200, -1, "Gmail's answer does not tell the draft's version; nothing was sent");
    if (strcmp(now, version) != 0)
        return aileron_fail(call, "bad_input",
            "the draft was changed after it was looked at: its version was %s and is now %s; nothing was sent", version,
            input_one_line(call, now, 64));
    return 0;
}

int send_draft(struct aileron_call *call)
{
    struct aileron_writer *body = aileron_writer_new(call);
    const struct aileron_json *message;
    const char *draft_id = NULL, *version = NULL;

    if (INPUT_ONLY(call, "draft_id", "version") != 0 || input_id(call, "draft_id", INPUT_REQUIRED, &draft_id) != 0 ||
        input_id(call, "version", 0, &version) != 0)
        return -1;
    if (version && check_version(call, draft_id, version) != 0)
        return -1;
    aileron_put_string(body, "id", draft_id);
    if (google_post(call, GMAIL_URL "/drafts/send", body, &message) != 0)
        return -1;
    put_result(call, "sent", message);
    return 0;
}
