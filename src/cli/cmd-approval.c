/* aileron approval list|show|resolve|result: what waits for a person, and what became of it. Deciding: cmd-approval-decide.c. */
#include "cli/await.h"
#include "cli/card-show.h"
#include "cli/cli.h"
#include "cli/decide.h"
#include "cli/print.h"
#include "cli/result.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/visible.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

#define LIST_DEFAULT 100
#define LIST_MAX     20000
#define PAGE         1000
#define CELL_MAX     4096

#define ID_DETAILS   "ID is an approval's id or the end of it, six characters or more. "

const struct command COMMAND_APPROVAL = {
    .name = "approval", .operands = "", .about = "Approvals: what waits for your decision"
};

/* --- list --- */

static int list_page(struct cli *cli, const char *status, const char *before, size_t limit, json_t **ret_answer)
{
    CLEANUP(buf_free) struct buf path = BUF_INIT(8192);
    char number[16];
    int r = buf_add_str(&path, "/v1/approvals");

    snprintf(number, sizeof number, "%zu", limit);
    if (r >= 0)
        r = cli_query(&path, "status", status);
    if (r >= 0)
        r = cli_query(&path, "limit", number);
    if (r >= 0)
        r = cli_query(&path, "before", before);
    return r < 0 ? cli_failf(CODE_USAGE, NULL, "the options are too long")
                 : cli_get(cli, "GET", buf_str(&path), NULL, ret_answer);
}

/* Up to `limit` of them, the newest first, whatever the daemon gives at a time. */
static int list_all(struct cli *cli, const char *status, size_t limit, json_t **ret_answer)
{
    CLEANUP_JSON json_t *list = json_array();
    CLEANUP_JSON json_t *answer = NULL;
    size_t want, got;

    do {
        const json_t *last = json_array_get(list, json_array_size(list) - 1);
        const char *before = json_array_size(list) ? json_get_str(last, "id") : NULL;
        CLEANUP_JSON json_t *page = NULL;

        want = limit - json_array_size(list) < PAGE ? limit - json_array_size(list) : PAGE;
        int code = list_page(cli, status, before, want, &page);
        if (code)
            return code;
        got = json_array_size(json_object_get(page, "approvals"));
        if (json_array_extend(list, json_object_get(page, "approvals")) < 0)
            return cli_failf(CODE_FAILED, NULL, "out of memory");
        json_decref(answer);
        answer = TAKE_PTR(page);
    } while (got == want && json_array_size(list) < limit);
    json_object_set(answer, "approvals", list);
    *ret_answer = TAKE_PTR(answer);
    return CODE_DONE;
}

static void put_visible(struct table *table, const char *text)
{
    CLEANUP(buf_free) struct buf shown = BUF_INIT(CELL_MAX * 16);

    if (text)
        text_visible(text, strnlen(text, CELL_MAX), false, &shown);
    table_cell(table, buf_str(&shown));
}

static void put_row(struct table *table, const json_t *approval, int64_t now)
{
    CLEANUP(buf_free) struct buf asker = BUF_INIT(64 * 1024);
    char when[PRINT_TIME_MAX], expires[64] = "";
    enum style style;
    const char *words = card_state_words(approval, &style);

    if (card_is(approval, "pending"))
        card_ago(json_get_str(approval, "expires_at"), now, expires);
    table_row(table);
    table_cell_style(table, print_suffix(json_get_str(approval, "id")), STYLE_BOLD);
    table_cell(table, print_local_time(json_get_str(approval, "requested_at"), when));
    table_cell_style(table, words, style);
    table_cell(table, json_get_str(approval, "badge"));
    put_visible(table, card_title(approval));
    card_asker(approval, &asker);
    table_cell(table, buf_str(&asker));
    table_cell(table, expires);
}

