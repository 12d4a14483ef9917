/*
 * Writing mail: the requests that leave, and everything that must not.
 */
#include "test-google.h"

#include <stdlib.h>

#define DRAFT "{\"id\":\"r1\",\"message\":{\"id\":\"m1\",\"threadId\":\"t1\"}}"

/* The message that request `n` carries, decoded. The caller frees it. */
static char *sent_message(size_t n, bool within_draft)
{
    const char *body = fake_host_request(n, "body");
    const struct aileron_json *json = fake_host_parse(body, strlen(body));
    const char *raw = aileron_json_string(within_draft ? aileron_json_get(json, "message") : json, "raw");
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *text = calloc(1, strlen(raw) + 1), *out = text;
    unsigned bits = 0, have = 0;

    assert_non_null(text);
    for (; *raw; raw++) {
        bits = bits << 6 | (unsigned) (strchr(digits, *raw) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            *out++ = (char) (bits >> have);
        }
    }
    return text;
}

static void saves_a_draft(void **state)
{
    const struct aileron_json *output;
    char *message;

    fake_host_answer(200, DRAFT);
    output = must_run("draft_email", "{\"to\":\"ada@example.com, \\\"Lovelace, Ada\\\" <a.l+x@example.org>\",\"cc\":\"Gr\\u00fcn "
                                     "<g@example.com>\",\"subject\":\"Hello\","
                                     "\"body\":\"Dear Ada,\\n\\nx = 1 \\nGr\\u00fc\\u00dfe\"}");
    assert_text(output, "id", "r1");
    assert_text(output, "message_id", "m1");
    assert_text(output, "thread_id", "t1");
    assert_string_equal(fake_host_request(0, "method"), "POST");
    assert_url(0, GMAIL "/drafts");
    assert_string_equal(aileron_json_string(aileron_json_get(fake_host_request_json(0), "headers"), "Content-Type"),
        "application/json; charset=utf-8");
    message = sent_message(0, true);
    assert_string_equal(message, "To: ada@example.com, \"Lovelace, Ada\" <a.l+x@example.org>\r\n"
                                 "Cc: =?UTF-8?B?R3LDvG4=?= <g@example.com>\r\n"
                                 "Subject: Hello\r\n"
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Type: text/plain; charset=UTF-8\r\n"
                                 "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                                 "Dear Ada,\r\n\r\nx =3D 1=20\r\nGr=C3=BC=C3=9Fe");
    free(message);
}

static void sends(void **state)
{
    const struct aileron_json *output;
    char *message;

    fake_host_answer(200, "{\"id\":\"m1\",\"threadId\":\"t1\",\"labelIds\":[\"SENT\"]}");
    output = must_run("send_email", "{\"to\":[\"a@example.com\",\"B <b@example.com>, "
                                    "c@example.com\"],\"bcc\":\"h@example.com\",\"subject\":\"\",\"body\":\"\"}");
    assert_text(output, "message_id", "m1");
    assert_text(output, "result", "sent");
    assert_url(0, GMAIL "/messages/send");
    message = sent_message(0, false);
    assert_memory_equal(
        message, "To: a@example.com, B <b@example.com>, c@example.com\r\nBcc: h@example.com\r\nSubject:\r\nMIME", 86);
    free(message);
}

static void answers_within_the_thread(void **state)
{
    char *message;
    const char *body;

    fake_host_answer(200,
        "{\"id\":\"m1\",\"threadId\":\"t1\",\"payload\":{\"headers\":[{\"name\":\"References\",\"value\":"
        "\"<1@x>\\r\\n <2@x> evil\\r\\nBcc: <e@evil.example>\"},{\"name\":\"Message-ID\",\"value\":\"<3@x>\"}]}}");
    fake_host_answer(200, DRAFT);
    must_run("draft_email", "{\"to\":\"a@example.com\",\"subject\":\"Re: x\",\"body\":\"y\",\"reply_to_id\":\"m1\"}");
    assert_url(0, GMAIL "/messages/m1?format=metadata");
    assert_string_equal(fake_host_request(0, "method"), "GET");
    message = sent_message(1, true);
    assert_non_null(strstr(message, "\r\nIn-Reply-To: <3@x>\r\nReferences: <1@x> <2@x> <e@evil.example> <3@x>\r\nMIME-Version"));
    assert_null(strstr(message, "Bcc:"));
    free(message);
    body = fake_host_request(1, "body");
    assert_text(aileron_json_get(fake_host_parse(body, strlen(body)), "message"), "threadId", "t1");
}

static void answers_mail_without_ids(void **state)
{
    static const char *const originals[] = {
        "{\"threadId\":\"t1\"}", "{\"threadId\":\"t1\",\"payload\":{\"headers\":[{\"name\":\"Message-ID\",\"value\":\"none\"}]}}",
        "{\"threadId\":\"t1\",\"payload\":{\"headers\":[{\"name\":\"Message-ID\",\"value\":\"<a b> <\\u00e9> <> <\\r\\nX:y>\"}]}}"
    };
    char *message;

    for (size_t i = 0; i < 3; i++) {
        fake_host_answer(200, originals[i]);
        fake_host_answer(200, DRAFT);
        must_run("draft_email", "{\"to\":\"a@example.com\",\"subject\":\"x\",\"body\":\"y\",\"reply_to_id\":\"m1\"}");
        message = sent_message(2 * i + 1, true);
        assert_null(strstr(message, "In-Reply-To"));
        assert_null(strstr(message, "References"));
        free(message);
    }
    fake_host_answer(200, "{\"threadId\":\"t/1\"}");
    assert_null(
        fake_host_run("send_email", "{\"to\":\"a@example.com\",\"subject\":\"x\",\"body\":\"y\",\"reply_to_id\":\"m1\"}"));
    assert_int_equal(fake_host_requests(), 7);
    fake_host_answer(404, "{}");
    assert_null(
        fake_host_run("send_email", "{\"to\":\"a@example.com\",\"subject\":\"x\",\"body\":\"y\",\"reply_to_id\":\"m1\"}"));
    assert_int_equal(fake_host_requests(), 8);
}

/* Every header argument, every way to end a line, in every place of a list. */
static void refuses_header_injection(void **state)
{
    static const char *const ends[] = { "\\r\\n", "\\n", "\\r", "\\u000b", "\\u007f", "\\u001b" };
    static const char *const fields[] = { "to", "cc", "bcc", "subject" };
    static const char *const shapes[] = { "%sBcc: e@evil.example", "a@example.com%sBcc: e@evil.example", "a@example.com%s",
        "A%sBcc: x <a@example.com>", "\\\"A%sBcc: x\\\" <a@example.com>", "a@example.com,%s b@example.com" };
    char value[256], args[512];

    for (size_t field = 0; field < 4; field++) {
        for (size_t end = 0; end < sizeof(ends) / sizeof(ends[0]); end++) {
            for (size_t shape = 0; shape < sizeof(shapes) / sizeof(shapes[0]); shape++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(value, sizeof(value), shapes[shape], ends[end]);
#pragma GCC diagnostic pop
                snprintf(args, sizeof(args), "{%s\"%s\":\"%s\"%s,\"body\":\"y\"}", field ? "\"to\":\"a@example.com\"," : "",
                    fields[field], value, field < 3 ? ",\"subject\":\"x\"" : "");
                refuses("draft_email", args, "control character");
                refuses("send_email", args, "control character");
            }
        }
    }
    refuses("send_email",
        "{\"to\":[\"a@example.com\",\"b@example.com\\r\\nBcc: e@evil.example\"],\"subject\":\"x\",\"body\":\"y\"}",
        "control character");
    refuses(
        "send_email", "{\"to\":\"a@example.com\",\"subject\":\"x\",\"body\":\"y\",\"reply_to_id\":\"a\\r\\nb\"}", "not an id");
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const bad[] = { "ada", "@example.com", "ada@", "ada@@example.com", "ada@exa mple.com", "a b@example.com",
        ".a@example.com", "a.@example.com", "a..b@example.com", "a@-x.com", "a@x-.com", "a@x..com", "a@.com", "a@com.",
        "a@[127.0.0.1]", "\\\"a b\\\"@example.com", "a@ex\\u00e4mple.com", "\\u00e4@example.com", "<a@example.com",
        "a@example.com>", "A <>", "A <a@x> b", "A <a@x> <b@y>", "friends: a@example.com;", "a@example.com; b@example.com",
        "a@example.com (comment)", "Smith, John <j@example.com>", "\\\"unclosed <a@example.com>",
        "\\\"a\\\"b\\\" <a@example.com>", "<<a@example.com>>", "a@b@c", "a,b@example.com",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.com",
        "a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com", "mailto:a@example.com", "a@\\ufffd.com" };
    char args[512];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(args, sizeof(args), "{\"to\":\"%s\",\"subject\":\"x\",\"body\":\"y\"}", bad[i]);
        refuses("send_email", args, "to: ");
    }
    refuses("send_email", "{\"subject\":\"x\",\"body\":\"y\"}", "to is missing");
    refuses("send_email", "{\"to\":\" , \",\"subject\":\"x\",\"body\":\"y\"}", "to names nobody");
    refuses("send_email", "{\"to\":[],\"subject\":\"x\",\"body\":\"y\"}", "to names nobody");
    refuses("send_email", "{\"to\":[7],\"subject\":\"x\",\"body\":\"y\"}", "to must be text");
    refuses("send_email", "{\"to\":{},\"subject\":\"x\",\"body\":\"y\"}", "to must be text");
    refuses("send_email", "{\"to\":\"a@example.com\",\"body\":\"y\"}", "subject is missing");
    refuses("send_email", "{\"to\":\"a@example.com\",\"subject\":\"x\"}", "body is missing");
    refuses("send_email", "{\"to\":\"a@example.com\",\"subject\":\"x\",\"body\":\"y\",\"from\":\"z@example.com\"}",
        "no argument from");
}

