/* Tickets: the passphrase, proved for one thing (keeper/client.h). */
#ifndef CLI_TICKET_H
#define CLI_TICKET_H

#include "cli/keeper.h"

/*
 * Asks for the passphrase, opening a locked vault by the way. `subject` and `seal` are an approval's id and seal, or a setting and
 * its value. CODE_DONE, or an exit code after printing.
 */
int ticket_get(struct cli *cli, const char *subject, const char *seal, char ret_ticket[KEEPER_TICKET_MAX]);

#endif
