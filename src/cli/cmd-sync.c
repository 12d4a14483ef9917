/* aileron sync: what installed actions need and lack, and bringing it. Each missing connector is a plan of its own. */
#include "cli/install.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"

#include <string.h>

#include "base/banned.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

/* "FQN@VERSION is not installed, needed by a, b" */
static void put_lack(const char *what, const char *version, const char *lack, const json_t *item)
{
    CLEANUP_FREE char *needed_by = print_list(json_object_get(item, "needed_by"));

    cli_note("%s%s%s %s%s%s", what, version ? "@" : "", version ? version : "", lack,
        needed_by && *needed_by ? ", needed by " : "", needed_by && *needed_by ? needed_by : "");
}

static size_t put_lacks(const json_t *answer)
{
    const json_t *connectors = json_object_get(answer, "missing_connectors"),
                 *bindings = json_object_get(answer, "missing_bindings"), *changed = json_object_get(answer, "changed"), *item;
    size_t i;

    json_array_foreach((json_t *) connectors, i, item)
        put_lack(text_of(item, "fqn"), json_get_str(item, "version"), "is not installed", item);
    json_array_foreach((json_t *) bindings, i, item) put_lack(text_of(item, "connector_fqn"), NULL, "has no credential", item);
    json_array_foreach((json_t *) changed, i, item)
    {
        const char *hint = json_get_str(item, "hint");

        cli_note("%s%s%s", text_of(item, "message"), hint ? "; " : "", hint ? hint : "");
    }
    return json_array_size(connectors) + json_array_size(bindings) + json_array_size(changed);
}

static int install_one(struct cli *cli, const json_t *item)
{
    CLEANUP_JSON json_t *body = json_pack("{s:o}", "ref", json_sprintf("%s@%s", text_of(item, "fqn"), text_of(item, "version")));
    const struct install install = { .route = "/v1/connectors", .body = body };

    if (!strncmp(text_of(item, "fqn"), "local://", 8))
        return cli_failf(CODE_FAILED, "aileron connector install --local DIR", "%s@%s comes from a folder of this machine",
            text_of(item, "fqn"), text_of(item, "version"));
    return install_run(cli, &install);
}

/* All that is missing; the first code that is not CODE_DONE. */
static int install_missing(struct cli *cli, const json_t *connectors)
{
    const json_t *item;
    int result = CODE_DONE;
    size_t i;

    json_array_foreach((json_t *) connectors, i, item)
    {
        int code = plan_is_interrupted(cli) ? CODE_DONE : install_one(cli, item);

        result = result ? result : code;
    }
    return result;
}

static int ask_lacks(struct cli *cli, json_t **ret_answer)
{
    CLEANUP_JSON json_t *body = json_object();

    return cli_get(cli, "POST", "/v1/sync", body, ret_answer);
}

/* After installing: what is unbound may have become more. */
static int bind_all(struct cli *cli)
{
    CLEANUP_JSON json_t *connectors = json_array();
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = ask_lacks(cli, &answer);

    json_array_foreach(json_object_get(answer, "missing_bindings"), i, item) json_array_append_new(
        connectors, json_pack("{s:s, s:s}", "fqn", text_of(item, "connector_fqn"), "credential", text_of(item, "kind")));
    return code ? code : install_bind(cli, connectors);
}

static int finish(struct cli *cli, int result)
{
    CLEANUP_JSON json_t *answer = NULL;
    int code = ask_lacks(cli, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        print_json(cli->out, answer);
    if (put_lacks(answer)) {
        if (json_array_size(json_object_get(answer, "missing_bindings")) && !args_has(cli->args, "bind-all"))
            cli_note("aileron sync --bind-all sets up the credentials");
        return result ? result : CODE_FAILED;
    }
    if (!args_has(cli->args, "json"))
        fprintf(cli->out, "%s✓%s everything that the installed actions need is there\n", term_style(cli->out, STYLE_GOOD),
            term_end(cli->out));
    return result;
}

static int run_sync(struct cli *cli)
{
    CLEANUP_JSON json_t *answer = NULL;
    bool bind = args_has(cli->args, "bind-all"), lacks;
    int code = ask_lacks(cli, &answer);

    if (code)
        return code;
    lacks = json_array_size(json_object_get(answer, "missing_connectors")) ||
            (bind && json_array_size(json_object_get(answer, "missing_bindings")));
    if (!lacks)
        return finish(cli, CODE_DONE);
    code = install_begin(cli);
    if (!code) {
        put_lacks(answer);
        code = install_missing(cli, json_object_get(answer, "missing_connectors"));
    }
    if (!code && bind && !plan_is_interrupted(cli))
        code = bind_all(cli);
    if (plan_is_interrupted(cli))
        return plan_code(cli, true, code);
    return code == CODE_USAGE ? code : finish(cli, code);
}

const struct command COMMAND_SYNC = {
    .name = "sync",
    .operands = "",
    .about = "bring what installed actions need and lack",
    .details = "Connectors that installed actions name and that are not installed are fetched in exactly the version that is named, with the same "
               "questions as connector install. --bind-all also gives a credential to every connector that has none. Exits 1 while something is "
               "lacking.\n"
               "\n"
               "Examples:\n"
               "  aileron sync\n"
               "  aileron sync --bind-all --yes",
    .passphrase = true,
    .options = {
        { "bind-all", 0, NULL, false, "also set up credentials that are missing" },
        { "yes", 'y', NULL, false, "trust and consent without being asked" },
        OPTION_JSON,
    },
    .run = run_sync,
};
