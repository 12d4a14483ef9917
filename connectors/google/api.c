/*
 * Requests to Gmail and Google Calendar.
 *
 * An error answer is Google's JSON {"error":{"code","message","status","errors":
 * [{"reason"}],"details":[…]}}, OAuth's {"error":"…"}, or anything at all from
 * something in between. Only its short message is passed on, cleaned and cut.
 * When to try again comes from RetryInfo or from Gmail's "Retry after TIME".
 */
#include "api.h"

#include "input.h"
#include "when.h"

#include <string.h>

#define REASON_MAX  300
#define RETRY_MAX_S 86400

void google_query(struct aileron_text *url, const char *name, const char *value)
{
    if (value)
        aileron_text_printf(url, "%s%s=%s", strchr(url->data, '?') ? "&" : "?", name, aileron_url_escape(url->call, value));
}

void google_query_int(struct aileron_text *url, const char *name, int64_t value)
{
    google_query(url, name, aileron_printf(url->call, "%lld", (long long) value));
}

/* "12s" or "1.5s", rounded up; -1 when it is neither. */
static int64_t duration_s(const char *text)
{
    int64_t seconds = 0;

    if (!text || *text < '0' || *text > '9')
        return -1;
    for (; *text >= '0' && *text <= '9'; text++)
        if (seconds < RETRY_MAX_S)
            seconds = seconds * 10 + (*text - '0');
    if (*text == '.')
        seconds++;
    return seconds > RETRY_MAX_S ? RETRY_MAX_S : seconds;
}

static int64_t retry_after(const struct aileron_json *error, const char *message)
{
    static const char words[] = "Retry after ";
    const struct aileron_json *detail = aileron_json_each(aileron_json_get(error, "details"));
    const char *found = message ? strstr(message, words) : NULL;
    struct when when;

    for (; detail; detail = detail->next) {
        int64_t seconds = duration_s(aileron_json_string(detail, "retryDelay"));

        if (seconds >= 0)
            return seconds;
    }
    if (found && when_parse_prefix(found + sizeof(words) - 1, &when)) {
        int64_t seconds = when.seconds - aileron_now();

        return seconds < 0 ? 0 : seconds > RETRY_MAX_S ? RETRY_MAX_S : seconds;
    }
    return -1;
}

static int refused(struct aileron_call *call, const char *url, struct aileron_response *response)
{
    const char *service = strncmp(url, GMAIL_URL, sizeof(GMAIL_URL) - 1) == 0 ? "Gmail" : "Google Calendar";
    const struct aileron_json *answer = aileron_json_parse(call, response->body, response->len, NULL);
    const struct aileron_json *error = aileron_json_get(answer, "error");
    const char *message = aileron_json_string(error, "message");
    int64_t retry_s = response->status == 429 || response->status >= 500 ? retry_after(error, message) : -1;

    if (!message)
        message = aileron_json_string(answer, "error_description");
    if (!message)
        message = aileron_json_string(answer, "error");
    if (response->status == 401)
        return aileron_fail_status(call, 401, -1, "%s refused the credential (401)", service);
    if (!message)
        return aileron_fail_status(call, response->status, retry_s, "%s answered with status %d", service, response->status);
    return aileron_fail_status(call, response->status, retry_s, "%s answered with status %d: %s", service, response->status,
        input_one_line(call, message, REASON_MAX));
}

int google_get(struct aileron_call *call, const char *url, const struct aileron_json **ret_answer)
{
    struct aileron_request request = { .url = url, .credential = "oauth2" };
    struct aileron_response response;
    const struct aileron_json *answer;
    const char *why = "it is not an object";

    if (aileron_http(call, &request, &response) != 0)
        return -1;
    if (response.status < 200 || response.status > 299)
        return refused(call, url, &response);
    answer = aileron_json_parse(call, response.body, response.len, &why);
    if (!answer || answer->type != AILERON_OBJECT)
        return aileron_fail_status(call, response.status, -1, "Google's answer cannot be read: %s", why);
    *ret_answer = answer;
    return 0;
}

int google_post(struct aileron_call *call, const char *url, struct aileron_writer *body, const struct aileron_json **ret_answer)
{
    static const char *const headers[] = { "Content-Type", "application/json; charset=utf-8", NULL };
    struct aileron_request request = { .method = "POST", .url = url, .headers = headers, .credential = "oauth2" };
    struct aileron_response response;
    const struct aileron_json *answer;

    request.body = aileron_writer_text(body, &request.body_len);
    if (!request.body || aileron_http(call, &request, &response) != 0)
        return -1;
    if (response.status < 200 || response.status > 299)
        return refused(call, url, &response);
    answer = aileron_json_parse(call, response.body, response.len, NULL);
    *ret_answer = answer && answer->type == AILERON_OBJECT ? answer : NULL;
    return 0;
}
