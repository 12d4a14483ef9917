/*
 * Two tables: verbs, by the first word of an operation's name, and nouns, by any of
 * the other words. Everything an operation may do is told under its verb; where a gate
 * is missing from one of several ways to the same operation, it counts as missing.
 */
#include "broker/consent.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define SENTENCE_MAX 4096
#define WORD_MAX     64

enum verb { VERB_READ, VERB_DRAFT, VERB_CREATE, VERB_CHANGE, VERB_SEND, VERB_DELETE, VERB_PAY, VERB_OTHER, VERB_COUNT };

static const struct {
    const char *can;      /* before the nouns */
    const char *after;    /* behind them */
    bool is_irreversible; /* loud without a gate */
} verbs[VERB_COUNT] = {
    [VERB_READ] = { "can read your", "", false },
    [VERB_DRAFT] = { "can write drafts of", "", false },
    [VERB_CREATE] = { "can create", "", true },
    [VERB_CHANGE] = { "can change your", "", true },
    [VERB_SEND] = { "can send", " as you", true },
    [VERB_DELETE] = { "can delete your", "", true },
    [VERB_PAY] = { "can spend money:", "", true },
    [VERB_OTHER] = { "can do", "", true },
};

static const struct {
    const char *word;
    enum verb verb;
} words[] = {
    { "list", VERB_READ },
    { "get", VERB_READ },
    { "read", VERB_READ },
    { "search", VERB_READ },
    { "find", VERB_READ },
    { "preview", VERB_READ },
    { "fetch", VERB_READ },
    { "show", VERB_READ },
    { "check", VERB_READ },
    { "count", VERB_READ },
    { "query", VERB_READ },
    { "lookup", VERB_READ },
    { "download", VERB_READ },
    { "export", VERB_READ },
    { "draft", VERB_DRAFT },
    { "create", VERB_CREATE },
    { "add", VERB_CREATE },
    { "insert", VERB_CREATE },
    { "upload", VERB_CREATE },
    { "write", VERB_CREATE },
    { "book", VERB_CREATE },
    { "schedule", VERB_CREATE },
    { "open", VERB_CREATE },
    { "update", VERB_CHANGE },
    { "edit", VERB_CHANGE },
    { "set", VERB_CHANGE },
    { "move", VERB_CHANGE },
    { "rename", VERB_CHANGE },
    { "patch", VERB_CHANGE },
    { "mark", VERB_CHANGE },
    { "archive", VERB_CHANGE },
    { "label", VERB_CHANGE },
    { "accept", VERB_CHANGE },
    { "decline", VERB_CHANGE },
    { "close", VERB_CHANGE },
    { "merge", VERB_CHANGE },
    { "send", VERB_SEND },
    { "post", VERB_SEND },
    { "reply", VERB_SEND },
    { "forward", VERB_SEND },
    { "publish", VERB_SEND },
    { "share", VERB_SEND },
    { "invite", VERB_SEND },
    { "comment", VERB_SEND },
    { "message", VERB_SEND },
    { "delete", VERB_DELETE },
    { "remove", VERB_DELETE },
    { "trash", VERB_DELETE },
    { "purge", VERB_DELETE },
    { "cancel", VERB_DELETE },
    { "clear", VERB_DELETE },
    { "revoke", VERB_DELETE },
    { "pay", VERB_PAY },
    { "transfer", VERB_PAY },
    { "buy", VERB_PAY },
    { "order", VERB_PAY },
    { "purchase", VERB_PAY },
};

static const struct {
    const char *word, *noun;
} nouns[] = {
    { "email", "mail" },
    { "emails", "mail" },
    { "mail", "mail" },
    { "mails", "mail" },
    { "inbox", "mail" },
    { "draft", "mail" },
    { "drafts", "mail" },
    { "thread", "mail" },
    { "threads", "mail" },
    { "event", "calendar events" },
    { "events", "calendar events" },
    { "calendar", "calendar" },
    { "calendars", "calendar" },
    { "contact", "contacts" },
    { "contacts", "contacts" },
    { "file", "files" },
    { "files", "files" },
    { "folder", "files" },
    { "folders", "files" },
    { "document", "documents" },
    { "documents", "documents" },
    { "issue", "issues" },
    { "issues", "issues" },
    { "pull", "pull requests" },
    { "message", "messages" },
    { "messages", "messages" },
    { "task", "tasks" },
    { "tasks", "tasks" },
};

