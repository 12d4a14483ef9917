/* Putting, listing and deleting entries of the vault: what `vault put|list|delete` and `secret set|list|delete` share. */
#ifndef CLI_ENTRIES_H
#define CLI_ENTRIES_H

#include "cli/cli.h"

/* Kinds of entries as GET /v1/vault names them. */
enum entries { ENTRIES_ALL, ENTRIES_SECRETS /* secrets and tokens alone */ };

/* PATH, --value-file, --label of the command. */
int entries_put(struct cli *cli, enum entries entries);
int entries_list(struct cli *cli, enum entries entries);
/* PATH, --yes of the command. */
int entries_delete(struct cli *cli, enum entries entries);

#endif
