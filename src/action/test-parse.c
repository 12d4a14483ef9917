/*
 * Action files: one good file read field by field, then a table of edits of it,
 * each breaking one rule, with the position and the words that the error must
 * hold. Position counts the lines of the whole file.
 */
#include "action/action.h"
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HASH "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Line numbers on the right are what the table below refers to. */
static const char full[] = "\n"                                                                                          /* 1 */
                           "+++\n"                                                                                       /* 2 */
                           "name = \"send-draft\"\n"                                                                     /* 3 */
                           "version = \"1.2.0\"\n"                                                                       /* 4 */
                           "source = \"github://acme/mail@1.2.0\"\n"                                                     /* 5 */
                           "[[requires.connectors]]\n"                                                                   /* 6 */
                           "name = \"github://acme/mail\"\n"                                                             /* 7 */
                           "version = \"v2.0.0\"\n"                                                                      /* 8 */
                           "hash = \"" HASH "\"\n"                                                                       /* 9 */
                           "capabilities = [\"send_draft\", \"get_draft\"]\n"                                            /* 10 */
                           "[match]\n"                                                                                   /* 11 */
                           "intent = \"send a draft\"\n"                                                                 /* 12 */
                           "[[inputs]]\n"                                                                                /* 13 */
                           "name = \"draft_id\"\n"                                                                       /* 14 */
                           "type = \"string\"\n"                                                                         /* 15 */
                           "description = \"which draft\"\n"                                                             /* 16 */
                           "label = \"Draft\"\n"                                                                         /* 17 */
                           "multiline = true\n"                                                                          /* 18 */
                           "[[inputs]]\n"                                                                                /* 19 */
                           "name = \"tags\"\n"                                                                           /* 20 */
                           "type = \"array\"\n"                                                                          /* 21 */
                           "items_type = \"string\"\n"                                                                   /* 22 */
                           "description = \"labels\"\n"                                                                  /* 23 */
                           "required = false\n"                                                                          /* 24 */
                           "[[execute]]\n"                                                                               /* 25 */
                           "id = \"send\"\n"                                                                             /* 26 */
                           "connector = \"github://acme/mail\"\n"                                                        /* 27 */
                           "op = \"send_draft\"\n"                                                                       /* 28 */
                           "idempotent = false\n"                                                                        /* 29 */
                           "read_only = false\n"                                                                         /* 30 */
                           "inputs = { id = \"${args.draft_id}\", deep = [{ t = \"x ${args.tags}\" }, 1, 1.5, true] }\n" /* 31 */
                           "[approval]\n"                                                                                /* 32 */
                           "required = true\n"                                                                           /* 33 */
                           "[approval.preview]\n"                                                                        /* 34 */
                           "op = \"get_draft\"\n"                                                                        /* 35 */
                           "args = { id = \"${args.draft_id}\" }\n"                                                      /* 36 */
                           "multiline = [\"Text\"]\n"                                                                    /* 37 */
                           "[approval.preview.render]\n"                                                                 /* 38 */
                           "To = \"headers.To\"\n"                                                                       /* 39 */
                           "About = \"headers.Subject\"\n"                                                               /* 40 */
                           "Text = \"body\"\n"                                                                           /* 41 */
                           "[approval.preview.bind]\n"                                                                   /* 42 */
                           "version = \"message_id\"\n"                                                                  /* 43 */
                           "+++\n"                                                                                       /* 44 */
                           "\n"
                           "# Send a draft\n"
                           "\n"
                           "Sends it.\n";

static struct action *parse_good(const char *text)
{
    struct action *action = NULL;
    struct err err = ERR_INIT;
    int r = action_parse(text, strlen(text), "f.md", NULL, &action, &err);

    if (r < 0)
        print_error("%s | %s\n", err.message, err.hint);
    assert_int_equal(r, 0);
    return action;
}

