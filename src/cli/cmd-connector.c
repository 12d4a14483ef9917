/* aileron connector install|list|remove: what is in the store. */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

const struct command COMMAND_CONNECTOR = { .name = "connector", .operands = "", .about = "Connectors: what carries actions out" };

static int run_install(struct cli *cli)
{
    const char *folder = args_value(cli->args, "local"), *name = args_value(cli->args, "name");
    CLEANUP_JSON json_t *bind = NULL;
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *path = NULL;
    struct err err = ERR_INIT;
    int code;

    if (!folder) {
        err_set(&err, EINVAL, "this version installs connectors from a folder only");
        err_hint(&err, "aileron connector install --local DIR");
        return cli_usage(cli, &err);
    }
    code = cli_pairs(cli, "bind", &bind);
    if (code)
        return code;
    if (cli_absolute(folder, &path, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    body = json_pack("{s:s,s:b,s:O,s:s*}", "path", path, "local", 1, "bind", bind, "name", name);
    if (!body)
        return cli_failf(CODE_USAGE, NULL, "the path or name is not valid UTF-8");
    code = cli_get(cli, "POST", "/v1/connectors/install", body, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "%s ", json_is_true(json_object_get(answer, "already_installed")) ? "already installed:" : "installed");
    term_put(cli->out, json_get_str(answer, "fqn") ? json_get_str(answer, "fqn") : "?");
    fputc('@', cli->out);
    term_put(cli->out, json_get_str(answer, "version") ? json_get_str(answer, "version") : "?");
    if (json_is_true(json_object_get(answer, "unsigned")))
        fprintf(cli->out, " %sUNSIGNED: nobody vouches for it%s", term_style(cli->out, STYLE_WARN), term_end(cli->out));
    fputc('\n', cli->out);
    print_field(cli->out, "hash", json_get_str(answer, "hash"));
    return CODE_DONE;
}

const struct command COMMAND_CONNECTOR_INSTALL = {
    .name = "connector install",
    .operands = "",
    .about = "install a connector from a folder",
    .details = "DIR holds connector.wasm and manifest.toml. A connector installed this way has no signature and lives under a local:// name "
               "only, the one of its manifest or that of --name. Names between @@ in the manifest are replaced by the values of --bind "
               "before it is checked.",
    .options = {
        { "local", 0, "DIR", false, "the folder" },
        { "name", 0, "local://NAME", false, "the name to install it under" },
        { "bind", 0, "NAME=VALUE", true, "put VALUE where the manifest says @@NAME@@" },
        OPTION_JSON,
    },
    .run = run_install,
};

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "CONNECTOR", false, 16 },
        { "VERSION", false, 0 },
        { "SIGNED", false, 0 },
        { "CREDENTIAL", false, 0 },
        { "HOSTS", false, 12 },
        { "USED BY", false, 12 },
        { "HASH", false, 14 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/connectors", NULL, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    json_array_foreach(json_object_get(answer, "connectors"), i, item)
    {
        CLEANUP_FREE char *hosts = print_list(json_object_get(item, "hosts"));
        CLEANUP_FREE char *used_by = print_list(json_object_get(item, "used_by"));
        bool is_unsigned = json_is_true(json_object_get(item, "unsigned"));

        table_row(table);
        table_cell(table, json_get_str(item, "fqn"));
        table_cell(table, json_get_str(item, "version"));
        table_cell_style(table, is_unsigned ? "UNSIGNED" : "yes", is_unsigned ? STYLE_WARN : STYLE_GOOD);
        table_cell(table, json_get_str(item, "credential"));
        table_cell(table, hosts);
        table_cell(table, used_by);
        table_cell(table, json_get_str(item, "hash"));
    }
    if (!table_rows(table)) {
        fputs("no connectors are installed\n", cli->out);
        return CODE_DONE;
    }
    return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
}

const struct command COMMAND_CONNECTOR_LIST = {
    .name = "connector list",
    .operands = "",
    .about = "list installed connectors",
    .options = { OPTION_JSON },
    .run = run_list,
};

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);

    return len >= suffix_len && !strcmp(text + len - suffix_len, suffix);
}

/* Does `word` name this connector: its hash (or 8 and more of its digits), FQN, or FQN@VERSION? */
static bool is_named(const json_t *connector, const char *word)
{
    const char *hash = json_get_str(connector, "hash"), *fqn = json_get_str(connector, "fqn"),
               *version = json_get_str(connector, "version");
    size_t fqn_len = fqn ? strlen(fqn) : 0;

    if (!hash || !fqn || !version)
        return false;
    if (!strcmp(word, hash) || !strcmp(word, fqn))
        return true;
    if (!strncmp(word, fqn, fqn_len) && word[fqn_len] == '@' && !strcmp(word + fqn_len + 1, version))
        return true;
    return strlen(word) >= 8 &&
           ((ends_with(hash, word)) || (!strncmp(hash, "sha256:", 7) && !strncmp(hash + 7, word, strlen(word))));
}

static int run_remove(struct cli *cli)
{
    const char *word = args_word(cli->args, 0), *hash = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_JSON json_t *removed = NULL;
    CLEANUP_FREE char *path = NULL;
    const json_t *item;
    size_t i, found = 0;
    int code = cli_get(cli, "GET", "/v1/connectors", NULL, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "connectors"), i, item)
    {
        if (is_named(item, word)) {
            hash = json_get_str(item, "hash");
            found++;
        }
    }
    if (!found)
        return cli_failf(CODE_FAILED, "aileron connector list", "no connector \"%s\" is installed", word);
    if (found > 1)
        return cli_failf(
            CODE_FAILED, "name it by its hash: aileron connector list", "%zu versions of %s are installed", found, word);
    path = cli_path("/v1/connectors/", hash, "");
    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "DELETE", path, NULL, &removed);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, removed) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "removed %s\n", hash);
    return CODE_DONE;
}

const struct command COMMAND_CONNECTOR_REMOVE = {
    .name = "connector remove",
    .operands = "NAME[@VERSION]|HASH",
    .about = "remove a connector",
    .details =
        "A connector is named by its FQN, by FQN@VERSION, or by its hash, of which eight digits of the start or end are enough. "
        "One that an installed action uses is not removed.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_remove,
};
