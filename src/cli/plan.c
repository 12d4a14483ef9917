/* See the header. A look every 20 ms at first, so that what is quick feels quick, then ten a second. */
#include "cli/plan.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/ask.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define QUICK_FOR_MS 500
#define QUICK_MS     20
#define SLOW_MS      100
#define SILENT_MS    1000
#define KEY_BYTES    (16 * 1024)
#define LINE_BYTES   4096

/* ---- signals ---- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

void plan_catch_signals(struct cli *cli)
{
    static const int NUMBERS[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };

    if (cli->interrupted)
        return;
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        struct sigaction before;

        if (sigaction(NUMBERS[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* as under nohup */
            sigaction(NUMBERS[i], &action, NULL);
    }
    cli->interrupted = &caught;
}

bool plan_is_interrupted(const struct cli *cli)
{
    return cli->interrupted && *cli->interrupted;
}

int plan_code(const struct cli *cli, bool is_decided, int code)
{
    if (!plan_is_interrupted(cli))
        return code;
    cli_note(is_decided ? "aileron: interrupted; what you agreed to is finished by the daemon: aileron action list"
                        : "aileron: interrupted; nothing was installed");
    return 128 + (int) *cli->interrupted;
}

static void pause_ms(int64_t since_ms)
{
    long ms = clock_boot_ms() - since_ms < QUICK_FOR_MS ? QUICK_MS : SLOW_MS;

    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL); /* cut short by a signal, which is then seen */
}

/* ---- progress: one line of a terminal, written over ---- */

struct progress {
    int64_t since_ms;
    size_t columns; /* of what stands there */
};

static void progress_clear(struct progress *progress)
{
    if (progress->columns)
        fprintf(stderr, "\r%*s\r", (int) progress->columns, "");
    fflush(stderr);
    progress->columns = 0;
}

static int put_bytes(struct buf *line, int64_t done, int64_t total)
{
    if (total > 0)
        return buf_printf(line, ", %.1f of %.1f MB (%d%%)", (double) done / 1e6, (double) total / 1e6,
            (int) (done < total ? done * 100 / total : 100));
    return done > 0 ? buf_printf(line, ", %.1f MB", (double) done / 1e6) : 0;
}

static void progress_line(const json_t *progress, struct buf *line)
{
    const char *what = json_get_str(progress, "what"), *phase = json_get_str(progress, "phase");
    long long item = json_integer_value(json_object_get(progress, "item")),
              items = json_integer_value(json_object_get(progress, "items"));

    if (items > 1)
        buf_printf(line, "[%lld/%lld] ", item < items ? item + 1 : items, items);
    buf_printf(line, "%s: %s", what && *what ? what : "the daemon", phase ? phase : "working");
    if (phase && !strcmp(phase, "downloading"))
        put_bytes(
            line, json_integer_value(json_object_get(progress, "done")), json_integer_value(json_object_get(progress, "total")));
}

static void progress_put(struct progress *progress, const json_t *facts)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(LINE_BYTES);
    CLEANUP(buf_free) struct buf clean = BUF_INIT(4 * LINE_BYTES);
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(4 * LINE_BYTES);
    size_t width = term_width(stderr);

    if (!width || clock_boot_ms() - progress->since_ms < SILENT_MS)
        return;
    progress_line(json_object_get(facts, "progress"), &line);
    text_clean(buf_str(&line), line.len, false, &clean);
    text_fit(buf_str(&clean), width - 1, &fitted);
    progress_clear(progress);
    fputs(buf_str(&fitted), stderr);
    fflush(stderr);
    progress->columns = text_columns(buf_str(&fitted));
}

/* ---- following ---- */

static const char *state_of(const struct plan *plan)
{
    const char *state = json_get_str(plan->facts, "state");

    return state ? state : "";
}

static int look(struct plan *plan)
{
    CLEANUP_FREE char *path = cli_path("/v1/plans/", plan->id, "");
    json_t *facts = NULL;
    int code = path ? cli_get(plan->cli, "GET", path, NULL, &facts) : cli_failf(CODE_FAILED, NULL, "out of memory");

    if (code)
        return code;
    json_decref(plan->facts);
    plan->facts = facts;
    return CODE_DONE;
}

/* The plan's own words about why it failed. */
static int fail_plan(const struct plan *plan)
{
    const json_t *error = json_object_get(plan->facts, "error");
    const char *message = json_get_str(error, "message");

    return cli_failf(CODE_FAILED, json_get_str(error, "hint"), "%s", message ? message : "the plan failed without a word");
}

