/*
 * One HTTP request and its one answer: whole, now or later, or as a stream of server-sent events. While an answer is waited
 * for, evhttp reads nothing and so does not see that the client has gone; exchange_watch() does.
 *
 * An exchange ends, and is freed, with exchange_answer(), exchange_end(), exchange_drop() or after its client's end was told.
 */
#ifndef WEB_EXCHANGE_H
#define WEB_EXCHANGE_H

#include <stddef.h>

struct evhttp_request;
struct exchange;

#define EXCHANGE_IDLE_S 60 /* a client that neither reads nor writes for so long is let go */

/* Takes `http`, whose request has been read. NULL when out of memory; then `http` is still the caller's. */
struct exchange *exchange_new(struct evhttp_request *http);
/* "GET", "POST", "PATCH", "DELETE"; "other" */
const char *exchange_method(const struct exchange *exchange);
const char *exchange_method_of(struct evhttp_request *http);
/* NULL when there is none. Borrowed. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* The request's body, "" without one. Borrowed. */
const char *exchange_body(const struct exchange *exchange, size_t *ret_len);

/* From now on the client's end is told, once, after the current callback; nothing of the exchange may be called afterwards. */
typedef void exchange_gone_fn(void *userdata);
void exchange_watch(struct exchange *exchange, exchange_gone_fn *fn, void *userdata);

/* Adds a header of the answer. */
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);
/* Ends the watch and hands the request back, to be answered through evhttp; frees the exchange. */
struct evhttp_request *exchange_take(struct exchange *exchange);
/* The whole answer, not to be kept. `type` NULL: no body. */
void exchange_answer(struct exchange *exchange, int status, const char *type, const char *body, size_t len);

/* Starts a stream: its head leaves at once. Wants exchange_watch(). */
void exchange_stream(struct exchange *exchange);
/* One event, `data` a line. A client that lets too much pile up is cut off (and its end told). */
void exchange_event(struct exchange *exchange, const char *data, size_t len);
/* Says nothing, but keeps the line open and finds out who has gone without a word. */
void exchange_comment(struct exchange *exchange);
/* Ends a stream. */
void exchange_end(struct exchange *exchange);
/* Forgets it: the server that owns the connection is going. */
void exchange_drop(struct exchange *exchange);

#endif
