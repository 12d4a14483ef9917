/* aileron sessions list|get: which agents are or were connected. Live: cmd-sessions-watch.c. */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/sessions.h"

#include "base/banned.h"

const struct command COMMAND_SESSIONS = { .name = "sessions", .operands = "", .about = "Agent sessions" };

struct table *sessions_table(const json_t *answer)
{
    static const struct table_column COLUMNS[] = {
        { "SESSION", false, 0 },
        { "AGENT", false, 8 },
        { "FOLDER", false, 6 },
        { "FENCE", false, 0 },
        { "STARTED", false, 0 },
        { "STATE", false, 0 },
        { "LAST SEEN", false, 0 },
        { "CALLS", true, 0 },
    };
    struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    const json_t *item;
    size_t i;

    if (!table)
        return NULL;
    json_array_foreach(json_object_get(answer, "sessions"), i, item)
    {
        char started[PRINT_TIME_MAX], seen[PRINT_TIME_MAX];
        bool open = !json_is_string(json_object_get(item, "ended_at"));

        table_row(table);
        table_cell(table, json_get_str(item, "id"));
        table_cell(table, json_get_str(item, "agent"));
        table_cell(table, json_get_str(item, "folder"));
        table_cell(table, json_get_str(item, "confinement"));
        table_cell(table, print_local_time(json_get_str(item, "started_at"), started));
        table_cell_style(table, open ? "open" : "ended", open ? STYLE_GOOD : STYLE_DIM);
        table_cell(table, print_local_time(json_get_str(item, "last_seen_at"), seen));
        table_cellf(table, "%lld", (long long) json_integer_value(json_object_get(item, "calls")));
    }
    return table;
}

static int run_list(struct cli *cli)
{
    CLEANUP_PTR(table_free) struct table *table = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    int code = cli_get(cli, "GET", "/v1/sessions", NULL, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    table = sessions_table(answer);
    if (!table)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    if (!table_rows(table)) {
        fputs("no agent sessions\n", cli->out);
        return CODE_DONE;
    }
    return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
}

const struct command COMMAND_SESSIONS_LIST = {
    .name = "sessions list",
    .operands = "",
    .about = "list agent sessions, the newest first",
    .options = { OPTION_JSON },
    .run = run_list,
};

static int run_get(struct cli *cli)
{
    CLEANUP_FREE char *path = cli_path("/v1/sessions/", args_word(cli->args, 0), "");
    CLEANUP_JSON json_t *session = NULL;
    char when[PRINT_TIME_MAX];
    int code = path ? cli_get(cli, "GET", path, NULL, &session) : cli_failf(CODE_FAILED, NULL, "out of memory");

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, session) < 0 ? CODE_FAILED : CODE_DONE;
    print_field(cli->out, "session", json_get_str(session, "id"));
    print_field(cli->out, "agent", json_get_str(session, "agent"));
    print_field(cli->out, "folder", json_get_str(session, "folder"));
    print_field(cli->out, "fence", json_get_str(session, "confinement"));
    print_items(cli->out, "only", json_object_get(session, "only"));
    print_field(cli->out, "started", print_local_time(json_get_str(session, "started_at"), when));
    if (json_get_str(session, "ended_at"))
        print_field(cli->out, "ended", print_local_time(json_get_str(session, "ended_at"), when));
    print_field(cli->out, "last seen", print_local_time(json_get_str(session, "last_seen_at"), when));
    print_fieldf(cli->out, "calls", "%lld", (long long) json_integer_value(json_object_get(session, "calls")));
    return CODE_DONE;
}

const struct command COMMAND_SESSIONS_GET = {
    .name = "sessions get",
    .operands = "ID",
    .about = "show one session",
    .details = "ID is a session's id or the end of it, six characters or more. What it did: aileron audit list --session ID.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_get,
};
