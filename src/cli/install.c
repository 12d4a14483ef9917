/* See the header. Nothing is decided here but by the person; the daemon checks everything again. */
#include "cli/install.h"

#include "cli/choose.h"
#include "cli/plan-show.h"
#include "cli/print.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define NOTHING "aileron: nothing was installed"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

int install_begin(struct cli *cli)
{
    int code = choose_can_ask(cli, "installing");

    if (!code)
        plan_catch_signals(cli);
    return code;
}

/* ---- trust ---- */

static bool is_answered(const json_t *answers, const json_t *needed)
{
    const json_t *answer;
    size_t i;

    json_array_foreach((json_t *) answers, i, answer)
    {
        if (!strcmp(text_of(answer, "authority"), text_of(needed, "authority")) &&
            !strcmp(text_of(answer, "fingerprint"), text_of(needed, "fingerprint")))
            return true;
    }
    return false;
}

static int ask_trust(struct cli *cli, const json_t *needed, json_t *answers, bool *ret_yes)
{
    const char *authority = text_of(needed, "authority"), *fingerprint = text_of(needed, "fingerprint");
    int code;

    show_trust(authority, fingerprint, json_get_str(needed, "url"));
    code = show_trust_ask(cli, authority, ret_yes);
    if (!code && *ret_yes &&
        json_array_append_new(answers, json_pack("{s:s, s:s}", "authority", authority, "fingerprint", fingerprint)) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return code;
}

int install_trust(struct cli *cli, const struct plan *plans, size_t plans_len, json_t **ret_trust, bool *ret_yes)
{
    CLEANUP_JSON json_t *answers = json_array();
    const json_t *needed;
    size_t i;
    int code = CODE_DONE;

    *ret_yes = true;
    for (size_t k = 0; k < plans_len; k++)
        json_array_foreach(json_object_get(plans[k].facts, "trust_needed"), i, needed)
        {
            if (code || !*ret_yes || is_answered(answers, needed))
                continue;
            code = ask_trust(cli, needed, answers, ret_yes);
        }
    *ret_trust = TAKE_PTR(answers);
    return code;
}

/* ---- consent ---- */

/* Action by action; those that were chosen go into *ret_only. */
static int ask_each(struct cli *cli, const struct plan *plan, json_t **ret_only)
{
    CLEANUP_JSON json_t *only = json_array();
    const json_t *action;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "actions"), i, action)
    {
        CLEANUP_FREE char *question = NULL;
        bool yes = json_is_true(json_object_get(action, "already_installed"));
        int code = CODE_DONE;

        if (!yes) {
            show_action(action);
            if (asprintf(&question, "Install %s?", text_of(action, "name")) < 0)
                return cli_failf(CODE_FAILED, NULL, "out of memory");
            code = plan_ask(cli, question, &yes);
        }
        if (code)
            return code;
        if (yes)
            json_array_append(only, json_object_get(action, "name"));
    }
    *ret_only = TAKE_PTR(only);
    return CODE_DONE;
}

/* Is any of the chosen not there yet? */
static bool is_any_new(const struct plan *plan, const json_t *only)
{
    const json_t *action, *name;
    size_t i, k;

    json_array_foreach(json_object_get(plan->facts, "actions"), i, action)
    {
        json_array_foreach((json_t *) only, k, name)
        {
            if (!strcmp(json_string_value(name), text_of(action, "name")) &&
                !json_is_true(json_object_get(action, "already_installed")))
                return true;
        }
    }
    return false;
}

static int ask_consent(struct cli *cli, const struct install *install, const struct plan *plan, const char *question,
    json_t **ret_only, bool *ret_yes)
{
    int code;

    show_facts(plan);
    if (!install->each || !json_array_size(json_object_get(plan->facts, "actions")))
        return plan_ask(cli, question, ret_yes);
    code = ask_each(cli, plan, ret_only);
    *ret_yes = !code && is_any_new(plan, *ret_only);
    return code;
}

/* ---- credentials ---- */

