/*
 * What a command is: one row of data, from which dispatch, checking of the
 * arguments and every help text are made. A group ("action") has a row of its
 * own without a function. The rows live in their cmd-*.c files; commands.c
 * lists them in the order in which help shows them.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct cli;

struct option {
    const char *name;  /* long name without the dashes */
    char letter;       /* one-letter form, or 0 */
    const char *value; /* what follows it, as help shows it; NULL for a flag */
    bool repeatable;
    const char *about; /* one line */
};

#define OPTION_JSON                                                                                                              \
    {                                                                                                                            \
        "json", 0, NULL, false, "print the answer as JSON"                                                                       \
    }

#define COMMAND_OPTIONS_MAX 10
#define COMMAND_ANY_WORDS   4096

struct command {
    const char *name;     /* "action run" */
    const char *operands; /* "NAME", "[ID]…"; "" when it takes none */
    const char *about;    /* one line, no full stop */
    const char *details;  /* paragraphs for `help NAME`; NULL */
    unsigned words_min, words_max;
    bool rest;                                  /* what follows the first operand is not ours: options too */
    bool passphrase;                            /* may need an open vault: takes --passphrase-file too */
    struct option options[COMMAND_OPTIONS_MAX]; /* ends at the first without a name; read it by command_option() */
    int (*run)(struct cli *cli);                /* returns an exit code; NULL for a group */
};

/* All rows, in the order of help. Ends with NULL. */
extern const struct command *const COMMANDS[];

/* Option number `index` of the row, those that its flags bring along last; NULL behind the end. */
const struct option *command_option(const struct command *command, size_t index);
/* The row called `name`, or NULL. */
const struct command *command_find(const char *name);
/*
 * Finds the row for argv[0..] (program name not included): two words if they name a command, else one.
 * Sets *ret_used to the words that were its name. NULL when there is none.
 */
const struct command *command_match(int argc, char *const argv[], int *ret_used);
/* True when the row is a group: other rows start with its name. */
bool command_is_group(const struct command *command);
/* The name most like `text`, or NULL when none is near. */
const char *command_nearest(const char *text);
/* Edits (insert, delete, replace, swap of neighbours) between two short texts. */
unsigned text_distance(const char *a, const char *b);
/* True when `typed` is so near to `name` that it was probably meant. */
bool text_is_near(const char *typed, const char *name, unsigned *ret_distance);

#endif
