/* See the header. Marks stand beside every colour, so that nothing is told by colour alone. */
#include "cli/plan-show.h"

#include "base/magic.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/term.h"

#include <string.h>

#include "base/banned.h"

#define USUAL_MEMORY_MIB 64
#define WORDS_INDENT     8
#define WORDS_COLUMNS    400
#define NAME_COLUMNS     40

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static bool flag_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* ---- trust ---- */

void show_trust(const char *authority, const char *fingerprint, const char *url)
{
    fflush(stdout);
    fprintf(stderr, "\nThe publisher %s", term_style(stderr, STYLE_BOLD));
    term_put(stderr, authority);
    fprintf(stderr, "%s is not yet trusted.\n", term_end(stderr));
    if (url && *url) {
        fputs("Its key comes from keys/publisher.pub of its default branch:\n  ", stderr);
        term_put(stderr, url);
        fputc('\n', stderr);
    } else {
        fputs("Its key comes from the file that you gave.\n", stderr);
    }
    fprintf(stderr, "Fingerprint: %s%s%s\n", term_style(stderr, STYLE_BOLD), fingerprint, term_end(stderr));
    term_paragraph(stderr,
        "Compare it with what the publisher tells elsewhere. Whoever holds this key decides what can be installed under "
        "this name.",
        0);
    fputc('\n', stderr);
}

int show_trust_ask(struct cli *cli, const char *authority, bool *ret_yes)
{
    CLEANUP_FREE char *question = NULL;

    if (asprintf(&question, "Trust publisher %s?", authority) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return plan_ask(cli, question, ret_yes);
}

void show_trusted(const struct cli *cli, const char *authority, const char *fingerprint)
{
    fflush(stdout);
    fprintf(stderr, "%s✓%s Trusted publisher %s\n", term_style(stderr, STYLE_GOOD), term_end(stderr), authority);
    fprintf(stderr, "  Fingerprint: %s\n", fingerprint);
    fprintf(stderr, "  Keyring: %s/keyring.json\n", cli->home->path);
}

/* ---- facts ---- */

const char *show_badge(const char *kind)
{
    static const char *const BADGES[][2] = {
        { "comms_send", "COMMS SEND" },
        { "comms_draft", "COMMS DRAFT" },
        { "http_request", "HTTP REQUEST" },
    };

    for (size_t i = 0; i < ARRAY_LEN(BADGES); i++)
        if (!strcmp(kind, BADGES[i][0]))
            return BADGES[i][1];
    return "ACTION";
}

/* "✋ COMMS SEND" of one that asks, "" of one that runs by itself. */
static void put_gate(struct table *table, const json_t *action)
{
    if (flag_of(action, "gated"))
        table_cellf(table, "✋ %s", show_badge(text_of(action, "kind")));
    else
        table_cell(table, "");
}

/* "github://OWNER/REPO" of a name: who signs for it. */
static int authority_of(const char *fqn)
{
    const char *end = strstr(fqn, "://");

    for (unsigned slashes = 0; end && slashes < 2; slashes++)
        end = strchr(end + (slashes ? 1 : 3), '/');
    return end ? (int) (end - fqn) : (int) strlen(fqn);
}

static const char *signature_words(const json_t *item)
{
    const char *signature = text_of(item, "signature");

    return !strcmp(signature, "new_key") ? "valid, by the key shown above"
           : !strcmp(signature, "valid") ? "valid, by a key that you trust"
                                         : "NONE";
}

/*
 * What a publisher says of itself, under a line of ours: indented deeper than anything that is ours, also where it wraps, so that
 * no padding makes it look like a line of the daemon's.
 */
static void put_their_words(const char *text)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(1024 * 1024);
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(1024 * 1024);

    if (!text)
        return;
    text_clean(text, strlen(text), false, &clean);
    text_fit(buf_str(&clean), WORDS_COLUMNS, &fitted);
    fputs("in its publisher's words:\n", stderr);
    term_paragraph(stderr, buf_str(&fitted), WORDS_INDENT);
}

