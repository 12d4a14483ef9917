/* aileron approval approve|deny: shows the card, asks, decides, and says what became of it. */
#include "cli/ask.h"
#include "cli/await.h"
#include "cli/card-show.h"
#include "cli/choose.h"
#include "cli/cli.h"
#include "cli/decide.h"
#include "cli/print.h"
#include "cli/result.h"
#include "cli/rows.h"
#include "cli/unlock.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

#define BLOCK_LINES 60 /* of one text, when the card is only looked at before the question */

/* On stderr: stdout is for what the action answers. */
static void put_card(const json_t *approval)
{
    CLEANUP(lines_free) struct lines lines = { .width = term_width(stderr), .block_max = term_is_tty(stderr) ? BLOCK_LINES : 0 };

    card_show(&lines, approval, clock_unix_ms());
    fflush(stdout);
    lines_print(stderr, &lines);
    fputc('\n', stderr);
}

/* It is no longer to be decided. */
static int fail_already(const json_t *approval)
{
    char when[PRINT_TIME_MAX];
    const char *at = json_get_str(approval, "decided_at");

    if (!at)
        at = json_get_str(approval, "finished_at");
    return cli_failf(CODE_FAILED, NULL, "it is not to be decided any more: %s%s%s", card_state_words(approval, NULL),
        at ? " since " : "", at ? print_local_time(at, when) : "");
}

