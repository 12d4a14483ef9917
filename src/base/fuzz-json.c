/*
 * Fuzzes the JSON reader. What it accepts keeps its limits, counted again on the
 * tree, and is a fixed point: written and read again it is the same value. What it
 * refuses has a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#include "base/banned.h"

#define DEPTH 8
#define NODES 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static unsigned count(json_t *json, unsigned depth)
{
    unsigned nodes = 1;
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(json) || json_is_array(json))
        require(depth < DEPTH);
    json_object_foreach(json, key, value) nodes += count(value, depth + 1);
    json_array_foreach(json, i, value) nodes += count(value, depth + 1);
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX - 1), again = BUF_INIT(SIZE_MAX - 1), quoted = BUF_INIT(SIZE_MAX - 1);
    const struct json_limits limits = { 10000, DEPTH, NODES };
    CLEANUP_JSON json_t *json = NULL;
    CLEANUP_JSON json_t *second = NULL;
    struct err err = ERR_INIT;

    if (json_parse((const char *) data, size, limits, &json, &err) < 0) {
        require(err.message[0] != '\0');
    } else {
        require(count(json, 0) <= NODES);
        json_case_folded_twin(json);
        json_get_str(json, "a");
        require(json_write_canonical(json, &text) == 0);
        require(json_parse(text.data, text.len, JSON_LIMITS(text.len), &second, NULL) == 0);
        require(json_write_canonical(second, &again) == 0);
        require(text.len == again.len && !memcmp(text.data, again.data, text.len));
    }
    require(buf_add_char(&quoted, '[') == 0 && json_quote((const char *) data, size, &quoted) == 0);
    require(buf_add_char(&quoted, ']') == 0);
    json_decref(second);
    second = NULL;
    if (memchr(data, '\0', size) == NULL)
        require(json_parse(quoted.data, quoted.len, JSON_LIMITS(quoted.len), &second, NULL) == 0);
    return 0;
}
