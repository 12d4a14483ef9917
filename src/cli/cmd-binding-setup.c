/*
 * aileron binding setup, rebind and reauthorize: whatever ends with a credential being usable by a connector. What the person
 * reads and what the keeper seals are made from the same manifest (consent.h).
 */
#include "cli/ask.h"
#include "cli/authorize.h"
#include "cli/choose.h"
#include "cli/consent.h"
#include "cli/passphrase.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "cli/unlock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

struct setup {
    struct cli *cli;
    struct consent consent;
    json_t *connector; /* owned from here on */
    json_t *spec;
    char *binding;
    struct secret *client_secret;
    struct keeper *keeper;
};

static void setup_clear(struct setup *setup)
{
    json_decref(setup->connector);
    json_decref(setup->spec);
    free(setup->binding);
    secret_free(setup->client_secret);
    keeper_close(setup->keeper);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static const json_t *credential_of(const struct setup *setup)
{
    return json_object_get(setup->connector, "credential");
}

static const char *kind_of(const struct setup *setup)
{
    return text_of(credential_of(setup), "kind");
}

static bool is_oauth2(const struct setup *setup)
{
    return !strcmp(kind_of(setup), "oauth2");
}

/* No two of these come from standard input. */
static int check_stdin(struct cli *cli)
{
    static const char *const OPTIONS[] = { "passphrase-file", "key-file", "client-secret-file" };
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++)
        count += args_value(cli->args, OPTIONS[i]) && !strcmp(args_value(cli->args, OPTIONS[i]), "-");
    return count > 1 ? cli_failf(CODE_USAGE, NULL, "only one thing can come from standard input") : CODE_DONE;
}

static int check_kind(const struct setup *setup)
{
    static const char *const FOR_OAUTH[] = { "client-id", "client-secret-file", "no-browser" };
    const char *kind = kind_of(setup), *fqn = text_of(setup->connector, "fqn");

    if (strcmp(kind, "oauth2") != 0 && strcmp(kind, "api_key") != 0) {
        if (!*kind || !strcmp(kind, "none"))
            return cli_failf(CODE_FAILED, NULL, "%s needs no credential", fqn);
        return cli_failf(CODE_FAILED, NULL, "%s wants a credential of the kind %s, which this version does not bind", fqn, kind);
    }
    if (is_oauth2(setup) && args_has(setup->cli->args, "key-file"))
        return cli_failf(CODE_USAGE, NULL, "%s is bound by consent at its provider; there is no key", fqn);
    for (size_t i = 0; i < ARRAY_LEN(FOR_OAUTH); i++)
        if (!is_oauth2(setup) && args_has(setup->cli->args, FOR_OAUTH[i]))
            return cli_failf(CODE_USAGE, NULL, "%s is bound by a key; --%s is for oauth2", fqn, FOR_OAUTH[i]);
    if (args_has(setup->cli->args, "client-secret-file") && !args_has(setup->cli->args, "client-id"))
        return cli_failf(CODE_USAGE, NULL, "--client-secret-file goes with --client-id");
    return CODE_DONE;
}

