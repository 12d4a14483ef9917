/*
 * What is shipped beside the connector, held against the product's own parsers and
 * against the connector: every operation has an action, every action parses, every
 * input it declares is one that the operation takes, gates and previews are as they
 * must be. argv[1] is the folder of the bundle.
 */
#include "action/action.h"
#include "base/file.h"
#include "base/json.h"
#include "connector/manifest.h"
#include "test-google.h"

#include <fcntl.h>
#include <stdlib.h>

static const char *folder;
static char fqn[] = "local://aileron/google", version[] = "0.1.0";
static char hash[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

static const struct {
    const char *operation;
    bool gated, repeatable, read_only;
    enum approval_kind kind;
    const char *preview, *bind;
} table[] = {
    { "list_recent_emails", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "get_email", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "list_drafts", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "get_draft", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "draft_email", false, false, false, APPROVAL_COMMS_DRAFT, NULL, NULL },
    { "send_email", true, false, false, APPROVAL_COMMS_SEND, NULL, NULL },
    { "send_draft", true, false, false, APPROVAL_COMMS_SEND, "get_draft", "version" },
    { "list_upcoming_events", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "preview_calendar_event", false, true, true, APPROVAL_ACTION, NULL, NULL },
    { "create_calendar_event", true, false, false, APPROVAL_ACTION, "preview_calendar_event", NULL },
};

/* A file of the bundle with its placeholders filled in; freed by the caller. */
static char *filled(const char *name, size_t *ret_len)
{
    const struct action_pair pairs[] = { { (char *) "FQN", fqn }, { (char *) "VERSION", version }, { (char *) "HASH", hash },
        { (char *) "client_id", (char *) "id" }, { (char *) "client_secret", (char *) "secret" } };
    CLEANUP(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    struct err err = ERR_INIT;
    char path[4096], *text = NULL;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (file_read(AT_FDCWD, path, &buf, &err) != 0 ||
        action_substitute(buf.data, buf.len, name, pairs, ARRAY_LEN(pairs), &text, ret_len, &err) != 0)
        fail_msg("%s", err.message);
    return text;
}

/* get_draft → get-draft */
static void action_name_of(const char *operation, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s", operation);
    for (char *c = ret_name; *c; c++)
        if (*c == '_')
            *c = '-';
}

static struct action *action_of(const char *operation)
{
    char name[64], file[128];
    struct action *action = NULL;
    struct err err = ERR_INIT;
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;

    action_name_of(operation, name, sizeof(name));
    snprintf(file, sizeof(file), "actions/%s.md", name);
    text = filled(file, &len);
    if (action_parse(text, len, file, name, &action, &err) != 0)
        fail_msg("%s", err.message);
    return action;
}

static void the_manifest_is_as_the_specification_says(void **state)
{
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    struct err err = ERR_INIT;
    size_t len = 0;
    CLEANUP_FREE char *text = filled("manifest.toml", &len);

    if (manifest_parse(text, len, "manifest.toml", &manifest, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(manifest->name, fqn);
    assert_string_equal(manifest->version, version);
    assert_int_equal(manifest->hosts_len, 2);
    assert_true(manifest_allows(manifest, "gmail.googleapis.com:443"));
    assert_true(manifest_allows(manifest, "www.googleapis.com:443"));
    assert_int_equal(manifest->credential, CREDENTIAL_OAUTH2);
    assert_string_equal(manifest->oauth2.token_url, "https://oauth2.googleapis.com/token");
    assert_string_equal(manifest->oauth2.client_id, "id");
    assert_int_equal(manifest->oauth2.scopes_len, 4);
    assert_false(manifest->idempotent);
    assert_false(manifest->wants_spawn);
}

static void every_operation_has_its_action(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        CLEANUP_PTR(action_free) struct action *action = action_of(table[i].operation);

        assert_string_equal(aileron_operations[i].name, table[i].operation);
        assert_int_equal(action->steps_len, 1);
        assert_string_equal(action->steps[0].op, table[i].operation);
        assert_int_equal(action_is_idempotent(action), table[i].repeatable);
        assert_int_equal(action_is_read_only(action), table[i].read_only);
        assert_int_equal(action->gated, table[i].gated);
        assert_int_equal(action->kind, table[i].kind);
        assert_int_equal(action->requires_[0].capabilities_len, table[i].preview ? 2 : 1);
        assert_true(strlen(action->body) > 40);
        if (!table[i].preview) {
            assert_null(action->preview);
            continue;
        }
        assert_string_equal(action->preview->op, table[i].preview);
        assert_int_equal(action->preview->bind_len, table[i].bind ? 1 : 0);
        if (table[i].bind)
            assert_string_equal(action->preview->bind[0].key, table[i].bind);
    }
    assert_null(aileron_operations[ARRAY_LEN(table)].name);
}

/* One argument after the other of what an action declares: its operation may dislike the value, never the name. */
static void every_input_is_one_of_the_operation(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        CLEANUP_PTR(action_free) struct action *action = action_of(table[i].operation);

        for (size_t k = 0; k < action->inputs_len; k++) {
            char args[256];

            snprintf(args, sizeof(args), "{\"%s\":true}", action->inputs[k].name);
            fake_host_reset();
            fake_host_run(table[i].operation, args);
            assert_string_equal(fake_host_error_class(), "bad_input");
            assert_null(strstr(fake_host_error_message(), "there is no argument"));
        }
    }
}

/* What a card would show: each path leads to a text of the preview's answer, and the bound one too. */
static void previews_show_what_there_is(void **state)
{
    static const char *const answers[] = { "{\"id\":\"r1\",\"message\":{\"id\":\"m7\",\"payload\":{}}}",
        "{\"summary\":\"Work\"}" };
    static const char *const calls[] = { "{\"draft_id\":\"r1\"}",
        "{\"title\":\"T\",\"start_time\":\"2026-06-02T14:00:00Z\",\"end_time\":\"2026-06-02T15:00:00Z\",\"attendees\":[\"a@"
        "example.com\"]}" };
    static const char *const operations[] = { "send_draft", "create_calendar_event" };

    for (size_t i = 0; i < 2; i++) {
        CLEANUP_PTR(action_free) struct action *action = action_of(operations[i]);
        CLEANUP_JSON json_t *call = json_loads(calls[i], 0, NULL);
        CLEANUP_JSON json_t *args = NULL;
        CLEANUP_FREE char *text = NULL;
        const struct aileron_json *output;
        struct err err = ERR_INIT;

        assert_int_equal(action_render(action->preview->args, call, &args, &err), 0);
        text = json_dumps(args, JSON_COMPACT);
        fake_host_reset();
        fake_host_answer(200, answers[i]);
        output = must_run(action->preview->op, text);
        for (size_t k = 0; k < action->preview->render_len; k++)
            if (!aileron_json_string(output, action->preview->render[k].value))
                fail_msg("%s: the preview has no %s", operations[i], action->preview->render[k].value);
        if (action->preview->bind_len)
            assert_text(output, action->preview->bind[0].value, "m7");
    }
}

static void the_suite_lists_every_action(void **state)
{
    size_t len = 0;
    CLEANUP_FREE char *text = filled("suite.toml", &len);
    size_t listed = 0;

    for (const char *at = text; (at = strstr(at, "\"actions/")); at++)
        listed++;
    assert_int_equal(listed, ARRAY_LEN(table));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char name[64], line[128];

        action_name_of(table[i].operation, name, sizeof(name));
        snprintf(line, sizeof(line), "\"actions/%s\"", name);
        assert_non_null(strstr(text, line));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { TEST(the_manifest_is_as_the_specification_says), TEST(every_operation_has_its_action),
        TEST(every_input_is_one_of_the_operation), TEST(previews_show_what_there_is), TEST(the_suite_lists_every_action) };

    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