enum gate { GATE_NONE, GATE_SOME, GATE_ALL };

/* What is known of one verb. */
struct group {
    json_t *nouns, *open; /* lists of different texts: of all operations; operations that run without asking */
    size_t gated, ungated, unenforced;
};

/* ---- names of operations ---- */

static size_t word_next(const char *op, size_t at, char out[WORD_MAX])
{
    size_t len = strcspn(op + at, "_-.");

    snprintf(out, WORD_MAX, "%.*s", (int) (len < WORD_MAX ? len : WORD_MAX - 1), op + at);
    at += len;
    return op[at] ? at + 1 : at;
}

static enum verb verb_of(const char *op)
{
    char word[WORD_MAX];

    word_next(op, 0, word);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(words[i].word, word))
            return words[i].verb;
    return VERB_OTHER;
}

/* The noun that a word stands for, or NULL. */
static const char *noun_known(const char *word, enum verb verb)
{
    for (size_t i = 0; i < ARRAY_LEN(nouns); i++)
        if (!strcmp(nouns[i].word, word))
            return verb == VERB_READ && !strcmp(nouns[i].noun, "calendar events") ? "calendar" : nouns[i].noun;
    return NULL;
}

/* The thing that the operation is about: the last noun of its name (create_calendar_event); its own words when there is none. */
static void noun_of(const char *op, enum verb verb, char out[WORD_MAX])
{
    const char *noun = NULL, *known = NULL;
    char word[WORD_MAX];
    size_t first = word_next(op, 0, word);

    for (size_t at = first; op[at];) {
        at = word_next(op, at, word);
        known = noun_known(word, verb);
        noun = known ? known : noun;
    }
    snprintf(out, WORD_MAX, "%.60s", noun ? noun : verb == VERB_OTHER || !op[first] ? op : op + first);
    for (char *c = out; verb != VERB_OTHER && *c; c++)
        if (*c == '_' || *c == '-')
            *c = ' ';
}

static bool list_has(const json_t *list, const char *text)
{
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach(list, i, item)
    {
        if (!strcmp(json_string_value(item), text))
            return true;
    }
    return false;
}

static int list_add(json_t *list, const char *text)
{
    return list_has(list, text) ? 0 : json_array_append_new(list, json_string(text));
}

/* ---- sentences ---- */

static void groups_free(struct group (*groups)[VERB_COUNT])
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        json_decref((*groups)[i].nouns);
        json_decref((*groups)[i].open);
    }
}

static int group_add(struct group *group, enum verb verb, const json_t *operation)
{
    const char *op = json_get_str(operation, "op");
    char noun[WORD_MAX];

    if (!group->nouns)
        group->nouns = json_array();
    if (!group->open)
        group->open = json_array();
    noun_of(op, verb, noun);
    if (!group->nouns || !group->open || list_add(group->nouns, noun) < 0)
        return -ENOMEM;
    group->unenforced += verb == VERB_READ && !json_is_true(json_object_get(operation, "read_only"));
    if (json_is_true(json_object_get(operation, "gated"))) {
        group->gated++;
        return 0;
    }
    group->ungated++;
    return list_add(group->open, op);
}

static int groups_make(const json_t *subject, struct group groups[VERB_COUNT])
{
    const json_t *operation = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(subject, "operations"), i, operation)
    {
        const char *op = json_get_str(operation, "op");
        enum verb verb = op ? verb_of(op) : VERB_OTHER;

        if (op && group_add(&groups[verb], verb, operation) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* "a", "a and b", "a, b and c". */
static int texts_join(const json_t *list, struct buf *out)
{
    size_t len = json_array_size(list);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < len; i++)
        r = buf_printf(out, "%s%s", i == 0 ? "" : i + 1 == len ? " and " : ", ", json_string_value(json_array_get(list, i)));
    return r;
}

static int say(json_t *list, const char *level, const struct buf *text)
{
    return json_array_append_new(list, json_pack("{s:s, s:s}", "text", buf_str(text), "level", level)) < 0 ? -ENOMEM : 0;
}

static int say_text(json_t *list, const char *level, const char *text)
{
    return json_array_append_new(list, json_pack("{s:s, s:s}", "text", text, "level", level)) < 0 ? -ENOMEM : 0;
}

static int group_say(json_t *list, enum verb verb, const struct group *group)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SENTENCE_MAX);
    bool loud = verbs[verb].is_irreversible && group->ungated > 0;
    int r = buf_printf(&text, "%s ", verbs[verb].can);

    if (r == 0)
        r = texts_join(group->nouns, &text);
    if (r == 0)
        r = buf_add_str(&text, verbs[verb].after);
    if (r == 0 && group->ungated == 0)
        r = buf_add_str(&text, ", each time only after you approve");
    if (r == 0 && loud)
        r = buf_add_str(&text, group->gated ? ", partly WITHOUT asking you: " : " WITHOUT asking you: ");
    if (r == 0 && loud)
        r = texts_join(group->open, &text);
    return r < 0 ? r : say(list, loud ? "warn" : group->ungated == 0 ? "good" : "plain", &text);
}