static int put_list(struct cli *cli, const json_t *answer, const char *status)
{
    static const struct table_column COLUMNS[] = {
        { "ID", false, 0 },
        { "REQUESTED", false, 0 },
        { "STATE", false, 0 },
        { "KIND", false, 6 },
        { "WHAT", false, 12 },
        { "WHO ASKS", false, 8 },
        { "EXPIRES", false, 8 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    const json_t *list = json_object_get(answer, "approvals");
    json_int_t pending = json_integer_value(json_object_get(answer, "pending"));
    int64_t now = clock_unix_ms();

    for (size_t i = json_array_size(list); i-- > 0;) /* as a log: the newest last, next to the prompt */
        put_row(table, json_array_get(list, i), now);
    if (!table_rows(table)) {
        fputs(status && !strcmp(status, "pending") ? "nothing waits for you\n" : "no approvals\n", cli->out);
        return CODE_DONE;
    }
    if (table_print(table, cli->out, term_width(cli->out)) < 0)
        return CODE_FAILED;
    if (status && !strcmp(status, "pending") && pending > (json_int_t) table_rows(table))
        cli_note("aileron: the newest %zu of %lld; --limit shows more", table_rows(table), (long long) pending);
    return CODE_DONE;
}

static int parse_limit(struct cli *cli, size_t *ret_limit)
{
    const char *text = args_value(cli->args, "limit");
    struct err err = ERR_INIT;
    char *end;

    *ret_limit = LIST_DEFAULT;
    if (!text)
        return CODE_DONE;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value < 1 || value > LIST_MAX) {
        err_set(&err, 1, "--limit takes a number from 1 to %d", LIST_MAX);
        return cli_usage(cli, &err);
    }
    *ret_limit = value;
    return CODE_DONE;
}

static int run_list(struct cli *cli)
{
    const char *status = args_value(cli->args, "status");
    CLEANUP_JSON json_t *answer = NULL;
    struct err err = ERR_INIT;
    size_t limit;
    int code = parse_limit(cli, &limit);

    if (code)
        return code;
    if (status && args_has(cli->args, "all")) {
        err_set(&err, 1, "--status and --all exclude each other");
        return cli_usage(cli, &err);
    }
    if (!status && !args_has(cli->args, "all"))
        status = "pending";
    code = list_all(cli, status, limit, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    return put_list(cli, answer, status);
}

const struct command COMMAND_APPROVAL_LIST = {
    .name = "approval list",
    .operands = "",
    .about = "list what waits for your decision, the newest last",
    .details = "With --all, or with --status, also what was decided: pending, approved, running, completed, failed, unknown, denied, "
               "expired, cancelled.",
    .options = {
        { "all", 'a', NULL, false, "whatever their state" },
        { "status", 0, "STATE", false, "those in this state" },
        { "limit", 'n', "COUNT", false, "at most so many, the newest (100)" },
        OPTION_JSON,
    },
    .run = run_list,
};

/* --- show --- */

static int run_show(struct cli *cli)
{
    CLEANUP(lines_free) struct lines lines = { .width = term_width(cli->out) };
    CLEANUP_JSON json_t *approval = NULL;
    int code = approval_get(cli, args_word(cli->args, 0), &approval);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, approval) < 0 ? CODE_FAILED : CODE_DONE;
    card_show(&lines, approval, clock_unix_ms());
    lines_print(cli->out, &lines);
    if (card_is(approval, "pending")) {
        fputc('\n', stderr);
        cli_note("To decide: aileron approval approve %s, or deny; on its page: aileron open approval %s",
            print_suffix(json_get_str(approval, "id")), print_suffix(json_get_str(approval, "id")));
    }
    return lines.error ? cli_failf(CODE_FAILED, NULL, "out of memory") : CODE_DONE;
}

const struct command COMMAND_APPROVAL_SHOW = {
    .name = "approval show",
    .operands = "ID",
    .about = "show one approval whole: what would run, who asks, and what became of it",
    .details = ID_DETAILS
    "Characters that cannot be seen, that turn the order of reading, or that pass for others are shown by their number.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_show,
};

/* --- resolve --- */

static int run_resolve(struct cli *cli)
{
    CLEANUP_JSON json_t *approval = NULL;
    int code = approval_resolve(cli, args_word(cli->args, 0), &approval);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, approval) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "resolved: %s\n", json_get_str(approval, "id") ? json_get_str(approval, "id") : "");
    return CODE_DONE;
}

const struct command COMMAND_APPROVAL_RESOLVE = {
    .name = "approval resolve",
    .operands = "ID",
    .about = "say that you have looked after an unknown outcome",
    .details = ID_DETAILS
    "An outcome is unknown when the request may have left and no answer was seen. Aileron never runs it again by itself. Look at "
    "the service; then this ends the reminder. The state stays, with the time at which you said so.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_resolve,
};

/* --- result --- */

static int run_result(struct cli *cli)
{
    CLEANUP_JSON json_t *approval = NULL;
    int code = approval_get(cli, args_word(cli->args, 0), &approval);
    const char *id = json_get_str(approval, "id");

    if (code)
        return code;
    if (!id)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the daemon's answer is no approval");
    return args_has(cli->args, "wait") ? result_wait(cli, id, NULL, args_has(cli->args, "json"))
                                       : result_collect(cli, id, args_has(cli->args, "json"));
}

const struct command COMMAND_APPROVAL_RESULT = {
    .name = "approval result",
    .operands = "ID",
    .about = "collect what an approved call answered",
    .details = ID_DETAILS "Prints what `action run` would have printed, with the same exit codes: 1 when it failed or was "
                          "denied, 75 while it waits. With "
                          "--wait it waits for the end.",
    .words_min = 1,
    .words_max = 1,
    .options = { { "wait", 'w', NULL, false, "wait until there is an end" }, OPTION_JSON },
    .run = run_result,
};
