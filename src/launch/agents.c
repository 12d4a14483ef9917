/*
 * The rows. An agent gets the path of a file with the token, never the token:
 * arguments are seen by every user of the machine, environments by every child.
 */
#include "launch/agents.h"

#include "base/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

/* As long as a call may wait for a person (55 minutes) and some more. */
#define TOOL_TIMEOUT_S 3600
#define START_S        60

/* Text as JSON string, which a TOML basic string reads as well: control characters, quotes and backslashes are escaped alike. */
static char *quoted(const char *text)
{
    json_t *json = json_string(text);
    char *out = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

    json_decref(json);
    return out;
}

/*
 * `--mcp-config=` and `--allowedTools=` with their value in the same word: both take several words, and would take
 * the user's too. `timeout` is more than any MCP_TOOL_TIMEOUT of the user.
 */
static void claude_arguments(const struct agent_facts *facts, struct words *argv)
{
    json_t *config = json_pack("{s:{s:{s:s, s:s, s:[], s:{s:s, s:s}, s:i}}}", "mcpServers", "aileron", "type", "stdio", "command",
        facts->relay, "args", "env", "AILERON_AGENT_SOCKET", facts->socket, "AILERON_SESSION_FILE", facts->session_file,
        "timeout", TOOL_TIMEOUT_S * 1000);
    CLEANUP_FREE char *text = config ? json_dumps(config, JSON_COMPACT) : NULL;

    json_decref(config);
    if (!text) {
        argv->failed = true;
        return;
    }
    words_addf(argv, "--mcp-config=%s", text);
    words_addf(argv, "--allowedTools=%smcp__aileron__*", facts->fenced ? "Bash," : "");
}

/*
 * One override for the whole table, so that nothing of a server of the same name in the user's file is left in it. --no-daemon: else the
 * full-screen form hands the work to a background server that all sessions of the user share. That one stands outside of the fence, was
 * started without our tools, and outlives the session.
 */
static void codex_arguments(const struct agent_facts *facts, struct words *argv)
{
    CLEANUP_FREE char *relay = quoted(facts->relay);
    CLEANUP_FREE char *socket = quoted(facts->socket);
    CLEANUP_FREE char *file = quoted(facts->session_file);

    if (!relay || !socket || !file) {
        argv->failed = true;
        return;
    }
    words_add(argv, "--no-daemon");
    words_add(argv, "-c");
    words_addf(argv,
        "mcp_servers.aileron={command=%s,args=[],env={AILERON_AGENT_SOCKET=%s,AILERON_SESSION_FILE=%s},required=true,"
        "startup_timeout_sec=%d,tool_timeout_sec=%d,default_tools_approval_mode=\"approve\"}",
        relay, socket, file, START_S, TOOL_TIMEOUT_S);
}

static const struct agent agents[] = {
    {
        .name = "claude",
        .title = "Claude Code",
        .install = "npm install -g @anthropic-ai/claude-code",
        .arguments = claude_arguments,
        /* It waits for our tools instead of starting without them. */
        .variables = { { "MCP_CONNECTION_NONBLOCKING", "0" }, { "MCP_CONNECT_TIMEOUT_MS", "60000" } },
    },
    {
        .name = "codex",
        .title = "Codex",
        .install = "npm install -g @openai/codex",
        .arguments = codex_arguments,
        .root_note = "as root Codex cannot make its own sandbox inside the fence: -s danger-full-access leaves that to the fence",
    },
};

const struct agent *agent_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(agents); i++)
        if (!strcmp(agents[i].name, name))
            return &agents[i];
    return NULL;
}

const char *agent_names(void)
{
    static char names[64];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(agents) && len < sizeof(names); i++)
        len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "", agents[i].name);
    return names;
}

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int agent_program(const struct agent *agent, const char *path, char **ret_program, struct err *err)
{
    for (const char *at = path; at && *at; at += strcspn(at, ":"), at += *at == ':') {
        int len = (int) strcspn(at, ":");
        CLEANUP_FREE char *program = NULL;
        CLEANUP_FREE char *full = NULL;

        if (asprintf(&program, "%.*s/%s", len ? len : 1, len ? at : ".", agent->name) < 0)
            return -ENOMEM;
        if (!is_program(program))
            continue;
        if (program[0] == '/') {
            *ret_program = TAKE_PTR(program);
            return 0;
        }
        /* The agent starts in the same folder, but what runs must not depend on that. */
        full = realpath(program, NULL);
        if (full) {
            *ret_program = TAKE_PTR(full);
            return 0;
        }
    }
    err_set(err, ENOENT, "%s is not installed: there is no program %s in PATH", agent->title, agent->name);
    err_hint(err, "%s", agent->install);
    return -ENOENT;
}
