/* Decisions over the API: what is decided is the card that was shown, by its seal. */
#include "cli/decide.h"

#include "cli/card-show.h"
#include "cli/ticket.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

enum { HTTP_CONFLICT = 409, HTTP_TICKET = 428 };

int approval_get(struct cli *cli, const char *id, json_t **ret_approval)
{
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "");

    return path ? cli_get(cli, "GET", path, NULL, ret_approval) : cli_failf(CODE_FAILED, NULL, "out of memory");
}

int approval_resolve(struct cli *cli, const char *id, json_t **ret_approval)
{
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "/resolve");
    CLEANUP_JSON json_t *approval = NULL;
    CLEANUP_JSON json_t *body = json_object();
    int code = path && body ? cli_get(cli, "POST", path, body, &approval) : cli_failf(CODE_FAILED, NULL, "out of memory");

    if (!code && ret_approval)
        *ret_approval = TAKE_PTR(approval);
    return code;
}

bool approval_is_held(struct cli *cli, const json_t *approval)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    const char *binding = json_get_str(approval, "binding"), *state;

    if (!card_is(approval, "approved") || !binding || !*binding || cli_try(cli, "GET", "/v1/status", NULL, &answer, NULL) < 0)
        return false;
    state = json_get_str(answer.json, "vault_state");
    return state && !strcmp(state, "locked");
}

/* After a 409: what it is now. */
static int look_again(struct cli *cli, const char *id, enum decided *ret_decided, json_t **ret_approval, struct err *err)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "");
    int r = path ? cli_try(cli, "GET", path, NULL, &answer, err) : err_set(err, ENOMEM, "out of memory");

    if (r < 0)
        return r;
    if (answer.status != 200) {
        cli_err_answer(&answer, err);
        return -EIO;
    }
    *ret_approval = TAKE_PTR(answer.json);
    *ret_decided = card_is(*ret_approval, "pending") ? DECIDED_CHANGED : DECIDED_ALREADY;
    return 0;
}

int approval_try(struct cli *cli, const json_t *approval, const struct decision *decision, enum decided *ret_decided,
    json_t **ret_approval, struct err *err)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    const char *id = json_get_str(approval, "id"), *reason = decision->reason;
    CLEANUP_FREE char *path = id ? cli_path("/v1/approvals/", id, "/decide") : NULL;
    CLEANUP_JSON json_t *body = json_pack("{s:b, s:s, s:s*, s:s*}", "approved", decision->approved, "seal",
        json_get_str(approval, "seal"), "reason", reason && *reason ? reason : NULL, "ticket", decision->ticket);
    int r;

    if (!path || !body)
        return err_set(err, EINVAL, "the daemon's answer is no approval, or the reason is not UTF-8");
    r = cli_try(cli, "POST", path, body, &answer, err);
    if (r < 0)
        return r;
    if (answer.status == HTTP_CONFLICT)
        return look_again(cli, id, ret_decided, ret_approval, err);
    if (answer.status == 200) {
        *ret_decided = DECIDED;
        *ret_approval = TAKE_PTR(answer.json);
        return 0;
    }
    cli_err_answer(&answer, err);
    if (answer.status == HTTP_TICKET && !decision->ticket)
        *ret_decided = DECIDED_TICKET;
    return answer.status == HTTP_TICKET && !decision->ticket ? 0 : -EIO;
}

int approval_decide(
    struct cli *cli, const json_t *approval, bool approved, const char *reason, enum decided *ret_decided, json_t **ret_approval)
{
    const char *id = json_get_str(approval, "id"), *seal = json_get_str(approval, "seal");
    char ticket[KEEPER_TICKET_MAX] = "";
    struct decision decision = { .approved = approved, .reason = reason };
    struct err err = ERR_INIT;
    bool needs = json_is_true(json_object_get(approval, "needs_ticket")) && approved;
    int code;

    if (!id || !seal)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the daemon's answer is no approval");
    for (;;) {
        code = needs ? ticket_get(cli, id, seal, ticket) : cli_daemon(cli);
        if (code)
            return code;
        decision.ticket = needs ? ticket : NULL;
        err_clear(&err);
        if (approval_try(cli, approval, &decision, ret_decided, ret_approval, &err) < 0)
            return cli_fail(CODE_FAILED, &err);
        if (*ret_decided != DECIDED_TICKET)
            return CODE_DONE;
        needs = true;
    }
}