static void bounds_the_number_of_recipients(void **state)
{
    char many[8192] = "", args[3 * sizeof(many)];

    for (int i = 0; i < 250; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "%sp%d@example.com", i ? "," : "", i);
    snprintf(args, sizeof(args), "{\"subject\":\"x\",\"body\":\"y\",\"to\":\"a@x\",\"cc\":\"%s\",\"bcc\":\"%s\"}", many, many);
    refuses("send_email", args, "together have more than 500");
    snprintf(args, sizeof(args), "{\"subject\":\"x\",\"body\":\"y\",\"to\":\"%s,%s,a@x\"}", many, many);
    refuses("send_email", args, "to has more than 500");
}

static void sends_a_draft_of_the_right_version(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200, DRAFT);
    fake_host_answer(200, "{\"id\":\"m2\",\"threadId\":\"t1\"}");
    output = must_run("send_draft", "{\"draft_id\":\"r1\",\"version\":\"m1\"}");
    assert_text(output, "message_id", "m2");
    assert_url(0, GMAIL "/drafts/r1?format=minimal");
    assert_url(1, GMAIL "/drafts/send");
    assert_string_equal(fake_host_request(1, "body"), "{\"id\":\"r1\"}");
    fake_host_answer(200, "{\"id\":\"m2\",\"threadId\":\"t1\"}");
    must_run("send_draft", "{\"draft_id\":\"r1\"}");
    assert_int_equal(fake_host_requests(), 3);
}

