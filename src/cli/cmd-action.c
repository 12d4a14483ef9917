/* aileron action list|enable|disable|validate|remove, and adding from files. Show, run and installing have files of their own. */
#include "cli/action-add.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/banned.h"

#define ACTION_FILE_MAX (256u * 1024)

const struct command COMMAND_ACTION = { .name = "action", .operands = "", .about = "Actions: what agents may do" };

/* "file:12: class: message" of each load or validation error. Returns how many. */
static size_t put_errors(FILE *out, const json_t *errors)
{
    const json_t *error;
    size_t i;

    json_array_foreach((json_t *) errors, i, error)
    {
        const char *file = json_get_str(error, "file"), *message = json_get_str(error, "message");
        long long line = json_integer_value(json_object_get(error, "line"));
        char place[32] = "";

        /* The parser's own sentences name file and line already. */
        if (file && message && strncmp(message, file, strlen(file)) != 0) {
            term_put(out, file);
            if (line > 0)
                snprintf(place, sizeof(place), ":%lld", line);
            fprintf(out, "%s: ", place);
        }
        term_put(out, message ? message : "error");
        if (json_get_str(error, "hint")) {
            fputs("; ", out);
            term_put(out, json_get_str(error, "hint"));
        }
        fputc('\n', out);
    }
    return json_array_size(errors);
}

static int add_one(struct cli *cli, const char *word, const json_t *bind, json_t *installed)
{
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *path = NULL;
    struct err err = ERR_INIT;
    int code;

    if (cli_absolute(word, &path, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    body = json_pack("{s:s,s:b,s:b,s:O}", "path", path, "local", 1, "force", (int) args_has(cli->args, "force"), "bind", bind);
    if (!body)
        return cli_failf(CODE_USAGE, NULL, "the path is not valid UTF-8");
    code = cli_get(cli, "POST", "/v1/actions/install", body, &answer);
    if (code)
        return code;
    json_array_extend(installed, json_object_get(answer, "installed"));
    return CODE_DONE;
}

static void put_installed(FILE *out, const json_t *installed)
{
    bool any_unsigned = false;
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *) installed, i, item)
    {
        fprintf(out, "%s ", json_is_true(json_object_get(item, "updated")) ? "updated  " : "installed");
        term_put(out, json_get_str(item, "name") ? json_get_str(item, "name") : "?");
        fputc(' ', out);
        term_put(out, json_get_str(item, "version") ? json_get_str(item, "version") : "");
        fputc('\n', out);
        any_unsigned |= json_is_true(json_object_get(item, "unsigned"));
    }
    if (any_unsigned)
        fprintf(out, "%sUNSIGNED: nobody vouches for them%s\n", term_style(out, STYLE_WARN), term_end(out));
}

int action_add_local(struct cli *cli)
{
    CLEANUP_JSON json_t *installed = json_array();
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_JSON json_t *bind = NULL;
    const char *path;
    size_t cursor = 0;
    int code = cli_pairs(cli, "bind", &bind);

    while (!code && (path = args_next(cli->args, "local", &cursor)))
        code = add_one(cli, path, bind, installed);
    if (args_has(cli->args, "json")) {
        answer = json_pack("{s:O}", "installed", installed);
        if (json_array_size(installed) || !code)
            print_json(cli->out, answer);
    } else {
        put_installed(cli->out, installed);
    }
    return code;
}

static void put_list_row(struct table *table, const json_t *item)
{
    CLEANUP(buf_free) struct buf connectors = BUF_INIT(8192);
    bool enabled = json_is_true(json_object_get(item, "enabled")), gated = json_is_true(json_object_get(item, "gated"));
    bool is_unsigned = json_is_true(json_object_get(item, "unsigned"));
    const json_t *connector;
    size_t i;

    json_array_foreach(json_object_get(item, "connectors"), i, connector)
        buf_printf(&connectors, "%s%s@%s", i ? ", " : "", json_get_str(connector, "fqn") ? json_get_str(connector, "fqn") : "?",
            json_get_str(connector, "version") ? json_get_str(connector, "version") : "?");
    table_row(table);
    table_cell_style(table, json_get_str(item, "name"), STYLE_BOLD);
    table_cell(table, json_get_str(item, "version"));
    table_cell_style(table, enabled ? "enabled" : "disabled", enabled ? STYLE_GOOD : STYLE_DIM);
    table_cell_style(table, gated ? "needs you" : "", STYLE_WARN);
    table_cell(table, json_get_str(item, "intent"));
    table_cell(table, buf_str(&connectors));
    table_cell_style(table, is_unsigned ? "UNSIGNED" : "valid", is_unsigned ? STYLE_WARN : STYLE_GOOD);
}

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "ACTION", false, 16 },
        { "VERSION", false, 0 },
        { "STATE", false, 0 },
        { "GATE", false, 0 },
        { "INTENT", false, 16 },
        { "CONNECTOR", false, 14 },
        { "SIGNATURE", false, 0 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/actions", NULL, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    json_array_foreach(json_object_get(answer, "actions"), i, item) put_list_row(table, item);
    if (table_rows(table))
        code = table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
    else
        fputs(json_array_size(json_object_get(answer, "load_errors")) ? "no installed action can be used\n"
                                                                      : "no actions are installed\n",
            cli->out);
    fflush(cli->out);
    put_errors(stderr, json_object_get(answer, "load_errors"));
    return code;
}

