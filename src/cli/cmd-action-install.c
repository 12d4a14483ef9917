/* aileron action add and add-suite: from a reference to actions that run. What is signed goes through plans (install.h). */
#include "cli/action-add.h"
#include "cli/install.h"
#include "cli/rows.h"
#include "cli/unlock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define REF_HINT "aileron action add github://OWNER/REPO/actions/NAME@latest, or --local PATH"

static bool is_path(const char *word)
{
    return !strstr(word, "://") && (word[0] == '.' || word[0] == '/' || word[0] == '~' || access(word, F_OK) == 0);
}

/* Exactly one of REF and --local, and of the options only those that belong to it. */
static int check_form(struct cli *cli)
{
    static const char *const REMOTE[] = { "key", "no-bind", "as" };
    const char *ref = args_word(cli->args, 0);
    bool local = args_has(cli->args, "local");
    struct err err = ERR_INIT;

    if (!ref == !local)
        err_set(&err, EINVAL, "%s", ref ? "a reference and --local do not go together" : "which one?");
    if (ref && args_has(cli->args, "bind"))
        err_set(&err, EINVAL, "--bind goes with --local");
    for (size_t i = 0; local && i < ARRAY_LEN(REMOTE); i++)
        if (args_has(cli->args, REMOTE[i]))
            err_set(&err, EINVAL, "--%s goes with a reference", REMOTE[i]);
    if (ref && !local && is_path(ref)) {
        err_set(&err, EINVAL, "%s is a file, and what is installed by name comes from a forge", ref);
        err_hint(&err, "aileron action add --local %s", ref);
    }
    if (!err.message[0])
        return CODE_DONE;
    if (!err.hint[0])
        err_hint(&err, REF_HINT);
    return cli_usage(cli, &err);
}

static int install_body(struct cli *cli, const char *key, const char *value, bool suite)
{
    struct install install = {
        .route = "/v1/actions", .each = suite && args_has(cli->args, "each"), .bind = !args_has(cli->args, "no-bind")
    };
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *keys = NULL;
    int code = plan_keys(cli, &keys);

    if (code)
        return code;
    body = json_pack(
        "{s:s, s:b, s:O, s:b}", key, value, "suite", (int) suite, "keys", keys, "force", (int) args_has(cli->args, "force"));
    install.body = body;
    return install_run(cli, &install);
}

static int run_add(struct cli *cli)
{
    int code = check_form(cli);

    if (code)
        return code;
    if (args_has(cli->args, "local"))
        return action_add_local(cli);
    code = install_begin(cli);
    return code ? plan_code(cli, false, code) : install_body(cli, "ref", args_word(cli->args, 0), false);
}

const struct command COMMAND_ACTION_ADD = {
    .name = "action add",
    .operands = "[REF]",
    .about = "add an action from a forge, or actions from a file or a folder",
    .details = "REF is github://OWNER/REPO/actions/NAME@VERSION; @latest takes the newest release. The action and the connector that it names are "
               "fetched, their signatures checked, and nothing is installed before you have read what it can do and said yes. Then its "
               "connector gets a credential if it has none (--no-bind: later, with aileron binding setup).\n"
               "\n"
               "With --local, PATH is an action's .md file, or a folder of them. Names between @@ in a file are replaced before it is checked: "
               "@@FQN@@ by the name of the connector, @@VERSION@@ and @@HASH@@ by those of the installed one, others by --bind. Actions added "
               "this way have no signature. An unsigned action of the same name is replaced; a signed one only with --force.\n"
               "\n"
               "Examples:\n"
               "  aileron action add github://acme/tools/actions/get-email@latest\n"
               "  aileron action add --local ./my-action.md",
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "key", 0, "FILE", true, "a publisher's key that you trust" },
        { "local", 0, "PATH", true, "the file, or a folder of files" },
        { "bind", 0, "NAME=VALUE", true, "put VALUE where a file says @@NAME@@" },
        { "no-bind", 0, NULL, false, "do not set up a credential now" },
        { "as", 0, "NAME", false, "the account that the credential is for" },
        { "force", 0, NULL, false, "also over what is installed; never past a failed check" },
        { "yes", 'y', NULL, false, "trust and consent without being asked" },
        OPTION_JSON,
    },
    .run = run_add,
};

/* A reference, or the absolute path of a file. */
static int add_suite(struct cli *cli, const char *word)
{
    CLEANUP_FREE char *path = NULL;
    struct err err = ERR_INIT;

    if (strstr(word, "://"))
        return install_body(cli, "ref", word, true);
    if (cli_absolute(word, &path, &err) < 0) {
        err_hint(&err, "a suite is a file, or github://OWNER/REPO/suite.toml@latest");
        return cli_fail(CODE_FAILED, &err);
    }
    return install_body(cli, "path", path, true);
}

static int run_add_suite(struct cli *cli)
{
    int code = install_begin(cli);

    if (code)
        return code;
    /* First of all, so that nobody is stopped by it half way: credentials will need it. */
    if (!args_has(cli->args, "no-bind"))
        code = cli_unlock(cli, UNLOCK_OR_CREATE, NULL, NULL);
    return code ? plan_code(cli, false, code) : add_suite(cli, args_word(cli->args, 0));
}

const struct command COMMAND_ACTION_ADD_SUITE = {
    .name = "action add-suite",
    .operands = "REF|FILE",
    .about = "add a list of actions together",
    .details = "REF is github://OWNER/REPO/suite.toml@VERSION; @latest takes the newest release. FILE is a suite.toml of your own that names actions in "
               "full. In this order: the vault is made or unlocked, publishers whom you do not trust yet are shown, all actions are listed with "
               "those that ask you before they act marked, what they can do together is said, and you are asked once (--each: for every "
               "action). Then they are installed, and each connector without a credential gets one (--no-bind: later, with aileron "
               "binding setup).\n"
               "\n"
               "One that fails does not stop the others; the command exits 1. Run again, it does what is left. Ctrl-C before your yes leaves "
               "everything as it was.\n"
               "\n"
               "Examples:\n"
               "  aileron action add-suite github://acme/tools/suite.toml@latest\n"
               "  aileron action add-suite github://acme/tools/suite.toml@1.2.0 --yes --no-bind\n"
               "  aileron action add-suite ./suite.toml --each",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "each", 0, NULL, false, "ask for every action" },
        { "key", 0, "FILE", true, "a publisher's key that you trust" },
        { "no-bind", 0, NULL, false, "do not set up credentials now, nor a vault" },
        { "as", 0, "NAME", false, "the account that the credential is for" },
        { "force", 0, NULL, false, "also over what is installed; never past a failed check" },
        { "yes", 'y', NULL, false, "trust and consent without being asked" },
        OPTION_JSON,
    },
    .run = run_add_suite,
};
