/* Cards: what they show, that the seal follows what is shown, and that a difference is found wherever the seal finds one. */
#include "broker/card.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/json.h"

#define HASH "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILE_TEXT                                                                                                                \
    "+++\nname = \"make-event\"\nversion = \"1.0.0\"\n[[requires.connectors]]\nname = \"github://o/c\"\nversion = \"2.0.0\"\n"   \
    "hash = \"" HASH "\"\ncapabilities = [\"make_event\", \"look\"]\n[match]\nintent = \"make an event\"\n"                      \
    "[[inputs]]\nname = \"start\"\ntype = \"string\"\nlabel = \"Start\"\ndescription = \"when\"\n"                               \
    "[[inputs]]\nname = \"end\"\ntype = \"string\"\nlabel = \"End\"\ndescription = \"when\"\n"                                   \
    "[[inputs]]\nname = \"guests\"\ntype = \"array\"\ndescription = \"who\"\nrequired = false\n"                                 \
    "[[inputs]]\nname = \"note\"\ntype = \"string\"\ndescription = \"what\"\nrequired = false\n"                                 \
    "[[execute]]\nid = \"a\"\nconnector = \"github://o/c\"\nop = \"make_event\"\n"                                               \
    "[approval]\nrequired = true\n[approval.preview]\nop = \"look\"\nmultiline = [\"Body\"]\n"                                   \
    "[approval.preview.render]\nTo = \"to\"\nBody = \"body\"\n+++\n\n# Make\n"

static struct action *action;

static int setup(void **state)
{
    struct err err = ERR_INIT;

    setenv("TZ", "CET-1", 1);
    tzset();
    if (action_parse(FILE_TEXT, strlen(FILE_TEXT), "make-event.md", NULL, &action, &err) < 0)
        fail_msg("%s", err.message);
    return 0;
}

static int teardown(void **state)
{
    action_free(action);
    return 0;
}

static json_t *make(const char *args_text, const char *pairs_text, const char *hash, const char *binding)
{
    CLEANUP_JSON json_t *args = json_loads(args_text, 0, NULL), *pairs = pairs_text ? json_loads(pairs_text, 0, NULL) : NULL;
    json_t *card = NULL;
    const struct card_facts facts = {
        .action = action,
        .action_hash = hash,
        .binding = binding,
        .agent = "claude",
        .args = args,
        .steps = (json_t *const[]){ args },
        .preview = pairs,
        .reason = pairs ? NULL : "the connector took too long",
    };

    assert_non_null(args);
    assert_int_equal(card_make(&facts, &card), 0);
    return card;
}

#define ARGS  "{\"start\":\"2026-06-02T14:00:00+02:00\",\"end\":\"2026-06-02T15:30:00+02:00\",\"guests\":[\"a\"]}"
#define PAIRS "[[\"To\",\"x\"],[\"Body\",\"text.\"]]"

static const char *input(const json_t *card, size_t i)
{
    return json_string_value(json_array_get(json_array_get(json_object_get(card, "inputs"), i), 1));
}

static void test_what_a_card_shows(void **state)
{
    CLEANUP_JSON json_t *card = make(ARGS, PAIRS, "h1", "g-1"), *blind = make(ARGS, NULL, "h1", "g-1");
    const json_t *preview = json_object_get(card, "preview"), *none = json_object_get(blind, "preview");

    assert_string_equal(json_get_str(card, "title"), "Make event");
    assert_string_equal(json_get_str(card, "badge"), "ACTION");
    assert_string_equal(input(card, 0), "2026-06-02T14:00:00+02:00 = Tuesday 02 June 2026, 13:00:00 CET (UTC+0100)");
    assert_string_equal(
        input(card, 1), "2026-06-02T15:30:00+02:00 = Tuesday 02 June 2026, 14:30:00 CET (UTC+0100), 1 h 30 min after Start");
    assert_string_equal(input(card, 2), "[\"a\"]");
    assert_string_equal(input(card, 3), "(not given)");
    assert_string_equal(json_get_str(preview, "state"), "available");
    assert_string_equal(json_get_str(none, "state"), "unavailable");
    assert_string_equal(json_get_str(none, "reason"), "the connector took too long");
    assert_int_equal(json_array_size(json_object_get(preview, "multiline")), 1);
    assert_null(json_object_get(card, "folder"));
}

/* Every sealed thing changed by the least: another seal and one difference that names it. */
static void test_seal_and_difference_agree(void **state)
{
    static const struct {
        const char *args, *pairs, *hash, *binding, *label;
    } rows[] = {
        { ARGS, PAIRS, "h2", "g-1", "Action" },
        { ARGS, PAIRS, "h1", "g-2", "Binding" },
        { ARGS, "[[\"To\",\"x\"],[\"Body\",\"text!\"]]", "h1", "g-1", "Body" },
        { ARGS, "[[\"To\",\"x\\u200b\"],[\"Body\",\"text.\"]]", "h1", "g-1", "To" },
        { ARGS, "[[\"To\",\"x\"]]", "h1", "g-1", "Body" },
        { ARGS, NULL, "h1", "g-1", "Preview" },
        { "{\"start\":\"x\",\"end\":\"y\",\"guests\":[]}", PAIRS, "h1", "g-1", "Arguments of step 1" },
    };
    CLEANUP_JSON json_t *card = make(ARGS, PAIRS, "h1", "g-1"), *again = make(ARGS, PAIRS, "h1", "g-1");
    CLEANUP_JSON json_t *nothing = card_difference(card, again);
    char seal[SHA256_TAGGED_MAX], other_seal[SHA256_TAGGED_MAX];

    assert_int_equal(card_seal(card, seal), 0);
    assert_int_equal(card_seal(again, other_seal), 0);
    assert_string_equal(seal, other_seal);
    assert_int_equal(json_array_size(nothing), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CLEANUP_JSON json_t *other = make(rows[i].args, rows[i].pairs, rows[i].hash, rows[i].binding);
        CLEANUP_JSON json_t *list = card_difference(card, other);

        assert_int_equal(card_seal(other, other_seal), 0);
        assert_string_not_equal(seal, other_seal);
        assert_int_equal(json_array_size(list), 1);
        assert_string_equal(json_get_str(json_array_get(list, 0), "label"), rows[i].label);
    }
}

/* Why a preview is unavailable is not sealed: another reason is not another thing to decide. */
static void test_the_reason_is_not_sealed(void **state)
{
    CLEANUP_JSON json_t *one = make(ARGS, NULL, "h1", ""), *two = make(ARGS, NULL, "h1", "");
    char a[SHA256_TAGGED_MAX], b[SHA256_TAGGED_MAX];

    json_object_set_new(json_object_get(two, "preview"), "reason", json_string("another"));
    assert_int_equal(card_seal(one, a), 0);
    assert_int_equal(card_seal(two, b), 0);
    assert_string_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_card_shows),
        cmocka_unit_test(test_seal_and_difference_agree),
        cmocka_unit_test(test_the_reason_is_not_sealed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
