/*
 * A host in memory. Answers form a queue; a request beyond its end gets result -1,
 * so a test that forgot one fails instead of hanging.
 */
#include "fake-host.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 64

struct answer {
    int32_t result;
    int status;
    char *body;
    size_t len;
};

static struct answer answers[ANSWERS_MAX];
static size_t answer_count, answer_next;
static char *requests[ANSWERS_MAX];
static size_t request_count, short_by, log_lines;
static int64_t now_s = 1780000000;
static struct aileron_call call, side;
static const struct aileron_json *last_answer;
static const char *last_text;

/* Memory of the test itself; the end of the program is soon enough when there is none. */
static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void *copy(const void *bytes, size_t len)
{
    char *memory = must(malloc(len + 1));

    if (len)
        memcpy(memory, bytes, len);
    memory[len] = '\0';
    return memory;
}

void fake_host_reset(void)
{
    for (size_t i = 0; i < answer_count; i++)
        free(answers[i].body);
    for (size_t i = 0; i < request_count; i++)
        free(requests[i]);
    answer_count = answer_next = request_count = short_by = log_lines = 0;
    aileron_call_free(&call);
    aileron_call_free(&side);
    memset(&call, 0, sizeof(call));
    memset(&side, 0, sizeof(side));
    last_answer = NULL;
    last_text = NULL;
}

static void queue(struct answer answer)
{
    if (answer_count == ANSWERS_MAX)
        abort();
    answers[answer_count++] = answer;
}

void fake_host_answer_bytes(int status, const char *body, size_t len)
{
    queue((struct answer){ .status = status, .body = copy(body, len), .len = len });
}

void fake_host_answer(int status, const char *body)
{
    fake_host_answer_bytes(status, body, strlen(body));
}

void fake_host_refuse(int32_t result)
{
    queue((struct answer){ .result = result });
}

void fake_host_short_read(size_t bytes)
{
    short_by = bytes;
}

void fake_host_set_now(int64_t seconds)
{
    now_s = seconds;
}

int64_t aileron_host_now(void)
{
    return now_s;
}

_Noreturn void aileron_host_out_of_memory(void)
{
    abort();
}

void aileron_host_log(const char *level, uint32_t level_len, const char *text, uint32_t text_len)
{
    (void) level;
    (void) text;
    if (level_len && text_len)
        log_lines++;
}

static const struct answer *current(void)
{
    return answer_next ? &answers[answer_next - 1] : NULL;
}

int32_t aileron_host_http_request(const char *request, uint32_t len)
{
    if (request_count == ANSWERS_MAX)
        return -1;
    requests[request_count++] = copy(request, len);
    if (answer_next == answer_count)
        return -1;
    return answers[answer_next++].result;
}

int32_t aileron_host_http_response_status(void)
{
    return current() ? current()->status : -1;
}

int32_t aileron_host_http_response_size(void)
{
    return current() ? (int32_t) current()->len : -1;
}

int32_t aileron_host_http_response_read(char *ret_bytes, uint32_t cap)
{
    const struct answer *answer = current();
    size_t len;

    if (!answer || answer->len < short_by)
        return -1;
    len = answer->len - short_by;
    if (len > cap)
        len = cap;
    if (len)
        memcpy(ret_bytes, answer->body, len);
    return (int32_t) len;
}

const char *fake_host_run_envelope(const char *envelope, size_t len)
{
    size_t text_len;
    const char *text;

    aileron_call_free(&call);
    memset(&call, 0, sizeof(call));
    aileron_call_init(&call);
    text = aileron_run(&call, aileron_operations, aileron_copy(&call, envelope, len), len, &text_len);
    last_text = text;
    /* An answer is always JSON, whatever went in. */
    last_answer = must(aileron_json_parse(&call, aileron_copy(&call, text, text_len), text_len, NULL));
    return last_text;
}

const struct aileron_json *fake_host_run(const char *operation, const char *args_json)
{
    size_t size = strlen(operation) + strlen(args_json) + 32;
    char *envelope = must(malloc(size));

    snprintf(envelope, size, "{\"op\":\"%s\",\"args\":%s}", operation, args_json);
    fake_host_run_envelope(envelope, strlen(envelope));
    free(envelope);
    return aileron_json_get(last_answer, "output");
}

const struct aileron_json *fake_host_error(void)
{
    return aileron_json_get(last_answer, "error");
}

const char *fake_host_error_class(void)
{
    const char *text = aileron_json_string(fake_host_error(), "class");

    return text ? text : "";
}

const char *fake_host_error_message(void)
{
    const char *text = aileron_json_string(fake_host_error(), "message");

    return text ? text : "";
}

size_t fake_host_requests(void)
{
    return request_count;
}

const struct aileron_json *fake_host_parse(const char *text, size_t len)
{
    return aileron_json_parse(&side, aileron_copy(&side, text, len), len, NULL);
}

const char *fake_host_request_text(size_t n)
{
    return n < request_count ? requests[n] : NULL;
}

const struct aileron_json *fake_host_request_json(size_t n)
{
    return n < request_count ? fake_host_parse(requests[n], strlen(requests[n])) : NULL;
}

const char *fake_host_request(size_t n, const char *member)
{
    return aileron_json_string(fake_host_request_json(n), member);
}

size_t fake_host_log_lines(void)
{
    return log_lines;
}