static int follow(struct plan *plan, const char *busy, plan_seen_fn *seen, void *userdata)
{
    struct progress progress = { .since_ms = clock_boot_ms() };
    int code;

    for (;;) {
        code = look(plan);
        if (code || plan_is_interrupted(plan->cli))
            break;
        if (seen) {
            progress_clear(&progress);
            seen(plan, userdata);
        }
        if (strcmp(state_of(plan), busy) != 0)
            break;
        progress_put(&progress, plan->facts);
        pause_ms(progress.since_ms);
        if (plan_is_interrupted(plan->cli))
            break;
    }
    progress_clear(&progress);
    if (code || plan_is_interrupted(plan->cli))
        return code ? code : CODE_FAILED;
    return !strcmp(state_of(plan), "failed") ? fail_plan(plan) : CODE_DONE;
}

static char *route_to(const struct plan *plan, const char *what)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", plan->route, what) < 0 ? NULL : path;
}

/* Not to be interrupted: between the request and its answer nobody would know what is to be cleared away. */
static int ask_whole(struct plan *plan, const char *method, const char *path, const json_t *body, struct cli_answer *ret_answer)
{
    const volatile sig_atomic_t *interrupted = plan->cli->interrupted;
    int code;

    plan->cli->interrupted = NULL;
    code = cli_ask(plan->cli, method, path, body, ret_answer);
    plan->cli->interrupted = interrupted;
    return code;
}

int plan_preview(struct plan *plan, const json_t *body)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    CLEANUP_FREE char *path = route_to(plan, "preview");
    const char *id;
    int code;

    if (!path || !body)
        return cli_failf(CODE_USAGE, NULL, "that is not valid UTF-8");
    code = ask_whole(plan, "POST", path, body, &answer);
    if (code)
        return code;
    if (answer.status >= 400) {
        code = cli_fail_answer(&answer);
        return answer.status == 400 ? CODE_USAGE : code;
    }
    id = json_get_str(answer.json, "plan");
    plan->id = id ? strdup(id) : NULL;
    return plan->id ? follow(plan, "working", NULL, NULL) : cli_failf(CODE_FAILED, NULL, "the daemon made no plan");
}

static int decide(struct plan *plan, const char *consent, const json_t *trust, const json_t *only)
{
    CLEANUP_JSON json_t *body = json_pack("{s:s, s:s}", "plan", plan->id, "consent", consent);
    CLEANUP_FREE char *path = route_to(plan, "install");
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    int code;

    if (!body || !path || (trust && json_object_set(body, "trust", (json_t *) trust) < 0) ||
        (only && json_object_set(body, "only", (json_t *) only) < 0))
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = ask_whole(plan, "POST", path, body, &answer);
    if (code)
        return code;
    return answer.status >= 400 ? cli_fail_answer(&answer) : CODE_DONE;
}

int plan_accept(struct plan *plan, const json_t *trust, const json_t *only, plan_seen_fn *seen, void *userdata)
{
    int code = decide(plan, "accepted", trust, only);

    if (code)
        return code;
    plan->is_decided = true;
    return follow(plan, "installing", seen, userdata);
}

int plan_cancel(struct plan *plan)
{
    int code = decide(plan, "cancelled", NULL, NULL);

    if (!code)
        free(TAKE_PTR(plan->id));
    return code;
}

void plan_clear(struct plan *plan)
{
    CLEANUP_FREE char *path = plan->id && !plan->is_decided ? cli_path("/v1/plans/", plan->id, "") : NULL;

    if (path) {
        CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };

        ask_whole(plan, "DELETE", path, NULL, &answer);
    }
    free(TAKE_PTR(plan->id));
    json_decref(TAKE_PTR(plan->facts));
}

/* ---- the person ---- */

int plan_keys(struct cli *cli, json_t **ret_keys)
{
    CLEANUP_JSON json_t *keys = json_array();
    const char *path;
    size_t cursor = 0;

    while ((path = args_next(cli->args, "key", &cursor))) {
        CLEANUP(buf_free) struct buf text = BUF_INIT(KEY_BYTES);
        struct err err = ERR_INIT;

        if (file_read(AT_FDCWD, path, &text, &err) < 0)
            return cli_fail(CODE_USAGE, &err);
        if (json_array_append_new(keys, json_stringn(buf_str(&text), text.len)) < 0)
            return cli_failf(CODE_USAGE, "a key is a PEM text, or base64 of its 32 bytes", "%s is no publisher's key", path);
    }
    *ret_keys = TAKE_PTR(keys);
    return CODE_DONE;
}

int plan_ask(struct cli *cli, const char *question, bool *ret_yes)
{
    struct err err = ERR_INIT;

    *ret_yes = args_has(cli->args, "yes");
    fflush(stdout);
    fflush(stderr);
    if (!*ret_yes && ask_yes(question, ret_yes, &err) < 0)
        return plan_is_interrupted(cli) ? CODE_FAILED : cli_fail(CODE_FAILED, &err);
    return CODE_DONE;
}