static bool is_any_said(const struct group groups[VERB_COUNT])
{
    bool any = false;

    for (size_t i = 0; i < VERB_COUNT; i++)
        any |= groups[i].nouns != NULL;
    return any;
}

/* What follows from the absence of operations; said only of what people fear. */
static int absent_say(json_t *list, const struct group groups[VERB_COUNT])
{
    static const struct {
        enum verb verb;
        const char *what;
    } feared[] = { { VERB_SEND, "send" }, { VERB_DELETE, "delete" }, { VERB_PAY, "spend money" } };
    CLEANUP_JSON json_t *cannot = json_array();
    CLEANUP(buf_free) struct buf text = BUF_INIT(SENTENCE_MAX);
    int r = cannot ? 0 : -ENOMEM;

    /* A connector alone: its operations are only known by the actions that use them. */
    if (!is_any_said(groups))
        return say_text(list, "plain", "does nothing by itself: what agents may do with it is up to the actions that you add");
    /* An operation whose name says nothing may do anything. */
    if (groups[VERB_OTHER].nouns)
        return 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(feared); i++)
        if (!groups[feared[i].verb].nouns)
            r = json_array_append_new(cannot, json_string(feared[i].what));
    if (r < 0 || json_array_size(cannot) == 0)
        return r;
    r = buf_add_str(&text, "cannot ");
    for (size_t i = 0; r == 0 && i < json_array_size(cannot); i++)
        r = buf_printf(&text, "%s%s",
            i == 0                             ? ""
            : i + 1 == json_array_size(cannot) ? " or "
                                               : ", ",
            json_string_value(json_array_get(cannot, i)));
    return r < 0 ? r : say(list, "good", &text);
}

static int hosts_say(json_t *list, const json_t *hosts)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SENTENCE_MAX);
    CLEANUP_JSON json_t *names = json_array();
    const json_t *host = NULL;
    size_t i = 0;
    int r = names ? 0 : -ENOMEM;

    if (json_array_size(hosts) == 0)
        return say_text(list, "good", "connects to nothing");
    json_array_foreach(hosts, i, host)
    {
        const char *name = json_string_value(host);
        size_t len = strlen(name);

        /* The usual port says nothing to a person. */
        if (len > 4 && !strcmp(name + len - 4, ":443"))
            len -= 4;
        if (r == 0)
            r = json_array_append_new(names, json_stringn(name, len));
    }
    if (r == 0)
        r = buf_add_str(&text, "connects only to ");
    if (r == 0)
        r = texts_join(names, &text);
    return r < 0 ? r : say(list, "plain", &text);
}

static int scopes_say(json_t *list, const json_t *scopes)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SENTENCE_MAX);
    int r = 0;

    if (json_array_size(scopes) == 0)
        return 0;
    r = buf_add_str(&text, "asks the account for ");
    if (r == 0)
        r = texts_join(scopes, &text);
    return r < 0 ? r : say(list, "plain", &text);
}

static int all_say(json_t *list, const json_t *subject, const struct group groups[VERB_COUNT])
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < VERB_COUNT; i++)
        if (groups[i].nouns)
            r = group_say(list, (enum verb) i, &groups[i]);
    if (r == 0 && groups[VERB_READ].unenforced > 0)
        r = say_text(
            list, "plain", "that reading is only reading is its publisher's word: not all of these actions say read_only");
    if (r == 0)
        r = absent_say(list, groups);
    if (r == 0)
        r = hosts_say(list, json_object_get(subject, "hosts"));
    return r < 0 ? r : scopes_say(list, json_object_get(subject, "scopes"));
}

