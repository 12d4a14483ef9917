/*
 * Where a connector starts: the envelope comes on stdin, the answer leaves on
 * stdout. Nothing is set up in advance and nothing is freed at the end: the
 * instance lives for this one call.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

#define FIRST_READ 4096

static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t count = write(STDOUT_FILENO, text, len);

        if (count <= 0)
            _Exit(1);
        text += count;
        len -= (size_t) count;
    }
}

int64_t aileron_host_now(void)
{
    __wasi_timestamp_t now = 0;

    if (__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1000000, &now) != 0)
        return 0;
    return (int64_t) (now / 1000000000u);
}

_Noreturn void aileron_host_out_of_memory(void)
{
    static const char text[] =
        "{\"error\":{\"class\":\"resource_limit_exceeded\",\"message\":\"the connector ran out of memory\"}}";

    write_all(text, sizeof(text) - 1);
    _Exit(0);
}

/* All of stdin, with one byte of room after it. */
static char *read_all(struct aileron_call *call, size_t *ret_len)
{
    size_t cap = FIRST_READ, len = 0;
    char *text = aileron_alloc(call, cap + 1);

    for (;;) {
        ssize_t count = read(STDIN_FILENO, text + len, cap - len);

        if (count < 0)
            _Exit(1);
        if (count == 0)
            break;
        len += (size_t) count;
        if (len == cap) {
            char *larger;

            if (cap >= AILERON_INPUT_MAX)
                _Exit(1);
            cap *= 4;
            larger = aileron_alloc(call, cap + 1);
            memcpy(larger, text, len);
            text = larger;
        }
    }
    *ret_len = len;
    return text;
}

int main(void)
{
    struct aileron_call call = { 0 };
    size_t input_len, answer_len = 0;
    char *input;
    const char *answer;

    aileron_call_init(&call);
    input = read_all(&call, &input_len);
    answer = aileron_run(&call, aileron_operations, input, input_len, &answer_len);
    write_all(answer, answer_len);
    return 0;
}