/* What it answered, or why it did not. */
static int put_end(struct cli *cli, const json_t *approval)
{
    bool json = args_has(cli->args, "json");
    const json_t *failure = json_object_get(approval, "failure"), *output = json_object_get(approval, "output");
    const char *message = json_get_str(failure, "message"), *class = json_get_str(failure, "class");

    if (json && print_json(cli->out, approval) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    if (card_is(approval, "completed")) {
        cli_note("aileron: done");
        return json || !output || print_json(cli->out, output) >= 0 ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
    }
    if (card_is_unresolved(approval))
        return cli_failf(CODE_FAILED, "look at the service, then: aileron approval resolve",
            "the outcome is unknown: the request may have left, and no answer was seen; it is not run again");
    if (message)
        return cli_failf(CODE_FAILED, "the log: aileron daemon logs", "%s (%s)", message, class ? class : "failed");
    return fail_already(approval);
}

/* Approved, but its credential is locked away: opens the vault when somebody can be asked, else says what it waits for. */
static int open_vault(struct cli *cli, const json_t *approval)
{
    if (!approval_is_held(cli, approval))
        return CODE_DONE;
    cli_note("aileron: approved; it runs as soon as the vault is open");
    return cli_unlock(cli, UNLOCK_ONLY, NULL, NULL);
}

/* Approved: until it has run, or asks again. *ret_again is the new card then. */
static int follow(struct cli *cli, const json_t *approval, json_t **ret_again)
{
    CLEANUP_JSON json_t *now = NULL;
    enum await_end end;
    int code;

    if (args_has(cli->args, "no-wait")) {
        if (args_has(cli->args, "json"))
            print_json(cli->out, approval);
        cli_note("aileron: approved");
        return CODE_DONE;
    }
    code = open_vault(cli, approval);
    if (code)
        return code;
    code = await_approval(cli, json_get_str(approval, "id"), NULL, false, &end, &now);
    if (code)
        return code;
    if (end == AWAIT_OVER)
        return put_end(cli, now);
    if (end == AWAIT_PENDING) {
        *ret_again = TAKE_PTR(now);
        return CODE_DONE;
    }
    fputc('\n', stderr);
    cli_note("aileron: approved; not waiting any more. To see what became of it: aileron approval show %s",
        print_suffix(json_get_str(approval, "id")));
    return CODE_DONE;
}

/* The card asks again. With --yes nobody has seen this one, so it is not approved. */
static int fail_changed(const json_t *approval)
{
    put_card(approval);
    return cli_failf(CODE_FAILED, "look again, then approve it", "it changed since it was asked; nothing was done");
}

/* Shows, asks, decides, follows: once. *ret_again is the card to begin anew with. */
static int approve_once(struct cli *cli, const json_t *approval, json_t **ret_again)
{
    CLEANUP_JSON json_t *now = NULL;
    enum decided decided;
    struct err err = ERR_INIT;
    bool yes = args_has(cli->args, "yes");
    int code;

    put_card(approval);
    if (!yes && ask_yes("Approve?", &yes, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    if (!yes) {
        cli_note("aileron: not approved; it still waits");
        return CODE_FAILED;
    }
    code = approval_decide(cli, approval, true, NULL, &decided, &now);
    if (code)
        return code;
    if (decided == DECIDED_ALREADY)
        return fail_already(now);
    if (decided == DECIDED_CHANGED) {
        *ret_again = TAKE_PTR(now);
        return CODE_DONE;
    }
    return follow(cli, now, ret_again);
}

static int run_approve(struct cli *cli)
{
    CLEANUP_JSON json_t *approval = NULL;
    int code = choose_can_ask(cli, "approving");

    if (!code)
        code = approval_get(cli, args_word(cli->args, 0), &approval);
    if (code)
        return code;
    if (!card_is(approval, "pending"))
        return fail_already(approval);
    for (;;) {
        CLEANUP_JSON json_t *again = NULL;

        code = approve_once(cli, approval, &again);
        if (code || !again)
            return code;
        if (args_has(cli->args, "yes"))
            return fail_changed(again);
        json_decref(approval);
        approval = TAKE_PTR(again);
    }
}

const struct command COMMAND_APPROVAL_APPROVE = {
    .name = "approval approve",
    .operands = "ID",
    .about = "look at what would run, and let it run once",
    .details = "ID is an approval's id or the end of it, six characters or more. Shows the card and asks; --yes does not ask. When the call "
               "came from an agent that is neither fenced nor contained, the vault's passphrase is needed as well, from "
               "--passphrase-file, AILERON_VAULT_PASSPHRASE or the terminal: --yes does not replace it.\n"
               "\n"
               "What is approved is exactly what was shown. If it changed meanwhile nothing is done: the difference is shown and it "
               "asks again, or with --yes the command exits 1. Then it waits until the action has run and prints what it answered; "
               "--no-wait does not. A locked vault is opened for that, or the command exits 3 and it runs once somebody opens it.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "yes", 'y', NULL, false, "do not ask" },
        { "no-wait", 0, NULL, false, "return once it is approved" },
        OPTION_JSON,
    },
    .run = run_approve,
};

/* --- deny --- */

static int run_deny(struct cli *cli)
{
    CLEANUP_JSON json_t *approval = NULL;
    CLEANUP_JSON json_t *now = NULL;
    enum decided decided = DECIDED_CHANGED;
    int code = approval_get(cli, args_word(cli->args, 0), &approval);

    /* What one says no to may have changed: no is no. */
    while (!code && decided == DECIDED_CHANGED) {
        if (!card_is(approval, "pending"))
            return fail_already(approval);
        code = approval_decide(cli, approval, false, args_value(cli->args, "reason"), &decided, &now);
        if (!code && decided == DECIDED_CHANGED) {
            json_decref(approval);
            approval = TAKE_PTR(now);
        }
    }
    if (code)
        return code;
    if (decided == DECIDED_ALREADY)
        return fail_already(now);
    if (args_has(cli->args, "json"))
        return print_json(cli->out, now) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "denied: ");
    term_put(cli->out, card_title(approval));
    fprintf(cli->out, " (%s)\n", json_get_str(approval, "id"));
    return CODE_DONE;
}

const struct command COMMAND_APPROVAL_DENY = {
    .name = "approval deny",
    .operands = "ID",
    .about = "say no; nothing runs",
    .details = "ID is an approval's id or the end of it, six characters or more. The agent is told that a person denied it, with the reason "
               "when there is one.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "reason", 'r', "TEXT", false, "what the agent is told" },
        { "yes", 'y', NULL, false, "accepted for symmetry: denying does not ask" },
        OPTION_JSON,
    },
    .run = run_deny,
};
