/* The end of a call that waited for a person: the answer that `action run` gives, whenever it is asked for. */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include "cli/cli.h"

/* Prints what POST …/run or GET …/result answered: the output, a failure, or that it waits. The exit code that fits. */
int result_put(struct cli *cli, const struct cli_answer *answer, bool json);
/* Fetches and prints what became of it. */
int result_collect(struct cli *cli, const char *id, bool json);
/* Says `words` (may be NULL), waits for the end, then as result_collect(). Ctrl-C leaves it waiting, says how to collect it, and is CODE_PENDING. */
int result_wait(struct cli *cli, const char *id, const char *words, bool json);

#endif