json_t *consent_sentences(const json_t *subject)
{
    CLEANUP(groups_free) struct group groups[VERB_COUNT] = { { 0 } };
    CLEANUP_JSON json_t *list = json_array();

    if (!list || groups_make(subject, groups) < 0 || all_say(list, subject, groups) < 0)
        return NULL;
    return TAKE_PTR(list);
}

/* ---- changes ---- */

static enum gate gate_of(const json_t *subject, const char *op, bool *ret_known)
{
    const json_t *operation = NULL;
    size_t i = 0, gated = 0, open = 0;

    json_array_foreach(json_object_get(subject, "operations"), i, operation)
    {
        const char *other = json_get_str(operation, "op");
        bool is_gated = json_is_true(json_object_get(operation, "gated"));

        if (other && !strcmp(other, op)) {
            gated += is_gated;
            open += !is_gated;
        }
    }
    *ret_known = gated + open > 0;
    return open == 0 ? GATE_ALL : gated == 0 ? GATE_NONE : GATE_SOME;
}

static int change(json_t *list, const char *level, const char *format, const char *what)
{
    return json_array_append_new(list, json_pack("{s:o, s:s}", "text", json_sprintf(format, what), "level", level)) < 0 ? -ENOMEM
                                                                                                                        : 0;
}

static int gates_vanished(json_t *list, const json_t *before, const json_t *after)
{
    CLEANUP_JSON json_t *told = json_array();
    const json_t *operation = NULL;
    size_t i = 0;
    int r = told ? 0 : -ENOMEM;

    json_array_foreach(json_object_get(after, "operations"), i, operation)
    {
        const char *op = json_get_str(operation, "op");
        bool was_known = false, is_known = false;

        if (r < 0 || !op || list_has(told, op))
            continue;
        r = list_add(told, op);
        if (r == 0 && gate_of(before, op, &was_known) == GATE_ALL && was_known && gate_of(after, op, &is_known) != GATE_ALL)
            r = change(list, "loud", "%s will run WITHOUT asking you; until now it asked every time", op);
    }
    return r;
}

/* Texts of `key` that are in one and not in the other. */
static int texts_new(json_t *list, const char *level, const json_t *one, const json_t *other, const char *key, const char *format)
{
    const json_t *item = NULL;
    size_t i = 0;
    int r = 0;

    json_array_foreach(json_object_get(one, key), i, item)
    {
        if (r == 0 && json_is_string(item) && !list_has(json_object_get(other, key), json_string_value(item)))
            r = change(list, level, format, json_string_value(item));
    }
    return r;
}

static int operations_new(json_t *list, const char *level, const json_t *one, const json_t *other, const char *format)
{
    CLEANUP_JSON json_t *told = json_array();
    const json_t *operation = NULL;
    size_t i = 0;
    int r = told ? 0 : -ENOMEM;

    json_array_foreach(json_object_get(one, "operations"), i, operation)
    {
        const char *op = json_get_str(operation, "op");
        bool known = false;

        if (r < 0 || !op || list_has(told, op))
            continue;
        r = list_add(told, op);
        gate_of(other, op, &known);
        if (r == 0 && !known) {
            bool here = false;
            bool open = gate_of(one, op, &here) != GATE_ALL;

            r = change(list, level && open && verbs[verb_of(op)].is_irreversible ? "loud" : "plain", format, op);
        }
    }
    return r;
}

json_t *consent_changes(const json_t *before, const json_t *after)
{
    CLEANUP_JSON json_t *list = json_array();
    int r = list ? gates_vanished(list, before, after) : -ENOMEM;

    if (r == 0)
        r = texts_new(list, "loud", after, before, "hosts", "it will also connect to %s");
    if (r == 0)
        r = operations_new(list, "loud", after, before, "new operation: %s");
    if (r == 0)
        r = texts_new(list, "plain", after, before, "scopes", "it will also ask the account for %s");
    if (r == 0)
        r = operations_new(list, NULL, before, after, "no longer: %s");
    if (r == 0)
        r = texts_new(list, "plain", before, after, "hosts", "it will no longer connect to %s");
    if (r == 0)
        r = texts_new(list, "plain", before, after, "scopes", "it will no longer ask the account for %s");
    return r < 0 ? NULL : TAKE_PTR(list);
}