static void test_every_field(void **state)
{
    CLEANUP_PTR(action_free) struct action *a = parse_good(full);

    assert_string_equal(a->name, "send-draft");
    assert_string_equal(a->version, "1.2.0");
    assert_string_equal(a->source, "github://acme/mail@1.2.0");
    assert_string_equal(a->intent, "send a draft");
    assert_string_equal(a->body, "Sends it.");
    assert_int_equal(a->requires_len, 1);
    assert_string_equal(a->requires_[0].name, "github://acme/mail");
    assert_string_equal(a->requires_[0].version, "2.0.0");
    assert_string_equal(a->requires_[0].hash, HASH);
    assert_int_equal(a->requires_[0].capabilities_len, 2);
    assert_string_equal(a->requires_[0].capabilities[1], "get_draft");
    assert_int_equal(a->inputs_len, 2);
    assert_true(a->inputs[0].required && a->inputs[0].multiline && !a->inputs[0].has_items_type);
    assert_string_equal(a->inputs[0].label, "Draft");
    assert_int_equal(a->inputs[1].type, INPUT_ARRAY);
    assert_true(a->inputs[1].has_items_type && !a->inputs[1].required && !a->inputs[1].label);
    assert_int_equal(a->steps_len, 1);
    assert_ptr_equal(a->steps[0].require, &a->requires_[0]);
    assert_true(a->steps[0].has_idempotent && !a->steps[0].idempotent);
    assert_string_equal(json_string_value(json_object_get(a->steps[0].inputs, "id")), "${args.draft_id}");
    assert_true(a->gated);
    assert_int_equal(a->kind, APPROVAL_COMMS_SEND);
    assert_string_equal(a->preview->op, "get_draft");
    assert_int_equal(a->preview->render_len, 3);
    assert_string_equal(a->preview->render[0].key, "To");
    assert_string_equal(a->preview->render[1].key, "About");
    assert_string_equal(a->preview->render[1].value, "headers.Subject");
    assert_string_equal(a->preview->multiline[0], "Text");
    assert_int_equal(a->preview->bind_len, 1);
    assert_string_equal(a->preview->bind[0].key, "version");
}

/* The full file with the first `from` replaced by `to`. */
static char *edited(const char *from, const char *to)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);
    const char *at = strstr(full, from);

    if (!at)
        fail_msg("the good file has no '%s'", from);
    assert_int_equal(buf_add(&out, full, (size_t) (at - full)), 0);
    assert_int_equal(buf_add_str(&out, to), 0);
    assert_int_equal(buf_add_str(&out, at + strlen(from)), 0);
    return buf_take(&out);
}

struct edit {
    const char *from, *to;
    const char *position, *words; /* expected in the message */
};

static void check_edits(const struct edit *edits, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        CLEANUP_FREE char *text = edited(edits[i].from, edits[i].to);
        struct action *action = NULL;
        struct err err = ERR_INIT;
        int r = action_parse(text, strlen(text), "f.md", NULL, &action, &err);

        if (r != -EINVAL || strncmp(err.message, edits[i].position, strlen(edits[i].position)) != 0 ||
            !strstr(err.message, edits[i].words))
            fail_msg("'%s' -> '%s': %d, %s | %s", edits[i].from, edits[i].to, r, err.message, err.hint);
        assert_null(action);
    }
}

