/* aileron version, aileron help: need no daemon and no home. */
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/rows.h"

#include <string.h>

#include "base/banned.h"

static int run_version(struct cli *cli)
{
    fprintf(cli->out, "aileron %s\n", AILERON_VERSION);
    return CODE_DONE;
}

const struct command COMMAND_VERSION = {
    .name = "version",
    .operands = "",
    .about = "print the version",
    .details = "Prints one line, \"aileron X.Y.Z\", and starts nothing. The version of a running daemon is in `aileron status`.",
    .run = run_version,
};

static int run_help(struct cli *cli)
{
    char *words[2] = { (char *) args_word(cli->args, 0), (char *) args_word(cli->args, 1) };
    int len = (int) args_words(cli->args), used = 0;
    const struct command *command;

    if (!len) {
        help_all(cli->out);
        return CODE_DONE;
    }
    command = command_match(len, words, &used);
    if (!command)
        return cli_unknown(len, words, NULL);
    if (used < len)
        return cli_unknown(len, words, command_is_group(command) ? command : NULL);
    help_command(cli->out, command);
    return CODE_DONE;
}

const struct command COMMAND_HELP = {
    .name = "help",
    .operands = "[COMMAND]",
    .about = "explain the commands, or one of them",
    .words_max = 2,
    .run = run_help,
};
