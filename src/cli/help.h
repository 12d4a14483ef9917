/* Help texts, made from the rows of the commands. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/command.h"

#include <stdio.h>

/* All commands, one line each. */
void help_all(FILE *file);
/* One command, or a group with its commands. */
void help_command(FILE *file, const struct command *command);
/* "usage: aileron NAME [options] OPERANDS" */
void help_usage(FILE *file, const struct command *command);

#endif
