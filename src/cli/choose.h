/* From what a person typed to the one thing that is meant, and the questions that more than one command asks. */
#ifndef CLI_CHOOSE_H
#define CLI_CHOOSE_H

#include "cli/cli.h"

/*
 * The installed connector of that FQN, or of that last segment when only one has it; the newest version of several. *ret_json
 * is GET /v1/connectors/{hash} with "unsigned" added.
 */
int choose_connector(struct cli *cli, const char *word, json_t **ret_json);
/* The binding of that name, or of that identity or service when only one has it. *ret_json is a new reference. */
int choose_binding(struct cli *cli, const char *word, json_t **ret_json);
/* Every binding: GET /v1/bindings. */
int choose_bindings(struct cli *cli, json_t **ret_answer);
/*
 * True when --yes was given or the person says yes to `question`. Without a terminal and --yes CODE_USAGE, saying that
 * `what` needs it; *ret_yes is false after a no, which is told.
 */
int choose_yes(struct cli *cli, const char *what, const char *question, bool *ret_yes);
/* CODE_USAGE, in words, when choose_yes() could not ask: for asking before anything else is done. */
int choose_can_ask(struct cli *cli, const char *what);

#endif
