/* aileron connector install|list|check|remove: what is in the store. */
#include "cli/cli.h"
#include "cli/install.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

const struct command COMMAND_CONNECTOR = { .name = "connector", .operands = "", .about = "Connectors: what carries actions out" };

/* Exactly one of REF and --local, and of the options only those that belong to it. */
static int check_form(struct cli *cli)
{
    static const char *const LOCAL[] = { "name", "bind" };
    const char *ref = args_word(cli->args, 0);
    struct err err = ERR_INIT;

    if (!ref == !args_has(cli->args, "local"))
        err_set(&err, EINVAL, "%s", ref ? "a reference and --local do not go together" : "which one?");
    for (size_t i = 0; ref && i < ARRAY_LEN(LOCAL); i++)
        if (args_has(cli->args, LOCAL[i]))
            err_set(&err, EINVAL, "--%s goes with --local", LOCAL[i]);
    if (!ref && args_has(cli->args, "key"))
        err_set(&err, EINVAL, "--key goes with a reference; what is local has no signature");
    if (!err.message[0])
        return CODE_DONE;
    err_hint(&err, "aileron connector install github://OWNER/REPO@latest, or --local DIR");
    return cli_usage(cli, &err);
}

static int install_ref(struct cli *cli, const char *ref)
{
    struct install install = { .route = "/v1/connectors" };
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *keys = NULL;
    int code = install_begin(cli);

    if (!code)
        code = plan_keys(cli, &keys);
    if (code)
        return code;
    body = json_pack("{s:s, s:O, s:b}", "ref", ref, "keys", keys, "force", (int) args_has(cli->args, "force"));
    install.body = body;
    return install_run(cli, &install);
}

static int run_install(struct cli *cli)
{
    const char *folder = args_value(cli->args, "local"), *name = args_value(cli->args, "name");
    CLEANUP_JSON json_t *bind = NULL;
    CLEANUP_JSON json_t *body = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_FREE char *path = NULL;
    struct err err = ERR_INIT;
    int code = check_form(cli);

    if (code)
        return code;
    if (!folder)
        return install_ref(cli, args_word(cli->args, 0));
    code = cli_pairs(cli, "bind", &bind);
    if (code)
        return code;
    if (cli_absolute(folder, &path, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    body = json_pack("{s:s,s:b,s:b,s:O,s:s*}", "path", path, "local", 1, "force", (int) args_has(cli->args, "force"), "bind",
        bind, "name", name);
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
    .operands = "[REF]",
    .about = "install a connector, from a forge or from a folder",
    .details = "REF is github://OWNER/REPO[/PATH]@VERSION; @latest takes the newest release. Its signature is checked before anything else is looked "
               "at. A publisher whom you do not trust yet is shown with the fingerprint of the key, and nothing is installed before you "
               "have seen what it is and said yes. --key gives the publisher's key from a file, in place of the one in the repository.\n"
               "\n"
               "With --local, DIR holds connector.wasm and manifest.toml. A connector installed this way has no signature and lives under a "
               "local:// name only, the one of its manifest or that of --name. Names between @@ in the manifest are replaced by the values of "
               "--bind before it is checked.\n"
               "\n"
               "Examples:\n"
               "  aileron connector install github://acme/tools@latest\n"
               "  aileron connector install github://acme/tools@1.2.0 --key acme.pub --yes\n"
               "  aileron connector install --local ./my-connector --bind HOST=api.example.com:443",
    .words_max = 1,
    .options = {
        { "key", 0, "FILE", true, "a publisher's key that you trust" },
        { "local", 0, "DIR", false, "the folder" },
        { "name", 0, "local://NAME", false, "the name to install it under" },
        { "bind", 0, "NAME=VALUE", true, "put VALUE where the manifest says @@NAME@@" },
        { "force", 0, NULL, false, "also when it is installed already; never past a failed check" },
        { "yes", 'y', NULL, false, "trust and consent without being asked" },
        OPTION_JSON,
    },
    .run = run_install,
};

/* In one word, whether it can run: its files and whose signature they bear. */
static void put_signature(struct table *table, const json_t *item)
{
    const char *files = json_get_str(item, "files");

    if (files && strcmp(files, "intact") != 0)
        table_cell_style(table, !strcmp(files, "missing") ? "MISSING" : "CHANGED", STYLE_BAD);
    else if (json_get_str(item, "error"))
        table_cell_style(table, "INVALID", STYLE_BAD);
    else if (!json_is_true(json_object_get(item, "signed")))
        table_cell_style(table, "UNSIGNED", STYLE_WARN);
    else
        table_cell_style(table, "valid", STYLE_GOOD);
}

/* "FQN@VERSION: what is wrong" of each that is refused. */
static void put_refused(const json_t *connectors)
{
    const json_t *item;
    size_t i;

    fflush(stdout);
    json_array_foreach((json_t *) connectors, i, item)
    {
        const char *error = json_get_str(item, "error"), *hint = json_get_str(item, "hint");

        if (!error)
            continue;
        cli_note("%s@%s: %s%s%s", json_get_str(item, "fqn") ? json_get_str(item, "fqn") : "?",
            json_get_str(item, "version") ? json_get_str(item, "version") : "?", error, hint ? "; " : "", hint ? hint : "");
    }
}

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "CONNECTOR", false, 16 },
        { "VERSION", false, 0 },
        { "SIGNATURE", false, 0 },
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

        table_row(table);
        table_cell(table, json_get_str(item, "fqn"));
        table_cell(table, json_get_str(item, "version"));
        put_signature(table, item);
        table_cell(table, json_get_str(item, "credential"));
        table_cell(table, hosts);
        table_cell(table, used_by);
        table_cell(table, json_get_str(item, "hash"));
    }
    if (!table_rows(table)) {
        fputs("no connectors are installed\n", cli->out);
        return CODE_DONE;
    }
    if (table_print(table, cli->out, term_width(cli->out)) < 0)
        return CODE_FAILED;
    put_refused(json_object_get(answer, "connectors"));
    return CODE_DONE;
}

