/*
 * aileron config list|get|set. The settings, their types and rules are the
 * daemon's; here a value is only read as what it looks like.
 */
#include "cli/cli.h"
#include "cli/convert.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/ticket.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define CONFIRM "approval.confirm"

enum { HTTP_TICKET = 428 };

const struct command COMMAND_CONFIG = { .name = "config", .operands = "", .about = "Settings" };

static char *value_text(const json_t *setting, const char *key)
{
    const json_t *value = json_object_get(setting, key);

    return json_is_array(value) ? print_list(value) : print_member(setting, key);
}

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "SETTING", false, 0 },
        { "VALUE", false, 10 },
        { "DEFAULT", false, 10 },
        { "FROM", false, 0 },
        { "ABOUT", false, 20 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/config", NULL, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    json_array_foreach(json_object_get(answer, "settings"), i, item)
    {
        CLEANUP_FREE char *value = value_text(item, "value");
        CLEANUP_FREE char *standard = value_text(item, "default");
        const char *source = json_get_str(item, "source");
        bool is_set = source && strcmp(source, "default") != 0;

        table_row(table);
        table_cell(table, json_get_str(item, "key"));
        table_cell_style(table, value ? value : "", is_set ? STYLE_BOLD : STYLE_PLAIN);
        table_cell(table, standard);
        table_cell_style(table, source, STYLE_DIM);
        table_cell(table, json_get_str(item, "about"));
    }
    return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
}

const struct command COMMAND_CONFIG_LIST = {
    .name = "config list",
    .operands = "",
    .about = "list all settings, their values and defaults",
    .options = { OPTION_JSON },
    .run = run_list,
};

/* The row of `key`, borrowed from `answer`; prints why when there is none. */
static const json_t *find_setting(const json_t *answer, const char *key)
{
    const json_t *settings = json_object_get(answer, "settings"), *item;
    const char *nearest = NULL;
    unsigned best = ~0u, distance;
    char hint[128];
    size_t i;

    json_array_foreach((json_t *) settings, i, item)
    {
        const char *have = json_get_str(item, "key");

        if (have && !strcmp(have, key))
            return item;
        if (have && text_is_near(key, have, &distance) && distance < best) {
            best = distance;
            nearest = have;
        }
    }
    snprintf(hint, sizeof(hint), nearest ? "did you mean %s?" : "aileron config list%.0s", nearest ? nearest : "");
    cli_failf(CODE_FAILED, hint, "there is no setting \"%s\"", key);
    return NULL;
}

static int run_get(struct cli *cli)
{
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *value = NULL;
    const json_t *setting;
    int code = cli_get(cli, "GET", "/v1/config", NULL, &answer);

    if (code)
        return code;
    setting = find_setting(answer, args_word(cli->args, 0));
    if (!setting)
        return CODE_FAILED;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, setting) < 0 ? CODE_FAILED : CODE_DONE;
    value = value_text(setting, "value");
    term_put(cli->out, value ? value : "");
    fputc('\n', cli->out);
    return CODE_DONE;
}

const struct command COMMAND_CONFIG_GET = {
    .name = "config get",
    .operands = "KEY",
    .about = "print the value of one setting",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_get,
};

/* Integers, true, false and JSON lists as such; everything else is text. "" takes the setting back to its default. */
static json_t *read_value(const char *text)
{
    static const char *const TYPES[] = { "integer", "array", "boolean" };
    json_t *value = NULL;

    if (!*text)
        return json_null();
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        bool fits = strcmp(TYPES[i], "boolean") != 0 || !strcmp(text, "true") || !strcmp(text, "false");

        if (fits && convert_value(TYPES[i], "value", text, &value, NULL) == 0)
            return value;
    }
    return json_string(text);
}

/* The change, with the passphrase when the daemon wants it: a setting must not do away with what protects it. */
static int change(struct cli *cli, const char *key, json_t *body, json_t **ret_answer)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    const char *value = json_string_value(json_object_get(body, key));
    char ticket[KEEPER_TICKET_MAX];
    int code = cli_ask(cli, "PATCH", "/v1/config", body, &answer);

    if (!code && answer.status == HTTP_TICKET && !strcmp(key, CONFIRM)) {
        cli_note("aileron: approvals would need the passphrase less often; that needs the passphrase");
        code = ticket_get(cli, CONFIRM, value ? value : "auto", ticket);
        if (!code && json_object_set_new(body, "ticket", json_string(ticket)) < 0)
            code = cli_failf(CODE_FAILED, NULL, "out of memory");
        return code ? code : cli_get(cli, "PATCH", "/v1/config", body, ret_answer);
    }
    if (!code && answer.status >= 400)
        return cli_fail_answer(&answer);
    if (!code)
        *ret_answer = TAKE_PTR(answer.json);
    return code;
}

static int run_set(struct cli *cli)
{
    const char *key = args_word(cli->args, 0);
    CLEANUP_JSON json_t *body = json_object();
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *value = NULL;
    const json_t *setting;
    int code;

    if (json_object_set_new(body, key, read_value(args_word(cli->args, 1))) < 0)
        return cli_failf(CODE_USAGE, NULL, "%s or its value is not valid UTF-8", key);
    code = change(cli, key, body, &answer);
    if (code)
        return code;
    setting = find_setting(answer, key);
    if (!setting)
        return CODE_FAILED;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, setting) < 0 ? CODE_FAILED : CODE_DONE;
    value = value_text(setting, "value");
    fprintf(cli->out, "%s = ", key);
    term_put(cli->out, value ? value : "");
    fputc('\n', cli->out);
    return CODE_DONE;
}

const struct command COMMAND_CONFIG_SET = {
    .name = "config set",
    .operands = "KEY VALUE",
    .about = "change one setting",
    .details = "VALUE is a number, true, false, text, or a JSON list. An empty VALUE ('') takes the setting back to its default. "
               "The settings "
               "are kept in config.toml of the home.\n"
               "\n"
               "To have approvals need the passphrase less often (approval.confirm) needs the passphrase.",
    .words_min = 2,
    .words_max = 2,
    .passphrase = true,
    .options = { OPTION_JSON },
    .run = run_set,
};
