/*
 * aileron: the person's command line. Thin: it turns words into one request to
 * the daemon and the answer into text. No decision is made here.
 */
#include "cli/cli.h"
#include "cli/passphrase.h"
#include "cli/term.h"

#include <signal.h>

#include "base/banned.h"

int main(int argc, char *argv[])
{
    CLEANUP(cli_clear) struct cli cli = { .out = stdout };

    int code;

    passphrase_take_environment(); /* before anything is started or said */
    signal(SIGPIPE, SIG_IGN);      /* a closed stdout is an error that cli_finish() reports */
    term_init();
    code = cli_run(&cli, argc > 0 ? argc - 1 : 0, argv + (argc > 0 ? 1 : 0));
    passphrase_forget();
    return code;
}
