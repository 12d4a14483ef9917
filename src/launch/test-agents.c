/* What each agent is told, and where its program is found. */
#include "launch/agents.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include <cmocka.h>

#include "base/banned.h"

static const struct agent_facts FACTS = { "/opt/a \"b\"/aileron-mcp", "/h/agent/agent.sock", "/h/session", true };

static void test_claude(void **state)
{
    struct words argv = { 0 };
    json_t *config, *server;

    agent_find("claude")->arguments(&FACTS, &argv);
    assert_int_equal(argv.len, 2);
    assert_memory_equal(argv.list[0], "--mcp-config=", 13);
    assert_string_equal(argv.list[1], "--allowedTools=Bash,mcp__aileron__*");
    config = json_loads(argv.list[0] + 13, 0, NULL);
    server = json_object_get(json_object_get(config, "mcpServers"), "aileron");
    assert_string_equal(json_string_value(json_object_get(server, "command")), FACTS.relay);
    assert_string_equal(json_string_value(json_object_get(json_object_get(server, "env"), "AILERON_SESSION_FILE")), "/h/session");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(server, "env"), "AILERON_AGENT_SOCKET")), "/h/agent/agent.sock");
    assert_int_equal(json_integer_value(json_object_get(server, "timeout")), 3600000);
    json_decref(config);
    words_free(&argv);
}

/* Without a fence its shell asks as it always does. */
static void test_no_fence_approves_no_shell(void **state)
{
    struct agent_facts facts = FACTS;
    struct words argv = { 0 };

    facts.fenced = false;
    agent_find("claude")->arguments(&facts, &argv);
    assert_string_equal(argv.list[1], "--allowedTools=mcp__aileron__*");
    words_free(&argv);
}

static void test_codex(void **state)
{
    struct words argv = { 0 };

    agent_find("codex")->arguments(&FACTS, &argv);
    assert_string_equal(argv.list[0], "--no-daemon");
    assert_string_equal(argv.list[1], "-c");
    assert_non_null(strstr(argv.list[2], "command=\"/opt/a \\\"b\\\"/aileron-mcp\""));
    assert_non_null(strstr(argv.list[2], "required=true"));
    assert_non_null(strstr(argv.list[2], "tool_timeout_sec=3600"));
    assert_non_null(strstr(argv.list[2], "default_tools_approval_mode=\"approve\""));
    words_free(&argv);
}

static void test_unknown(void **state)
{
    assert_null(agent_find("Claude"));
    assert_string_equal(agent_names(), "claude, codex");
}

static void make(const char *folder, const char *name, mode_t mode)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* What is no program does not hide a later one; a relative folder gives an absolute path. */
static void test_program(void **state)
{
    char base[] = "/tmp/aileron-agents-XXXXXX", path[2048], one[512], two[512];
    struct err err = ERR_INIT;
    char *found = NULL;

    assert_non_null(mkdtemp(base));
    snprintf(one, sizeof(one), "%s/one", base);
    snprintf(two, sizeof(two), "%s/two", base);
    assert_int_equal(mkdir(one, 0700) | mkdir(two, 0700), 0);
    snprintf(path, sizeof(path), "/nowhere::%s:%s", one, two);
    assert_int_equal(agent_program(agent_find("claude"), path, &found, &err), -ENOENT);
    assert_non_null(strstr(err.message, "Claude Code is not installed"));
    assert_string_equal(err.hint, "npm install -g @anthropic-ai/claude-code");
    make(one, "claude", 0600);
    make(two, "claude", 0700);
    assert_int_equal(agent_program(agent_find("claude"), path, &found, &err), 0);
    assert_memory_equal(found, two, strlen(two));
    free(found);
    assert_int_equal(chdir(two), 0);
    assert_int_equal(agent_program(agent_find("claude"), ":/bin", &found, &err), 0);
    assert_int_equal(found[0], '/');
    free(found);
    assert_int_equal(chdir("/"), 0);
    snprintf(path, sizeof(path), "%s/claude", one);
    unlink(path);
    snprintf(path, sizeof(path), "%s/claude", two);
    unlink(path);
    assert_int_equal(rmdir(one) | rmdir(two) | rmdir(base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_claude), cmocka_unit_test(test_no_fence_approves_no_shell),
        cmocka_unit_test(test_codex), cmocka_unit_test(test_unknown), cmocka_unit_test(test_program) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
