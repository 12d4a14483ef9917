/* Cards on a terminal. The order is the page's: what changed, what will happen, exactly what runs, who asks, what became of it. */
#include "cli/card-show.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/print.h"
#include "cli/visible.h"

#include <string.h>

#include "base/banned.h"

#define AGENT_MAX 256

static const struct {
    const char *state, *words;
    enum style style;
    bool over;
} STATES[] = {
    { "pending", "waiting for you", STYLE_WARN, false },
    { "approved", "approved", STYLE_GOOD, false },
    { "running", "running", STYLE_GOOD, false },
    { "completed", "done", STYLE_GOOD, true },
    { "failed", "failed", STYLE_BAD, true },
    { "unknown", "outcome unknown", STYLE_BAD, true },
    { "denied", "denied", STYLE_PLAIN, true },
    { "expired", "expired", STYLE_PLAIN, true },
    { "cancelled", "cancelled", STYLE_PLAIN, true },
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

bool card_is(const json_t *approval, const char *state)
{
    return !strcmp(text_of(approval, "state"), state);
}

bool card_is_over(const json_t *approval)
{
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++)
        if (card_is(approval, STATES[i].state))
            return STATES[i].over;
    return false;
}

bool card_is_unresolved(const json_t *approval)
{
    return card_is(approval, "unknown") && !json_object_get(approval, "resolved_at");
}

const char *card_state_words(const json_t *approval, enum style *ret_style)
{
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++)
        if (card_is(approval, STATES[i].state)) {
            bool resolved = card_is(approval, "unknown") && !card_is_unresolved(approval);

            if (ret_style)
                *ret_style = resolved ? STYLE_PLAIN : STATES[i].style;
            return resolved ? "outcome unknown, resolved" : STATES[i].words;
        }
    if (ret_style)
        *ret_style = STYLE_PLAIN;
    return text_of(approval, "state");
}

const char *card_title(const json_t *approval)
{
    const char *title = json_get_str(approval, "title"), *action = json_get_str(approval, "action");

    return title ? title : action ? action : "an action that was forgotten";
}

int card_asker(const json_t *approval, struct buf *out)
{
    const char *agent = text_of(approval, "agent");
    int r = buf_add_str(out, *text_of(approval, "session_id") ? "agent " : "you");

    return r < 0 || !*text_of(approval, "session_id") ? r : text_visible(agent, strnlen(agent, AGENT_MAX), false, out);
}

char *card_ago(const char *rfc3339, int64_t now_unix_ms, char out[64])
{
    char duration[PRINT_TIME_MAX];
    int64_t unix_ms, ms;

    out[0] = '\0';
    if (!rfc3339 || clock_parse(rfc3339, &unix_ms) < 0)
        return out;
    ms = now_unix_ms - unix_ms;
    print_duration((ms < 0 ? -ms : ms) / 1000, duration);
    snprintf(out, 64, ms < 0 ? "in %s" : "%s ago", duration);
    return out;
}

/* --- parts --- */

static void add_blank(struct lines *lines)
{
    lines_add(lines, STYLE_PLAIN, "");
}

static void add_head(struct lines *lines, const char *text)
{
    add_blank(lines);
    lines_add(lines, STYLE_BOLD, text);
}

static void add_time(struct lines *lines, const char *label, const char *rfc3339, int64_t now)
{
    char local[PRINT_TIME_MAX], ago[64], text[PRINT_TIME_MAX + 80];

    if (!rfc3339)
        return;
    print_local_time(rfc3339, local);
    card_ago(rfc3339, now, ago);
    snprintf(text, sizeof text, ago[0] && now ? "%s (%s)" : "%s", local, ago);
    lines_field(lines, label, text, false);
}

/* One line with foreign words in it. */
static void add_mixed(struct lines *lines, enum style style, const char *before, const char *foreign, const char *after)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1024 * 1024);

    buf_add_str(&text, before);
    text_visible(foreign, strlen(foreign), false, &text);
    buf_add_str(&text, after);
    lines_say(lines, style, buf_str(&text));
}

