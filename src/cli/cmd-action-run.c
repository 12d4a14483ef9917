/*
 * aileron action run: turns words into the arguments that the action declares,
 * asks the daemon to run it and prints the output. Exit codes: 1 the action
 * failed, 2 the arguments are wrong, 3 the vault is locked, 75 an approval waits.
 */
#include "cli/cli.h"
#include "cli/convert.h"
#include "cli/inputs.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/result.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "cli/unlock.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/banned.h"

#define ARGS_MAX (1024u * 1024)

static int read_stdin(struct buf *text, struct err *err)
{
    for (;;) {
        char data[16 * 1024];
        ssize_t n = read(STDIN_FILENO, data, sizeof(data));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read standard input");
        if (n == 0)
            return 0;
        if (buf_add(text, data, (size_t) n) < 0)
            return err_set(err, E2BIG, "the arguments are larger than %u KiB", ARGS_MAX >> 10);
    }
}

/* --args JSON, @FILE or -. */
static int read_whole(const char *given, json_t **ret_args, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(ARGS_MAX);
    CLEANUP_JSON json_t *args = NULL;
    int r;

    if (!strcmp(given, "-"))
        r = read_stdin(&text, err);
    else if (given[0] == '@')
        r = file_read(AT_FDCWD, given + 1, &text, err);
    else
        r = buf_add_str(&text, given);
    if (r == -E2BIG)
        return err_set(err, E2BIG, "the arguments are larger than %u KiB", ARGS_MAX >> 10);
    if (r < 0)
        return r;
    r = json_parse(buf_str(&text), text.len, JSON_LIMITS(ARGS_MAX), &args, err);
    if (r < 0) {
        err_prefix(err, "--args");
        return r;
    }
    if (!json_is_object(args))
        return err_set(err, EINVAL, "--args takes a JSON object, {\"name\": value}");
    *ret_args = TAKE_PTR(args);
    return 0;
}

/* The arguments as the command line gives them; `inputs` is what the action declares. */
static int collect(struct cli *cli, const json_t *inputs, json_t **ret_args, struct err *err)
{
    const char *whole = args_value(cli->args, "args"), *pair;
    CLEANUP_JSON json_t *args = NULL;
    size_t cursor = 0;
    int r = 0;

    if (whole && args_has(cli->args, "arg"))
        return err_set(err, EINVAL, "--args and --arg exclude each other");
    if (whole)
        return read_whole(whole, ret_args, err);
    args = json_object();
    while (r >= 0 && (pair = args_next(cli->args, "arg", &cursor)))
        r = convert_pair(inputs, pair, args, err);
    if (r < 0)
        return r;
    *ret_args = TAKE_PTR(args);
    return 0;
}

/* *ret_needs_credential: some step of it acts with one. */
static int build_args(struct cli *cli, const char *name, json_t **ret_args, bool *ret_needs_credential)
{
    CLEANUP_FREE char *path = cli_path("/v1/actions/", name, "");
    CLEANUP_JSON json_t *action = NULL;
    const json_t *inputs;
    const char *missing;
    struct err err = ERR_INIT;
    int code = path ? cli_get(cli, "GET", path, NULL, &action) : cli_failf(CODE_FAILED, NULL, "out of memory");

    if (code)
        return code;
    *ret_needs_credential = json_is_true(json_object_get(action, "needs_credential"));
    inputs = json_object_get(action, "inputs");
    if (collect(cli, inputs, ret_args, &err) < 0) {
        code = cli_fail(CODE_USAGE, &err);
    } else {
        missing = convert_missing(inputs, *ret_args);
        if (!missing)
            return CODE_DONE;
        code = cli_failf(CODE_USAGE, NULL, "%s needs the input %s", name, missing);
    }
    inputs_usage(stderr, name, inputs);
    return code;
}

/* --wait, and the answer is that a person has to decide: progress on stderr until there is an end. */
static int wait_for_end(struct cli *cli, const char *name, const json_t *pending)
{
    const char *id = json_get_str(pending, "approval_id"), *url = json_get_str(pending, "review_url");

    char words[1024];

    if (!id)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the daemon's answer names no approval");
    snprintf(words, sizeof words, "Waiting for your approval: %s · %s · aileron approval approve %s", name, url ? url : "",
        print_suffix(id));
    return result_wait(cli, id, words, args_has(cli->args, "json"));
}

/* A locked vault is opened first when somebody can be asked. Otherwise the daemon's own failure tells it, and leaves its receipt. */
static int open_vault(struct cli *cli)
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    int code;

    if (passphrase_source(cli) == PASSPHRASE_NOWHERE)
        return CODE_DONE;
    code = keeper_open(cli, &keeper);
    if (code || keeper_state(keeper) != KEEPER_VAULT_LOCKED) {
        passphrase_forget();
        return code;
    }
    return cli_prove_passphrase(cli, keeper, "Vault passphrase: ", NULL);
}

static int check_stdin(struct cli *cli)
{
    const char *args = args_value(cli->args, "args"), *file = args_value(cli->args, "passphrase-file");

    if (args && file && !strcmp(args, "-") && !strcmp(file, "-"))
        return cli_failf(CODE_USAGE, NULL, "arguments and passphrase cannot both come from standard input");
    return CODE_DONE;
}

static int run_run(struct cli *cli)
{
    const char *name = args_word(cli->args, 0), *binding = args_value(cli->args, "as");
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    CLEANUP_JSON json_t *args = NULL;
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_FREE char *path = cli_path("/v1/actions/", name, "/run");
    bool needs_credential = false;
    int code = check_stdin(cli);

    if (!code)
        code = build_args(cli, name, &args, &needs_credential);
    if (!code && needs_credential)
        code = open_vault(cli);
    if (code)
        return code;
    body = json_pack("{s:O,s:s*}", "args", args, "as", binding);
    if (!body || !path)
        return cli_failf(CODE_FAILED, NULL, "out of memory, or a name that is not UTF-8");
    code = cli_ask(cli, "POST", path, body, &answer);
    if (code)
        return code;
    if (answer.status == 202 && args_has(cli->args, "wait"))
        return wait_for_end(cli, name, answer.json);
    return result_put(cli, &answer, args_has(cli->args, "json"));
}

const struct command COMMAND_ACTION_RUN = {
    .name = "action run",
    .operands = "NAME",
    .about = "run an action and print its output",
    .details = "Every --arg is converted to the type that the action declares for it: text, number, true or false, JSON for objects; an input "
               "that takes several values is given several times. --args takes all arguments at once as a JSON object, from the command "
               "line, from @FILE, or from standard input with -.\n"
               "\n"
               "An action that acts with a credential opens a locked vault first: with --passphrase-file, AILERON_VAULT_PASSPHRASE, or by "
               "asking at the terminal. Of several bindings the default is used, or the one named by --as: an identity such as work, or a "
               "full name.\n"
               "\n"
               "The output goes to standard output as JSON. --json prints the whole answer instead: output, steps, audit id, connector and "
               "binding, or the failure. A missing input prints the action's own usage and exits 2. A failed action exits 1, a locked vault "
               "3, a call that waits for an approval 75.\n"
               "\n"
               "With --wait such a call waits until somebody has decided and it has run. Ctrl-C leaves it where it is; `aileron approval "
               "result` collects the output later.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "arg", 0, "NAME=VALUE", true, "one argument" },
        { "args", 0, "JSON|@FILE|-", false, "all arguments" },
        { "as", 0, "NAME", false, "the account to act as: an identity, or a binding's full name" },
        { "wait", 'w', NULL, false, "wait when it needs an approval" },
        OPTION_JSON,
    },
    .run = run_run,
};