/* A name that a publisher gave itself: short, or it would push what is ours out of sight. */
static char *short_name(const char *name)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(1024 * 1024);
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(1024);

    text_clean(name, strlen(name), false, &clean);
    text_fit(buf_str(&clean), NAME_COLUMNS, &fitted);
    return buf_take(&fitted);
}

static void put_publisher(const json_t *item)
{
    CLEANUP_FREE char *publisher = NULL;
    const char *fqn = text_of(item, "fqn"), *claim = json_get_str(item, "publisher");
    CLEANUP_FREE char *own_name = claim ? short_name(claim) : NULL;

    if (asprintf(&publisher, "%.*s%s%s%s", authority_of(fqn), fqn, own_name ? " (calls itself " : "", own_name ? own_name : "",
            own_name ? ")" : "") < 0)
        return;
    print_field(stderr, "publisher", publisher);
    print_field(stderr, "signature", signature_words(item));
    if (json_get_str(item, "fingerprint"))
        print_field(stderr, "key", text_of(item, "fingerprint"));
    print_field(stderr, "hash", json_get_str(item, "hash"));
}

static void put_connector(const json_t *item)
{
    fputs("\nConnector ", stderr);
    term_put(stderr, text_of(item, "fqn"));
    fputc('@', stderr);
    term_put(stderr, text_of(item, "version"));
    fputs(flag_of(item, "already_installed") ? " (already installed)\n" : "\n", stderr);
    put_publisher(item);
    if (json_integer_value(json_object_get(item, "memory_mib")) > USUAL_MEMORY_MIB)
        print_fieldf(stderr, "memory", "up to %lld MiB", (long long) json_integer_value(json_object_get(item, "memory_mib")));
    put_their_words(json_get_str(item, "description"));
    if (flag_of(item, "wants_spawn"))
        fprintf(stderr, "%s⚠ wants to start programs on this machine, which this version does not let it%s\n",
            term_style(stderr, STYLE_WARN), term_end(stderr));
}

static void put_action_row(struct table *table, const json_t *action, bool with_publisher)
{
    const char *before = json_get_str(action, "updates");

    table_row(table);
    table_cell_style(table, text_of(action, "name"), STYLE_BOLD);
    if (before)
        table_cellf(table, "%s → %s", before, text_of(action, "version"));
    else
        table_cell(table, text_of(action, "version"));
    put_gate(table, action);
    table_cell(table, flag_of(action, "already_installed") ? "(installed already)" : json_get_str(action, "hash"));
    table_cell(table, text_of(action, "intent"));
    if (with_publisher)
        table_cellf(table, "%.*s", authority_of(text_of(action, "fqn")), text_of(action, "fqn"));
}

/* The first action of the same publisher as action number `index`. */
static size_t first_of_publisher(const json_t *actions, size_t index)
{
    const char *fqn = text_of(json_array_get(actions, index), "fqn");
    int len = authority_of(fqn);

    for (size_t i = 0; i < index; i++) {
        const char *other = text_of(json_array_get(actions, i), "fqn");

        if (authority_of(other) == len && !strncmp(fqn, other, (size_t) len))
            return i;
    }
    return index;
}

/* Each publisher in full, whatever the table had to cut. Returns how many. */
static size_t put_publishers(const json_t *actions, bool print)
{
    const json_t *action;
    size_t i, count = 0;

    json_array_foreach((json_t *) actions, i, action)
    {
        const char *fqn = text_of(action, "fqn");

        if (first_of_publisher(actions, i) != i)
            continue;
        count++;
        if (!print)
            continue;
        print_fieldf(stderr, "publisher", "%.*s", authority_of(fqn), fqn);
        print_field(stderr, "signature", signature_words(action));
    }
    return count;
}

