/*
 * Reading mail and drafts, against answers in the shape that Gmail gives.
 */
#include "test-google.h"

static void lists_mail(void **state)
{
    const struct aileron_json *output, *first;

    fake_host_answer(200, "{\"messages\":[{\"id\":\"18c1\",\"threadId\":\"18c0\"},{\"id\":\"18c2\",\"threadId\":\"18c2\"}],"
                          "\"nextPageToken\":\"0987\",\"resultSizeEstimate\":201}");
    output = must_run("list_recent_emails", "{}");
    first = aileron_json_each(aileron_json_get(output, "messages"));
    assert_text(first, "id", "18c1");
    assert_text(first, "thread_id", "18c0");
    assert_int_equal(aileron_json_get(output, "messages")->len, 2);
    assert_text(output, "next_page_token", "0987");
    assert_url(0, GMAIL "/messages?maxResults=10");
    assert_string_equal(fake_host_request(0, "method"), "GET");
    assert_string_equal(fake_host_request(0, "credential"), "oauth2");

    fake_host_answer(200, "{\"resultSizeEstimate\":0}");
    output = must_run(
        "list_recent_emails", "{\"query\":\"from:a&b=c is:unread #\\u00e9\",\"max_results\":500,\"page_token\":\"a+/=b\"}");
    assert_int_equal(aileron_json_get(output, "messages")->len, 0);
    assert_null(aileron_json_get(output, "next_page_token"));
    assert_url(1, GMAIL "/messages?maxResults=100&q=from%3Aa%26b%3Dc%20is%3Aunread%20%23%C3%A9&pageToken=a%2B%2F%3Db");
}

static void lists_drafts(void **state)
{
    const struct aileron_json *output, *first;

    fake_host_answer(200, "{\"drafts\":[{\"id\":\"r-77\",\"message\":{\"id\":\"m7\",\"threadId\":\"t7\"}},{\"id\":\"r-78\"}]}");
    output = must_run("list_drafts", "{\"max_results\":2,\"page_token\":null}");
    first = aileron_json_each(aileron_json_get(output, "drafts"));
    assert_text(first, "id", "r-77");
    assert_text(first, "message_id", "m7");
    assert_text(first, "thread_id", "t7");
    assert_text(first->next, "id", "r-78");
    assert_url(0, GMAIL "/drafts?maxResults=2");
}

static void refuses_bad_arguments(void **state)
{
    static const char *const ids[] = { "../messages", "a/b", "a?b", "a b", "\\u00e9", "a%2e", "..", "a\\nb", "x.y" };
    static const char *const counts[] = { "0", "-1", "\"5\"", "1.5", "true", "99999999999999999999", "[]" };
    char args[512];

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(args, sizeof(args), "{\"id\":\"%s\"}", ids[i]);
        refuses("get_email", args, "id is not an id");
        refuses("get_draft", args, "id is not an id");
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        snprintf(args, sizeof(args), "{\"max_results\":%s}", counts[i]);
        refuses("list_recent_emails", args, "max_results must be a whole number from 1 to 100");
        refuses("list_drafts", args, "max_results must be a whole number from 1 to 100");
        refuses("list_upcoming_events", args, "max_results must be a whole number from 1 to 100");
    }
    refuses("get_email", "{}", "id is missing");
    refuses("get_email", "{\"id\":\"\"}", "id is empty");
    refuses("get_email", "{\"id\":7}", "id must be text");
    refuses("get_email", "{\"id\":\"a\",\"format\":\"raw\"}", "format is metadata");
    refuses("get_email", "{\"id\":\"a\",\"fromat\":\"full\"}", "there is no argument fromat");
    refuses("list_recent_emails", "{\"query\":\"a\\r\\nb\"}", "query contains a line break");
    refuses("list_recent_emails", "{\"page_token\":\"a b\"}", "page_token is not one");
}