static void test_rules_of_the_head(void **state)
{
    static const struct edit edits[] = {
        { "name = \"send-draft\"", "name = \"Send\"", "f.md:3:", "'name' must be" },
        { "name = \"send-draft\"", "name = \"-a\"", "f.md:3:", "'name' must be" },
        { "name = \"send-draft\"", "name = \"\"", "f.md:3:", "'name' must be" },
        { "name = \"send-draft\"", "name = \"a/b\"", "f.md:3:", "'name' must be" },
        { "name = \"send-draft\"", "name = 3", "f.md:3:", "'name'" },
        { "name = \"send-draft\"\n", "", "f.md:", "'name'" },
        { "name = \"send-draft\"", "nmae = \"send-draft\"", "f.md:3:", "unknown key 'nmae'" },
        { "name = \"send-draft\"", "name = \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345\"",
            "f.md:3:", "1 to 64" },
        { "version = \"1.2.0\"", "version = \"1.2\"", "f.md:4:", "'version' is not a SemVer" },
        { "version = \"1.2.0\"", "version = \"^1.2.0\"", "f.md:4:", "'version' is not a SemVer" },
        { "version = \"1.2.0\"", "version = 1.2", "f.md:4:", "'version'" },
        { "version = \"1.2.0\"", "version = 1.2.0", "f.md:4:", "" },
        { "mail@1.2.0", "mail", "f.md:5:", "'source' has no version" },
        { "mail@1.2.0", "mail@1", "f.md:5:", "the version in 'source'" },
        { "github://acme/mail@1.2.0", "acme/mail@1.2.0", "f.md:5:", "'source': a name starts with" },
        { "[[requires.connectors]]", "[requires.connectors]", "f.md:", "'connectors' in requires must be an array" },
        { "name = \"github://acme/mail\"", "name = \"github://acme\"", "f.md:7:", "scheme://owner/repo" },
        { "name = \"github://acme/mail\"", "name = \"github://acme/../x\"", "f.md:7:", "'.' or '..'" },
        { "\"v2.0.0\"", "\"latest\"", "f.md:8:", "'version' is not a SemVer" },
        { HASH, "sha256:0123", "f.md:9:", "'hash' must be" },
        { HASH, "sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "f.md:9:", "lower-case" },
        { "[\"send_draft\", \"get_draft\"]", "[]", "f.md:10:", "'capabilities' is empty" },
        { "[\"send_draft\", \"get_draft\"]", "[\"a\", \"a\"]", "f.md:10:", "twice" },
        { "[\"send_draft\", \"get_draft\"]", "[\"a b\"]", "f.md:10:", "'capabilities' has a character" },
        { "[\"send_draft\", \"get_draft\"]", "[1]", "f.md:10:", "list of texts" },
        { "[\"send_draft\", \"get_draft\"]", "\"a\"", "f.md:10:", "must be an array" },
        { "capabilities = [\"send_draft\", \"get_draft\"]\n", "", "f.md:", "'capabilities'" },
        { "[match]\n",
            "[[requires.connectors]]\nname = \"github://acme/mail\"\nversion = \"1.0.0\"\nhash = \"" HASH
            "\"\ncapabilities = [\"x\"]\n[match]\n",
            "f.md:12:", "required twice" },
        { "intent = \"send a draft\"", "intent = \"  \"", "f.md:12:", "'intent' is empty" },
        { "intent = \"send a draft\"", "intent = \"a\\u001b[2J\"", "f.md:12:", "control character U+001B" },
        { "intent = \"send a draft\"", "intent = \"x\"\nweight = 3", "f.md:13:", "unknown key 'weight'" },
        { "[match]\nintent = \"send a draft\"\n", "", "f.md:", "'match'" },
    };

    check_edits(edits, ARRAY_LEN(edits));
}

static void test_rules_of_inputs(void **state)
{
    static const struct edit edits[] = {
        { "\"draft_id\"", "\"Draft\"", "f.md:14:", "'name' of an input" },
        { "\"draft_id\"", "\"_id\"", "f.md:14:", "'name' of an input" },
        { "\"draft_id\"", "\"\"", "f.md:14:", "'name' of an input" },
        { "\"draft_id\"", "\"a-b\"", "f.md:14:", "'name' of an input" },
        { "\"tags\"", "\"draft_id\"", "f.md:20:", "two inputs are called" },
        { "type = \"string\"", "type = \"text\"", "f.md:15:", "'type' must be string, integer" },
        { "description = \"which draft\"\n", "", "f.md:", "'description'" },
        { "description = \"which draft\"", "description = \"\"", "f.md:16:", "'description' is empty" },
        { "label = \"Draft\"", "label = \"\"", "f.md:17:", "'label' is empty" },
        { "multiline = true", "multiline = \"yes\"", "f.md:18:", "'multiline'" },
        { "multiline = true", "multi_line = true", "f.md:18:", "unknown key 'multi_line'" },
        { "multiline = true", "items_type = \"string\"", "f.md:18:", "'items_type' is for inputs of type array" },
        { "items_type = \"string\"", "items_type = \"text\"", "f.md:22:", "'items_type' must be" },
        { "items_type = \"string\"", "multiline = false", "f.md:22:", "'multiline' is for inputs of type string" },
        { "required = false", "required = \"no\"", "f.md:24:", "'required'" },
        { "required = false", "default = 3", "f.md:24:", "unknown key 'default'" },
    };

    check_edits(edits, ARRAY_LEN(edits));
}

static void test_rules_of_steps(void **state)
{
    static const struct edit edits[] = {
        { "id = \"send\"\n", "", "f.md:", "'id'" },
        { "id = \"send\"", "id = \"\"", "f.md:26:", "'id' must have 1 to 128" },
        { "id = \"send\"", "id = \"a b\"", "f.md:26:", "'id' has a character" },
        { "[approval]\n", "[[execute]]\nid = \"send\"\nconnector = \"github://acme/mail\"\nop = \"get_draft\"\n[approval]\n",
            "f.md:33:", "two steps have the id" },
        { "connector = \"github://acme/mail\"", "connector = \"github://acme/other\"", "f.md:27:", "'connector' is not one of" },
        { "op = \"send_draft\"", "op = \"send_email\"", "f.md:28:", "not in the capabilities" },
        { "op = \"send_draft\"", "op = \"\"", "f.md:28:", "'op' must have" },
        { "idempotent = false", "idempotent = 1", "f.md:29:", "'idempotent'" },
        { "idempotent = false", "retries = 1", "f.md:29:", "unknown key 'retries'" },
        { "\"${args.draft_id}\"", "\"${args.draft}\"", "f.md:31:", "${args.draft} is not an input" },
        { "x ${args.tags}", "x ${args.tag}", "f.md:31:", "${args.tag} is not an input" },
        { "x ${args.tags}", "x ${env.HOME}", "f.md:31:", "'${' may only start" },
        { "x ${args.tags}", "x ${args.tags", "f.md:31:", "'${' may only start" },
        { "x ${args.tags}", "x ${args.}", "f.md:31:", "'${' may only start" },
        { "x ${args.tags}", "x ${args. tags}", "f.md:31:", "'${' may only start" },
        { "x ${args.tags}", "x ${steps.send.output}", "f.md:31:", "'${' may only start" },
        { "x ${args.tags}", "${", "f.md:31:", "'${' may only start" },
        { "{ t = ", "{ \"${args.tags}\" = ", "f.md:31:", "cannot stand in a key" },
        { "1.5", "nan", "f.md:31:", "nan and inf" },
        { "1.5", "-inf", "f.md:31:", "nan and inf" },
        { "inputs = { id", "input = { id", "f.md:31:", "unknown key 'input'" },
    };

    check_edits(edits, ARRAY_LEN(edits));
}

static void test_rules_of_approval(void **state)
{
    static const struct edit edits[] = {
        { "required = true", "required = \"yes\"", "f.md:33:", "'required'" },
        { "required = true", "requierd = true", "f.md:33:", "unknown key 'requierd'" },
        { "required = true", "kind = \"email\"", "f.md:33:", "'kind' must be action" },
        { "op = \"get_draft\"", "op = \"peek\"", "f.md:35:", "not in the capabilities" },
        { "op = \"get_draft\"", "op = \"send_draft\"", "f.md:35:", "what step send runs after approval" },
        { "op = \"get_draft\"\n", "", "f.md:", "'op'" },
        { "args = { id = \"${args.draft_id}\" }", "args = { id = \"${args.x}\" }", "f.md:36:", "${args.x} is not an input" },
        { "args = { id", "arguments = { id", "f.md:36:", "unknown key 'arguments'" },
        { "[\"Text\"]", "[\"Texts\"]", "f.md:37:", "not a label of 'render'" },
        { "[\"Text\"]", "[\"Text\", \"Text\"]", "f.md:37:", "twice" },
        { "To = \"headers.To\"\nAbout = \"headers.Subject\"\nText = \"body\"\n", "", "f.md:", "'render' is empty" },
        { "[approval.preview.render]\nTo = \"headers.To\"\nAbout = \"headers.Subject\"\nText = \"body\"\n", "",
            "f.md:", "'render'" },
        { "To = \"headers.To\"", "To = \"headers..To\"", "f.md:39:", "must be a path" },
        { "To = \"headers.To\"", "To = \".To\"", "f.md:39:", "must be a path" },
        { "To = \"headers.To\"", "To = \"To.\"", "f.md:39:", "must be a path" },
        { "To = \"headers.To\"", "To = \"\"", "f.md:39:", "'To' is empty" },
        { "To = \"headers.To\"", "To = 1", "f.md:39:", "'To' must be text" },
        { "To = \"headers.To\"", "\"\" = \"headers.To\"", "f.md:39:", "1 to 128" },
        { "To = \"headers.To\"", "\"a\\u0007\" = \"headers.To\"", "f.md:39:", "control character" },
        { "version = \"message_id\"", "version = \"\"", "f.md:43:", "'version' is empty" },
        { "version = \"message_id\"", "\"a b\" = \"message_id\"", "f.md:43:", "'bind' has a character" },
        { "version = \"message_id\"", "deep = \"message_id\"", "f.md:43:", "already fix" },
    };

    check_edits(edits, ARRAY_LEN(edits));
}

static void test_fences(void **state)
{
    static const struct edit edits[] = {
        { "+++\nname", "name", "f.md:2:", "starts with a line +++" },
        { "+++\nname", "++++\nname", "f.md:2:", "starts with a line +++" },
        { "+++\n\n# Send", "\n# Send", "f.md:2:", "no closing one" },
        { "name = \"send-draft\"", "name = \"send-draft", "f.md:3:", "" },
        { "Sends it", "Sends \xff it", "f.md:48:", "not UTF-8" },
    };
    static const char *const bad[] = { "", "\n\n", "text", "\xef\xbb\xbf", "---\n" };

    check_edits(edits, ARRAY_LEN(edits));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct action *action = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(action_parse(bad[i], strlen(bad[i]), "f.md", NULL, &action, &err), -EINVAL);
        assert_non_null(strstr(err.message, "f.md:"));
    }
}

