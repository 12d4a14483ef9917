/*
 * Fuzzer: any bytes as a connector's input. What is read must be written as JSON
 * that reads again to the same bytes.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int echo(struct aileron_call *call)
{
    aileron_put_json(aileron_output(call), "args", aileron_args(call));
    return 0;
}

AILERON_OPERATIONS({ "echo", echo })

static void round_trip(struct aileron_call *call, const struct aileron_json *json)
{
    struct aileron_writer *first = aileron_writer_new(call), *second = aileron_writer_new(call);
    const char *text, *again;
    size_t len, again_len;

    aileron_put_json(first, "v", json);
    text = aileron_writer_text(first, &len);
    if (!text)
        return; /* one level more than may be written */
    json = aileron_json_parse(call, aileron_copy(call, text, len), len, NULL);
    if (!json)
        return; /* one level or value more than may be read */
    aileron_put_json(second, "v", aileron_json_get(json, "v"));
    again = aileron_writer_text(second, &again_len);
    if (!again || again_len != len || memcmp(again, text, len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aileron_call call = { 0 };
    const char *why, *answer;
    struct aileron_json *json;
    size_t len;

    aileron_call_init(&call);
    json = aileron_json_parse(&call, aileron_copy(&call, (const char *) data, size), size, &why);
    if (json)
        round_trip(&call, json);
    else if (!why)
        abort();
    aileron_call_free(&call);

    memset(&call, 0, sizeof(call));
    aileron_call_init(&call);
    answer = aileron_run(&call, aileron_operations, aileron_copy(&call, (const char *) data, size), size, &len);
    if (!aileron_json_parse(&call, aileron_copy(&call, answer, len), len, &why) && strcmp(why, "more than 64 levels") != 0 &&
        strcmp(why, "more than 100000 values") != 0)
        abort();
    aileron_call_free(&call);
    return 0;
}