static void reads_metadata(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200,
        "{\"id\":\"m1\",\"threadId\":\"t1\",\"labelIds\":[\"INBOX\",\"UNREAD\",7],\"snippet\":\"It&#39;s &lt;5&gt; &amp; "
        "&unknown;\","
        "\"internalDate\":\"1780394400123\",\"sizeEstimate\":4096,\"payload\":{\"mimeType\":\"multipart/mixed\",\"headers\":["
        "{\"name\":\"FROM\",\"value\":\"=?utf-8?q?J=C3=B6rg?= <j@example.com>\"},{\"name\":\"To\",\"value\":\"a@example.com\"},"
        "{\"name\":\"to\",\"value\":\"b@example.com\"},{\"name\":\"Subject\",\"value\":\"Hi\\r\\n there\"},"
        "{\"name\":\"Message-Id\",\"value\":\"<1@x>\"},{\"name\":\"X-Secret\",\"value\":\"no\"}]}}");
    output = must_run("get_email", "{\"id\":\"m1\",\"format\":\"metadata\"}");
    assert_url(0, GMAIL "/messages/m1?format=metadata");
    assert_text(output, "id", "m1");
    assert_text(output, "thread_id", "t1");
    assert_text(output, "from", "J\xc3\xb6rg <j@example.com>");
    assert_text(output, "to", "a@example.com, b@example.com");
    assert_text(output, "subject", "Hi there");
    assert_text(output, "message_id", "<1@x>");
    assert_text(output, "snippet", "It's <5> & &unknown;");
    assert_text(output, "received_at", "2026-06-02T10:00:00Z");
    assert_int_equal(aileron_json_get(output, "labels")->len, 2);
    assert_int_equal(number_of(output, "size_estimate"), 4096);
    assert_null(aileron_json_get(output, "body"));
    assert_null(aileron_json_get(output, "cc"));
}

/* mixed( related( alternative(plain, html), picture ), plain, attached text, pdf ) */
static const char nested[] =
    "{\"id\":\"m2\",\"threadId\":\"t2\",\"payload\":{\"mimeType\":\"multipart/"
    "mixed\",\"headers\":[{\"name\":\"Subject\",\"value\":\"S\"}],"
    "\"parts\":[{\"mimeType\":\"multipart/related\",\"parts\":[{\"mimeType\":\"multipart/alternative\",\"parts\":["
    "{\"mimeType\":\"text/plain\",\"filename\":\"\",\"body\":{\"data\":\"SGVsbG8NCndvcmxk\",\"size\":12}},"
    "{\"mimeType\":\"text/html\",\"body\":{\"data\":\"PGI-SGVsbG88L2I-\",\"size\":12}}]},"
    "{\"mimeType\":\"image/png\",\"filename\":\"\",\"body\":{\"attachmentId\":\"p\",\"size\":9}}]},"
    "{\"mimeType\":\"text/plain\",\"body\":{\"data\":\"LS0gZm9vdGVy\",\"size\":9}},"
    "{\"mimeType\":\"text/plain\",\"filename\":\"notes.txt\",\"body\":{\"attachmentId\":\"n\",\"size\":100}},"
    "{\"mimeType\":\"text/"
    "html\",\"headers\":[{\"name\":\"Content-Disposition\",\"value\":\"ATTACHMENT\"}],\"body\":{\"size\":5}},"
    "{\"mimeType\":\"application/"
    "pdf\",\"filename\":\"=?UTF-8?B?w7w=?=.pdf\",\"body\":{\"attachmentId\":\"q\",\"size\":12345}}]}}";

static void reads_the_whole_text(void **state)
{
    const struct aileron_json *output, *attachment;

    fake_host_answer(200, nested);
    output = must_run("get_email", "{\"id\":\"m2\"}");
    assert_url(0, GMAIL "/messages/m2?format=full");
    assert_text(output, "body", "Hello\nworld\n\n-- footer");
    assert_text(output, "body_kind", "plain text; most readers will see its HTML version instead");
    attachment = aileron_json_each(aileron_json_get(output, "attachments"));
    assert_text(attachment, "name", "(unnamed image/png)");
    assert_int_equal(number_of(attachment, "size"), 9);
    assert_text(attachment->next, "name", "notes.txt");
    assert_text(attachment->next->next, "name", "(unnamed text/html)");
    assert_text(attachment->next->next->next, "name", "\xc3\xbc.pdf");
    assert_text(attachment->next->next->next, "mime_type", "application/pdf");
    assert_null(attachment->next->next->next->next);
}