/* The person's own client, or the publisher's. The latter's secret is public (RFC 8252 §8.5) and stands in the manifest. */
static int choose_client(struct setup *setup)
{
    const json_t *oauth2 = json_object_get(credential_of(setup), "oauth2");
    const char *own = args_value(setup->cli->args, "client-id"), *file = args_value(setup->cli->args, "client-secret-file");
    const char *id = own ? own : text_of(oauth2, "client_id"), *public = text_of(oauth2, "client_secret");
    struct err err = ERR_INIT;

    if (consent_is_placeholder(id)) {
        err_set(&err, EINVAL,
            own ? "\"%s\" is a placeholder, not a client id" : "the connector's client id is a placeholder: \"%s\"", id);
        err_hint(&err,
            "make one at the provider (for Google: docs/google-account.md), then: aileron binding setup %s --client-id ID "
            "--client-secret-file FILE",
            text_of(setup->connector, "fqn"));
        return cli_fail(own ? CODE_USAGE : CODE_FAILED, &err);
    }
    setup->consent.own_client = own != NULL;
    if (file && secret_read_file(file, "the client secret", KEEPER_SECRET_MAX, &setup->client_secret, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    if (!own && *public && !consent_is_placeholder(public) && secret_from(public, strlen(public), &setup->client_secret) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return CODE_DONE;
}

/* Name of the binding, and whether it exists. */
static int choose_name(struct setup *setup)
{
    const char *fqn = text_of(setup->connector, "fqn");
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    struct err err = ERR_INIT;
    size_t i;
    int code;

    if (consent_binding_name(fqn, kind_of(setup), args_value(setup->cli->args, "as"), &setup->binding, &err) < 0)
        return cli_fail(CODE_USAGE, &err);
    setup->consent.binding = setup->binding;
    code = choose_bindings(setup->cli, &answer);
    if (code)
        return code;
    json_array_foreach(json_object_get(answer, "bindings"), i, item)
    {
        if (strcmp(text_of(item, "binding"), setup->binding) != 0)
            continue;
        setup->consent.replaces = true;
        if (strcmp(text_of(item, "connector_fqn"), fqn) != 0)
            return cli_failf(CODE_FAILED, "--as NAME gives it another name", "%s exists and belongs to %s", setup->binding,
                text_of(item, "connector_fqn"));
    }
    return CODE_DONE;
}

static int ask_consent(struct setup *setup, bool *ret_yes)
{
    struct err err = ERR_INIT;

    if (consent_spec(&setup->consent, &setup->spec, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    fflush(stdout);
    consent_print(stderr, &setup->consent);
    return choose_yes(setup->cli, "binding a credential", "Allow?", ret_yes);
}

static int read_key(struct setup *setup, struct secret **ret_key)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    const char *file = args_value(setup->cli->args, "key-file");
    struct err err = ERR_INIT;
    char prompt[256];
    int r;

    snprintf(prompt, sizeof(prompt), "Key for %.200s: ", setup->binding);
    if (file)
        r = secret_read_file(file, "the key", KEEPER_SECRET_MAX, &key, &err);
    else
        r = ask_secret(prompt, ASK_LINE_MAX, false, &key, &err);
    if (r == -ENOTTY) {
        err_set(&err, ENOTTY, "this needs the key, and there is nobody to ask");
        err_hint(&err, "--key-file FILE, or - for standard input");
        return cli_fail(CODE_USAGE, &err);
    }
    if (r >= 0 && !secret_len(key))
        r = err_set(&err, EINVAL, "an empty key was typed; nothing was changed");
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    *ret_key = TAKE_PTR(key);
    return CODE_DONE;
}

static int put_spec(struct wire_frame *request, uint16_t type, const json_t *spec)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(KEEPER_SPEC_MAX);

    if (json_write(spec, &text) < 0)
        return cli_failf(CODE_FAILED, NULL, "the connector's manifest names more than a binding can hold");
    wire_init(request, type, 0);
    wire_put_str(request, buf_str(&text));
    return CODE_DONE;
}

static int bind_key(struct setup *setup, struct keeper_answer *answer)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    int code = read_key(setup, &key);

    if (!code)
        code = put_spec(&request, OWNER_BIND_KEY, setup->spec);
    if (code)
        return code;
    keeper_put_secret(&request, key);
    return keeper_ask(setup->cli, setup->keeper, &request, NULL, answer);
}

static int bind_oauth2(struct setup *setup, struct keeper_answer *answer)
{
    const char *own = args_value(setup->cli->args, "client-id");
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    CLEANUP_FREE char *redirect_uri = NULL;
    int code = authorize_redirect_uri(setup->cli, &redirect_uri);

    if (code)
        return code;
    json_object_set_new(setup->spec, "redirect_uri", json_string(redirect_uri));
    if (own && json_object_set_new(setup->spec, "client_id", json_string(own)) < 0)
        return cli_failf(CODE_USAGE, NULL, "the client id is not valid UTF-8");
    code = put_spec(&request, OWNER_OAUTH_BEGIN, setup->spec);
    if (code)
        return code;
    keeper_put_secret(&request, setup->client_secret);
    secret_free(TAKE_PTR(setup->client_secret));
    return authorize(setup->cli, setup->keeper, &request, args_has(setup->cli->args, "no-browser"), answer);
}

static void put_expiry(FILE *out, const json_t *detail)
{
    const json_t *expires = json_object_get(detail, "expires_at");
    char text[PRINT_TIME_MAX];

    if (json_is_string(expires))
        print_field(out, "expires", print_local_time(json_string_value(expires), text));
    if (expires && !json_is_true(json_object_get(detail, "refresh_token_present")))
        cli_note("aileron: the provider gave no refresh token: when this expires, aileron binding reauthorize asks anew");
}

/* `what` was done to the binding; the keeper's detail tells the rest. */
static int put_result(struct cli *cli, const char *what, const char *fqn, const struct keeper_answer *answer)
{
    CLEANUP_JSON json_t *detail = keeper_detail(answer);
    CLEANUP_FREE char *missing = NULL;

    if (answer->result != KEEPER_OK)
        return keeper_fail(answer);
    detail = detail ? detail : json_object();
    missing = print_list(json_object_get(detail, "missing_scopes"));
    if (missing && *missing)
        cli_note("aileron: NOT GRANTED: %s. Actions that need these will fail; aileron binding reauthorize asks again", missing);
    if (args_has(cli->args, "json")) {
        json_object_set_new(detail, "connector_fqn", json_string(fqn));
        return print_json(cli->out, detail) < 0 ? CODE_FAILED : CODE_DONE;
    }
    fprintf(cli->out, "%s✓%s %s ", term_style(cli->out, STYLE_GOOD), term_end(cli->out), what);
    term_put(cli->out, text_of(detail, "binding"));
    fputs(" for ", cli->out);
    term_put(cli->out, fqn);
    fputc('\n', cli->out);
    print_items(cli->out, "granted", json_object_get(detail, "granted_scopes"));
    put_expiry(cli->out, detail);
    return CODE_DONE;
}

static int prepare(struct setup *setup)
{
    int code = choose_can_ask(setup->cli, "binding a credential");

    if (!code)
        code = check_stdin(setup->cli);
    if (!code)
        code = choose_connector(setup->cli, args_word(setup->cli->args, 0), &setup->connector);
    setup->consent.connector = setup->connector;
    if (!code)
        code = check_kind(setup);
    if (!code)
        code = choose_name(setup);
    if (!code && is_oauth2(setup))
        code = choose_client(setup);
    return code;
}

static int run_setup(struct cli *cli)
{
    CLEANUP(setup_clear) struct setup setup = { .cli = cli };
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    bool yes = false;
    int code = prepare(&setup);

    if (!code)
        code = ask_consent(&setup, &yes);
    if (code || !yes)
        return code ? code : CODE_FAILED;
    code = cli_unlock(cli, UNLOCK_OR_CREATE, &setup.keeper, NULL);
    if (code)
        return code;
    if (args_has(cli->args, "default"))
        json_object_set_new(setup.spec, "default", json_true());
    code = is_oauth2(&setup) ? bind_oauth2(&setup, &answer) : bind_key(&setup, &answer);
    return code ? code : put_result(cli, "bound", text_of(setup.connector, "fqn"), &answer);
}

const struct command COMMAND_BINDING_SETUP = {
    .name = "binding setup",
    .operands = "CONNECTOR",
    .about = "give a connector a credential, after your consent",
    .details = "CONNECTOR is the name of an installed connector (aileron connector list) or its last part. Before anything happens the command "
               "shows what the connector asks for and every host that the credential can be sent to, and warns about each that does not belong "
               "to the provider's domain. Only what is shown there is sealed into the vault; the connector itself never sees the credential.\n"
               "\n"
               "For a key, it is asked for without echo, or read from --key-file. For OAuth the browser is sent to the provider; over ssh, "
               "without a display or with --no-browser the address is printed, and the one that the browser shows at the end can be pasted. "
               "--client-id and --client-secret-file put your own OAuth client into the vault in place of the publisher's.\n"
               "\n"
               "A second account is a second binding: --as work makes oauth2/google/work. The first binding of a connector is its default; "
               "--default makes this one the default.\n"
               "\n"
               "Examples:\n"
               "  aileron binding setup google\n"
               "  aileron binding setup google --as work --no-browser\n"
               "  pass show weather | aileron binding setup weather --key-file - --yes",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "as", 0, "NAME", false, "the account: an identity such as work, or a full name" },
        { "key-file", 0, "FILE|-", false, "read the key from FILE or standard input" },
        { "client-id", 0, "ID", false, "your own OAuth client" },
        { "client-secret-file", 0, "FILE|-", false, "read its secret from FILE or standard input" },
        { "no-browser", 0, NULL, false, "print the address instead of opening a browser" },
        { "default", 0, NULL, false, "use it when no binding is named" },
        { "yes", 'y', NULL, false, "consent without being asked" },
        OPTION_JSON,
    },
    .run = run_setup,
};

