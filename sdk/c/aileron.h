/*
 * The Aileron connector SDK, all of it that a connector sees.
 *
 * A connector is a table of operations. For each call the host starts a fresh
 * instance, hands it one operation with its arguments, and takes one answer.
 * Everything a function here returns belongs to the call and is gone with it:
 * there is nothing to free, and no function returns NULL for want of memory (such
 * a call ends at once with resource_limit_exceeded).
 *
 *     static int greet(struct aileron_call *call)
 *     {
 *         const char *name = aileron_need_string(call, "name");
 *         if (!name)
 *             return -1;
 *         aileron_put_string(aileron_output(call), "text", aileron_printf(call, "Hello, %s", name));
 *         return 0;
 *     }
 *     AILERON_OPERATIONS({ "greet", greet })
 */
#ifndef AILERON_H
#define AILERON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aileron_call;
struct aileron_writer;

/* ---- operations ---- */

/* Returns 0, or -1 after aileron_fail(). What it put into aileron_output() is the answer. */
typedef int aileron_function(struct aileron_call *call);

struct aileron_operation {
    const char *name;
    aileron_function *run;
};

extern const struct aileron_operation aileron_operations[];
#define AILERON_OPERATIONS(...) const struct aileron_operation aileron_operations[] = { __VA_ARGS__, { NULL, NULL } };

/*
 * Ends the call with an error; always returns -1. The first failure of a call is the one reported. Classes that reach the caller
 * as they are: bad_input, external_api_error, binding_required, capability_denied, resource_limit_exceeded.
 */
int aileron_fail(struct aileron_call *call, const char *error_class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As aileron_fail() with external_api_error, the HTTP status and, unless negative, the seconds after which to try again. */
int aileron_fail_status(struct aileron_call *call, int status, int64_t retry_after_s, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* level: debug, info, warn or error. Never log what a user wrote or what a provider answered. */
void aileron_log(const char *level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Seconds since 1970. */
int64_t aileron_now(void);

/* ---- JSON in ---- */

enum aileron_type { AILERON_NULL, AILERON_BOOL, AILERON_NUMBER, AILERON_STRING, AILERON_ARRAY, AILERON_OBJECT };

/* A value; read only. Strings are valid UTF-8 without NUL (an escaped NUL or half a surrogate pair becomes U+FFFD). */
struct aileron_json {
    enum aileron_type type;
    bool boolean;
    uint32_t key_hash;
    const char *key;  /* name within its object, else NULL */
    const char *text; /* of a string or a number */
    size_t len;       /* bytes of text, or number of children */
    struct aileron_json *first, *last, *next;
};

/* The call's arguments: always an object. */
const struct aileron_json *aileron_args(struct aileron_call *call);
/* An argument that must be a non-empty string; else NULL, and the call has failed with bad_input. */
const char *aileron_need_string(struct aileron_call *call, const char *name);
/*
 * Parses `len` bytes, in place: `text` is overwritten, must be followed by one writable byte, and must live as long as the call.
 * At most 64 levels, 100,000 values, 1,024 members per object, no duplicate names. NULL: *ret_error (if given) says why.
 */
struct aileron_json *aileron_json_parse(struct aileron_call *call, char *text, size_t len, const char **ret_error);
/* A member by name. NULL when `object` is NULL, not an object, or has none. */
const struct aileron_json *aileron_json_get(const struct aileron_json *object, const char *key);
/* A member's text, or NULL unless it is a string. */
const char *aileron_json_string(const struct aileron_json *object, const char *key);
/* First element or member, or NULL: for (item = aileron_json_each(list); item; item = item->next) */
const struct aileron_json *aileron_json_each(const struct aileron_json *list);
/* Whether `value` is an integer that fits; then *ret is set. */
bool aileron_json_int(const struct aileron_json *value, int64_t *ret);

/* ---- JSON out ---- */

/* The answer: an object, already open, of at most 1 MiB. */
struct aileron_writer *aileron_output(struct aileron_call *call);
/* Bytes that still fit into the answer. */
size_t aileron_output_left(struct aileron_call *call);
/* Another object, for a request body. */
struct aileron_writer *aileron_writer_new(struct aileron_call *call);
/* Closes what is open; the JSON text, NULL if it became too large (then the call has failed). */
const char *aileron_writer_text(struct aileron_writer *writer, size_t *ret_len);

/* `name` is NULL inside an array. A NULL text leaves the member out. What is not UTF-8, and NUL, becomes U+FFFD. */
void aileron_put_string(struct aileron_writer *writer, const char *name, const char *text);
void aileron_put_bytes(struct aileron_writer *writer, const char *name, const char *text, size_t len);
void aileron_put_int(struct aileron_writer *writer, const char *name, int64_t value);
void aileron_put_bool(struct aileron_writer *writer, const char *name, bool value);
void aileron_put_json(struct aileron_writer *writer, const char *name, const struct aileron_json *value);
/* What is put after these goes inside, until the matching aileron_put_end(). */
void aileron_put_object(struct aileron_writer *writer, const char *name);
void aileron_put_array(struct aileron_writer *writer, const char *name);
void aileron_put_end(struct aileron_writer *writer);

/* ---- HTTP ---- */

struct aileron_request {
    const char *method; /* NULL: GET */
    const char *url;
    const char *const *headers; /* name, value, name, value, …, NULL; may be NULL */
    const char *body;           /* may be NULL */
    size_t body_len;
    const char *credential; /* "oauth2" or "api_key" to have it added outside the sandbox, or NULL */
};

struct aileron_response {
    int status;
    char *body; /* `len` bytes and a NUL; may be given to aileron_json_parse() */
    size_t len;
};

/* One request. 0: there is an answer, of any status. -1: refused or failed, and the call has failed. */
int aileron_http(struct aileron_call *call, const struct aileron_request *request, struct aileron_response *ret_response);
/* One request whose answer must be 2xx and JSON; anything else fails the call with external_api_error. */
int aileron_fetch_json(struct aileron_call *call, const struct aileron_request *request, const struct aileron_json **ret_json);

/* ---- text ---- */

/* A growing text. Zero bytes are fine in it; `data` (never NULL after aileron_text_init) is followed by a NUL. */
struct aileron_text {
    struct aileron_call *call;
    char *data;
    size_t len, cap, max;
    bool overflow; /* something did not fit into max and was left out */
};

void aileron_text_init(struct aileron_text *text, struct aileron_call *call, size_t max_bytes);
void aileron_text_add(struct aileron_text *text, const char *bytes, size_t len);
void aileron_text_add_str(struct aileron_text *text, const char *string);
void aileron_text_printf(struct aileron_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory of the call, zeroed, aligned for anything. */
void *aileron_alloc(struct aileron_call *call, size_t size);
char *aileron_printf(struct aileron_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *aileron_copy(struct aileron_call *call, const char *bytes, size_t len);
/* Percent-escapes everything but A-Z a-z 0-9 - . _ ~, for a path segment or a query value. */
char *aileron_url_escape(struct aileron_call *call, const char *text);
/* Base64: standard and padded, or the URL alphabet unpadded. */
char *aileron_base64(struct aileron_call *call, const char *bytes, size_t len, bool url_alphabet, size_t *ret_len);
/* Reads either alphabet, padded or not, skipping line ends. NULL when it is not base64. */
char *aileron_base64_decode(struct aileron_call *call, const char *text, size_t len, size_t *ret_len);
/* Length in bytes (1 to 4) of the valid UTF-8 character at `text`, 0 when there is none. */
size_t aileron_utf8_next(const char *text, size_t len);
bool aileron_utf8_valid(const char *text, size_t len);

#endif