static void reads_html_when_there_is_nothing_else(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200, "{\"id\":\"m3\",\"payload\":{\"mimeType\":\"text/html\",\"body\":{\"data\":"
                          "\"PHA-SGkgPGEgaHJlZj0iaHR0cHM6Ly9ldmlsLmV4YW1wbGUvIj5iYW5rPC9hPjwvcD4\"}}}");
    output = must_run("get_email", "{\"id\":\"m3\"}");
    assert_text(output, "body", "Hi bank (https://evil.example/)");
    assert_text(output, "body_kind", "HTML, shown as text");
}

static void fetches_a_text_that_is_kept_apart(void **state)
{
    static const char apart[] =
        "{\"id\":\"m4\",\"payload\":{\"mimeType\":\"text/plain\",\"body\":{\"attachmentId\":\"ANGjdJ8_-x\",\"size\":3}}}";
    const struct aileron_json *output;

    fake_host_answer(200, apart);
    fake_host_answer(200, "{\"size\":3,\"data\":\"YWJj\"}");
    output = must_run("get_email", "{\"id\":\"m4\"}");
    assert_url(1, GMAIL "/messages/m4/attachments/ANGjdJ8_-x");
    assert_text(output, "body", "abc");
    fake_host_answer(
        200, "{\"id\":\"m4\",\"payload\":{\"mimeType\":\"text/plain\",\"body\":{\"attachmentId\":\"../../x\",\"size\":3}}}");
    output = must_run("get_email", "{\"id\":\"m4\"}");
    assert_int_equal(fake_host_requests(), 3);
    assert_text(output, "body_kind", "incomplete: part of the text could not be read");
    fake_host_answer(200, apart);
    fake_host_answer(404, "{}");
    assert_null(fake_host_run("get_email", "{\"id\":\"m4\"}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
}

static char big[3 * 1024 * 1024];

/* A text/plain mail or draft whose body is `count` times "AAAA" (three NULs) or "YWJj" ("abc"). */
static const char *big_answer(const char *before, const char *unit, size_t count, const char *after)
{
    char *out = big + snprintf(big, sizeof(big),
                          "%s{\"id\":\"m5\",\"payload\":{\"mimeType\":\"text/plain\",\"body\":{\"data\":\"", before);

    for (size_t i = 0; i < count; i++, out += 4)
        memcpy(out, unit, 4);
    snprintf(out, sizeof(big) - (size_t) (out - big), "\"}}}%s", after);
    return big;
}

static void cuts_a_mail_that_is_too_long_but_never_a_draft(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200, big_answer("", "YWJj", 500000, ""));
    output = must_run("get_email", "{\"id\":\"m5\"}");
    assert_true(aileron_json_get(output, "body")->len > 900000);
    assert_true(aileron_json_get(output, "body_truncated")->boolean);
    fake_host_answer(200, big_answer("", "AQEB", 500000, "")); /* control characters, six bytes each in JSON */
    output = must_run("get_email", "{\"id\":\"m5\"}");
    assert_true(aileron_json_get(output, "body")->len < 200000);
    assert_true(aileron_json_get(output, "body_truncated")->boolean);
    fake_host_answer(200, big_answer("", "AAAA", 500000, "")); /* NUL, which becomes U+FFFD */
    assert_non_null(must_run("get_email", "{\"id\":\"m5\"}"));
    fake_host_answer(200, big_answer("{\"id\":\"d\",\"message\":", "YWJj", 500000, "}"));
    assert_null(fake_host_run("get_draft", "{\"id\":\"d\"}"));
    assert_string_equal(fake_host_error_class(), "resource_limit_exceeded");
}

static void reads_a_draft_completely(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200,
        "{\"id\":\"r1\",\"message\":{\"id\":\"m9\",\"threadId\":\"t9\",\"payload\":{\"mimeType\":\"multipart/"
        "mixed\",\"headers\":["
        "{\"name\":\"To\",\"value\":\"a@example.com\"},{\"name\":\"Bcc\",\"value\":\"b@example.com\"},"
        "{\"name\":\"bcc\",\"value\":\"c@example.com\"}],\"parts\":[{\"mimeType\":\"text/plain\",\"body\":{\"data\":\"YWJj\"}},"
        "{\"mimeType\":\"image/png\",\"filename\":\"a.png\",\"body\":{\"size\":5}}]}}}");
    output = must_run("get_draft", "{\"id\":\"r1\"}");
    assert_url(0, GMAIL "/drafts/r1?format=full");
    assert_text(output, "id", "r1");
    assert_text(output, "message_id", "m9");
    assert_text(output, "to", "a@example.com");
    assert_text(output, "cc", "");
    assert_text(output, "bcc", "b@example.com, c@example.com");
    assert_text(output, "subject", "");
    assert_text(output, "body", "abc");
    assert_text(output, "body_kind", "plain text");
    assert_text(output, "attachment_list", "a.png (5 bytes)");
    fake_host_answer(200, "{\"id\":\"r1\"}");
    assert_null(fake_host_run("get_draft", "{\"id\":\"r1\"}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
}

static void tells_failures(void **state)
{
    static const struct {
        int status;
        const char *body, *message;
        int64_t retry_after;
    } rows[] = {
        { 401,
            "{\"error\":{\"code\":401,\"message\":\"Request had invalid authentication "
            "credentials.\",\"status\":\"UNAUTHENTICATED\"}}",
            "Gmail refused the credential (401)", -1 },
        { 404,
            "{\"error\":{\"code\":404,\"message\":\"Requested entity was not found.\",\"errors\":[{\"reason\":\"notFound\"}]}}",
            "Gmail answered with status 404: Requested entity was not found.", -1 },
        { 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Bad\\r\\nRequest\"}",
            "Gmail answered with status 400: Bad  Request", -1 },
        { 429, "{\"error\":{\"message\":\"User-rate limit exceeded.  Retry after 2026-06-02T10:00:30.000Z\"}}",
            "Gmail answered with status 429: User-rate limit exceeded.  Retry after 2026-06-02T10:00:30.000Z", 30 },
        { 429, "{\"error\":{\"message\":\"Quota\",\"details\":[{},7,{\"retryDelay\":\"1.5s\"}]}}",
            "Gmail answered with status 429: Quota", 2 },
        { 429, "{\"error\":{\"message\":\"Quota\",\"details\":[{\"retryDelay\":\"99999999999999999999s\"}]}}",
            "Gmail answered with status 429: Quota", 86400 },
        { 503, "<html>Bad gateway</html>", "Gmail answered with status 503", -1 },
        { 500, "", "Gmail answered with status 500", -1 },
        { 302, "{}", "Gmail answered with status 302", -1 },
        { 403, "{\"error\":{\"message\":7}}", "Gmail answered with status 403", -1 },
        { 403, "{\"error\":\"\"}", "Gmail answered with status 403: ", -1 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct aileron_json *details;

        fake_host_answer(rows[i].status, rows[i].body);
        assert_null(fake_host_run("get_email", "{\"id\":\"a\"}"));
        assert_string_equal(fake_host_error_class(), "external_api_error");
        assert_string_equal(fake_host_error_message(), rows[i].message);
        details = aileron_json_get(fake_host_error(), "details");
        assert_int_equal(number_of(details, "status"), rows[i].status);
        assert_int_equal(number_of(details, "retry_after"), rows[i].retry_after);
    }
    fake_host_answer(200, "[1]");
    assert_null(fake_host_run("get_email", "{\"id\":\"a\"}"));
    assert_string_equal(fake_host_error_message(), "Google's answer cannot be read: it is not an object");
    fake_host_refuse(-1);
    assert_null(fake_host_run("list_upcoming_events", "{}"));
    assert_string_equal(fake_host_error_class(), "network_error");
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(lists_mail), TEST(lists_drafts), TEST(refuses_bad_arguments), TEST(reads_metadata),
        TEST(reads_the_whole_text), TEST(reads_html_when_there_is_nothing_else), TEST(fetches_a_text_that_is_kept_apart),
        TEST(cuts_a_mail_that_is_too_long_but_never_a_draft), TEST(reads_a_draft_completely), TEST(tells_failures) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