/* The binding as it is, the connector as it is installed now. */
static int prepare_rebind(struct setup *setup, json_t **ret_binding)
{
    struct cli *cli = setup->cli;
    const char *kind;
    int code = choose_can_ask(cli, "a new consent");

    if (!code) /* what it was granted so far shows only while the vault is open */
        code = cli_unlock(cli, UNLOCK_ONLY, &setup->keeper, NULL);
    if (!code)
        code = choose_binding(cli, args_word(cli->args, 0), ret_binding);
    if (!code)
        code = choose_connector(cli, text_of(*ret_binding, "connector_fqn"), &setup->connector);
    if (code)
        return code;
    kind = text_of(*ret_binding, "kind");
    if (strcmp(kind, kind_of(setup)) != 0)
        return cli_failf(CODE_FAILED, "aileron binding setup makes a new one",
            "the installed %s wants a credential of the kind %s, and this binding is of the kind %s",
            text_of(setup->connector, "fqn"), kind_of(setup), kind);
    setup->binding = strdup(text_of(*ret_binding, "binding"));
    setup->consent.connector = setup->connector;
    setup->consent.binding = setup->binding;
    setup->consent.before = json_object_get(*ret_binding, "origins");
    return setup->binding ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
}

static int run_rebind(struct cli *cli)
{
    CLEANUP(setup_clear) struct setup setup = { .cli = cli };
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    CLEANUP_JSON json_t *binding = NULL;
    bool yes = false;
    int code = prepare_rebind(&setup, &binding);

    if (!code)
        code = ask_consent(&setup, &yes);
    if (code || !yes)
        return code ? code : CODE_FAILED;
    code = put_spec(&request, OWNER_REBIND, setup.spec);
    if (!code)
        code = keeper_ask(cli, setup.keeper, &request, NULL, &answer);
    return code ? code : put_result(cli, "rebound", text_of(setup.connector, "fqn"), &answer);
}