static void test_nul_and_size(void **state)
{
    CLEANUP_FREE char *large = calloc(1, 300 * 1024);
    struct action *action = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(action_parse("+++\n\0+++\n", 9, "f.md", NULL, &action, &err), -EINVAL);
    assert_non_null(strstr(err.message, "f.md:2:"));
    memset(large, '\n', 300 * 1024);
    assert_int_equal(action_parse(large, 300 * 1024, "f.md", NULL, &action, &err), -E2BIG);
    memset(large, ' ', 70 * 1024);
    memcpy(large, "+++\n", 4);
    memcpy(large + 70 * 1024, "\n+++\n", 5);
    assert_int_equal(action_parse(large, 70 * 1024 + 5, "f.md", NULL, &action, &err), -E2BIG);
    assert_null(action);
}

static void test_windows_file(void **state)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);
    CLEANUP_PTR(action_free) struct action *action = NULL;

    assert_int_equal(buf_add_str(&text, "\xef\xbb\xbf \r\n"), 0);
    for (const char *c = full; *c; c++) {
        if (*c == '\n')
            assert_int_equal(buf_add_char(&text, '\r'), 0);
        assert_int_equal(buf_add_char(&text, *c), 0);
    }
    action = parse_good(buf_str(&text));
    assert_string_equal(action->body, "Sends it.");
    assert_string_equal(action->intent, "send a draft");
}

