/*
 * A native connector that a script can drive. Two lines in: a call's envelope, and
 * a list of what the host will answer, [status, "body", status, "body", …] (status
 * 0: the request fails). Lines out: the answer, each request made, an empty line.
 */
#include "fake-host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void queue_answers(const char *line, size_t len)
{
    const struct aileron_json *item = aileron_json_each(fake_host_parse(line, len));
    int64_t status;

    for (; item && item->next; item = item->next->next) {
        if (!aileron_json_int(item, &status) || item->next->type != AILERON_STRING)
            break;
        if (status)
            fake_host_answer((int) status, item->next->text);
        else
            fake_host_refuse(-1);
    }
}

/* One line without its end; false at the end of the input. */
static bool next_line(char **line, size_t *cap, size_t *ret_len)
{
    ssize_t len = getline(line, cap, stdin);

    if (len <= 0)
        return false;
    *ret_len = (size_t) len - ((*line)[len - 1] == '\n');
    return true;
}

int main(void)
{
    char *call = NULL, *answers = NULL;
    size_t call_cap = 0, answers_cap = 0, call_len, answers_len;

    while (next_line(&call, &call_cap, &call_len) && next_line(&answers, &answers_cap, &answers_len)) {
        fake_host_reset();
        queue_answers(answers, answers_len);
        puts(fake_host_run_envelope(call, call_len));
        for (size_t i = 0; i < fake_host_requests(); i++)
            puts(fake_host_request_text(i));
        puts("");
        fflush(stdout);
    }
    fake_host_reset();
    free(call);
    free(answers);
    return 0;
}
