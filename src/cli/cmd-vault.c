/*
 * aileron vault: the vault as a whole, and its entries by their paths. Passphrases go to the keeper alone; what is shown
 * comes from the daemon.
 */
#include "cli/choose.h"
#include "cli/entries.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "cli/unlock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define WAYS                                                                                                                     \
    "The passphrase comes from --passphrase-file (a file that you alone can read, a pipe, or - for standard input; one newline " \
    "at its end is not part of it), else from AILERON_VAULT_PASSPHRASE, else it is asked for at the terminal. When there is "    \
    "nobody to ask, the command exits 3. The variable is taken by the command itself and reaches neither the daemon nor a "      \
    "browser."

const struct command COMMAND_VAULT = { .name = "vault", .operands = "", .about = "The vault: where credentials are kept" };

static int run_init(struct cli *cli)
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    int code = keeper_open(cli, &keeper);

    if (code)
        return code;
    if (keeper_state(keeper) != KEEPER_VAULT_MISSING)
        return cli_failf(CODE_FAILED, "aileron vault status", "there is a vault already: %s", keeper_vault_path(keeper));
    return cli_create_vault(cli, keeper, args_has(cli->args, "dev"));
}

const struct command COMMAND_VAULT_INIT = {
    .name = "vault init",
    .operands = "",
    .about = "create the vault",
    .details = "Not needed as a first step: the first command that needs a vault creates it.\n"
               "\n"
               "--dev makes a vault for development: once it is unlocked, --dev-connect-to and --dev-ca of `aileron daemon "
               "start` become "
               "active. Put no real credential into one.\n"
               "\n" WAYS,
    .passphrase = true,
    .options = { { "dev", 0, NULL, false, "let development overrides become active with this vault" } },
    .run = run_init,
};

static void put_status(FILE *out, const json_t *vault, const json_t *status)
{
    CLEANUP_FREE char *overrides = print_list(json_object_get(status, "overrides"));
    const char *state = json_get_str(vault, "state");
    int64_t lock_s = json_integer_value(json_object_get(vault, "auto_lock_s"));
    bool active = json_is_true(json_object_get(vault, "overrides_active"));
    char text[PRINT_TIME_MAX];

    if (active && overrides && *overrides)
        print_fieldf(out, "overrides", "ACTIVE: %s", overrides);
    print_field(out, "vault", state);
    print_field(out, "file", json_get_str(vault, "path"));
    if (state && strcmp(state, "missing") != 0)
        print_fieldf(out, "entries", "%zu", json_array_size(json_object_get(vault, "entries")));
    print_field(out, "auto-lock", lock_s ? print_duration(lock_s, text) : "off");
    if (!active && overrides && *overrides)
        print_fieldf(out, "overrides", "not active: %s", overrides);
    if (state && !strcmp(state, "locked"))
        print_field(out, "what to do", "aileron vault unlock");
    if (state && !strcmp(state, "missing"))
        print_field(out, "what to do", "aileron vault init, or the first command that needs it creates it");
}

static int run_status(struct cli *cli)
{
    CLEANUP_JSON json_t *vault = NULL;
    CLEANUP_JSON json_t *status = NULL;
    int code = cli_get(cli, "GET", "/v1/vault", NULL, &vault);

    if (!code)
        code = cli_get(cli, "GET", "/v1/status", NULL, &status);
    if (code)
        return code;
    if (args_has(cli->args, "json")) {
        json_object_set_new(vault, "entries", json_integer((json_int_t) json_array_size(json_object_get(vault, "entries"))));
        json_object_set(vault, "overrides", json_object_get(status, "overrides"));
        return print_json(cli->out, vault) < 0 ? CODE_FAILED : CODE_DONE;
    }
    put_status(cli->out, vault, status);
    return CODE_DONE;
}

const struct command COMMAND_VAULT_STATUS = {
    .name = "vault status",
    .operands = "",
    .about = "show whether the vault is there, locked or open",
    .details = "Shows the file, when the vault locks itself (setting vault.auto_lock) and development overrides. Exits 0 "
               "whatever the state is; "
               "--json has it as \"state\": missing, locked or unlocked.",
    .options = { OPTION_JSON },
    .run = run_status,
};

/* What is open now can be used by whoever decides: if that is everybody, it is said here and not in the status alone. */
static void note_open_approvals(struct cli *cli)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    const json_t *setting;
    size_t i;

    if (cli_try(cli, "GET", "/v1/config", NULL, &answer, NULL) < 0)
        return;
    json_array_foreach(json_object_get(answer.json, "settings"), i, setting)
    {
        const char *key = json_get_str(setting, "key"), *value = json_get_str(setting, "value");

        if (key && value && !strcmp(key, "approval.confirm") && !strcmp(value, "never"))
            cli_note("aileron: approvals need no passphrase, for approval.confirm is never. If you did not set that: "
                     "aileron config set approval.confirm auto");
    }
}

static int run_unlock(struct cli *cli)
{
    bool opened = false;
    int code = cli_unlock(cli, UNLOCK_ONLY, NULL, &opened);

    if (code)
        return code;
    cli_note(opened ? "aileron: the vault is unlocked" : "aileron: the vault was unlocked already");
    note_open_approvals(cli);
    return CODE_DONE;
}