static void test_bodies(void **state)
{
    static const struct {
        const char *body, *left;
    } bodies[] = {
        { "+++", "" },
        { "+++\n", "" },
        { "+++\n\n# Only a heading", "" },
        { "+++  \n# One\n# Two\n", "# Two" },
        { "+++\n## Two\ntext\n", "## Two\ntext" },
        { "+++\n#hash\n", "#hash" },
        { "+++\n\n\n  text \n+++\nmore\n", "text \n+++\nmore" },
    };

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        CLEANUP_FREE char *text = edited("+++\n\n# Send a draft\n\nSends it.\n", bodies[i].body);
        CLEANUP_PTR(action_free) struct action *action = parse_good(text);

        assert_string_equal(action->body, bodies[i].left);
    }
}

static void test_file_name(void **state)
{
    struct action *action = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(action_parse(full, strlen(full), "f.md", "send-mail", &action, &err), -EINVAL);
    assert_non_null(strstr(err.message, "f.md:3:"));
    assert_non_null(strstr(err.message, "send-mail.md"));
    assert_int_equal(action_parse(full, strlen(full), "f.md", "send-draft", &action, &err), 0);
    action_free(action);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *op, *explicit_kind;
        enum approval_kind kind;
    } kinds[] = {
        { "send_draft", "", APPROVAL_COMMS_SEND },
        { "post_note", "", APPROVAL_COMMS_SEND },
        { "reply_all", "", APPROVAL_COMMS_SEND },
        { "draft_email", "", APPROVAL_COMMS_DRAFT },
        { "resend_draft", "", APPROVAL_ACTION },
        { "sender", "", APPROVAL_ACTION },
        { "send_draft", "kind = \"http_request\"", APPROVAL_HTTP_REQUEST },
        { "send_draft", "kind = \"action\"", APPROVAL_ACTION },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);
        CLEANUP_PTR(action_free) struct action *action = NULL;

        assert_int_equal(buf_printf(&text,
                             "+++\nname = \"a\"\nversion = \"1.0.0\"\n[[requires.connectors]]\nname = \"local://c\"\nversion = "
                             "\"1.0.0\"\nhash = \"%s\"\n"
                             "capabilities = [\"%s\"]\n[match]\nintent = \"i\"\n[[execute]]\nid = \"x\"\nconnector = "
                             "\"local://c\"\nop = \"%s\"\n"
                             "idempotent = true\nread_only = true\n[approval]\nrequired = true\n%s\n+++\n",
                             HASH, kinds[i].op, kinds[i].op, kinds[i].explicit_kind),
            0);
        action = parse_good(buf_str(&text));
        assert_int_equal(action->kind, kinds[i].kind);
        assert_int_equal(action->has_kind, kinds[i].explicit_kind[0] != '\0');
        assert_null(action->preview);
        assert_null(action->source);
        assert_true(action_is_idempotent(action) && action_is_read_only(action));
    }
}