const struct command COMMAND_BINDING_REBIND = {
    .name = "binding rebind",
    .operands = "NAME",
    .about = "consent anew, to what the installed version asks for",
    .details = "After a connector was updated its credential goes only where you consented before. This shows what the installed version asks "
               "for, new hosts marked, and after your yes that becomes what the binding may do. The credential itself stays. Also for a binding "
               "that another program wrote into the vault, which has no consent yet.\n"
               "\n"
               "NAME is the binding's name, or its service or identity when only one has it.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "yes", 'y', NULL, false, "consent without being asked" },
        OPTION_JSON,
    },
    .run = run_rebind,
};

static int run_reauthorize(struct cli *cli)
{
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    CLEANUP_FREE char *redirect_uri = NULL;
    CLEANUP_JSON json_t *binding = NULL;
    int code = choose_binding(cli, args_word(cli->args, 0), &binding);

    if (code)
        return code;
    if (strcmp(text_of(binding, "kind"), "oauth2") != 0)
        return cli_failf(CODE_FAILED, "aileron binding setup CONNECTOR puts a new key in its place", "%s is bound by a key",
            text_of(binding, "binding"));
    code = cli_unlock(cli, UNLOCK_ONLY, &keeper, NULL);
    if (!code)
        code = authorize_redirect_uri(cli, &redirect_uri);
    if (code)
        return code;
    wire_init(&request, OWNER_OAUTH_AGAIN, 0);
    wire_put_str(&request, text_of(binding, "binding"));
    wire_put_str(&request, redirect_uri);
    code = authorize(cli, keeper, &request, args_has(cli->args, "no-browser"), &answer);
    return code ? code : put_result(cli, "authorised", text_of(binding, "connector_fqn"), &answer);
}

const struct command COMMAND_BINDING_REAUTHORIZE = {
    .name = "binding reauthorize",
    .operands = "NAME",
    .about = "sign in at the provider again, for a binding that is stale",
    .details = "For when the provider has withdrawn or ended an authorisation. The binding keeps its name, its OAuth client and what you consented "
               "to; only the tokens are new.\n"
               "\n"
               "NAME is the binding's name, or its service or identity when only one has it.",
    .words_min = 1,
    .words_max = 1,
    .passphrase = true,
    .options = {
        { "no-browser", 0, NULL, false, "print the address instead of opening a browser" },
        OPTION_JSON,
    },
    .run = run_reauthorize,
};
