/*
 * Arguments of one command, checked against its row: options in any place,
 * `--name value`, `--name=value`, `-x`, and `--` before words that start with a
 * dash. Pure; texts are borrowed from argv.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/command.h"

#include <stdbool.h>
#include <stddef.h>

struct args;

/* `argv` holds what follows the command's name. -EINVAL with what is wrong; --help stops the checking and sets *ret_help. */
int args_parse(
    const struct command *command, int argc, char *const argv[], struct args **ret_args, bool *ret_help, struct err *err);
void args_free(struct args *args);
DEFINE_CLEANUP_PTR(struct args, args_free)

size_t args_words(const struct args *args);
/* Operand number `index`, or NULL when fewer were given. */
const char *args_word(const struct args *args, size_t index);
bool args_has(const struct args *args, const char *option);
/* The option's value, or NULL when it was not given. */
const char *args_value(const struct args *args, const char *option);
/* The values of a repeatable option one after the other; *cursor starts at 0. NULL at the end. */
const char *args_next(const struct args *args, const char *option, size_t *cursor);

#endif
