/*
 * A ticket (keeper/client.h) proves to the keeper that the owner was there: it is bound to this approval and this seal, is good
 * once and for two minutes, and is worth nothing to anybody else.
 */
#include "cli/decide.h"

#include "cli/card-show.h"
#include "cli/keeper.h"
#include "cli/passphrase.h"
#include "cli/unlock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define PROMPT   "Vault passphrase, to show that it is you: "
#define DERIVING "checking the passphrase …"

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

static int get_ticket(struct cli *cli, const char *id, const char *seal, char ret_ticket[KEEPER_TICKET_MAX])
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    int code = keeper_open(cli, &keeper);

    if (!code && keeper_state(keeper) == KEEPER_VAULT_MISSING)
        code = cli_failf(CODE_FAILED, "aileron vault init", "the passphrase has to be given, and there is no vault yet");
    if (!code)
        code = cli_prove_passphrase(cli, keeper, PROMPT, &passphrase);
    if (code)
        return code;
    wire_init(&request, OWNER_TICKET, 0);
    keeper_put_secret(&request, passphrase);
    wire_put_str(&request, id);
    wire_put_str(&request, seal);
    code = keeper_ask(cli, keeper, &request, DERIVING, &answer);
    if (code)
        return code;
    if (answer.result != KEEPER_OK)
        return keeper_fail(&answer);
    if (!answer.detail || !*answer.detail || strlen(answer.detail) >= KEEPER_TICKET_MAX)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's answer is malformed");
    snprintf(ret_ticket, KEEPER_TICKET_MAX, "%s", answer.detail);
    return CODE_DONE;
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
        code = needs ? get_ticket(cli, id, seal, ticket) : cli_daemon(cli);
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
