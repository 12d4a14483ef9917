/* aileron action show: what an action takes, does and needs. */
#include "cli/cli.h"
#include "cli/inputs.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"

#include <string.h>

#include "base/banned.h"

static void put_steps(FILE *out, const json_t *steps)
{
    const json_t *step;
    size_t i;

    json_array_foreach((json_t *) steps, i, step)
    {
        const char *op = json_get_str(step, "op"), *connector = json_get_str(step, "connector");
        bool idempotent = json_is_true(json_object_get(step, "idempotent")),
             read_only = json_is_true(json_object_get(step, "read_only"));

        print_fieldf(out, i ? "" : "does", "%s on %s%s%s", op ? op : "?", connector ? connector : "?",
            read_only ? ", reads only" : "", idempotent ? ", may be repeated" : "");
    }
}

static void put_action(FILE *out, const json_t *action)
{
    bool gated = json_is_true(json_object_get(action, "gated"));
    const char *body = json_get_str(action, "body");

    fprintf(out, "%s", term_style(out, STYLE_BOLD));
    term_put(out, json_get_str(action, "name") ? json_get_str(action, "name") : "?");
    fprintf(out, "%s ", term_end(out));
    term_put(out, json_get_str(action, "version") ? json_get_str(action, "version") : "");
    if (!json_is_true(json_object_get(action, "enabled")))
        fprintf(out, " %sdisabled%s", term_style(out, STYLE_DIM), term_end(out));
    if (json_is_true(json_object_get(action, "unsigned")))
        fprintf(out, " %sUNSIGNED%s", term_style(out, STYLE_WARN), term_end(out));
    fputc('\n', out);
    print_field(out, "intent", json_get_str(action, "intent"));
    put_steps(out, json_object_get(action, "steps"));
    print_field(out, "approval", gated ? "a person must approve each call" : "none: runs unattended");
    print_field(out, "tool name", json_get_str(action, "mcp_name"));
    print_field(out, "signed as", json_get_str(action, "fqn"));
    print_field(out, "source", json_get_str(action, "source"));
    print_field(out, "file", json_get_str(action, "file"));
    print_field(out, "hash", json_get_str(action, "hash"));
    inputs_print(out, json_object_get(action, "inputs"));
    if (body && *body) {
        CLEANUP(buf_free) struct buf clean = BUF_INIT(1024 * 1024);

        text_clean(body, strlen(body), true, &clean);
        fputc('\n', out);
        term_paragraph(out, buf_str(&clean), 0);
    }
}

static int run_show(struct cli *cli)
{
    CLEANUP_JSON json_t *action = NULL;
    CLEANUP_FREE char *path = cli_path("/v1/actions/", args_word(cli->args, 0), "");
    int code;

    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "GET", path, NULL, &action);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, action) < 0 ? CODE_FAILED : CODE_DONE;
    put_action(cli->out, action);
    return CODE_DONE;
}

const struct command COMMAND_ACTION_SHOW = {
    .name = "action show",
    .operands = "NAME",
    .about = "show what an action takes, does and needs",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_show,
};