static void put_actions(const json_t *actions)
{
    static const struct table_column COLUMNS[] = {
        { "ACTION", false, 12 },
        { "VERSION", false, 0 },
        { "GATE", false, 0 },
        { "HASH", false, 15 },
        { "WHAT IT IS FOR", false, 16 },
        { "PUBLISHER", false, 24 },
    };
    bool any_gated = false, with_publisher = put_publishers(actions, false) > 1;
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS) - !with_publisher);
    const json_t *action;
    size_t i;

    if (!table || !json_array_size(actions))
        return;
    json_array_foreach((json_t *) actions, i, action)
    {
        put_action_row(table, action, with_publisher);
        any_gated |= flag_of(action, "gated");
    }
    fputc('\n', stderr);
    table_print(table, stderr, term_width(stderr));
    if (any_gated)
        fputs("✋ asks you each time before it acts\n", stderr);
    put_publishers(actions, true);
}

static void put_marked(const char *mark, enum style style, const char *who, const char *text)
{
    fprintf(stderr, "  %s%s ", term_style(stderr, style), mark);
    if (who) {
        term_put(stderr, who);
        fputs(": ", stderr);
    }
    term_put(stderr, text);
    fprintf(stderr, "%s\n", term_end(stderr));
}

static void put_sentences(const json_t *sentences)
{
    const json_t *sentence;
    size_t i;

    json_array_foreach((json_t *) sentences, i, sentence)
    {
        const char *level = text_of(sentence, "level");
        bool warn = !strcmp(level, "warn"), good = !strcmp(level, "good");

        put_marked(warn   ? "⚠"
                   : good ? "✓"
                          : "·",
            warn   ? STYLE_WARN
            : good ? STYLE_GOOD
                   : STYLE_PLAIN,
            json_get_str(sentence, "action"), text_of(sentence, "text"));
    }
}

/* The loud ones of all actions before the plain ones of any. */
static void put_changes(const json_t *changes)
{
    const json_t *change;
    size_t i;

    if (json_array_size(changes))
        fputs("\nWhat changes:\n", stderr);
    for (int loud = 1; loud >= 0; loud--)
        json_array_foreach((json_t *) changes, i, change)
        {
            bool is_loud = !strcmp(text_of(change, "level"), "loud");

            if (is_loud == loud)
                put_marked(is_loud ? "⚠ NEW:" : "·", is_loud ? STYLE_BAD : STYLE_PLAIN, json_get_str(change, "action"),
                    text_of(change, "text"));
        }
}

static void put_warnings(const json_t *actions)
{
    const json_t *action;
    size_t i;

    json_array_foreach((json_t *) actions, i, action)
    {
        if (json_get_str(action, "warning"))
            put_marked("⚠", STYLE_WARN, NULL, text_of(action, "warning"));
    }
}

static void put_suite(const json_t *suite)
{
    CLEANUP_FREE char *name = suite ? short_name(text_of(suite, "name")) : NULL;

    if (!name)
        return;
    fprintf(stderr, "\nSuite %s%s%s", term_style(stderr, STYLE_BOLD), name, term_end(stderr));
    if (json_get_str(suite, "version")) {
        fputc(' ', stderr);
        term_put(stderr, text_of(suite, "version"));
    }
    fputs(", ", stderr);
    put_their_words(text_of(suite, "description"));
}

void show_facts(const struct plan *plan)
{
    const json_t *connectors = json_object_get(plan->facts, "connectors"), *actions = json_object_get(plan->facts, "actions");
    const json_t *changes = json_object_get(plan->facts, "changes"), *sentences = json_object_get(plan->facts, "sentences");
    const json_t *item;
    size_t i;

    fflush(stdout);
    put_changes(changes);
    put_suite(json_object_get(plan->facts, "suite"));
    put_actions(actions);
    json_array_foreach((json_t *) connectors, i, item) put_connector(item);
    if (json_array_size(actions) == 1 && !json_object_get(plan->facts, "suite"))
        fputs("\nWith it an agent\n", stderr);
    else
        fputs(json_array_size(actions) ? "\nWith them an agent\n"
                                       : "\nBy itself it does nothing; actions that are installed later use it. It\n",
            stderr);
    put_sentences(sentences);
    put_warnings(actions);
    fputc('\n', stderr);
}

