/*
 * A growing list of texts, ended by NULL, as argv and envp are. After a failure of memory it only counts further ones as
 * failed, so that one look at the end is enough.
 */
#ifndef LAUNCH_WORDS_H
#define LAUNCH_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct words {
    char **list; /* NULL while nothing was added */
    size_t len, room;
    bool failed;
};

void words_add(struct words *words, const char *text);
void words_addf(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NAME=value in place of what the list says of NAME. */
void words_set(struct words *words, const char *name, const char *value);
/* The value of NAME=…, or NULL. */
const char *words_get(const struct words *words, const char *name);
/* Takes out every NAME=… */
void words_unset(struct words *words, const char *name);
void words_free(struct words *words);

#endif