static void sends_no_draft_that_was_changed(void **state)
{
    static const char *const answers[] = { "{\"id\":\"r1\",\"message\":{\"id\":\"m1\"}}", "{\"id\":\"r1\"}",
        "{\"message\":{\"id\":7}}", "[]", "x" };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        fake_host_answer(200, answers[i]);
        assert_null(fake_host_run("send_draft", "{\"draft_id\":\"r1\",\"version\":\"m0\"}"));
        assert_string_equal(fake_host_error_class(), i ? "external_api_error" : "bad_input");
        assert_int_equal(fake_host_requests(), i + 1);
    }
    fake_host_answer(404, "{}");
    assert_null(fake_host_run("send_draft", "{\"draft_id\":\"r1\",\"version\":\"m0\"}"));
    assert_int_equal(fake_host_requests(), 6);
    fake_host_answer(200, answers[0]);
    fake_host_run("send_draft", "{\"draft_id\":\"r1\",\"version\":\"m0\"}");
    assert_string_equal(fake_host_error_message(),
        "the draft was changed after it was looked at: its version was m0 and is now m1; nothing was sent");
    refuses("send_draft", "{\"draft_id\":\"r1\",\"version\":\"\"}", "version is empty");
    refuses("send_draft", "{\"draft_id\":\"r1\",\"verison\":\"m0\"}", "no argument verison");
    refuses("send_draft", "{\"version\":\"m0\"}", "draft_id is missing");
}

/* It was done, whatever the answer looks like: the agent must not be led to try again. */
static void tells_what_was_done_when_the_answer_is_unreadable(void **state)
{
    static const char *const answers[] = { "", "<html>", "[]", "{}", "{\"id\":7}" };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct aileron_json *output;

        fake_host_answer(200, answers[i]);
        output = must_run("send_draft", "{\"draft_id\":\"r1\"}");
        assert_text(output, "result", "sent");
        assert_text(output, "note", "Gmail accepted it but its answer names no id; do not repeat it");
    }
    fake_host_answer(500, "{}");
    assert_null(fake_host_run("send_draft", "{\"draft_id\":\"r1\"}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(saves_a_draft), TEST(sends), TEST(answers_within_the_thread),
        TEST(answers_mail_without_ids), TEST(refuses_header_injection), TEST(refuses_what_is_no_address),
        TEST(bounds_the_number_of_recipients), TEST(sends_a_draft_of_the_right_version), TEST(sends_no_draft_that_was_changed),
        TEST(tells_what_was_done_when_the_answer_is_unreadable) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