void show_action(const json_t *action)
{
    CLEANUP_FREE char *operations = print_list(json_object_get(action, "operations"));

    fflush(stdout);
    fputc('\n', stderr);
    fprintf(stderr, "%s", term_style(stderr, STYLE_BOLD));
    term_put(stderr, text_of(action, "name"));
    fprintf(stderr, "%s ", term_end(stderr));
    term_put(stderr, text_of(action, "version"));
    fprintf(stderr, "%s%s\n", flag_of(action, "gated") ? "  ✋ " : "",
        flag_of(action, "gated") ? show_badge(text_of(action, "kind")) : "");
    put_publisher(action);
    print_field(stderr, "what for", json_get_str(action, "intent"));
    print_field(stderr, "does", operations);
    print_field(stderr, "asks you", flag_of(action, "gated") ? "each time" : "never");
}

/* ---- the question ---- */

struct counts {
    size_t installs, updates, connectors;
};

static struct counts count(const struct plan *plan)
{
    struct counts counts = { 0 };
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "actions"), i, item)
    {
        if (flag_of(item, "already_installed"))
            continue;
        counts.updates += json_get_str(item, "updates") != NULL;
        counts.installs += json_get_str(item, "updates") == NULL;
    }
    json_array_foreach(json_object_get(plan->facts, "connectors"), i, item) counts.connectors +=
        !flag_of(item, "already_installed");
    return counts;
}

static void add_part(struct buf *text, const char *verb, size_t number, const char *what)
{
    if (number)
        buf_printf(text, "%s%s%zu %s%s", text->len ? " and " : "", verb, number, what, number == 1 ? "" : "s");
}

char *show_question(const struct plan *plan)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(256);
    struct counts counts = count(plan);

    add_part(&text, "update ", counts.updates, "action");
    add_part(&text, "install ", counts.installs, "action");
    add_part(&text, counts.installs ? "" : "install ", counts.connectors, "connector");
    if (!text.len)
        return NULL;
    buf_add_char(&text, '?');
    text.data[0] = (char) (text.data[0] - 'a' + 'A');
    return buf_take(&text);
}

/* ---- results ---- */

static bool is_over(const char *state)
{
    return strcmp(state, "waiting") != 0 && strcmp(state, "installing") != 0;
}

static bool is_failure(const char *state)
{
    return !strcmp(state, "failed") || !strcmp(state, "skipped");
}

static bool is_wanted(const struct show_results *results, const json_t *result)
{
    const json_t *name;
    size_t i;

    if (!results->only)
        return true;
    if (strcmp(text_of(result, "kind"), "action") != 0) /* left out when nothing that was chosen needs it */
        return strcmp(text_of(result, "state"), "skipped") != 0;
    json_array_foreach((json_t *) results->only, i, name)
    {
        if (!strcmp(json_string_value(name), text_of(result, "name")))
            return true;
    }
    return false;
}

static size_t count_actions(const struct show_results *results, const json_t *list)
{
    const json_t *result;
    size_t i, total = 0;

    json_array_foreach((json_t *) list, i, result) total +=
        !strcmp(text_of(result, "kind"), "action") && is_wanted(results, result);
    return total;
}

static void put_error(FILE *out, const json_t *error)
{
    const char *hint = json_get_str(error, "hint");

    fprintf(out, " %s✗%s ", term_style(out, STYLE_BAD), term_end(out));
    term_put(out, text_of(error, "message"));
    if (hint) {
        fputs("; ", out);
        term_put(out, hint);
    }
}

