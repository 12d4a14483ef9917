/*
 * aileron action update: the newest release of what was installed from a forge, shown by its differences. Each action has a
 * plan of its own, since each has releases of its own; the person is asked once for all of them.
 */
#include "cli/install.h"
#include "cli/plan-show.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "store/semver.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define PLANS_AT_ONCE 12 /* the daemon holds 16 */

struct update {
    struct cli *cli;
    json_t *installed; /* [{"name","fqn"?,"version"?}…], those that are refused too */
    struct plan plans[PLANS_AT_ONCE];
    size_t plans_len;
    bool failed, is_decided;
    json_t *done; /* --json: facts of every plan that was carried out */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static void update_clear(struct update *update)
{
    for (size_t i = 0; i < update->plans_len; i++)
        plan_clear(&update->plans[i]);
    update->plans_len = 0;
    json_decref(TAKE_PTR(update->installed));
    json_decref(TAKE_PTR(update->done));
}

/* ---- what is installed ---- */

static int read_installed(struct update *update)
{
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = cli_get(update->cli, "GET", "/v1/actions", NULL, &answer);

    if (code)
        return code;
    update->installed = json_array();
    json_array_extend(update->installed, json_object_get(answer, "actions"));
    json_array_foreach(json_object_get(answer, "load_errors"), i, item)
    {
        if (json_get_str(item, "name")) /* edited since, or not trusted any more: an update may mend it */
            json_array_append(update->installed, (json_t *) item);
    }
    return CODE_DONE;
}

static const json_t *find(const struct update *update, const char *name)
{
    const json_t *item;
    size_t i;

    json_array_foreach(update->installed, i, item)
    {
        if (!strcmp(text_of(item, "name"), name))
            return item;
    }
    return NULL;
}

/* ---- one action ---- */

/* The plan's action is newer than what is there, or the same of something that is refused as it is. */
static bool is_news(const struct plan *plan, const json_t *item)
{
    const json_t *action = json_array_get(json_object_get(plan->facts, "actions"), 0);
    struct semver ours, theirs;

    if (json_is_true(json_object_get(action, "already_installed")))
        return false;
    if (semver_parse(text_of(item, "version"), &ours, NULL) < 0 || semver_parse(text_of(action, "version"), &theirs, NULL) < 0)
        return true;
    return semver_compare(&theirs, &ours) > 0 || (json_get_str(item, "class") && semver_compare(&theirs, &ours) == 0);
}

static int look_for(struct update *update, const json_t *item)
{
    struct cli *cli = update->cli;
    struct plan *plan = &update->plans[update->plans_len];
    CLEANUP_JSON json_t *body = json_pack("{s:o, s:b}", "ref", json_sprintf("%s@latest", text_of(item, "fqn")), "suite", 0);
    int code;

    *plan = (struct plan){ .cli = cli, .route = "/v1/actions" };
    code = plan_preview(plan, body);
    if (!code && is_news(plan, item)) {
        update->plans_len++;
        return CODE_DONE;
    }
    plan_clear(plan);
    if (code)
        return code;
    if (!args_has(cli->args, "json")) {
        term_put(cli->out, text_of(item, "name"));
        fputs(" is up to date (", cli->out);
        term_put(cli->out, text_of(item, "version"));
        fputs(")\n", cli->out);
    }
    return CODE_DONE;
}

/* Failures of one do not keep the others from being looked at. */
static void look_for_one(struct update *update, const json_t *item)
{
    if (plan_is_interrupted(update->cli))
        return;
    if (update->plans_len == PLANS_AT_ONCE) {
        cli_note("aileron: %s comes with the next run of this command", text_of(item, "name"));
        return;
    }
    if (look_for(update, item))
        update->failed = true;
}

static int look_for_named(struct update *update)
{
    for (size_t i = 0; i < args_words(update->cli->args); i++) {
        const char *name = args_word(update->cli->args, i);
        const json_t *item = find(update, name);

        if (!item)
            return cli_failf(CODE_FAILED, "aileron action list", "no action \"%s\" is installed", name);
        if (!json_get_str(item, "fqn"))
            return cli_failf(CODE_FAILED, "aileron action add --local PATH puts another file in its place",
                "%s was added from a file; nobody releases it", name);
        look_for_one(update, item);
    }
    return CODE_DONE;
}

static int look_for_all(struct update *update)
{
    size_t i, found = 0;
    const json_t *item;

    json_array_foreach(update->installed, i, item)
    {
        if (!json_get_str(item, "fqn"))
            continue;
        found++;
        look_for_one(update, item);
    }
    if (!found && !args_has(update->cli->args, "json"))
        fputs("no installed action comes from a forge\n", update->cli->out);
    return CODE_DONE;
}

/* ---- all of them together ---- */

static bool has_connector(const json_t *list, const json_t *connector)
{
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *) list, i, item)
    {
        if (!strcmp(text_of(item, "hash"), text_of(connector, "hash")))
            return true;
    }
    return false;
}