static bool is_multiline(const json_t *preview, const char *label)
{
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *) json_object_get(preview, "multiline"), i,
        item) if (json_is_string(item) && !strcmp(json_string_value(item), label)) return true;
    return false;
}

static void add_pairs(struct lines *lines, const json_t *pairs, const json_t *preview)
{
    const json_t *pair;
    size_t i;

    json_array_foreach((json_t *) pairs, i, pair)
    {
        const char *label = json_string_value(json_array_get(pair, 0)), *text = json_string_value(json_array_get(pair, 1));

        if (label)
            lines_field(lines, label, text ? text : "", is_multiline(preview, label));
    }
}

static void add_shown(struct lines *lines, const json_t *approval)
{
    const json_t *preview = json_object_get(approval, "preview"), *inputs = json_object_get(approval, "inputs");
    const char *state = text_of(preview, "state"), *reason = json_get_str(preview, "reason");

    if (!strcmp(state, "available")) {
        add_head(lines, "What will happen");
        add_pairs(lines, json_object_get(preview, "pairs"), preview);
        return;
    }
    add_head(lines, "What the agent gave");
    if (!strcmp(state, "unavailable"))
        add_mixed(lines, STYLE_WARN, "  There is no preview: ", reason ? reason : "it could not be fetched", "");
    if (json_array_size(inputs))
        add_pairs(lines, inputs, NULL);
    else
        lines_add(lines, STYLE_PLAIN, "  Nothing.");
}

static void add_arguments(struct lines *lines, const json_t *approval)
{
    const json_t *step;
    size_t i;

    add_head(lines, "Exact arguments");
    json_array_foreach(json_object_get(approval, "arguments"), i, step)
    {
        add_mixed(lines, STYLE_PLAIN, "  ", text_of(step, "op"), "");
        lines_json(lines, json_object_get(step, "args"));
    }
}

static void add_joined(struct lines *lines, const char *label, const char *first, const char *between, const char *second)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1024 * 1024);

    if (!*first)
        return;
    buf_printf(&text, "%s%s%s", first, *second ? between : "", second);
    lines_field(lines, label, buf_str(&text), false);
}

static void add_asker(struct lines *lines, const json_t *approval, int64_t now)
{
    const json_t *connector = json_object_get(approval, "connector");
    const char *binding = text_of(approval, "binding"), *session = text_of(approval, "session_id");

    add_head(lines, "Who asks, and what runs");
    lines_field(lines, *session ? "Agent" : "Owner", *session ? json_get_str(approval, "agent") : "you, by a command", false);
    lines_field(lines, "Session", *session ? session : NULL, false);
    lines_field(lines, "Folder", json_get_str(approval, "folder"), false);
    add_time(lines, "Since", json_get_str(approval, "requested_at"), now);
    add_time(lines, "Expires", card_is(approval, "pending") ? json_get_str(approval, "expires_at") : NULL, now);
    add_joined(lines, "Action", text_of(approval, "action"), " ", text_of(approval, "version"));
    add_joined(lines, "Connector", text_of(connector, "fqn"), "@", text_of(connector, "version"));
    lines_field(lines, "Account", *binding ? binding : NULL, false);
    lines_field(lines, "Approval", json_get_str(approval, "id"), false);
    lines_field(lines, "Seal", json_get_str(approval, "seal"), false);
}

static void add_warnings(struct lines *lines, const json_t *approval, int64_t now)
{
    const json_t *before = json_object_get(approval, "before");
    char local[PRINT_TIME_MAX], ago[64];

    if (json_is_object(before))
        lines_addf(lines, STYLE_WARN, "! The same was done before, %s (%s): aileron approval show %s",
            print_local_time(json_get_str(before, "at"), local), card_ago(json_get_str(before, "at"), now, ago),
            print_suffix(json_get_str(before, "id")));
    if (card_is(approval, "pending") && json_is_true(json_object_get(approval, "client_gone")))
        lines_say(lines, STYLE_WARN,
            "! The agent has stopped waiting. If you approve, it still runs once, and the answer is kept for it.");
    if (json_is_true(json_object_get(approval, "needs_ticket")))
        lines_say(lines, STYLE_WARN,
            "! This agent runs as you, without a fence: approving it takes the vault's passphrase, so that it was you.");
}

