/*
 * Fuzzer: what Google answers, and what is asked of the connector. The first byte
 * picks a good call; its lowest bit decides whether the rest takes the place of the
 * arguments or of the answers (split at the first 0x1e), its highest makes them 429.
 */
#include "fake-host.h"
#include "samples.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *operation)
{
    /* Reading operations never change anything. */
    bool writes =
        strncmp(operation, "draft_", 6) == 0 || strncmp(operation, "send_", 5) == 0 || strncmp(operation, "create_", 7) == 0;

    for (size_t i = 0; i < fake_host_requests(); i++) {
        const char *method = fake_host_request(i, "method"), *url = fake_host_request(i, "url");

        if (!writes && strcmp(method, "GET") != 0)
            abort();
        if (strncmp(url, "https://gmail.googleapis.com/gmail/v1/users/me/", 47) != 0 &&
            strncmp(url, "https://www.googleapis.com/calendar/v3/calendars/", 49) != 0)
            abort();
        if (strpbrk(url, " \r\n\t<>\"\\#") || strstr(url, "/../") || strstr(url, "/./"))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sample *sample;
    const char *rest = (const char *) data + 1, *split;
    char *args;
    int status;

    if (size < 1)
        return 0;
    sample = &samples[(data[0] >> 1 & 63) % SAMPLES];
    status = data[0] & 0x80 ? 429 : 200;
    size--;
    fake_host_reset();
    if (data[0] & 1) {
        for (int i = 0; i < 2 && sample->answers[i]; i++)
            fake_host_answer(200, sample->answers[i]);
        args = calloc(1, size + 1);
        if (!args)
            return 0;
        memcpy(args, rest, size);
        fake_host_run(sample->operation, args);
        free(args);
    } else {
        split = memchr(rest, 0x1e, size);
        if (!split)
            split = rest + size;
        fake_host_answer_bytes(status, rest, (size_t) (split - rest));
        if (split < rest + size)
            fake_host_answer_bytes(200, split + 1, (size_t) (rest + size - split - 1));
        else if (sample->answers[1])
            fake_host_answer(200, sample->answers[1]);
        fake_host_run(sample->operation, sample->args);
    }
    check(sample->operation);
    return 0;
}
