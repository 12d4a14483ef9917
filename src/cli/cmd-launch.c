/*
 * aileron launch: an agent with a session of its own, on this machine, inside
 * the fence. Everything that can be wrong is looked at before the session is
 * opened; from then on every way out ends it.
 */
#include "cli/cli.h"
#include "cli/http.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/programs.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "cli/unlock.h"
#include "confine/fence.h"
#include "launch/agents.h"
#include "launch/run.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#include "base/banned.h"

#define TOOLS_MANY      60
#define BYTES_PER_TOKEN 4
#define OPEN_MS         10000
#define END_MS          10000
#define RESTART_MS      1500
#define RETRY_US        50000
#define INSTALL_COMMAND "aileron action add-suite github://OWNER/REPO/suite.toml@latest"

struct launch {
    struct cli *cli;
    const struct agent *agent;
    bool fenced;
    char *program, *relay, *folder; /* owned */
    char *self, *libexec;           /* owned */
    const char *fixed[4];
    char *session_id, *token, *url; /* owned */
    char *session_file;             /* owned */
    int token_fd;                   /* the token without a fence; -1 */
};

static void launch_clear(struct launch *launch)
{
    char **owned[] = { &launch->program, &launch->relay, &launch->folder, &launch->self, &launch->libexec, &launch->session_id,
        &launch->url, &launch->session_file };

    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(*owned[i]);
    if (launch->token)
        explicit_bzero(launch->token, strlen(launch->token));
    free(launch->token);
    if (launch->token_fd >= 0)
        close(launch->token_fd);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

/* --- before anything is asked or started */

static int check_words(struct launch *launch)
{
    const struct args *args = launch->cli->args;
    const char *name = args_word(args, 0);
    char hint[256];

    launch->agent = agent_find(name);
    if (!launch->agent) {
        snprintf(hint, sizeof(hint), "there is: %s", agent_names());
        return cli_failf(CODE_USAGE, hint, "\"%s\" is no agent that can be launched", name);
    }
    if (args_has(args, "local"))
        return CODE_DONE;
    snprintf(hint, sizeof(hint), "aileron launch --local %s runs it on this machine, inside a fence", name);
    return cli_failf(CODE_USAGE, hint, "launching in a container is not built yet");
}

static int find_programs(struct launch *launch)
{
    struct err err = ERR_INIT;
    const char *path = getenv("PATH");
    int r = agent_program(launch->agent, path ? path : "/usr/local/bin:/usr/bin:/bin", &launch->program, &err);

    if (r >= 0)
        r = programs_relay(&launch->relay, &err);
    if (r >= 0)
        r = programs_libexec(&launch->libexec, &err);
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    launch->self = realpath("/proc/self/exe", NULL);
    launch->fixed[0] = launch->relay;
    launch->fixed[1] = launch->libexec;
    launch->fixed[2] = launch->self;
    launch->folder = realpath(".", NULL);
    if (!launch->folder)
        return cli_failf(CODE_FAILED, "go to a folder that exists", "cannot tell the current folder: %s", strerror(errno));
    return CODE_DONE;
}

/* Everything but the session, which is not open yet. */
static struct fence_spec fence_of(const struct launch *launch)
{
    const struct home *home = launch->cli->home;

    return (struct fence_spec){
        .home = home->path,
        .socket_dir = home->socket_dir,
        .agent_dir = home->agent_dir,
        .session_file = launch->session_file,
        .session_text = launch->token,
        .folder = launch->folder,
        .fixed = launch->fixed,
    };
}

static int check_fence(struct launch *launch)
{
    struct fence_spec spec = fence_of(launch);
    struct err err = ERR_INIT;

    if (launch->fenced && fence_check(&spec, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    return CODE_DONE;
}

/* --- the daemon, the vault, what is installed */

static int vault_state(struct launch *launch, char **ret_state)
{
    CLEANUP_JSON json_t *status = NULL;
    int code = cli_get(launch->cli, "GET", "/v1/status", NULL, &status);

    if (code)
        return code;
    *ret_state = strdup(text_of(status, "vault_state"));
    launch->url = strdup(text_of(status, "url"));
    return *ret_state && launch->url ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
}

/* Without a vault there is nothing to unlock; what lacks a credential is listed later, with the command that makes both. */
static int open_vault(struct launch *launch)
{
    CLEANUP_FREE char *state = NULL;
    int code = vault_state(launch, &state);

    if (code || !strcmp(state, "unlocked") || !strcmp(state, "missing"))
        return code;
    return cli_unlock(launch->cli, UNLOCK_ONLY, NULL, NULL);
}

static bool is_wanted(struct launch *launch, const char *name)
{
    const char *pattern;
    size_t cursor = 0;

    if (!args_has(launch->cli->args, "only"))
        return true;
    while ((pattern = args_next(launch->cli->args, "only", &cursor)))
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    return false;
}

/* Bytes of what the agent's model is told of one tool. */
static size_t tool_bytes(struct launch *launch, const char *name)
{
    CLEANUP_FREE char *path = cli_path("/v1/actions/", name, "");
    CLEANUP_JSON json_t *action = NULL;
    CLEANUP_FREE char *schema = NULL;

    if (!path || cli_get(launch->cli, "GET", path, NULL, &action) != CODE_DONE)
        return 0;
    schema = json_dumps(json_object_get(action, "schema"), JSON_COMPACT);
    return strlen(text_of(action, "mcp_name")) + strlen(text_of(action, "description")) + (schema ? strlen(schema) : 0);
}

static void warn_of_many(struct launch *launch, const json_t *actions, size_t tools)
{
    const json_t *action;
    size_t i, bytes = 0;

    json_array_foreach((json_t *) actions, i,
        action) if (json_is_true(json_object_get(action, "enabled")) && is_wanted(launch, text_of(action, "name"))) bytes +=
        tool_bytes(launch, text_of(action, "name"));
    cli_note("aileron: %zu tools, about %zu tokens of every request; --only GLOB leaves some out, aileron action disable NAME "
             "takes one away",
        tools, bytes / BYTES_PER_TOKEN);
}

static int nothing_to_do(struct launch *launch, size_t enabled, size_t installed)
{
    const char *why = !installed ? "no action is installed, so the agent could do nothing through Aileron"
                      : !enabled ? "all actions are disabled"
                                 : "no enabled action fits --only";
    const char *what = !installed ? INSTALL_COMMAND : !enabled ? "aileron action enable NAME" : "aileron action list";
    char hint[256];

    if (args_has(launch->cli->args, "force")) {
        cli_note("aileron: %s", why);
        return CODE_DONE;
    }
    snprintf(hint, sizeof(hint), "%s; --force starts the agent all the same", what);
    return cli_failf(CODE_FAILED, hint, "%s", why);
}

static int check_actions(struct launch *launch)
{
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *actions, *action;
    size_t i, enabled = 0, tools = 0;
    int code = cli_get(launch->cli, "GET", "/v1/actions", NULL, &answer);

    if (code)
        return code;
    actions = json_object_get(answer, "actions");
    json_array_foreach((json_t *) actions, i, action)
    {
        bool on = json_is_true(json_object_get(action, "enabled"));

        enabled += on;
        tools += on && is_wanted(launch, text_of(action, "name"));
    }
    if (!tools)
        return nothing_to_do(launch, enabled, json_array_size(actions));
    if (tools > TOOLS_MANY)
        warn_of_many(launch, actions, tools);
    return CODE_DONE;
}

/* What will fail, with the command that mends it; no reason to stop. */
static int list_lacks(struct launch *launch)
{
    CLEANUP_JSON json_t *body = json_object();
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = cli_get(launch->cli, "POST", "/v1/sync", body, &answer);

    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "missing_bindings"), i, item)
    {
        CLEANUP_FREE char *needed_by = print_list(json_object_get(item, "needed_by"));

        cli_note("aileron: %s has no usable credential, which %s needs: %s", text_of(item, "connector_fqn"),
            needed_by && *needed_by ? needed_by : "an action", text_of(item, "command"));
    }
    json_array_foreach(json_object_get(answer, "missing_connectors"), i, item)
        cli_note("aileron: %s@%s is not installed: aileron sync", text_of(item, "fqn"), text_of(item, "version"));
    json_array_foreach(json_object_get(answer, "changed"), i, item) cli_note("aileron: %s", text_of(item, "message"));
    return CODE_DONE;
}

/* --- the session */

static json_t *session_body(const struct launch *launch)
{
    json_t *only = NULL;
    const char *pattern;
    size_t cursor = 0;

    while ((pattern = args_next(launch->cli->args, "only", &cursor))) {
        only = only ? only : json_array();
        json_array_append_new(only, json_string(pattern));
    }
    return json_pack("{s:s, s:s, s:b, s:s, s:o*}", "agent", launch->agent->name, "folder", launch->folder, "launched", 1,
        "confinement", launch->fenced ? "fence" : "none", "only", only);
}

static int open_session(struct launch *launch)
{
    CLEANUP_JSON json_t *body = session_body(launch);
    CLEANUP_JSON json_t *answer = NULL;
    int code = body ? cli_get(launch->cli, "POST", "/v1/sessions", body, &answer)
                    : cli_failf(CODE_FAILED, NULL, "the folder's name or a pattern is not valid UTF-8");

    if (code)
        return code;
    launch->session_id = strdup(text_of(answer, "session_id"));
    launch->token = strdup(text_of(answer, "token"));
    return launch->session_id && launch->token ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
}

static int ask_for_end(const struct launch *launch, const char *path, struct err *err)
{
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    struct http_request request = { .method = "POST", .path = path, .body = "{}", .body_len = 2, .timeout_ms = END_MS };
    int r = http_call(launch->cli->home->daemon_sock, &request, &response, err);

    return r >= 0 && response.status >= 300 ? err_set(err, EPROTO, "the daemon answered with status %d", response.status) : r;
}

/* A daemon that is being restarted is waited for; one that is gone is not started for this. */
static void end_session(struct launch *launch)
{
    CLEANUP_FREE char *path = launch->session_id ? cli_path("/v1/sessions/", launch->session_id, "/end") : NULL;
    int64_t deadline = clock_boot_ms() + RESTART_MS;
    struct err err = ERR_INIT;
    int r;

    if (!path)
        return;
    do {
        err_clear(&err);
        r = ask_for_end(launch, path, &err);
    } while ((r == -ENOENT || r == -ECONNREFUSED || r == -EPIPE) && clock_boot_ms() < deadline && usleep(RETRY_US) == 0);
    if (r < 0)
        cli_note(
            "aileron: the session %s could not be ended: %s; aileron sessions list shows it", launch->session_id, err.message);
}

/* Inside the fence a file that exists only there; without one a file without a name, which ends with this process. */
static int place_token(struct launch *launch)
{
    struct err err = ERR_INIT;
    int n;

    if (launch->fenced) {
        n = asprintf(&launch->session_file, "%s/session", launch->cli->home->socket_dir);
        return n < 0 ? cli_failf(CODE_FAILED, NULL, "out of memory") : CODE_DONE;
    }
    launch->token_fd = memfd_sealed("aileron-session", launch->token, strlen(launch->token));
    if (launch->token_fd < 0) {
        err_errno(&err, -launch->token_fd, "cannot keep the session's token");
        return cli_fail(CODE_FAILED, &err);
    }
    n = asprintf(&launch->session_file, "/proc/%d/fd/%d", (int) getpid(), launch->token_fd);
    return n < 0 ? cli_failf(CODE_FAILED, NULL, "out of memory") : CODE_DONE;
}

/* --- handing over */

/* What names a door that the fence closes: programs then say plainly that there is none, instead of failing to enter. */
static const char *const closed_doors[] = { "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS" };

static void fill_environment(const struct launch *launch, struct words *words)
{
    for (char **variable = environ; *variable; variable++)
        words_add(words, *variable);
    for (size_t i = 0; launch->fenced && i < ARRAY_LEN(closed_doors); i++)
        words_unset(words, closed_doors[i]);
    for (size_t i = 0; i < ARRAY_LEN(launch->agent->variables) && launch->agent->variables[i][0]; i++)
        words_set(words, launch->agent->variables[i][0], launch->agent->variables[i][1]);
}

static void fill_arguments(const struct launch *launch, struct words *words)
{
    const struct agent_facts facts = {
        .relay = launch->relay,
        .socket = launch->cli->home->agent_sock,
        .session_file = launch->session_file,
        .fenced = launch->fenced,
    };
    const char *word;

    words_add(words, launch->agent->name);
    launch->agent->arguments(&facts, words);
    for (size_t i = 1; (word = args_word(launch->cli->args, i)); i++)
        words_add(words, word);
}

static void put_banner(const struct launch *launch)
{
    char fence[256];

    cli_note("✈️ Aileron — webapp %s — session %s", launch->url, launch->session_id);
    if (launch->fenced)
        cli_note(
            "   fence: on (%s); not inside: sudo, Docker, systemd-run, tmux, the desktop", fence_describe(fence, sizeof(fence)));
    else
        cli_note("   fence: OFF: the agent can do whatever you can; decisions about its calls need the vault's passphrase");
    if (launch->fenced && launch->agent->root_note && geteuid() == 0)
        cli_note("   %s", launch->agent->root_note);
}

static int run_agent(struct launch *launch)
{
    CLEANUP(words_free) struct words arguments = { 0 };
    CLEANUP(words_free) struct words environment = { 0 };
    struct fence_spec spec = fence_of(launch);
    struct err err = ERR_INIT;
    int exit_code = 0;

    fill_arguments(launch, &arguments);
    fill_environment(launch, &environment);
    if (arguments.failed || environment.failed)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    const struct run run = {
        .program = launch->program,
        .argv = arguments.list,
        .envp = environment.list,
        .fence = launch->fenced ? &spec : NULL,
    };
    put_banner(launch);
    return run_job(&run, &exit_code, &err) < 0 ? cli_fail(CODE_FAILED, &err) : exit_code;
}

/* From the first moment of the session to its end no signal ends this program. */
static int with_session(struct launch *launch)
{
    sigset_t before;
    int code;

    run_hold(&before);
    launch->cli->timeout_ms = OPEN_MS; /* Ctrl-C does not end a wait now */
    code = open_session(launch);
    if (!code)
        code = place_token(launch);
    if (!code)
        code = run_agent(launch);
    end_session(launch);
    run_release(&before);
    return code;
}

static int run_launch(struct cli *cli)
{
    CLEANUP(launch_clear) struct launch launch = { .cli = cli, .fenced = !args_has(cli->args, "no-fence"), .token_fd = -1 };
    struct err err = ERR_INIT;
    int code = run_fill_streams(&err) < 0 ? cli_fail(CODE_FAILED, &err) : check_words(&launch);

    if (!code)
        code = find_programs(&launch);
    if (!code)
        code = cli_home(cli);
    if (!code)
        code = check_fence(&launch);
    if (!code)
        code = cli_daemon(cli);
    if (!code)
        code = open_vault(&launch);
    if (!code)
        code = check_actions(&launch);
    if (!code)
        code = list_lacks(&launch);
    passphrase_forget();
    return code ? code : with_session(&launch);
}

const struct command COMMAND_LAUNCH = {
    .name = "launch",
    .operands = "AGENT [ARGUMENT…]",
    .about = "start an agent that can use your actions",
    .details = "Starts Claude Code (claude) or Codex (codex) on this machine with a session of its own and Aileron's tools beside its own, without "
               "a change to its configuration. The agent gets the terminal; when it ends, so does its session, and its exit code is this "
               "command's. Everything after AGENT is passed to it as it is, so options of this command come before.\n"
               "\n"
               "A fence is put around it: it works with your files, your network and your programs, but cannot see Aileron's home, the "
               "daemon's other doors, other terminals, the desktop or Docker, and it cannot become another user. docs/launch.md says what that "
               "holds back and what not. --no-fence leaves it out; each decision about the agent's calls then needs the vault's "
               "passphrase.\n"
               "\n"
               "Before the agent starts, credentials that are missing are listed with the command that sets them up. Without any action the "
               "command stops; --force goes on.\n"
               "\n"
               "Examples:\n"
               "  aileron launch --local claude\n"
               "  aileron launch --local --only 'list-*' --only get-email claude -p 'what is new?'",
    .words_min = 1,
    .words_max = COMMAND_ANY_WORDS,
    .rest = true,
    .passphrase = true,
    .options = {
        { "local", 0, NULL, false, "on this machine (a container is not built yet)" },
        { "only", 0, "GLOB", true, "only actions whose name fits; can be repeated" },
        { "no-fence", 0, NULL, false, "without the fence" },
        { "force", 0, NULL, false, "also when there is no action" },
    },
    .run = run_launch,
};
