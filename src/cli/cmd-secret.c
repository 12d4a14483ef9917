/* aileron secret set|list|delete: the everyday words for what is neither binding nor agent login. */
#include "cli/cli.h"
#include "cli/entries.h"
#include "cli/rows.h"

#include "base/banned.h"

#define DIFFERENCE                                                                                                               \
    "`secret` is for plain secrets (any path, such as backup/key) and your own tokens (user/github); `vault` shows every entry " \
    "with its kind, bindings and agent logins too."

const struct command COMMAND_SECRET = { .name = "secret", .operands = "", .about = "Secrets: tokens and passwords of your own" };

static int run_set(struct cli *cli)
{
    return entries_put(cli, ENTRIES_SECRETS);
}

const struct command COMMAND_SECRET_SET = {
    .name = "secret set",
    .operands = "PATH",
    .about = "put a secret into the vault",
    .details = "The value is asked for at the terminal without echo, or read from FILE, from a pipe, or from standard input with -; one "
               "newline at its end is not part of it. A file that others can read is refused. What was there under PATH is replaced.\n"
               "\n" DIFFERENCE "\n"
               "\n"
               "Examples:\n"
               "  aileron secret set user/github\n"
               "  pass show backup | aileron secret set backup/key --value-file -",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "value-file", 0, "FILE|-", false, "read the value from FILE or standard input" },
        { "label", 0, "NAME=VALUE", true, "a label beside it; labels are not encrypted" },
    },
    .run = run_set,
};

static int run_list(struct cli *cli)
{
    return entries_list(cli, ENTRIES_SECRETS);
}

const struct command COMMAND_SECRET_LIST = {
    .name = "secret list",
    .operands = "",
    .about = "list secrets and tokens, never their values",
    .details = "Works also while the vault is locked: names and labels are not encrypted.\n\n" DIFFERENCE,
    .options = { OPTION_JSON },
    .run = run_list,
};

static int run_delete(struct cli *cli)
{
    return entries_delete(cli, ENTRIES_SECRETS);
}

const struct command COMMAND_SECRET_DELETE = {
    .name = "secret delete",
    .operands = "PATH",
    .about = "delete a secret from the vault",
    .details = "Asks first. Refuses bindings (aileron binding revoke) and agent logins (aileron vault delete).",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = { { "yes", 'y', NULL, false, "do not ask" } },
    .run = run_delete,
};