static void merge_connectors(json_t *into, const struct plan *plan)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "connectors"), i, item)
    {
        if (!has_connector(into, item))
            json_array_append(into, (json_t *) item);
    }
}

static json_t *find_sentence(json_t *list, const char *text)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (!strcmp(text_of(item, "text"), text))
            return item;
    }
    return NULL;
}

/* What one action can do, said of that action; what several can do, once with all their names under "of". */
static void merge_sentences(json_t *into, const struct plan *plan)
{
    json_t *name = json_object_get(json_array_get(json_object_get(plan->facts, "actions"), 0), "name");
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "sentences"), i, item)
    {
        json_t *known = find_sentence(into, text_of(item, "text"));

        if (!known) {
            known = json_copy((json_t *) item);
            json_object_set_new(known, "of", json_array());
            json_array_append_new(into, known);
        }
        json_array_append(json_object_get(known, "of"), name);
    }
}

/* What all of them can do needs no names. */
static void name_sentences(const json_t *sentences, size_t plans_len)
{
    json_t *item;
    size_t i;

    json_array_foreach((json_t *) sentences, i, item)
    {
        CLEANUP_FREE char *names = print_list(json_object_get(item, "of"));

        if (names && json_array_size(json_object_get(item, "of")) < plans_len)
            json_object_set_new(item, "action", json_string(names));
    }
}

/* The plans as if they were one, for showing. New reference. */
static json_t *merge(const struct update *update)
{
    json_t *actions = json_array(), *connectors = json_array(), *changes = json_array(), *sentences = json_array();

    for (size_t i = 0; i < update->plans_len; i++) {
        const struct plan *plan = &update->plans[i];

        json_array_extend(actions, json_object_get(plan->facts, "actions"));
        json_array_extend(changes, json_object_get(plan->facts, "changes"));
        merge_connectors(connectors, plan);
        merge_sentences(sentences, plan);
    }
    name_sentences(sentences, update->plans_len);
    return json_pack(
        "{s:o, s:o, s:o, s:o}", "actions", actions, "connectors", connectors, "changes", changes, "sentences", sentences);
}

/* What cannot be read any more has nothing to be compared with. */
static bool is_all_compared(const json_t *facts)
{
    const json_t *action;
    size_t i;

    json_array_foreach(json_object_get(facts, "actions"), i, action)
    {
        if (!json_get_str(action, "updates"))
            return false;
    }
    return true;
}

static int ask(struct update *update, json_t **ret_trust, bool *ret_yes)
{
    CLEANUP_JSON json_t *facts = merge(update);
    const struct plan whole = { .cli = update->cli, .facts = facts };
    CLEANUP_FREE char *question = facts ? show_question(&whole) : NULL;
    int code;

    if (!question)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = install_trust(update->cli, update->plans, update->plans_len, ret_trust, ret_yes);
    if (code || !*ret_yes)
        return code;
    show_facts(&whole);
    if (!json_array_size(json_object_get(facts, "changes")) && is_all_compared(facts))
        fputs("Nothing changes in what they may do.\n\n", stderr);
    return plan_ask(update->cli, question, ret_yes);
}

