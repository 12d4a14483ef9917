/*
 * aileron status, and daemon status, which is the same question. Overrides and
 * whatever is degraded come first: they are why somebody asks.
 */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

static void put_overrides(FILE *out, const json_t *status)
{
    bool active = json_is_true(json_object_get(status, "overrides_active"));
    const json_t *text;
    size_t i;

    json_array_foreach(json_object_get(status, "overrides"), i, text)
    {
        fprintf(
            out, "%s! DEVELOPMENT OVERRIDE%s: ", term_style(out, active ? STYLE_BAD : STYLE_DIM), active ? "" : ", not active");
        term_put(out, json_string_value(text) ? json_string_value(text) : "?");
        fprintf(out, "%s\n", term_end(out));
    }
}

static void put_degraded(FILE *out, const json_t *status)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(status, "degraded"), i, item)
    {
        const char *what = json_get_str(item, "what"), *todo = json_get_str(item, "do");

        fprintf(out, "%s! ", term_style(out, STYLE_WARN));
        term_put(out, what ? what : "degraded");
        fprintf(out, "%s\n", term_end(out));
        if (todo && *todo) {
            fprintf(out, "  what to do: ");
            term_put(out, todo);
            fputc('\n', out);
        }
    }
}

/* An object of names and values in one line: "broker full, keeper full". */
static void put_object(FILE *out, const char *name, const json_t *object)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(8192);
    const char *key;
    json_t *member;

    json_object_foreach((json_t *) object, key, member)
    {
        CLEANUP_FREE char *value = print_member(object, key);

        buf_printf(&text, "%s%s %s", text.len ? ", " : "", key, value ? value : "?");
    }
    if (text.len)
        print_field(out, name, buf_str(&text));
}

static long long count(const json_t *status, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(status, "counts"), name));
}

static const char *vault_words(const char *state)
{
    if (state && !strcmp(state, "locked"))
        return "locked: aileron vault unlock";
    if (state && !strcmp(state, "missing"))
        return "missing: the first command that needs it creates it";
    return state;
}

static void put_status(FILE *out, const json_t *status)
{
    char uptime[PRINT_TIME_MAX], started[PRINT_TIME_MAX];

    put_overrides(out, status);
    put_degraded(out, status);
    print_field(out, "version", json_get_str(status, "version"));
    print_fieldf(out, "daemon", "running, pid %lld, for %s (since %s)",
        (long long) json_integer_value(json_object_get(status, "pid")),
        print_duration(json_integer_value(json_object_get(status, "uptime_s")), uptime),
        print_local_time(json_get_str(status, "started_at"), started));
    print_field(out, "home", json_get_str(status, "home"));
    print_field(out, "socket", json_get_str(status, "socket"));
    print_field(out, "url", json_get_str(status, "url"));
    print_field(out, "vault", vault_words(json_get_str(status, "vault_state")));
    print_fieldf(out, "actions", "%lld, %lld enabled", count(status, "actions"), count(status, "actions_enabled"));
    print_fieldf(out, "connectors", "%lld", count(status, "connectors"));
    print_fieldf(out, "now", "%lld calls running, %lld approvals pending, %lld sessions open, %lld workers",
        count(status, "calls_running"), count(status, "approvals_pending"), count(status, "sessions_open"),
        count(status, "workers"));
    put_object(out, "confinement", json_object_get(status, "confinement"));
    put_object(out, "restarts", json_object_get(status, "restarts"));
}

/* Nobody answers. Says so without starting anything. */
static int put_down(struct cli *cli)
{
    CLEANUP_JSON json_t *answer = NULL;

    if (args_has(cli->args, "json")) {
        answer = json_pack("{s:b,s:s,s:s}", "running", 0, "cli_version", AILERON_VERSION, "home", cli->home->path);
        print_json(cli->out, answer);
        return CODE_FAILED;
    }
    print_field(cli->out, "version", AILERON_VERSION);
    print_field(cli->out, "daemon", "not running (the next command that needs it starts it)");
    print_field(cli->out, "home", cli->home->path);
    return CODE_FAILED;
}

static int run_status(struct cli *cli)
{
    CLEANUP_JSON json_t *status = NULL;
    struct err err = ERR_INIT;
    int code = cli_home(cli);
    int r;

    if (code)
        return code;
    r = daemon_status(cli->home, &status, &err);
    if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
        return put_down(cli);
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    if (args_has(cli->args, "json"))
        return print_json(cli->out, status) < 0 ? CODE_FAILED : CODE_DONE;
    put_status(cli->out, status);
    if (json_get_str(status, "version") && strcmp(json_get_str(status, "version"), AILERON_VERSION) != 0)
        cli_note("aileron: this command is version %s", AILERON_VERSION);
    return CODE_DONE;
}

#define DETAILS                                                                                                                  \
    "Shows the version, whether the daemon runs, the state of the vault, development overrides, how well the programs are "      \
    "confined "                                                                                                                  \
    "on this kernel, and what is degraded together with what to do about it.\n"                                                  \
    "\n"                                                                                                                         \
    "Never starts the daemon. Exits 0 when the daemon answers and 1 when it does not run."

const struct command COMMAND_STATUS = {
    .name = "status",
    .operands = "",
    .about = "show what runs, what is degraded and what to do",
    .details = DETAILS,
    .options = { OPTION_JSON },
    .run = run_status,
};

const struct command COMMAND_DAEMON_STATUS = {
    .name = "daemon status",
    .operands = "",
    .about = "the same as aileron status",
    .details = DETAILS,
    .options = { OPTION_JSON },
    .run = run_status,
};