static bool is_wanting(const json_t *connector)
{
    const char *credential = text_of(connector, "credential");

    return !strcmp(credential, "oauth2") || !strcmp(credential, "api_key");
}

/* The binding of `--as`, or any one of the connector. */
static const json_t *binding_of(const json_t *bindings, const char *fqn, const char *as)
{
    const json_t *binding;
    size_t i;

    json_array_foreach((json_t *) bindings, i, binding)
    {
        if (strcmp(text_of(binding, "connector_fqn"), fqn) != 0)
            continue;
        if (!as || !strcmp(as, text_of(binding, "identity")) || !strcmp(as, text_of(binding, "binding")))
            return binding;
    }
    return NULL;
}

static bool has_origin(const json_t *origins, const char *host)
{
    const json_t *origin;
    size_t i;

    json_array_foreach((json_t *) origins, i, origin)
    {
        const char *text = json_string_value(origin);

        if (text && !strncmp(text, "https://", 8) && !strcmp(text + 8, host))
            return true;
    }
    return false;
}

/* An update may reach hosts that the person never consented the credential to. */
static void note_hosts(const json_t *connector, const json_t *binding)
{
    const json_t *host, *origins = json_object_get(binding, "origins");
    size_t i;

    json_array_foreach(json_object_get(connector, "hosts"), i, host)
    {
        if (!json_is_array(origins) || has_origin(origins, json_string_value(host)))
            continue;
        cli_note("aileron: the credential %s does not go to %s until you consent: aileron binding rebind %s",
            text_of(binding, "binding"), json_string_value(host), text_of(binding, "binding"));
        return;
    }
}

int install_unbound(struct cli *cli, const json_t *connectors, json_t **ret_unbound)
{
    const char *as = args_value(cli->args, "as");
    CLEANUP_JSON json_t *unbound = json_array();
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *connector, *binding;
    size_t i, wanting = 0;
    int code = CODE_DONE;

    json_array_foreach((json_t *) connectors, i, connector) wanting += is_wanting(connector);
    if (wanting)
        code = choose_bindings(cli, &answer);
    json_array_foreach((json_t *) connectors, i, connector)
    {
        if (code || !is_wanting(connector))
            continue;
        binding = binding_of(json_object_get(answer, "bindings"), text_of(connector, "fqn"), as);
        if (binding)
            note_hosts(connector, binding);
        else
            json_array_append(unbound, (json_t *) connector);
    }
    *ret_unbound = TAKE_PTR(unbound);
    return code;
}

/* `aileron binding setup FQN` within this command: the same words and the same question, unless --yes was given. */
static int bind_one(struct cli *cli, const char *fqn)
{
    const char *as = args_value(cli->args, "as");
    struct cli inner = *cli;
    char *argv[8];
    int argc = 0, code;

    argv[argc++] = (char *) "binding";
    argv[argc++] = (char *) "setup";
    argv[argc++] = (char *) fqn;
    if (args_has(cli->args, "yes"))
        argv[argc++] = (char *) "--yes";
    if (as) {
        argv[argc++] = (char *) "--as";
        argv[argc++] = (char *) as;
    }
    inner.args = NULL;
    inner.out = args_has(cli->args, "json") ? stderr : cli->out;
    code = cli_run(&inner, argc, argv);
    inner.home = NULL; /* the outer one's */
    cli_clear(&inner);
    return code;
}

int install_bind(struct cli *cli, const json_t *connectors)
{
    CLEANUP_JSON json_t *unbound = NULL;
    CLEANUP_JSON json_t *seen = json_object();
    const json_t *connector;
    size_t i;
    int code = install_unbound(cli, connectors, &unbound), result = code;

    json_array_foreach(unbound, i, connector)
    {
        const char *fqn = text_of(connector, "fqn");

        if (plan_is_interrupted(cli) || json_object_get(seen, fqn)) /* several versions share a binding */
            continue;
        json_object_set_new(seen, fqn, json_true());
        fputc('\n', stderr);
        cli_note("aileron: %s needs a credential (%s)", fqn, text_of(connector, "credential"));
        code = bind_one(cli, fqn);
        if (code)
            cli_note("aileron: %s is installed but not bound; later: aileron binding setup %s", fqn, fqn);
        result = result ? result : code;
    }
    return result;
}

