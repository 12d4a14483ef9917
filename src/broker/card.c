/* Cards: what is on them, the seal over it, and how two of them differ. */
#include "broker/card.h"

#include "approval/approval.h"
#include "broker/preview.h"
#include "base/clock.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define TEXT_MAX     ((size_t) 8 * 1024 * 1024)
#define NOT_GIVEN    "(not given)"
#define TIME_MAX     160
#define DURATION_MAX 64

static const char *const BADGES[] = {
    [APPROVAL_ACTION] = "ACTION",
    [APPROVAL_COMMS_SEND] = "COMMS SEND",
    [APPROVAL_COMMS_DRAFT] = "COMMS DRAFT",
    [APPROVAL_HTTP_REQUEST] = "HTTP REQUEST",
};

/* --- inputs --- */

static void duration_text(int64_t ms, char out[DURATION_MAX])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };
    size_t n = 0;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t count = ms / units[i].ms;

        if (!count)
            continue;
        n += (size_t) snprintf(out + n, DURATION_MAX - n, "%s%lld %s", n ? " " : "", (long long) count, units[i].name);
        ms -= count * units[i].ms;
    }
}

/* The time of an earlier input, from which a later one is counted. */
struct time_before {
    int64_t unix_ms;
    const char *label; /* NULL: none yet */
};

/* A time as it was written, then as this machine's clock on the wall would show it. */
static json_t *time_text(const char *written, int64_t unix_ms, const struct time_before *before)
{
    time_t seconds = (time_t) (unix_ms / 1000);
    char local[TIME_MAX], duration[DURATION_MAX];
    struct tm tm;

    if (!localtime_r(&seconds, &tm) || !strftime(local, sizeof local, "%A %d %B %Y, %H:%M:%S %Z (UTC%z)", &tm))
        return json_string(written);
    if (!before->label || unix_ms - before->unix_ms < 1000)
        return json_sprintf("%s = %s", written, local);
    duration_text(unix_ms - before->unix_ms, duration);
    return json_sprintf("%s = %s, %s after %s", written, local, duration, before->label);
}

static json_t *input_text(const json_t *value, const char *label, struct time_before *before)
{
    const char *text = json_string_value(value);
    int64_t unix_ms;

    if (!value)
        return json_string(NOT_GIVEN);
    if (!text) {
        CLEANUP_FREE char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        return json ? json_string(json) : NULL;
    }
    if (strlen(text) > CLOCK_TEXT_MAX || clock_parse(text, &unix_ms) < 0)
        return json_string(text);
    json_t *said = time_text(text, unix_ms, before);
    if (!before->label)
        *before = (struct time_before){ unix_ms, label };
    return said;
}

static json_t *inputs_json(const struct action *action, const json_t *args)
{
    json_t *inputs = json_array();
    struct time_before before = { 0, NULL };

    for (size_t i = 0; i < action->inputs_len; i++) {
        const struct action_input *input = &action->inputs[i];
        const char *label = input->label ? input->label : input->name;
        json_t *pair = json_pack("[s, o]", label, input_text(json_object_get(args, input->name), label, &before));

        if (json_array_append_new(inputs, pair) < 0) {
            json_decref(inputs);
            return NULL;
        }
    }
    return inputs;
}

/* --- the card --- */

/* "send-draft" → "Send draft" */
static json_t *title_json(const char *name)
{
    char title[ACTION_NAME_MAX + 1];

    snprintf(title, sizeof title, "%s", name);
    for (char *c = title; *c; c++)
        if (strchr("-_.", *c))
            *c = ' ';
    title[0] = (char) toupper((unsigned char) title[0]);
    return json_string(title);
}

static json_t *preview_json(const struct card_facts *facts)
{
    const struct action_preview *preview = facts->action->preview;
    const char *state = !preview ? "none" : facts->preview ? "available" : "unavailable";
    json_t *multiline = json_array();
    json_t *pairs = preview && facts->preview ? json_deep_copy(facts->preview) : json_array();

    for (size_t i = 0; preview && i < preview->multiline_len; i++)
        json_array_append_new(multiline, json_string(preview->multiline[i]));
    json_t *json = json_pack("{s:s, s:o, s:o}", "state", state, "pairs", pairs, "multiline", multiline);
    if (json && preview && !facts->preview && facts->reason)
        json_object_set_new(json, "reason", json_string(facts->reason));
    return json;
}

static json_t *arguments_json(const struct card_facts *facts)
{
    json_t *arguments = json_array();

    for (size_t i = 0; i < facts->action->steps_len; i++) {
        json_t *step = json_pack("{s:s, s:o}", "op", facts->action->steps[i].op, "args", json_deep_copy(facts->steps[i]));

        if (json_array_append_new(arguments, step) < 0) {
            json_decref(arguments);
            return NULL;
        }
    }
    return arguments;
}

