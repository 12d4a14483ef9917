/*
 * Fuzzes the TOML reader: no text may end the program, whatever toml++ thinks of
 * it. What is accepted has keys, positions and members in the order of the source.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/toml.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check(const struct toml_node *node, unsigned depth)
{
    require(depth <= 33 && node->line > 0 && node->column > 0);
    require(strcmp(toml_type_name(node->type), "") != 0);
    require((node->type == TOML_STRING || node->type == TOML_DATETIME) == (node->text != NULL));
    if (node->type == TOML_DATETIME && node->text)
        require(strlen(node->text) >= 8);
    for (size_t i = 0; i < node->items_len; i++) {
        require((node->type == TOML_TABLE) == (node->items[i]->key != NULL));
        if (node->type == TOML_TABLE && node->items[i]->key)
            require(toml_get(node, node->items[i]->key) == node->items[i]);
        check(node->items[i], depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct toml_field fields[] = { { "a", TOML_INTEGER, true }, { "b", TOML_TABLE, false } };
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    CLEANUP_JSON json_t *json = NULL;
    struct err err = ERR_INIT;

    if (toml_parse((const char *) data, size, "fuzz", 1, &root, &err) < 0) {
        require(root == NULL && !strncmp(err.message, "fuzz:", 5));
        return 0;
    }
    check(root, 0);
    if (toml_check(root, "the file", fields, 2, "fuzz", &err) < 0)
        require(!strncmp(err.message, "fuzz:", 5));
    else
        require(toml_get(root, "a") != NULL);
    json = toml_to_json(root);
    require(json != NULL);
    return 0;
}
