/* aileron binding list|inspect|revoke: what is bound, in what state, and the end of it. */
#include "cli/choose.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/unlock.h"

#include <string.h>

#include "base/banned.h"

const struct command COMMAND_BINDING = {
    .name = "binding", .operands = "", .about = "Bindings: which credential a connector uses"
};

struct state {
    const char *name;
    enum style style;
    const char *todo; /* command; %s is the binding */
};

static const struct state STATES[] = {
    { "active", STYLE_GOOD, NULL },
    { "stale", STYLE_BAD, "aileron binding reauthorize %s" },
    { "revoked", STYLE_DIM, "aileron binding setup %s" },
    { "expired_no_refresh", STYLE_BAD, "aileron binding reauthorize %s" },
    { "no_grant", STYLE_WARN, "aileron binding rebind %s" },
    { "locked", STYLE_WARN, "aileron vault unlock" },
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static const struct state *state_of(const json_t *binding)
{
    static const struct state UNKNOWN = { "?", STYLE_PLAIN, NULL };
    const char *state = text_of(binding, "state");

    for (size_t i = 0; i < ARRAY_LEN(STATES); i++)
        if (!strcmp(STATES[i].name, state))
            return &STATES[i];
    return &UNKNOWN;
}

/* A time for people; "" when it is not there. */
static const char *time_of(const json_t *binding, const char *key, char out[PRINT_TIME_MAX])
{
    const char *text = json_get_str(binding, key);

    return text ? print_local_time(text, out) : "";
}

static void add_row(struct table *table, const json_t *binding)
{
    const struct state *state = state_of(binding);
    char used[PRINT_TIME_MAX], expires[PRINT_TIME_MAX];

    table_row(table);
    table_cell(table, text_of(binding, "binding"));
    table_cell(table, text_of(binding, "connector_fqn"));
    table_cell_style(table, *text_of(binding, "state") ? text_of(binding, "state") : "?", state->style);
    table_cell(table, json_is_true(json_object_get(binding, "default")) ? "yes" : "");
    table_cell(table, *text_of(binding, "last_used_at") ? time_of(binding, "last_used_at", used) : "never");
    table_cell(table, time_of(binding, "expires_at", expires));
}

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", false, 16 },
        { "CONNECTOR", false, 16 },
        { "STATE", false, 0 },
        { "DEFAULT", false, 0 },
        { "LAST USED", false, 0 },
        { "EXPIRES", false, 0 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    bool locked = false;
    size_t i;
    int code = choose_bindings(cli, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    json_array_foreach(json_object_get(answer, "bindings"), i, item)
    {
        locked |= !strcmp(text_of(item, "state"), "locked");
        add_row(table, item);
    }
    if (!table_rows(table)) {
        fputs("no connector is bound; aileron binding setup CONNECTOR gives one a credential\n", cli->out);
        return CODE_DONE;
    }
    if (table_print(table, cli->out, term_width(cli->out)) < 0)
        return CODE_FAILED;
    if (locked)
        cli_note("aileron: the vault is locked (aileron vault unlock), so expiry and consent do not show");
    return CODE_DONE;
}

const struct command COMMAND_BINDING_LIST = {
    .name = "binding list",
    .operands = "",
    .about = "list bindings and their state",
    .details = "States: active; stale (the provider ended the authorisation: binding reauthorize); expired_no_refresh (its token "
               "is over and there "
               "is no refresh token: binding reauthorize); no_grant (nobody consented to where it may be sent: binding rebind); "
               "revoked; locked "
               "(the vault is).",
    .options = { OPTION_JSON },
    .run = run_list,
};

static void put_what_to_do(FILE *out, const json_t *binding)
{
    const struct state *state = state_of(binding);
    const char *name = !strcmp(state->name, "revoked") ? text_of(binding, "connector_fqn") : text_of(binding, "binding");
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
    const char *place = state->todo ? strstr(state->todo, "%s") : NULL;

    if (state->todo && place)
        buf_printf(&text, "%.*s%s", (int) (place - state->todo), state->todo, name);
    else if (state->todo)
        buf_add_str(&text, state->todo);
    else if (json_is_false(json_object_get(binding, "connector_installed")))
        buf_add_str(&text, "its connector is not installed: aileron connector install");
    if (text.len)
        print_field(out, "what to do", buf_str(&text));
}

static void put_binding(FILE *out, const json_t *binding)
{
    const char *reason = json_get_str(binding, "stale_reason");
    char text[PRINT_TIME_MAX];

    print_field(out, "name", text_of(binding, "binding"));
    print_field(out, "connector", text_of(binding, "connector_fqn"));
    print_fieldf(out, "state", "%s%s%s%s", text_of(binding, "state"), reason && *reason ? " (" : "", reason ? reason : "",
        reason && *reason ? ")" : "");
    print_field(out, "default", json_is_true(json_object_get(binding, "default")) ? "yes" : "no");
    print_field(out, "account", json_get_str(binding, "account"));
    print_field(out, "may", json_get_str(binding, "scope"));
    print_items(out, "is sent to", json_object_get(binding, "origins"));
    print_field(out, "as header", json_get_str(binding, "header"));
    print_field(out, "tokens from", json_get_str(binding, "token_url"));
    print_field(out, "revoked at", json_get_str(binding, "revoke_url"));
    print_items(out, "granted", json_object_get(binding, "granted_scopes"));
    print_items(out, "NOT GRANTED", json_object_get(binding, "missing_scopes"));
    print_field(out, "created", json_get_str(binding, "created_at") ? time_of(binding, "created_at", text) : NULL);
    print_field(out, "last used", json_get_str(binding, "last_used_at") ? time_of(binding, "last_used_at", text) : "never");
    print_field(
        out, "refreshed", json_get_str(binding, "last_refreshed_at") ? time_of(binding, "last_refreshed_at", text) : NULL);
    print_field(out, "expires", json_get_str(binding, "expires_at") ? time_of(binding, "expires_at", text) : NULL);
    if (!strcmp(text_of(binding, "kind"), "oauth2"))
        print_field(out, "refreshes",
            json_is_true(json_object_get(binding, "refresh_token_present")) ? "by itself" : "not: no refresh token");
    put_what_to_do(out, binding);
}

static int run_inspect(struct cli *cli)
{
    CLEANUP_JSON json_t *binding = NULL;
    int code = choose_binding(cli, args_word(cli->args, 0), &binding);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, binding) < 0 ? CODE_FAILED : CODE_DONE;
    put_binding(cli->out, binding);
    return CODE_DONE;
}

const struct command COMMAND_BINDING_INSPECT = {
    .name = "binding inspect",
    .operands = "NAME",
    .about = "show a binding: hosts, scopes, times, and what to do",
    .details = "NAME is the binding's name, or its service or identity when only one has it. Hosts and expiry show while the "
               "vault is unlocked.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_inspect,
};

static int revoke_named(struct cli *cli, const char *name)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    int code;

    if (asprintf(&path, "/v1/bindings/%s", name) < 0) /* its letters need no escape (SPEC §1) */
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    code = cli_get(cli, "DELETE", path, NULL, &answer);
    if (code)
        return code;
    if (json_get_str(answer, "note"))
        cli_note("aileron: %s", json_get_str(answer, "note"));
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "revoked %s\n", name);
    return CODE_DONE;
}

static int run_revoke(struct cli *cli)
{
    CLEANUP_JSON json_t *binding = NULL;
    const char *name;
    char question[320];
    bool yes = false;
    int code = choose_can_ask(cli, "revoking");

    if (!code)
        code = choose_binding(cli, args_word(cli->args, 0), &binding);
    if (code)
        return code;
    name = text_of(binding, "binding");
    snprintf(question, sizeof(question), "Revoke %.200s and delete its credential?", name);
    code = choose_yes(cli, "revoking", question, &yes);
    if (code || !yes)
        return code ? code : CODE_FAILED;
    code = cli_unlock(cli, UNLOCK_ONLY, NULL, NULL);
    return code ? code : revoke_named(cli, name);
}

const struct command COMMAND_BINDING_REVOKE = {
    .name = "binding revoke",
    .operands = "NAME",
    .about = "tell the provider, and delete the credential",
    .details = "Where the connector names a revocation address, the provider is told; then the credential and the consent leave the vault. When "
               "the provider does not answer they leave it all the same, and the command says so.\n"
               "\n"
               "NAME is the binding's name, or its service or identity when only one has it.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "yes", 'y', NULL, false, "do not ask" },
        OPTION_JSON,
    },
    .run = run_revoke,
};
