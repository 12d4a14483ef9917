/*
 * The host, for native tests of a connector: answers are queued, what the
 * connector asked for is kept. One call at a time, one thread.
 *
 *     fake_host_answer(200, "{\"messages\":[]}");
 *     const struct aileron_json *output = fake_host_run("list", "{}");      // NULL: it failed, see fake_host_error
 *     assert_string_equal(fake_host_request(0, "url"), "https://…");
 */
#ifndef AILERON_FAKE_HOST_H
#define AILERON_FAKE_HOST_H

#include "aileron.h"

/* Forgets answers, requests and the last call. */
void fake_host_reset(void);
/* What the next requests in turn will get. The body is copied. */
void fake_host_answer(int status, const char *body);
void fake_host_answer_bytes(int status, const char *body, size_t len);
/* The next request is refused: result -1 or -2 of the ABI. */
void fake_host_refuse(int32_t result);
/* After this, http_response_size lies by this much and http_response_read copies so much less. */
void fake_host_short_read(size_t bytes);
void fake_host_set_now(int64_t seconds);

/* Runs one operation of `aileron_operations`; a failed call gives NULL. Results live until the next run or reset. */
const struct aileron_json *fake_host_run(const char *operation, const char *args_json);
/* The same for a whole envelope, which need not be valid. Returns the answer's text. */
const char *fake_host_run_envelope(const char *envelope, size_t len);
/* The last answer's "error", NULL when it has none. */
const struct aileron_json *fake_host_error(void);
/* Its class and message, "" when there is none. */
const char *fake_host_error_class(void);
const char *fake_host_error_message(void);

size_t fake_host_requests(void);
/* A member of request number n (from 0), NULL when absent. */
const char *fake_host_request(size_t n, const char *member);
const struct aileron_json *fake_host_request_json(size_t n);
const char *fake_host_request_text(size_t n);
/* Any JSON, read for the test itself; lives until reset. NULL when it is none. */
const struct aileron_json *fake_host_parse(const char *text, size_t len);
/* How many lines were logged. */
size_t fake_host_log_lines(void);

#endif
