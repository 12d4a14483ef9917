/*
 * The common ground of the commands: dispatch, errors, the daemon and its
 * answers. A command file contains only what is its own.
 */
#include "cli/cli.h"

#include "base/encode.h"
#include "cli/help.h"
#include "cli/http.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/term.h"
#include "store/semver.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

#define SLOW_MS 1000

void cli_clear(struct cli *cli)
{
    args_free(cli->args);
    cli->args = NULL;
    home_free(cli->home);
    cli->home = NULL;
}

void cli_answer_free(struct cli_answer *answer)
{
    json_decref(answer->json);
}

static void put_hint(const char *hint)
{
    if (!hint || !*hint)
        return;
    fprintf(stderr, "%s   hint: ", term_style(stderr, STYLE_DIM));
    term_put(stderr, hint);
    fprintf(stderr, "%s\n", term_end(stderr));
}

int cli_fail(enum exit_code code, const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "%saileron:%s ", term_style(stderr, STYLE_BAD), term_end(stderr));
    term_put(stderr, err->message[0] ? err->message : "out of memory");
    fputc('\n', stderr);
    put_hint(err->hint);
    return code;
}

int cli_failf(enum exit_code code, const char *hint, const char *format, ...)
{
    struct err err = ERR_INIT;
    va_list args;

    va_start(args, format);
    vsnprintf(err.message, sizeof(err.message), format, args);
    va_end(args);
    if (hint)
        err_hint(&err, "%s", hint);
    return cli_fail(code, &err);
}

int cli_usage(const struct cli *cli, const struct err *err)
{
    cli_fail(CODE_USAGE, err);
    help_usage(stderr, cli->command);
    if (!err->hint[0])
        fprintf(stderr, "%s   hint: aileron help %s%s\n", term_style(stderr, STYLE_DIM), cli->command->name, term_end(stderr));
    return CODE_USAGE;
}

void cli_note(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fflush(stdout);
    term_put(stderr, text);
    fputc('\n', stderr);
}

void cli_note_start(void)
{
    if (term_is_tty(stderr))
        cli_note("aileron: starting the daemon …");
}

int cli_finish(struct cli *cli, int code)
{
    if (fflush(cli->out) == 0 && !ferror(cli->out))
        return code;
    if (errno == EPIPE) /* the reader had enough, as with `| head` */
        return code ? code : CODE_FAILED;
    return cli_failf(CODE_FAILED, NULL, "cannot write the answer: %s", strerror(errno));
}

int cli_unknown(int argc, char *const argv[], const struct command *group)
{
    char typed[128], hint[128];
    const char *nearest;

    snprintf(typed, sizeof(typed), group ? "%s %s" : "%s", argv[0], argc > 1 ? argv[1] : "");
    nearest = command_nearest(typed);
    if (!nearest && !group && argc > 1) {
        snprintf(hint, sizeof(hint), "%s %s", argv[0], argv[1]);
        nearest = command_nearest(hint);
    }
    if (nearest)
        snprintf(hint, sizeof(hint), "did you mean: aileron %s", nearest);
    else
        snprintf(hint, sizeof(hint), "aileron help%s%s", group ? " " : "", group ? group->name : "");
    return cli_failf(CODE_USAGE, hint, "there is no command \"%s\"", typed);
}

/* A group alone, with --help, or with a command that it does not have. */
static int run_group(const struct command *group, int argc, char *const argv[])
{
    if (argc < 2) {
        help_command(stderr, group);
        return CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
        return cli_unknown(argc, argv, group);
    help_command(stdout, group);
    return CODE_DONE;
}

int cli_run(struct cli *cli, int argc, char *const argv[])
{
    static char help_word[] = "help", version_word[] = "version";
    static char *const HELP[] = { help_word }, *const VERSION[] = { version_word };
    struct err err = ERR_INIT;
    bool help = false;
    int used = 0, r;

    if (argc == 0) {
        help_all(stderr);
        return CODE_USAGE;
    }
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))
        argv = HELP;
    if (!strcmp(argv[0], "--version"))
        argv = VERSION;
    argc = argv == HELP || argv == VERSION ? 1 : argc;
    cli->command = command_match(argc, argv, &used);
    if (!cli->command)
        return cli_unknown(argc, argv, NULL);
    if (command_is_group(cli->command))
        return run_group(cli->command, argc, argv);
    r = args_parse(cli->command, argc - used, argv + used, &cli->args, &help, &err);
    if (r < 0)
        return cli_usage(cli, &err);
    if (help) {
        help_command(cli->out, cli->command);
        return cli_finish(cli, CODE_DONE);
    }
    return cli_finish(cli, cli->command->run(cli));
}

