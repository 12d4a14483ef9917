/*
 * The one way to an open vault that every command takes: makes the vault when there is none and that is wanted, asks for the
 * passphrase when it is locked, says how to give one when nobody can be asked (exit code 3).
 */
#ifndef CLI_UNLOCK_H
#define CLI_UNLOCK_H

#include "base/secret.h"
#include "cli/keeper.h"

enum unlock_kind { UNLOCK_OR_CREATE, UNLOCK_ONLY };

/* CODE_DONE with a connection to the keeper whose vault is open; *ret_opened (NULL allowed) tells whether this call opened it. */
int cli_unlock(struct cli *cli, enum unlock_kind kind, struct keeper **ret_keeper, bool *ret_opened);
/*
 * Asks for the passphrase until the keeper says that it is right, also of an open vault; three times at a terminal, else once.
 * *ret_passphrase (NULL allowed) is what was right, a new secret.
 */
int cli_prove_passphrase(struct cli *cli, struct keeper *keeper, const char *prompt, struct secret **ret_passphrase);
/* Makes the vault after the words about it, and its passphrase. `keeper` says that there is none. */
int cli_create_vault(struct cli *cli, struct keeper *keeper, bool dev);

#endif
