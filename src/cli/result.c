/* One way out for `action run`, with and without --wait, and for `approval result`. */
#include "cli/result.h"

#include "cli/await.h"
#include "cli/print.h"

#include "base/banned.h"

/* 202: nothing ran yet. */
static int put_pending(struct cli *cli, const json_t *answer, bool json)
{
    const char *id = json_get_str(answer, "approval_id"), *url = json_get_str(answer, "review_url");

    if (json)
        print_json(cli->out, answer);
    cli_note("aileron: waits for your approval: %s · %s", id ? id : "", url ? url : "");
    cli_note("   to decide:  aileron approval approve %s", print_suffix(id));
    cli_note("   to collect: aileron approval result --wait %s", print_suffix(id));
    return CODE_PENDING;
}

static int put_output(struct cli *cli, const json_t *answer, bool json)
{
    const json_t *output = json_object_get(answer, "output");

    if (print_json(cli->out, json || !output ? answer : output) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return CODE_DONE;
}

int result_put(struct cli *cli, const struct cli_answer *answer, bool json)
{
    if (answer->status == 202)
        return put_pending(cli, answer->json, json);
    if (answer->status < 400)
        return put_output(cli, answer->json, json);
    if (json)
        print_json(cli->out, answer->json);
    return cli_fail_answer(answer);
}

int result_collect(struct cli *cli, const char *id, bool json)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "/result");
    int code = path ? cli_ask(cli, "GET", path, NULL, &answer) : cli_failf(CODE_FAILED, NULL, "out of memory");

    return code ? code : result_put(cli, &answer, json);
}

int result_wait(struct cli *cli, const char *id, const char *words, bool json)
{
    CLEANUP_JSON json_t *approval = NULL;
    enum await_end end;
    int code = await_approval(cli, id, words, true, &end, &approval);

    if (code)
        return code;
    if (end == AWAIT_OVER)
        return result_collect(cli, id, json);
    fputc('\n', stderr);
    cli_note("aileron: not waiting any more; the approval itself still waits.");
    cli_note("   to decide:  aileron approval approve %s", print_suffix(id));
    cli_note("   to collect: aileron approval result --wait %s", print_suffix(id));
    return CODE_PENDING;
}