int cli_home(struct cli *cli)
{
    struct err err = ERR_INIT;

    if (!cli->home && home_from_env(&cli->home, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    return CODE_DONE;
}

/* May the daemon be replaced now? Nothing runs or waits, and no override would be lost. */
static bool is_replaceable(const json_t *status)
{
    const json_t *counts = json_object_get(status, "counts");

    return json_is_object(counts) && json_integer_value(json_object_get(counts, "calls_running")) == 0 &&
           json_integer_value(json_object_get(counts, "approvals_pending")) == 0 &&
           json_array_size(json_object_get(status, "overrides")) == 0;
}

/* DESIGN §5.11: every command shows development overrides while they are active; on a terminal in one line. */
static void show_overrides(const json_t *status)
{
    CLEANUP_FREE char *overrides = print_list(json_object_get(status, "overrides"));
    CLEANUP(buf_free) struct buf line = BUF_INIT(64 * 1024);
    CLEANUP(buf_free) struct buf clean = BUF_INIT(256 * 1024);
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(256 * 1024);
    size_t width = term_width(stderr);

    if (!overrides || !*overrides || !json_is_true(json_object_get(status, "overrides_active")))
        return;
    buf_printf(&line, "aileron: development overrides are active (aileron status): %s", overrides);
    text_clean(buf_str(&line), line.len, false, &clean);
    text_fit(buf_str(&clean), width ? width : SIZE_MAX, &fitted);
    fflush(stdout);
    fprintf(stderr, "%s%s%s\n", term_style(stderr, STYLE_WARN), buf_str(&fitted), term_end(stderr));
}

static int restart(struct cli *cli, const char *theirs)
{
    struct err err = ERR_INIT;
    bool done = false;

    cli_note("aileron: the daemon is version %s, this is %s: restarting it", theirs, AILERON_VERSION);
    if (daemon_stop(cli->home, &done, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    if (daemon_start(cli->home, &(struct daemon_flags){ .slow = cli_note_start }, &done, &err) != 0)
        return cli_fail(CODE_NO_DAEMON, &err);
    return CODE_DONE;
}

/* SPEC §11: a newer CLI restarts an older daemon when nothing runs or waits, else says how. */
static int check_running(struct cli *cli, const json_t *status)
{
    struct semver ours, theirs;
    struct err err = ERR_INIT;
    const char *version;

    version = json_get_str(status, "version");
    if (!version || semver_parse(version, &theirs, &err) < 0 || semver_parse(AILERON_VERSION, &ours, &err) < 0)
        return cli_failf(CODE_FAILED, "aileron stop ends it; the next command starts the one that belongs here",
            "what listens at %s does not tell its version", cli->home->daemon_sock);
    if (semver_compare(&ours, &theirs) > 0 && is_replaceable(status))
        return restart(cli, version);
    if (semver_compare(&ours, &theirs) > 0)
        cli_note("aileron: the daemon is version %s, this is %s, and it is busy or has development overrides. To renew it: "
                 "aileron stop, then start it again",
            version, AILERON_VERSION);
    if (!cli->overrides_told)
        show_overrides(status);
    cli->overrides_told = true;
    return CODE_DONE;
}

int cli_daemon(struct cli *cli)
{
    CLEANUP_JSON json_t *status = NULL;
    struct err err = ERR_INIT;
    bool started = false;
    int code, r;

    if (cli->daemon_ready)
        return CODE_DONE;
    code = cli_home(cli);
    if (code)
        return code;
    r = daemon_status(cli->home, &status, &err);
    if (r == -ENOENT || r == -ECONNREFUSED) {
        err_clear(&err);
        r = daemon_start(cli->home, &(struct daemon_flags){ .slow = cli_note_start }, &started, &err);
        if (r == 0 && !started) /* another command did, meanwhile */
            r = daemon_status(cli->home, &status, &err);
    }
    if (r != 0)
        return cli_fail(CODE_NO_DAEMON, &err);
    code = started ? CODE_DONE : check_running(cli, status);
    cli->daemon_ready = code == CODE_DONE;
    return code;
}

static void notice_slow(void *userdata)
{
    if (term_is_tty(stderr))
        cli_note("aileron: waiting for the daemon's answer …");
}

int cli_try(
    struct cli *cli, const char *method, const char *path, const json_t *body, struct cli_answer *ret_answer, struct err *err)
{
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    CLEANUP(buf_free) struct buf text = BUF_INIT(HTTP_BODY_MAX);
    struct http_slow slow = { notice_slow, cli, SLOW_MS };
    struct http_request request = {
        .method = method, .path = path, .slow = &slow, .interrupted = cli->interrupted, .timeout_ms = cli->timeout_ms
    };
    int r;

    if (body) {
        if (json_write(body, &text) < 0)
            return err_set(err, E2BIG, "the request is too large");
        request.body = buf_str(&text);
        request.body_len = text.len;
    }
    r = http_call(cli->home->daemon_sock, &request, &response, err);
    if (r < 0)
        return r;
    ret_answer->status = response.status;
    r = json_parse(buf_str(&response.body), response.body.len, JSON_LIMITS(HTTP_BODY_MAX), &ret_answer->json, err);
    if (r < 0)
        err_prefix(err, "the daemon's answer to %s %s (status %d)", method, path, response.status);
    return r;
}

int cli_ask(struct cli *cli, const char *method, const char *path, const json_t *body, struct cli_answer *ret_answer)
{
    struct err err = ERR_INIT;
    int code = cli_daemon(cli);

    if (code)
        return code;
    return cli_try(cli, method, path, body, ret_answer, &err) < 0 ? cli_fail(CODE_FAILED, &err) : CODE_DONE;
}

int cli_err_answer(const struct cli_answer *answer, struct err *err)
{
    const json_t *error = json_object_get(answer->json, "error");
    const char *message = json_get_str(error, "message"), *hint = json_get_str(error, "hint");
    const char *class = json_get_str(error, "class"), *code = json_get_str(error, "code");
    const char *audit_id = json_get_str(error, "audit_id");
    const char *reason = json_get_str(json_object_get(error, "details"), "reason");
    bool locked = reason && !strcmp(reason, "vault_locked");

    if (!message) {
        err_set(err, EIO, "the daemon answered with status %d and no words", answer->status);
        err_hint(err, "aileron daemon logs");
        return CODE_FAILED;
    }
    if (!class) {
        err_set(err, EIO, "%s", message);
        if (hint)
            err_hint(err, "%s", hint);
        return code && !strcmp(code, "vault_locked") ? CODE_LOCKED : CODE_FAILED;
    }
    err_set(err, EIO, "%s (%s)", message, class);
    if (locked)
        err_hint(err, "aileron vault unlock, or %s", passphrase_ways());
    else if (audit_id && *audit_id)
        err_hint(err, "aileron audit show %s tells more; the log: aileron daemon logs", audit_id);
    else
        err_hint(err, "the log: aileron daemon logs");
    return locked ? CODE_LOCKED : CODE_FAILED;
}

int cli_fail_answer(const struct cli_answer *answer)
{
    struct err err = ERR_INIT;
    int code = cli_err_answer(answer, &err);

    return cli_fail((enum exit_code) code, &err);
}

int cli_get(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret_json)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    int code = cli_ask(cli, method, path, body, &answer);

    if (code)
        return code;
    if (answer.status >= 400)
        return cli_fail_answer(&answer);
    *ret_json = TAKE_PTR(answer.json);
    return CODE_DONE;
}

char *cli_path(const char *prefix, const char *segment, const char *suffix)
{
    CLEANUP(buf_free) struct buf path = BUF_INIT(8192);

    if (buf_add_str(&path, prefix) < 0 || percent_encode(segment, strlen(segment), &path) < 0 || buf_add_str(&path, suffix) < 0)
        return NULL;
    return buf_take(&path);
}

int cli_query(struct buf *path, const char *name, const char *value)
{
    int r;

    if (!value)
        return 0;
    r = buf_printf(path, "%c%s=", strchr(buf_str(path), '?') ? '&' : '?', name);
    return r < 0 ? r : percent_encode(value, strlen(value), path);
}

int cli_absolute(const char *path, char **ret_path, struct err *err)
{
    CLEANUP_FREE char *folder = NULL;

    if (access(path, F_OK) < 0)
        return err_errno(err, errno, "cannot find %s", path);
    if (path[0] == '/') {
        *ret_path = strdup(path);
        return *ret_path ? 0 : -ENOMEM;
    }
    folder = getcwd(NULL, 0);
    if (!folder)
        return err_errno(err, errno, "cannot tell the current folder");
    return asprintf(ret_path, "%s/%s", folder, path) < 0 ? -ENOMEM : 0;
}

int cli_pairs(struct cli *cli, const char *option, json_t **ret_object)
{
    CLEANUP_JSON json_t *object = json_object();
    const char *text;
    size_t cursor = 0;

    while ((text = args_next(cli->args, option, &cursor))) {
        const char *equals = strchr(text, '=');
        CLEANUP_FREE char *name = equals ? strndup(text, (size_t) (equals - text)) : NULL;
        struct err err = ERR_INIT;

        if (!name || !*name) {
            err_set(&err, EINVAL, "--%s takes NAME=VALUE, not \"%s\"", option, text);
            return cli_usage(cli, &err);
        }
        if (json_object_get(object, name)) {
            err_set(&err, EINVAL, "--%s %s was given twice", option, name);
            return cli_usage(cli, &err);
        }
        if (json_object_set_new(object, name, json_string(equals + 1)) < 0)
            return cli_failf(CODE_USAGE, NULL, "--%s %s is not valid UTF-8", option, name);
    }
    *ret_object = TAKE_PTR(object);
    return CODE_DONE;
}
