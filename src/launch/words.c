/* Lists of texts that belong to the list. */
#include "launch/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* Takes `text`, NULL = there was no memory for it. */
static void add_taken(struct words *words, char *text)
{
    if (text && words->len + 2 > words->room) {
        size_t room = words->room ? words->room * 2 : 16;
        char **list = realloc(words->list, room * sizeof(*list));

        if (list) {
            words->list = list;
            words->room = room;
        }
    }
    if (!text || words->len + 2 > words->room) {
        words->failed = true;
        free(text);
        return;
    }
    words->list[words->len++] = text;
    words->list[words->len] = NULL;
}

void words_add(struct words *words, const char *text)
{
    add_taken(words, strdup(text));
}

void words_addf(struct words *words, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    add_taken(words, text);
}

static bool is_named(const char *word, const char *name)
{
    size_t len = strlen(name);

    return !strncmp(word, name, len) && word[len] == '=';
}

const char *words_get(const struct words *words, const char *name)
{
    for (size_t i = 0; i < words->len; i++)
        if (is_named(words->list[i], name))
            return words->list[i] + strlen(name) + 1;
    return NULL;
}

void words_unset(struct words *words, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < words->len; i++) {
        if (is_named(words->list[i], name))
            free(words->list[i]);
        else
            words->list[kept++] = words->list[i];
    }
    words->len = kept;
    if (words->list)
        words->list[kept] = NULL;
}

void words_set(struct words *words, const char *name, const char *value)
{
    words_unset(words, name);
    words_addf(words, "%s=%s", name, value);
}

void words_free(struct words *words)
{
    for (size_t i = 0; i < words->len; i++)
        free(words->list[i]);
    free(words->list);
    *words = (struct words){ 0 };
}