const struct command COMMAND_VAULT_UNLOCK = {
    .name = "vault unlock",
    .operands = "",
    .about = "open the vault until the daemon stops or it is locked",
    .details = WAYS
    "\n"
    "\n"
    "One unlock serves every client of the daemon. After a wrong passphrase the next try has to wait, longer each time; at a "
    "terminal it is asked for three times.\n"
    "\n"
    "Examples:\n"
    "  aileron vault unlock\n"
    "  aileron vault unlock --passphrase-file <(pass show aileron)",
    .passphrase = true,
    .run = run_unlock,
};

static int run_lock(struct cli *cli)
{
    CLEANUP_JSON json_t *answer = NULL;
    int code = cli_get(cli, "POST", "/v1/vault/lock", NULL, &answer);

    if (!code)
        cli_note("aileron: the vault is locked");
    return code;
}

const struct command COMMAND_VAULT_LOCK = {
    .name = "vault lock",
    .operands = "",
    .about = "lock the vault",
    .details =
        "What was open is wiped from memory. Calls that need a credential fail with binding_failed until `aileron vault unlock`.",
    .run = run_lock,
};

static int run_list(struct cli *cli)
{
    return entries_list(cli, ENTRIES_ALL);
}

const struct command COMMAND_VAULT_LIST = {
    .name = "vault list",
    .operands = "",
    .about = "list every entry with its kind, never its value",
    .details = "Kinds: binding (what a connector uses; `aileron binding`), login (an agent's), token and secret (`aileron "
               "secret`). Works also "
               "while the vault is locked: names and labels are not encrypted.",
    .options = { OPTION_JSON },
    .run = run_list,
};

static int run_put(struct cli *cli)
{
    return entries_put(cli, ENTRIES_ALL);
}

const struct command COMMAND_VAULT_PUT = {
    .name = "vault put",
    .operands = "PATH",
    .about = "put an entry into the vault",
    .details = "The value is asked for at the terminal without echo, or read from FILE, from a pipe, or from standard input with -; one "
               "newline at its end is not part of it. A file that others can read is refused. Bindings are made by `aileron binding setup`, "
               "which asks for consent.\n"
               "\n" WAYS,
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "value-file", 0, "FILE|-", false, "read the value from FILE or standard input" },
        { "label", 0, "NAME=VALUE", true, "a label beside it; labels are not encrypted" },
    },
    .run = run_put,
};

static int run_delete(struct cli *cli)
{
    return entries_delete(cli, ENTRIES_ALL);
}

const struct command COMMAND_VAULT_DELETE = {
    .name = "vault delete",
    .operands = "PATH",
    .about = "delete a secret, a token or a login from the vault",
    .details = "Asks first. Bindings are ended by `aileron binding revoke`, which tells the provider too.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = { { "yes", 'y', NULL, false, "do not ask" } },
    .run = run_delete,
};

/* The new passphrase: from its file, or typed twice. */
static int read_new(struct cli *cli, struct secret **ret_passphrase)
{
    const char *file = args_value(cli->args, "new-passphrase-file");
    struct err err = ERR_INIT;
    int r;

    if (file)
        r = secret_read_file(file, "the new passphrase", KEEPER_PASSPHRASE_MAX, ret_passphrase, &err);
    else
        r = passphrase_ask_new("New passphrase: ", "Confirm passphrase: ", ret_passphrase, &err);
    if (r == -ENOTTY) {
        err_set(&err, ENOTTY, "this needs a new passphrase, and there is nobody to ask");
        err_hint(&err, "--new-passphrase-file FILE");
    }
    return r < 0 ? cli_fail(r == -ENOTTY ? CODE_LOCKED : CODE_FAILED, &err) : CODE_DONE;
}

static int change(struct cli *cli, struct keeper *keeper, const struct secret *old, const struct secret *new)
{
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    int code;

    wire_init(&request, OWNER_CHANGE, 0);
    keeper_put_secret(&request, old);
    keeper_put_secret(&request, new);
    code = keeper_ask(cli, keeper, &request, "deriving the keys and sealing every entry anew …", &answer);
    if (code)
        return code;
    if (answer.result != KEEPER_OK)
        return keeper_fail(&answer);
    cli_note("aileron: the passphrase was changed; the old one opens nothing any more");
    return CODE_DONE;
}

static int run_change(struct cli *cli)
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    CLEANUP_PTR(secret_free) struct secret *old = NULL;
    CLEANUP_PTR(secret_free) struct secret *new = NULL;
    const char *file = args_value(cli->args, "passphrase-file"), *new_file = args_value(cli->args, "new-passphrase-file");
    int code;

    if (file && new_file && !strcmp(file, "-") && !strcmp(new_file, "-"))
        return cli_failf(CODE_USAGE, NULL, "old and new passphrase cannot both come from standard input");
    code = keeper_open(cli, &keeper);
    if (code)
        return code;
    if (keeper_state(keeper) == KEEPER_VAULT_MISSING)
        return cli_failf(CODE_FAILED, "aileron vault init", "there is no vault yet");
    code = cli_prove_passphrase(cli, keeper, "Current passphrase: ", &old);
    if (!code)
        code = read_new(cli, &new);
    return code ? code : change(cli, keeper, old, new);
}

const struct command COMMAND_VAULT_CHANGE_PASSPHRASE = {
    .name = "vault change-passphrase",
    .operands = "",
    .about = "change the vault's passphrase",
    .details = "Every entry is sealed anew and the file replaced in one step: after a crash either the old or the new passphrase "
               "opens all of it. "
               "Copies of the old file still open with the old one.\n"
               "\n" WAYS,
    .passphrase = true,
    .options = { { "new-passphrase-file", 0, "FILE|-", false, "read the new passphrase from FILE or standard input" } },
    .run = run_change,
};