const struct command COMMAND_CONNECTOR_LIST = {
    .name = "connector list",
    .operands = "",
    .about = "list installed connectors",
    .details = "One whose files were changed, or whose publisher is not trusted any more, is INVALID and never runs; what is "
               "wrong with it is told "
               "on standard error.",
    .options = { OPTION_JSON },
    .run = run_list,
};

/* What a row says about one connector; true when it can run. */
static bool put_check_row(struct table *table, const json_t *item)
{
    CLEANUP_FREE char *used_by = print_list(json_object_get(item, "used_by"));
    const char *latest = json_get_str(item, "latest"), *error = json_get_str(item, "error");

    table_row(table);
    table_cell(table, json_get_str(item, "fqn"));
    table_cell(table, json_get_str(item, "version"));
    put_signature(table, item);
    if (json_is_true(json_object_get(item, "newer")))
        table_cell_style(table, latest, STYLE_WARN);
    else
        table_cell(table, latest ? "newest" : json_get_str(item, "latest_error"));
    table_cell(table, used_by);
    return !error;
}

static int run_check(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "CONNECTOR", false, 16 },
        { "VERSION", false, 0 },
        { "SIGNATURE", false, 0 },
        { "NEWER", false, 12 },
        { "USED BY", false, 12 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    bool all_good = true;
    const json_t *item;
    size_t i;
    int code = cli_get(cli, "GET", "/v1/connectors/check", NULL, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "connectors"), i, item) all_good &= put_check_row(table, item);
    if (args_has(cli->args, "json"))
        code = print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    else if (!table_rows(table))
        fputs("no connectors are installed\n", cli->out);
    else
        code = table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
    put_refused(json_object_get(answer, "connectors"));
    return all_good ? code : CODE_FAILED;
}

const struct command COMMAND_CONNECTOR_CHECK = {
    .name = "connector check",
    .operands = "",
    .about = "check files and signatures of installed connectors, and ask for newer versions",
    .details = "Exits 1 when one of them cannot run. Newer versions are asked for where they come from; actions say which "
               "version they use, so "
               "a newer connector comes with newer actions: aileron action update --all.",
    .options = { OPTION_JSON },
    .run = run_check,
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
