/*
 * A ticket proves to the keeper that the owner was there: it is bound to one subject and seal, is good once and for two minutes,
 * and is worth nothing for anything else. The passphrase goes to the keeper alone.
 */
#include "cli/ticket.h"

#include "cli/passphrase.h"
#include "cli/unlock.h"

#include <string.h>

#include "base/banned.h"

#define PROMPT   "Vault passphrase, to show that it is you: "
#define DERIVING "checking the passphrase …"

int ticket_get(struct cli *cli, const char *subject, const char *seal, char ret_ticket[KEEPER_TICKET_MAX])
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
    wire_put_str(&request, subject);
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