static void put_result(struct show_results *results, const json_t *result, size_t total)
{
    FILE *out = results->cli->out;
    const char *state = text_of(result, "state");

    if (!strcmp(text_of(result, "kind"), "action"))
        fprintf(out, "[%zu/%zu] ", ++results->actions, total);
    else
        fputs("connector ", out);
    term_put(out, text_of(result, "name"));
    if (is_failure(state))
        put_error(out, json_object_get(result, "error"));
    else
        fprintf(out, " %s✓%s", term_style(out, STYLE_GOOD), term_end(out));
    if (!strcmp(state, "updated")) {
        fputs(" updated to ", out);
        term_put(out, text_of(result, "version"));
    } else if (!strcmp(state, "already")) {
        fputs(" already installed", out);
    }
    fputc('\n', out);
    fflush(out);
}

/* A connector that was there before is no news. */
static bool is_news(const json_t *result)
{
    return strcmp(text_of(result, "kind"), "connector") != 0 || strcmp(text_of(result, "state"), "already") != 0;
}

/* The keyring comes before the first item on which anything is done; what was there before says nothing. */
static bool is_begun(const struct plan *plan)
{
    static const char *const DOING[] = { "installing", "installed", "updated", "failed" };
    const json_t *result;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "results"), i, result)
    {
        for (size_t k = 0; k < ARRAY_LEN(DOING); k++)
            if (!strcmp(text_of(result, "state"), DOING[k]))
                return true;
    }
    return !strcmp(text_of(plan->facts, "state"), "done");
}

void show_seen(const struct plan *plan, void *userdata)
{
    struct show_results *results = MAGIC_CAST(struct show_results, userdata, SHOW_RESULTS_MAGIC);
    const json_t *list = json_object_get(plan->facts, "results"), *item;
    size_t i, total = results->total ? results->total : count_actions(results, list);

    if (results->trust && is_begun(plan)) {
        json_array_foreach((json_t *) results->trust, i, item)
            show_trusted(results->cli, text_of(item, "authority"), text_of(item, "fingerprint"));
        results->trust = NULL;
    }
    for (; results->next < json_array_size(list); results->next++) {
        const json_t *result = json_array_get(list, results->next);

        if (!is_over(text_of(result, "state")))
            return;
        if (!results->quiet && is_wanted(results, result) && is_news(result))
            put_result(results, result, total);
    }
}

/* ---- the summary ---- */

static void put_summary_row(struct table *table, const json_t *result)
{
    const char *state = text_of(result, "state");
    bool failed = is_failure(state);

    table_row(table);
    table_cell_style(table, text_of(result, "name"), STYLE_BOLD);
    table_cell(table, text_of(result, "version"));
    table_cell_style(table,
        !strcmp(state, "already")            ? "already installed"
        : failed && !strcmp(state, "failed") ? "FAILED"
                                             : state,
        failed ? STYLE_BAD : STYLE_GOOD);
    table_cell(table, json_get_str(json_object_get(result, "error"), "message"));
}

bool show_summary(const struct plan *plan, const struct show_results *results)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", false, 16 },
        { "VERSION", false, 0 },
        { "RESULT", false, 0 },
        { "", false, 24 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    size_t i, total = 0, failed = 0;
    const json_t *result;
    FILE *out = results->cli->out;

    json_array_foreach(json_object_get(plan->facts, "results"), i, result)
    {
        if (!is_wanted(results, result))
            continue;
        total++;
        failed += is_failure(text_of(result, "state"));
        if (table)
            put_summary_row(table, result);
    }
    if (results->quiet || !table || total < 2)
        return failed > 0;
    fputc('\n', out);
    table_print(table, out, term_width(out));
    fprintf(out, "\n%zu of %zu done", total - failed, total);
    if (failed)
        fprintf(out, ", %s%zu failed%s", term_style(out, STYLE_BAD), failed, term_end(out));
    fputc('\n', out);
    return failed > 0;
}
