/* Mails become the payloads that Gmail's API would show. */
#include "mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static json_t *read_mail(const char *raw)
{
    CLEANUP_JSON json_t *attachments = json_object();
    json_t *payload = mime_payload(raw, strlen(raw), attachments);

    assert_non_null(payload);
    return payload;
}

static void test_headers(void **state)
{
    CLEANUP_JSON json_t *mail =
        read_mail("Subject: =?UTF-8?Q?M=C3=BCller_&?= =?utf-8?b?IENvLg==?= and\r\n more\r\nX: =?latin1?Q?x?=\r\n\r\nbody");

    assert_string_equal(mime_header(mail, "subject"), "Müller & Co. and more");
    assert_string_equal(mime_header(mail, "X"), "=?latin1?Q?x?=");
    assert_null(mime_header(mail, "To"));
}

static void test_bodies(void **state)
{
    CLEANUP_JSON json_t *plain = read_mail("A: b\n\nhi\n");
    CLEANUP_JSON json_t *quoted = read_mail("Content-Transfer-Encoding: quoted-printable\n\nM=C3=BCll=\ner =zz\n");
    CLEANUP_JSON json_t *packed = read_mail("Content-Transfer-Encoding: base64\n\nTcO8\r\nbGxlcg==\n");

    assert_string_equal(json_get_str(json_object_get(plain, "body"), "data"), "aGkK");
    assert_string_equal(json_get_str(json_object_get(quoted, "body"), "data"), "TcO8bGxlciA9enoK");
    assert_string_equal(json_get_str(json_object_get(packed, "body"), "data"), "TcO8bGxlcg");
}

static void test_parts(void **state)
{
    static const char MAIL[] =
        "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hi <b>you</b>"
        "</p>\r\n--b\r\nContent-Type: text/plain; name=\"a.txt\"\r\nContent-Disposition: attachment; filename=\"a.txt\"\r\n\r\n"
        "file\r\n--b--\r\nepilogue";
    CLEANUP_JSON json_t *attachments = json_object();
    CLEANUP_JSON json_t *mail = mime_payload(MAIL, strlen(MAIL), attachments);
    CLEANUP_FREE char *snippet = mime_snippet(mail);
    const json_t *parts = json_object_get(mail, "parts");

    assert_int_equal(json_array_size(parts), 2);
    assert_string_equal(json_get_str(mail, "mimeType"), "multipart/mixed");
    assert_string_equal(json_get_str(json_array_get(parts, 1), "filename"), "a.txt");
    assert_null(json_get_str(json_object_get(json_array_get(parts, 1), "body"), "data"));
    assert_string_equal(json_get_str(attachments, "att-1"), "ZmlsZQ0K");
    assert_string_equal(snippet, "Hi you ");
}

static void test_odd_mails(void **state)
{
    static const char *const MAILS[] = { "", "\n", "no colon\n\n", "A: b", "Content-Type: multipart/mixed; boundary=\"x\"\n\n--x",
        "=?UTF-8?B?" };

    for (size_t i = 0; i < ARRAY_LEN(MAILS); i++) {
        CLEANUP_JSON json_t *mail = read_mail(MAILS[i]);
        CLEANUP_FREE char *snippet = mime_snippet(mail);

        assert_non_null(snippet);
    }
}

static void test_nesting_is_bounded(void **state)
{
    CLEANUP(buf_free) struct buf mail = BUF_INIT(100000);
    CLEANUP_JSON json_t *attachments = json_object();

    for (int i = 0; i < 40; i++)
        buf_printf(&mail, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i + 100, i + 100);
    for (int i = 40; i-- > 0;)
        buf_printf(&mail, "--b%d--\n", i + 100);
    assert_null(mime_payload(buf_str(&mail), mail.len, attachments));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_odd_mails),
        cmocka_unit_test(test_nesting_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
