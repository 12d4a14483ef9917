/*
 * The arguments of an operation, checked before anything is asked of Google. Each
 * function returns 0, or -1 after failing the call with bad_input and a sentence
 * that names the argument and says what to do. An argument that is null is absent.
 */
#ifndef GOOGLE_INPUT_H
#define GOOGLE_INPUT_H

#include <aileron.h>

#define MAX_RESULTS_DEFAULT 10
#define MAX_RESULTS_CAP     100

/* Refuses every argument that is not named. */
int input_only(struct aileron_call *call, const char *const *names);
#define INPUT_ONLY(call, ...) input_only(call, (const char *const[]){ __VA_ARGS__, NULL })

/* An argument that is present and not null, or NULL. */
const struct aileron_json *input_get(struct aileron_call *call, const char *name);

enum input_flags { INPUT_REQUIRED = 1, INPUT_ONE_LINE = 2, INPUT_MAY_BE_EMPTY = 4 };
/* Text of at most max_bytes; *ret_text stays NULL when it is absent. INPUT_ONE_LINE refuses control characters. */
int input_text(struct aileron_call *call, const char *name, unsigned flags, size_t max_bytes, const char **ret_text);
/* A Gmail id: letters, digits, - and _. */
int input_id(struct aileron_call *call, const char *name, unsigned flags, const char **ret_id);
/* max_results: 10 when absent, at most 100. */
int input_max_results(struct aileron_call *call, int64_t *ret_count);
/* page_token: printable ASCII. */
int input_page_token(struct aileron_call *call, const char **ret_token);

bool input_is_id(const char *text, size_t max_bytes);
/* Length of the longest prefix of whole characters that fits. */
size_t input_cut(const char *text, size_t len, size_t max_bytes);
/* A copy with control characters as spaces, cut. For words of others within a message of ours. */
const char *input_one_line(struct aileron_call *call, const char *text, size_t max_bytes);

#endif