int card_make(const struct card_facts *facts, json_t **ret_card)
{
    const struct action *action = facts->action;
    const struct action_require *require = action->steps[0].require;
    json_t *card = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:s, s:o, s:o, s:o}", "agent", facts->agent,
        "action", action->name, "version", action->version, "action_hash", facts->action_hash, "kind",
        approval_kind_name(action->kind), "badge", BADGES[action->kind], "title", title_json(action->name), "connector", "fqn",
        require->name, "version", require->version, "hash", require->hash, "binding", facts->binding, "preview",
        preview_json(facts), "inputs", inputs_json(action, facts->args), "arguments", arguments_json(facts));

    if (!card)
        return -ENOMEM;
    if (facts->folder && json_object_set_new(card, "folder", json_string(facts->folder)) < 0) {
        json_decref(card);
        return -ENOMEM;
    }
    *ret_card = card;
    return 0;
}

/* --- the seal --- */

/* NULL: unavailable, or there is none. */
static const json_t *shown_pairs(const json_t *card)
{
    const json_t *preview = json_object_get(card, "preview");
    const char *state = json_get_str(preview, "state");

    return state && !strcmp(state, "available") ? json_object_get(preview, "pairs") : NULL;
}

int card_seal(const json_t *card, char out[SHA256_TAGGED_MAX])
{
    const struct approval_seal seal = {
        .action = json_get_str(card, "action"),
        .action_hash = json_get_str(card, "action_hash"),
        .connector_hash = json_get_str(json_object_get(card, "connector"), "hash"),
        .binding = json_get_str(card, "binding"),
        .arguments = json_object_get(card, "arguments"),
        .preview = shown_pairs(card),
    };

    return approval_seal_make(&seal, out);
}

/* --- differences --- */

static void add_difference(json_t *list, const char *label, const char *before, const char *after)
{
    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "label", label, "before", before ? before : PREVIEW_MISSING, "after",
                                    after ? after : PREVIEW_MISSING));
}

static bool is_other(const char *before, const char *after)
{
    return !before || !after ? before != after : strcmp(before, after) != 0;
}

/* What is named by a version and known by a hash: both are said, for a file may change under one version. */
static void compare_hashed(json_t *list, const char *label, const json_t *before, const json_t *after, const char *hash)
{
    char texts[2][256 + SHA256_TAGGED_MAX];
    const json_t *const both[2] = { before, after };

    if (!is_other(json_get_str(before, hash), json_get_str(after, hash)))
        return;
    for (size_t i = 0; i < 2; i++)
        snprintf(texts[i], sizeof texts[i], "%.200s (%.80s)", json_get_str(both[i], "version"), json_get_str(both[i], hash));
    add_difference(list, label, texts[0], texts[1]);
}

static const char *pair_text(const json_t *pairs, const char *label)
{
    const json_t *pair;
    size_t index;

    json_array_foreach(pairs, index,
        pair) if (!is_other(json_string_value(json_array_get(pair, 0)), label)) return json_string_value(json_array_get(pair, 1));
    return NULL;
}

static void compare_pairs(json_t *list, const json_t *before, const json_t *after)
{
    const json_t *pair;
    size_t index;

    if (!before != !after) {
        add_difference(list, "Preview", before ? "available" : "unavailable", after ? "available" : "unavailable");
        return;
    }
    json_array_foreach(after, index, pair)
    {
        const char *label = json_string_value(json_array_get(pair, 0)), *text = json_string_value(json_array_get(pair, 1));
        const char *was = pair_text(before, label);

        if (is_other(was, text))
            add_difference(list, label, was, text);
    }
    json_array_foreach(before, index, pair)
    {
        const char *label = json_string_value(json_array_get(pair, 0));

        if (!pair_text(after, label))
            add_difference(list, label, json_string_value(json_array_get(pair, 1)), NULL);
    }
}

static void compare_arguments(json_t *list, const json_t *before, const json_t *after)
{
    size_t len = json_array_size(before) > json_array_size(after) ? json_array_size(before) : json_array_size(after);

    for (size_t i = 0; i < len; i++) {
        const json_t *was = json_array_get(before, i), *is = json_array_get(after, i);
        char label[64];

        if (json_equal(was, is))
            continue;
        CLEANUP_FREE char *was_text = was ? json_dumps(was, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        CLEANUP_FREE char *is_text = is ? json_dumps(is, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        snprintf(label, sizeof label, "Arguments of step %zu", i + 1);
        add_difference(list, label, was_text, is_text);
    }
}

json_t *card_difference(const json_t *before, const json_t *after)
{
    json_t *list = json_array();

    if (!list)
        return NULL;
    compare_hashed(list, "Action", before, after, "action_hash");
    compare_hashed(list, "Connector", json_object_get(before, "connector"), json_object_get(after, "connector"), "hash");
    if (is_other(json_get_str(before, "binding"), json_get_str(after, "binding")))
        add_difference(list, "Binding", json_get_str(before, "binding"), json_get_str(after, "binding"));
    compare_pairs(list, shown_pairs(before), shown_pairs(after));
    compare_arguments(list, json_object_get(before, "arguments"), json_object_get(after, "arguments"));
    return list;
}