static void test_no_execute(void **state)
{
    static const char head[] =
        "+++\nexecute = []\nname = \"a\"\nversion = \"1.0.0\"\n[match]\nintent = \"i\"\n"
        "[[requires.connectors]]\nname = \"local://c\"\nversion = \"1.0.0\"\nhash = \"" HASH "\"\ncapabilities = [\"x\"]\n+++\n";
    static const char requires_[] =
        "+++\nexecute = []\nname = \"a\"\nversion = \"1.0.0\"\nrequires = { connectors = [] }\nmatch = { intent = \"i\" }\n+++\n";
    static const char scalar[] =
        "+++\nexecute = [1]\nname = \"a\"\nversion = \"1.0.0\"\n[match]\nintent = \"i\"\n"
        "[[requires.connectors]]\nname = \"local://c\"\nversion = \"1.0.0\"\nhash = \"" HASH "\"\ncapabilities = [\"x\"]\n+++\n";
    struct action *action = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(action_parse(head, strlen(head), "f.md", NULL, &action, &err), -EINVAL);
    assert_non_null(strstr(err.message, "f.md:2:"));
    assert_non_null(strstr(err.message, "one step or more"));
    assert_int_equal(action_parse(requires_, strlen(requires_), "f.md", NULL, &action, &err), -EINVAL);
    assert_non_null(strstr(err.message, "f.md:5:"));
    assert_non_null(strstr(err.message, "one connector or more"));
    assert_int_equal(action_parse(scalar, strlen(scalar), "f.md", NULL, &action, &err), -EINVAL);
    assert_non_null(strstr(err.message, "[[execute]]"));
    assert_null(action);
}

static void test_keys_of_ours(void **state)
{
    const char *keys[ACTION_KEYS_OF_OURS_MAX] = { NULL };
    CLEANUP_PTR(action_free) struct action *all = parse_good(full), *none = NULL;
    /* "kind" and "read_only" in the body, or as an input's name, are not keys. */
    none = parse_good("+++\nname = \"a\"\nversion = \"1.0.0\"\n[[requires.connectors]]\nname = \"local://c\"\nversion = "
                      "\"1.0.0\"\nhash = \"" HASH "\"\ncapabilities = [\"x\"]\n[match]\nintent = \"i\"\n[[inputs]]\n"
                      "name = \"kind\"\ntype = \"string\"\ndescription = \"d\"\n[[execute]]\nid = \"x\"\n"
                      "connector = \"local://c\"\nop = \"x\"\nidempotent = true\n[approval]\nrequired = true\n+++\n\n"
                      "kind = \"action\"\nread_only = true\n");

    assert_int_equal(action_keys_of_ours(all, keys), 2);
    assert_string_equal(keys[0], "execute.read_only");
    assert_string_equal(keys[1], "approval.preview.bind");
    assert_int_equal(action_keys_of_ours(none, keys), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_rules_of_the_head),
        cmocka_unit_test(test_rules_of_inputs),
        cmocka_unit_test(test_rules_of_steps),
        cmocka_unit_test(test_rules_of_approval),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_nul_and_size),
        cmocka_unit_test(test_windows_file),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_file_name),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_no_execute),
        cmocka_unit_test(test_keys_of_ours),
    };

    return cmocka_run_group_tests_name("action/parse", tests, NULL, NULL);
}
