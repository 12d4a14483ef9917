/* Inside of the action parser: what its two halves (parse.c, parse-steps.c) share. */
#ifndef ACTION_PARSE_H
#define ACTION_PARSE_H

#include "action/action.h"
#include "base/toml.h"

struct parse {
    const char *file; /* how errors call it */
    struct action *action;
    struct err *err;
};

int parse_execute(struct parse *parse, const struct toml_node *root);
int parse_approval(struct parse *parse, const struct toml_node *root);

/* toml_check with the parser's file and error. */
int parse_check(
    struct parse *parse, const struct toml_node *table, const char *where, const struct toml_field *fields, size_t len);
/* An operation or step id: 1 to 128 printable characters without a blank. */
int parse_check_word(struct parse *parse, const struct toml_node *at, const char *key, const char *word);
const struct action_require *parse_find_require(const struct action *action, const char *connector);

#endif