void card_show_difference(struct lines *lines, const json_t *approval)
{
    const json_t *rows = json_object_get(approval, "difference"), *row;
    size_t i;

    if (!json_array_size(rows))
        return;
    lines_say(lines, STYLE_BAD, "! This changed since it was asked. Nothing was done. Look again, then decide.");
    json_array_foreach((json_t *) rows, i, row)
    {
        add_mixed(lines, STYLE_BOLD, "  ", text_of(row, "label"), "");
        lines_field(lines, "before", text_of(row, "before"), false);
        lines_field(lines, "now", text_of(row, "after"), false);
    }
}

static void add_json(struct lines *lines, const char *head, const json_t *json)
{
    if (!json)
        return;
    add_head(lines, head);
    lines_json(lines, json);
}

void card_show_outcome(struct lines *lines, const json_t *approval)
{
    const char *session = text_of(approval, "session_id");
    enum style style;
    const char *words = card_state_words(approval, &style);

    if (card_is(approval, "pending"))
        return;
    add_head(lines, "What became of it");
    lines_addf(lines, style, "  %s", words);
    if (card_is(approval, "approved"))
        lines_say(lines, STYLE_PLAIN, "  It runs as soon as it can; a locked vault holds it up (aileron vault unlock).");
    lines_field(lines, "Reason", json_get_str(approval, "reason"), false);
    add_time(lines, "Decided", json_get_str(approval, "decided_at"), 0);
    add_time(lines, "Finished", json_get_str(approval, "finished_at"), 0);
    add_time(lines, *session ? "Collected" : "Answered", json_get_str(approval, "collected_at"), 0);
    add_time(lines, "Resolved", json_get_str(approval, "resolved_at"), 0);
    add_json(lines, "Failure", json_object_get(approval, "failure"));
    add_json(lines, "Answer", json_object_get(approval, "output"));
    if (card_is_unresolved(approval)) {
        add_blank(lines);
        lines_say(lines, STYLE_BAD,
            "The request may have left, and no answer was seen. It is never run again by itself. Look at the service, then say "
            "that you know:");
        lines_addf(lines, STYLE_BAD, "    aileron approval resolve %s", print_suffix(json_get_str(approval, "id")));
    }
}

void card_show(struct lines *lines, const json_t *approval, int64_t now)
{
    CLEANUP(buf_free) struct buf head = BUF_INIT(1024 * 1024);
    enum style style;
    const char *words = card_state_words(approval, &style), *badge = text_of(approval, "badge");
    char ago[64];

    text_visible(badge, strlen(badge), false, &head);
    buf_add_str(&head, *badge ? "  " : "");
    text_visible(card_title(approval), strlen(card_title(approval)), false, &head);
    lines_say(lines, STYLE_BOLD, buf_str(&head));
    lines_add(lines, style, words);
    card_ago(json_get_str(approval, "requested_at"), now, ago);
    buf_reset(&head);
    buf_printf(&head, *ago ? " asks, %s" : " asks", ago);
    if (!*text_of(approval, "session_id")) /* an agent may call itself what it likes */
        lines_addf(lines, STYLE_PLAIN, *ago ? "You ask, %s" : "You ask", ago);
    else
        add_mixed(lines, STYLE_PLAIN, "The agent ", text_of(approval, "agent"), buf_str(&head));
    card_show_difference(lines, approval);
    add_warnings(lines, approval, now);
    if (json_object_get(approval, "arguments")) {
        add_shown(lines, approval);
        add_arguments(lines, approval);
    } else {
        lines_say(
            lines, STYLE_DIM, "What it said was forgotten a day after its end was collected; the audit log knows what was done.");
    }
    add_asker(lines, approval, now);
    card_show_outcome(lines, approval);
}