static int cancel(struct update *update)
{
    int code = CODE_FAILED;

    for (size_t i = 0; i < update->plans_len; i++)
        if (plan_cancel(&update->plans[i]))
            code = CODE_FAILED;
    cli_note("aileron: nothing was installed");
    return code;
}

static bool is_all_good(const struct plan *plan)
{
    const json_t *result;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "results"), i, result)
    {
        if (!strcmp(text_of(result, "state"), "failed") || !strcmp(text_of(result, "state"), "skipped"))
            return false;
    }
    return true;
}

static int carry_out(struct update *update, const json_t *trust)
{
    struct show_results results = { .magic = SHOW_RESULTS_MAGIC,
        .cli = update->cli,
        .trust = trust,
        .quiet = args_has(update->cli->args, "json"),
        .total = update->plans_len };
    CLEANUP_JSON json_t *connectors = json_array();
    CLEANUP_JSON json_t *unbound = NULL;

    for (size_t i = 0; i < update->plans_len && !plan_is_interrupted(update->cli); i++) {
        results.next = 0;
        if (plan_accept(&update->plans[i], trust, NULL, show_seen, &results) || !is_all_good(&update->plans[i]))
            update->failed = true;
        update->is_decided |= update->plans[i].is_decided;
        json_array_append(update->done, update->plans[i].facts);
        merge_connectors(connectors, &update->plans[i]);
    }
    /* Says which credentials do not reach what is new. */
    return plan_is_interrupted(update->cli) ? CODE_DONE : install_unbound(update->cli, connectors, &unbound);
}

static int update_all(struct update *update)
{
    CLEANUP_JSON json_t *trust = NULL;
    bool yes = false;
    int code = read_installed(update);

    if (!code)
        code = args_words(update->cli->args) ? look_for_named(update) : look_for_all(update);
    if (!code && update->plans_len && !plan_is_interrupted(update->cli)) {
        code = ask(update, &trust, &yes);
        if (!code)
            code = yes ? carry_out(update, trust) : cancel(update);
    }
    if (args_has(update->cli->args, "json") && !code)
        code = print_json(update->cli->out, update->done) < 0 ? CODE_FAILED : CODE_DONE;
    return code ? code : update->failed ? CODE_FAILED : CODE_DONE;
}

static int run_update(struct cli *cli)
{
    CLEANUP(update_clear) struct update update = { .cli = cli, .done = json_array() };
    struct err err = ERR_INIT;
    int code;

    if (!args_words(cli->args) == !args_has(cli->args, "all")) {
        err_set(&err, EINVAL, "name the actions to update, or give --all");
        return cli_usage(cli, &err);
    }
    code = install_begin(cli);
    if (code)
        return code;
    code = update_all(&update);
    update_clear(&update);
    return plan_code(cli, update.is_decided, code);
}

const struct command COMMAND_ACTION_UPDATE = {
    .name = "action update",
    .operands = "[NAME…]",
    .about = "install newer releases of actions, after showing what changes",
    .details = "For actions that came from a forge. What an update may do that it could not before comes first: an action that no longer asks you, a new "
               "host, a new operation. Nothing changes before your yes.\n"
               "\n"
               "Examples:\n"
               "  aileron action update send-email\n"
               "  aileron action update --all",
    .words_max = COMMAND_ANY_WORDS,
    .options = {
        { "all", 0, NULL, false, "all that came from a forge" },
        { "yes", 'y', NULL, false, "trust and consent without being asked" },
        OPTION_JSON,
    },
    .run = run_update,
};
