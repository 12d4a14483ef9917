/*
 * Typed, checked copies of TOML values. toml_check() has already seen to keys and
 * types; here are the rules that nearly every value shares.
 */
#include "base/toml-read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* First byte that must not reach a terminal, or NULL. */
static const char *control_find(const char *text)
{
    for (; *text; text++)
        if (((unsigned char) *text < 0x20 && *text != '\t' && *text != '\n') || *text == 0x7f)
            return text;
    return NULL;
}

static int text_check(const struct toml_node *node, const char *key, const char *name, struct err *err)
{
    const char *control = control_find(node->text);

    if (control)
        return toml_fail(
            node, name, err, "'%s' has the control character U+%04X; remove it", key, (unsigned) (unsigned char) *control);
    if (node->text[strspn(node->text, " \t\n")] == '\0')
        return toml_fail(node, name, err, "'%s' is empty; give it a value or leave the key out", key);
    return 0;
}

int toml_read_text(const struct toml_node *table, const char *key, const char *name, char **ret_text, struct err *err)
{
    const struct toml_node *node = toml_get(table, key);
    char *text = NULL;
    int r = 0;

    if (!node)
        return 0;
    if (node->type != TOML_STRING)
        return toml_fail(node, name, err, "'%s' must be text, not %s", key, toml_type_name(node->type));
    r = text_check(node, key, name, err);
    if (r < 0)
        return r;
    text = strdup(node->text);
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    *ret_text = text;
    return 0;
}

void toml_read_bool(const struct toml_node *table, const char *key, bool *ret_value)
{
    const struct toml_node *node = toml_get(table, key);

    if (node && node->type == TOML_BOOL)
        *ret_value = node->boolean;
}

void toml_texts_free(char **texts, size_t len)
{
    for (size_t i = 0; texts && i < len; i++)
        free(texts[i]);
    free(texts);
}

bool toml_texts_have(char *const *texts, size_t len, const char *text)
{
    for (size_t i = 0; i < len; i++)
        if (!strcmp(texts[i], text))
            return true;
    return false;
}

static int length_check(const struct toml_node *list, const char *key, const char *name, struct err *err)
{
    if (list->items_len > TOML_LIST_MAX)
        return toml_fail(list, name, err, "'%s' has %zu elements; at most %d are allowed", key, list->items_len, TOML_LIST_MAX);
    return 0;
}

static int texts_fill(const struct toml_node *list, const char *key, const char *name, char **texts, struct err *err)
{
    for (size_t i = 0; i < list->items_len; i++) {
        const struct toml_node *item = list->items[i];
        int r = 0;

        if (item->type != TOML_STRING)
            return toml_fail(item, name, err, "'%s' is a list of texts, but this element is %s", key, toml_type_name(item->type));
        r = text_check(item, key, name, err);
        if (r < 0)
            return r;
        if (toml_texts_have(texts, i, item->text))
            return toml_fail(item, name, err, "'%s' names \"%.100s\" twice; remove one", key, item->text);
        texts[i] = strdup(item->text);
        if (!texts[i])
            return err_set(err, ENOMEM, "out of memory");
    }
    return 0;
}

int toml_read_texts(
    const struct toml_node *table, const char *key, const char *name, char ***ret_texts, size_t *ret_len, struct err *err)
{
    const struct toml_node *list = toml_get(table, key);
    char **texts = NULL;
    int r = 0;

    if (!list || (list->type == TOML_ARRAY && list->items_len == 0))
        return 0;
    if (list->type != TOML_ARRAY)
        return toml_fail(list, name, err, "'%s' must be a list of texts, not %s", key, toml_type_name(list->type));
    r = length_check(list, key, name, err);
    if (r < 0)
        return r;
    texts = calloc(list->items_len, sizeof *texts);
    if (!texts)
        return err_set(err, ENOMEM, "out of memory");
    r = texts_fill(list, key, name, texts, err);
    if (r < 0) {
        toml_texts_free(texts, list->items_len);
        return r;
    }
    *ret_texts = texts;
    *ret_len = list->items_len;
    return 0;
}

int toml_read_tables(
    const struct toml_node *table, const char *key, const char *name, const struct toml_node **ret_list, struct err *err)
{
    const struct toml_node *list = toml_get(table, key);
    int r = 0;

    *ret_list = NULL;
    if (!list)
        return 0;
    if (list->type != TOML_ARRAY)
        return toml_fail(
            list, name, err, "'%s' must be a list of tables, not %s; write [[%s]]", key, toml_type_name(list->type), key);
    r = length_check(list, key, name, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list->items_len; i++)
        if (list->items[i]->type != TOML_TABLE)
            return toml_fail(list->items[i], name, err, "'%s' is a list of tables; write [[%s]] and keys below it", key, key);
    *ret_list = list;
    return 0;
}
