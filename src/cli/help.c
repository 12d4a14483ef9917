/*
 * Help is generated: whatever a row says is shown, and nothing else exists. The
 * only prose here are the lines around the list.
 */
#include "cli/help.h"

#include "base/cleanup.h"
#include "cli/term.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define NAME_WIDTH   24
#define OPTION_WIDTH 28

static const char EXIT_CODES[] =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 vault locked and nobody to ask, 4 the daemon could not "
    "be started, 75 an approval is pending.";

static void put_row(FILE *file, const char *name, const char *about, size_t width)
{
    fprintf(file, "  %s%-*s%s %s\n", term_style(file, STYLE_BOLD), (int) width, name, term_end(file), about);
}

static void put_heading(FILE *file, const char *text)
{
    fprintf(file, "\n%s%s%s\n", term_style(file, STYLE_DIM), text, term_end(file));
}

void help_all(FILE *file)
{
    fprintf(file, "Aileron lets an agent act on your services without ever holding a credential.\n\n");
    fprintf(file, "usage: aileron COMMAND [options]\n");
    for (size_t i = 0; COMMANDS[i]; i++) {
        bool alone = !strchr(COMMANDS[i]->name, ' ') && !command_is_group(COMMANDS[i]);
        bool first_alone = i == 0 || strchr(COMMANDS[i - 1]->name, ' ');

        if (command_is_group(COMMANDS[i]))
            put_heading(file, COMMANDS[i]->about);
        else if (alone && first_alone)
            put_heading(file, i == 0 ? "Start here" : "More");
        if (!command_is_group(COMMANDS[i]))
            put_row(file, COMMANDS[i]->name, COMMANDS[i]->about, NAME_WIDTH);
    }
    fprintf(file, "\naileron help COMMAND tells more about one. AILERON_HOME names another home than ~/.aileron.\n");
    term_paragraph(file, EXIT_CODES, 0);
}

void help_usage(FILE *file, const struct command *command)
{
    bool operands = command->operands[0] != '\0';

    if (command_is_group(command))
        fprintf(file, "usage: aileron %s COMMAND [options]\n", command->name);
    else
        fprintf(file, "usage: aileron %s%s%s%s\n", command->name, command_option(command, 0) ? " [options]" : "",
            operands ? " " : "", command->operands);
}

static void put_options(FILE *file, const struct command *command)
{
    const struct option *option;

    put_heading(file, "Options");
    for (size_t i = 0; (option = command_option(command, i)); i++) {
        char letter[8] = "", text[80];

        if (option->letter)
            snprintf(letter, sizeof(letter), "-%c, ", option->letter);
        snprintf(text, sizeof(text), "%s--%s%s%s%s", letter, option->name, option->value ? " " : "",
            option->value ? option->value : "", option->repeatable ? " …" : "");
        fprintf(file, "  %s%*s %s\n", text, text_columns(text) < OPTION_WIDTH ? (int) (OPTION_WIDTH - text_columns(text)) : 0, "",
            option->about);
    }
    fprintf(file, "  %-*s %s\n", OPTION_WIDTH, "-h, --help", "print this help");
}

void help_command(FILE *file, const struct command *command)
{
    size_t len = strlen(command->name);

    help_usage(file, command);
    fprintf(file, "\n%c%s.\n", toupper((unsigned char) command->about[0]), command->about + 1);
    if (command->details) {
        fputc('\n', file);
        term_paragraph(file, command->details, 0);
    }
    if (!command_is_group(command)) {
        put_options(file, command);
        return;
    }
    put_heading(file, "Commands");
    for (size_t i = 0; COMMANDS[i]; i++)
        if (!strncmp(COMMANDS[i]->name, command->name, len) && COMMANDS[i]->name[len] == ' ')
            put_row(file, COMMANDS[i]->name, COMMANDS[i]->about, NAME_WIDTH);
}