/* ---- the whole ---- */

static bool is_there(const json_t *results, const json_t *connector)
{
    const json_t *result;
    size_t i;

    json_array_foreach((json_t *) results, i, result)
    {
        const char *state = text_of(result, "state");

        if (!strcmp(text_of(result, "name"), text_of(connector, "fqn")) &&
            !strcmp(text_of(result, "version"), text_of(connector, "version")))
            return !strcmp(state, "installed") || !strcmp(state, "already") || !strcmp(state, "updated");
    }
    return json_is_true(json_object_get(connector, "already_installed"));
}

static int bind_installed(struct cli *cli, const struct plan *plan)
{
    CLEANUP_JSON json_t *there = json_array();
    const json_t *connector;
    size_t i;

    json_array_foreach(json_object_get(plan->facts, "connectors"), i, connector)
    {
        if (is_there(json_object_get(plan->facts, "results"), connector))
            json_array_append(there, (json_t *) connector);
    }
    return install_bind(cli, there);
}

/* Everything is there: a second run. */
static int already(struct cli *cli, const struct install *install, const struct plan *plan)
{
    const json_t *actions = json_object_get(plan->facts, "actions"),
                 *connector = json_array_get(json_object_get(plan->facts, "connectors"), 0);
    size_t count = json_array_size(actions);

    if (args_has(cli->args, "json")) {
        print_json(cli->out, plan->facts);
    } else if (count) {
        fprintf(cli->out, "already installed: %zu action%s\n", count, count == 1 ? "" : "s");
    } else {
        fputs("already installed: ", cli->out);
        term_put(cli->out, text_of(connector, "fqn"));
        fputc('@', cli->out);
        term_put(cli->out, text_of(connector, "version"));
        fputc('\n', cli->out);
    }
    return install->bind ? bind_installed(cli, plan) : CODE_DONE;
}

static int carry_out(struct cli *cli, const struct install *install, struct plan *plan, const json_t *trust, const json_t *only)
{
    struct show_results results = {
        .magic = SHOW_RESULTS_MAGIC, .cli = cli, .trust = trust, .only = only, .quiet = args_has(cli->args, "json")
    };
    int code = plan_accept(plan, trust, only, show_seen, &results), bound = CODE_DONE;
    bool failed;

    if (code)
        return code;
    if (install->bind)
        bound = bind_installed(cli, plan);
    failed = show_summary(plan, &results);
    if (results.quiet)
        print_json(cli->out, plan->facts);
    return failed ? CODE_FAILED : bound;
}

static int no(struct plan *plan)
{
    int code = plan_cancel(plan);

    cli_note(NOTHING);
    return code ? code : CODE_FAILED;
}

static int decide(struct cli *cli, const struct install *install, struct plan *plan)
{
    CLEANUP_FREE char *question = show_question(plan);
    CLEANUP_JSON json_t *trust = NULL;
    CLEANUP_JSON json_t *only = NULL;
    bool yes = true;
    int code;

    if (!question)
        return already(cli, install, plan);
    code = install_trust(cli, plan, 1, &trust, &yes);
    if (!code && yes)
        code = ask_consent(cli, install, plan, question, &only, &yes);
    if (code)
        return code;
    return yes ? carry_out(cli, install, plan, trust, only) : no(plan);
}

int install_run(struct cli *cli, const struct install *install)
{
    CLEANUP(plan_clear) struct plan plan = { .cli = cli, .route = install->route };
    int code = plan_preview(&plan, install->body);

    if (!code)
        code = decide(cli, install, &plan);
    plan_clear(&plan); /* before anything is said about it */
    return plan_code(cli, plan.is_decided, code);
}