const struct command COMMAND_ACTION_LIST = {
    .name = "action list",
    .operands = "",
    .about = "list installed actions",
    .details = "Action files that cannot be loaded are named on standard error, with the reason.",
    .options = { OPTION_JSON },
    .run = run_list,
};

static int set_enabled(struct cli *cli, bool enabled)
{
    const char *name = args_word(cli->args, 0);
    CLEANUP_JSON json_t *body = json_pack("{s:b}", "enabled", enabled);
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *path = cli_path("/v1/actions/", name, "");
    int code;

    if (!body || !path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "PATCH", path, body, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "%s is %s\n", name, enabled ? "enabled" : "disabled: agents do not see it, and it does not run");
    return CODE_DONE;
}

static int run_enable(struct cli *cli)
{
    return set_enabled(cli, true);
}

static int run_disable(struct cli *cli)
{
    return set_enabled(cli, false);
}

const struct command COMMAND_ACTION_ENABLE = {
    .name = "action enable",
    .operands = "NAME",
    .about = "let agents see and run an action",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_enable,
};

const struct command COMMAND_ACTION_DISABLE = {
    .name = "action disable",
    .operands = "NAME",
    .about = "hide an action from agents and refuse to run it",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_disable,
};

/* What is installed under the name, also when it is refused; NULL when there is nothing. */
static const json_t *find_installed(const json_t *answer, const char *name)
{
    static const char *const LISTS[] = { "actions", "load_errors" };
    const json_t *item;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(LISTS); k++)
        json_array_foreach(json_object_get(answer, LISTS[k]), i, item)
        {
            if (json_get_str(item, "name") && !strcmp(json_get_str(item, "name"), name))
                return item;
        }
    return NULL;
}

static void put_removed(FILE *out, const char *name, const json_t *was)
{
    const char *version = json_get_str(was, "version"), *fqn = json_get_str(was, "fqn");

    fprintf(out, "removed %s", name);
    if (version) {
        fputc(' ', out);
        term_put(out, version);
    }
    if (fqn) {
        fputs(", signed as ", out);
        term_put(out, fqn);
    }
    fputs(was && !fqn ? ", unsigned\n" : "\n", out);
}

static int run_remove(struct cli *cli)
{
    const char *name = args_word(cli->args, 0);
    CLEANUP_JSON json_t *before = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *path = cli_path("/v1/actions/", name, "");
    int code;

    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "GET", "/v1/actions", NULL, &before);
    if (!code)
        code = cli_get(cli, "DELETE", path, NULL, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    put_removed(cli->out, name, find_installed(before, name));
    return CODE_DONE;
}

const struct command COMMAND_ACTION_REMOVE = {
    .name = "action remove",
    .operands = "NAME",
    .about = "remove an action",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_remove,
};

/* What makes the file one that other programs with the same format refuse. */
static void put_keys_of_ours(FILE *out, const json_t *keys)
{
    const json_t *key;
    size_t i;

    json_array_foreach((json_t *) keys, i, key)
        fprintf(out, "%s%s", i > 0 ? ", " : "  keys that only Aileron knows: ", json_string_value(key));
    if (json_array_size(keys) > 0)
        fputc('\n', out);
}

/* One file: *ret_valid, and its errors appended to `errors`. */
static int validate_one(struct cli *cli, const char *path, bool *ret_valid, json_t *errors)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(ACTION_FILE_MAX);
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    struct err err = ERR_INIT;
    int code;

    if (file_read(AT_FDCWD, path, &text, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    body = json_pack("{s:s%,s:s}", "text", buf_str(&text), text.len, "file", path);
    if (!body)
        return cli_failf(CODE_FAILED, NULL, "%s is not valid UTF-8", path);
    code = cli_get(cli, "POST", "/v1/actions/validate", body, &answer);
    if (code)
        return code;
    *ret_valid = json_is_true(json_object_get(answer, "valid"));
    json_array_extend(errors, json_object_get(answer, "errors"));
    if (args_has(cli->args, "json"))
        return CODE_DONE;
    if (*ret_valid) {
        term_put(cli->out, path);
        fprintf(cli->out, ": valid\n");
        put_keys_of_ours(cli->out, json_object_get(answer, "keys_of_ours"));
    }
    return CODE_DONE;
}

static int run_validate(struct cli *cli)
{
    CLEANUP_JSON json_t *errors = json_array();
    CLEANUP_JSON json_t *answer = NULL;
    bool all_valid = true;

    for (size_t i = 0; i < args_words(cli->args); i++) {
        bool valid = false;
        int code = validate_one(cli, args_word(cli->args, i), &valid, errors);

        if (code)
            return code;
        all_valid &= valid;
    }
    if (args_has(cli->args, "json")) {
        answer = json_pack("{s:b,s:O}", "valid", all_valid, "errors", errors);
        print_json(cli->out, answer);
    } else {
        put_errors(stderr, errors);
    }
    return all_valid ? CODE_DONE : CODE_FAILED;
}

const struct command COMMAND_ACTION_VALIDATE = {
    .name = "action validate",
    .operands = "FILE…",
    .about = "check action files without installing them",
    .details = "Errors name file, line, key and what to do. Exits 1 when a file is not valid.",
    .words_min = 1,
    .words_max = COMMAND_ANY_WORDS,
    .options = { OPTION_JSON },
    .run = run_validate,
};
