/*
 * The one argument parser of the CLI. It knows nothing but the command's row, so
 * an option that help does not show cannot be accepted.
 */
#include "cli/args.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

struct given {
    const struct option *option;
    const char *value; /* NULL for a flag */
};

struct args {
    const char **words;
    size_t words_len;
    struct given *given;
    size_t given_len;
};

static const struct option *option_by_name(const struct command *command, const char *name, size_t len)
{
    const struct option *option;

    for (size_t i = 0; (option = command_option(command, i)); i++)
        if (strlen(option->name) == len && !strncmp(option->name, name, len))
            return option;
    return NULL;
}

static const struct option *option_by_letter(const struct command *command, char letter)
{
    const struct option *option;

    for (size_t i = 0; (option = command_option(command, i)); i++)
        if (option->letter == letter)
            return option;
    return NULL;
}

static int fail_unknown(const struct command *command, const char *text, size_t len, struct err *err)
{
    unsigned best = ~0u, distance;
    const struct option *option;
    const char *nearest = NULL;
    char typed[64];

    if (len > 2 && len - 2 < sizeof(typed)) {
        memcpy(typed, text + 2, len - 2);
        typed[len - 2] = '\0';
        for (size_t i = 0; (option = command_option(command, i)); i++) {
            if (text_is_near(typed, option->name, &distance) && distance < best) {
                best = distance;
                nearest = option->name;
            }
        }
    }
    err_set(err, EINVAL, "%s has no option %.*s", command->name, (int) len, text);
    if (nearest)
        err_hint(err, "did you mean --%s?", nearest);
    return -EINVAL;
}

static int take_option(struct args *args, const struct option *option, const char *value, struct err *err)
{
    for (size_t i = 0; i < args->given_len; i++)
        if (args->given[i].option == option && option->value && !option->repeatable)
            return err_set(err, EINVAL, "--%s was given twice", option->name);
    args->given[args->given_len++] = (struct given){ option, value };
    return 0;
}

/* One argument that starts with a dash; *at is the index of the last one used. */
static int parse_option(const struct command *command, struct args *args, int argc, char *const argv[], int *at, struct err *err)
{
    const char *text = argv[*at];
    const char *equals = strchr(text, '=');
    bool is_long = text[1] == '-';
    size_t len = equals && is_long ? (size_t) (equals - text) : strlen(text);
    const struct option *option = is_long ? option_by_name(command, text + 2, len - 2) : NULL;

    if (!is_long && len == 2)
        option = option_by_letter(command, text[1]);
    if (!option)
        return fail_unknown(command, text, len, err);
    if (!option->value) {
        if (is_long && equals)
            return err_set(err, EINVAL, "--%s takes no value", option->name);
        return take_option(args, option, NULL, err);
    }
    if (is_long && equals)
        return take_option(args, option, equals + 1, err);
    if (*at + 1 >= argc)
        return err_set(err, EINVAL, "--%s needs a value: --%s %s", option->name, option->name, option->value);
    *at += 1;
    return take_option(args, option, argv[*at], err);
}

static int check_words(const struct command *command, const struct args *args, struct err *err)
{
    if (args->words_len < command->words_min)
        return err_set(err, EINVAL, "%s needs %s", command->name, command->operands);
    if (args->words_len > command->words_max) {
        const char *extra = args->words[command->words_max];

        if (command->words_max)
            return err_set(
                err, EINVAL, "%s takes %s and nothing more: \"%s\" is too much", command->name, command->operands, extra);
        return err_set(err, EINVAL, "%s takes no \"%s\"", command->name, extra);
    }
    return 0;
}

static bool is_help(const char *text)
{
    return !strcmp(text, "--help") || !strcmp(text, "-h");
}

int args_parse(
    const struct command *command, int argc, char *const argv[], struct args **ret_args, bool *ret_help, struct err *err)
{
    CLEANUP_PTR(args_free) struct args *args = calloc(1, sizeof(*args));
    bool only_words = false;
    int r;

    if (!args)
        return -ENOMEM;
    args->words = calloc((size_t) argc + 1, sizeof(*args->words));
    args->given = calloc((size_t) argc + 1, sizeof(*args->given));
    if (!args->words || !args->given)
        return -ENOMEM;
    *ret_help = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && is_help(argv[i])) {
            *ret_help = true;
            *ret_args = TAKE_PTR(args);
            return 0;
        }
        if (!only_words && !strcmp(argv[i], "--")) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            r = parse_option(command, args, argc, argv, &i, err);
            if (r < 0)
                return r;
        } else {
            args->words[args->words_len++] = argv[i];
            only_words = only_words || command->rest;
        }
    }
    r = check_words(command, args, err);
    if (r < 0)
        return r;
    *ret_args = TAKE_PTR(args);
    return 0;
}

void args_free(struct args *args)
{
    if (!args)
        return;
    free(args->words);
    free(args->given);
    free(args);
}

size_t args_words(const struct args *args)
{
    return args->words_len;
}

const char *args_word(const struct args *args, size_t index)
{
    return index < args->words_len ? args->words[index] : NULL;
}

bool args_has(const struct args *args, const char *option)
{
    for (size_t i = 0; i < args->given_len; i++)
        if (!strcmp(args->given[i].option->name, option))
            return true;
    return false;
}

const char *args_next(const struct args *args, const char *option, size_t *cursor)
{
    while (*cursor < args->given_len) {
        const struct given *given = &args->given[(*cursor)++];

        if (!strcmp(given->option->name, option))
            return given->value;
    }
    return NULL;
}

const char *args_value(const struct args *args, const char *option)
{
    size_t cursor = 0;

    return args_next(args, option, &cursor);
}
