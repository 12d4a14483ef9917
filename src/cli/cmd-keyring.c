/* aileron keyring trust|list|revoke: whose signatures count. A key is trusted by the fingerprint that was shown. */
#include "cli/choose.h"
#include "cli/plan-show.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "store/keyring.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

const struct command COMMAND_KEYRING = { .name = "keyring", .operands = "", .about = "Keyring: whose signatures count" };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static int read_keyring(struct cli *cli, json_t **ret_keyring)
{
    return cli_get(cli, "GET", "/v1/keyring", NULL, ret_keyring);
}

/* ---- trust ---- */

/* The keys that `authority` has already; true when one of them has the fingerprint. */
static int note_other_keys(struct cli *cli, const char *authority, const char *fingerprint, bool *ret_known)
{
    CLEANUP_JSON json_t *keyring = NULL;
    const json_t *item;
    size_t i, others = 0;
    int code = read_keyring(cli, &keyring);

    *ret_known = false;
    json_array_foreach(json_object_get(keyring, "publishers"), i, item)
    {
        if (strcmp(text_of(item, "authority"), authority) != 0)
            continue;
        if (!strcmp(text_of(item, "fingerprint"), fingerprint))
            *ret_known = true;
        else
            others++;
    }
    if (!*ret_known && others)
        cli_note("Note: you trust %zu other key%s for this name, and this one comes beside. aileron keyring revoke removes those "
                 "that are "
                 "not used any more.",
            others, others == 1 ? "" : "s");
    return code;
}

static int put_trusted(struct cli *cli, const char *authority, const char *fingerprint)
{
    CLEANUP_JSON json_t *answer = NULL;

    show_trusted(cli, authority, fingerprint);
    if (!args_has(cli->args, "json"))
        return CODE_DONE;
    answer = json_pack("{s:s, s:s, s:b}", "authority", authority, "fingerprint", fingerprint, "trusted", 1);
    return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
}

/* POST; 400 is a name that was typed wrong. */
static int post(struct cli *cli, const json_t *body, json_t **ret_answer)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    int code = cli_ask(cli, "POST", "/v1/keyring", body, &answer);

    if (code)
        return code;
    if (answer.status >= 400) {
        code = cli_fail_answer(&answer);
        return answer.status == 400 ? CODE_USAGE : code;
    }
    *ret_answer = TAKE_PTR(answer.json);
    return CODE_DONE;
}

static int trust(struct cli *cli, json_t *body)
{
    CLEANUP_JSON json_t *told = NULL;
    CLEANUP_JSON json_t *done = NULL;
    const char *authority = args_word(cli->args, 0), *fingerprint;
    bool known = false, yes = false;
    int code = post(cli, body, &told);

    if (code)
        return code;
    fingerprint = text_of(told, "fingerprint");
    show_trust(authority, fingerprint, json_get_str(told, "url"));
    code = note_other_keys(cli, authority, fingerprint, &known);
    if (!code && known) {
        cli_note("aileron: this key is trusted already");
        return put_trusted(cli, authority, fingerprint);
    }
    if (!code)
        code = show_trust_ask(cli, authority, &yes);
    if (!code && !yes)
        cli_note("aileron: nothing was changed");
    if (code || !yes)
        return code ? code : CODE_FAILED;
    /* The key is fetched anew, and counts only if it has this fingerprint. */
    json_object_set(body, "fingerprint", json_object_get(told, "fingerprint"));
    code = post(cli, body, &done);
    return code ? code : put_trusted(cli, authority, fingerprint);
}

/* An owner has no repository of which a key could be fetched. */
static bool is_owner(const char *authority)
{
    const char *owner = strstr(authority, "://");

    return owner && owner[3] && !strchr(owner + 3, '/');
}

static int run_trust(struct cli *cli)
{
    const char *authority = args_word(cli->args, 0);
    CLEANUP_JSON json_t *keys = NULL;
    CLEANUP_JSON json_t *body = NULL;
    int code = choose_can_ask(cli, "trusting a publisher");

    if (!code && is_owner(authority) && !args_has(cli->args, "key"))
        code = cli_failf(CODE_USAGE, "give it from a file: --key FILE; or name a repository: github://OWNER/REPO",
            "the key of an owner is not fetched from anywhere");
    if (!code)
        code = plan_keys(cli, &keys);
    if (code)
        return code;
    body = json_pack("{s:s}", "authority", authority);
    if (!body)
        return cli_failf(CODE_USAGE, NULL, "that is not valid UTF-8");
    if (json_array_size(keys))
        json_object_set(body, "key", json_array_get(keys, 0));
    return trust(cli, body);
}

const struct command COMMAND_KEYRING_TRUST = {
    .name = "keyring trust",
    .operands = "AUTHORITY",
    .about = "let a publisher's key sign what may be installed",
    .details = "AUTHORITY is github://OWNER/REPO, or github://OWNER for all repositories of an owner, which needs --key. Without --key the key is "
               "fetched from keys/publisher.pub of the repository's default branch. The fingerprint is shown before you are asked: compare it "
               "with what the publisher tells elsewhere.\n"
               "\n"
               "Examples:\n"
               "  aileron keyring trust github://acme/tools\n"
               "  aileron keyring trust github://acme --key acme.pub",
    .words_min = 1,
    .words_max = 1,
    .options = {
        { "key", 0, "FILE", false, "the publisher's key, PEM or base64" },
        { "yes", 'y', NULL, false, "trust without being asked" },
        OPTION_JSON,
    },
    .run = run_trust,
};

/* ---- list ---- */

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "PUBLISHER", false, 16 },
        { "FOR", false, 0 },
        { "FINGERPRINT", false, 0 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int code = read_keyring(cli, &answer);

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    json_array_foreach(json_object_get(answer, "publishers"), i, item)
    {
        table_row(table);
        table_cell_style(table, text_of(item, "authority"), STYLE_BOLD);
        table_cell(table, !strcmp(text_of(item, "kind"), "owner") ? "all repositories" : "this repository");
        table_cell(table, text_of(item, "fingerprint"));
    }
    if (table_rows(table))
        return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
    fputs("nobody is trusted\n", cli->out);
    return CODE_DONE;
}

const struct command COMMAND_KEYRING_LIST = {
    .name = "keyring list",
    .operands = "",
    .about = "list the publishers whom you trust",
    .options = { OPTION_JSON },
    .run = run_list,
};

/* ---- revoke ---- */

/* A line for each installed thing that was signed under the name. Returns how many. */
static size_t put_signed(const json_t *list, const char *what, const char *authority)
{
    const json_t *item;
    size_t i, count = 0;

    json_array_foreach((json_t *) list, i, item)
    {
        const char *name = json_get_str(item, "name") ? text_of(item, "name") : text_of(item, "fqn");

        if (!keyring_covers(authority, text_of(item, "fqn")))
            continue;
        cli_note("  %s %s %s", what, name, text_of(item, "version"));
        count++;
    }
    return count;
}

static int put_consequences(struct cli *cli, const char *authority)
{
    CLEANUP_JSON json_t *connectors = NULL;
    CLEANUP_JSON json_t *actions = NULL;
    size_t count = 0;
    int code = cli_get(cli, "GET", "/v1/connectors", NULL, &connectors);

    if (!code)
        code = cli_get(cli, "GET", "/v1/actions", NULL, &actions);
    if (code)
        return code;
    cli_note("What is installed under %s, and runs no more unless another key that you trust signed it:", authority);
    count += put_signed(json_object_get(connectors, "connectors"), "connector", authority);
    count += put_signed(json_object_get(actions, "actions"), "action", authority);
    if (!count)
        cli_note("  nothing");
    return CODE_DONE;
}

/* Shows the keys that would go. CODE_FAILED when there is none. */
static int put_keys(struct cli *cli, const char *authority, const char *fingerprint)
{
    CLEANUP_JSON json_t *keyring = NULL;
    const json_t *item;
    size_t i, found = 0;
    int code = read_keyring(cli, &keyring);

    if (code)
        return code;
    json_array_foreach(json_object_get(keyring, "publishers"), i, item)
    {
        if (strcmp(text_of(item, "authority"), authority) != 0)
            continue;
        if (fingerprint && strcmp(text_of(item, "fingerprint"), fingerprint) != 0)
            continue;
        cli_note("%s%s %s", found++ ? "" : "Revoking ", authority, text_of(item, "fingerprint"));
    }
    if (found)
        return CODE_DONE;
    return cli_failf(CODE_FAILED, "aileron keyring list",
        fingerprint ? "%s has no key %s in the keyring" : "%s is not in the keyring", authority, fingerprint);
}

static int run_revoke(struct cli *cli)
{
    const char *authority = args_word(cli->args, 0), *fingerprint = args_value(cli->args, "fingerprint");
    CLEANUP_JSON json_t *body = json_pack("{s:s, s:s*}", "authority", authority, "fingerprint", fingerprint);
    CLEANUP_FREE char *question = NULL;
    CLEANUP_JSON json_t *answer = NULL;
    bool yes = false;
    int code = choose_can_ask(cli, "revoking a key");

    if (!body || asprintf(&question, "Revoke the trust in %s?", authority) < 0)
        return cli_failf(CODE_USAGE, NULL, "that is not valid UTF-8");
    if (!code)
        code = put_keys(cli, authority, fingerprint);
    if (!code)
        code = put_consequences(cli, authority);
    if (!code)
        code = choose_yes(cli, "revoking a key", question, &yes);
    if (code || !yes)
        return code ? code : CODE_FAILED;
    code = cli_get(cli, "DELETE", "/v1/keyring", body, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    fprintf(cli->out, "%s✓%s %s is not trusted any more\n", term_style(cli->out, STYLE_GOOD), term_end(cli->out),
        fingerprint ? fingerprint : authority);
    return CODE_DONE;
}

const struct command COMMAND_KEYRING_REVOKE = {
    .name = "keyring revoke",
    .operands = "AUTHORITY",
    .about = "trust a publisher, or one of the keys, no more",
    .details = "What a revoked key signed runs no more from that moment on; it stays installed and runs again when the key is trusted again. "
               "--fingerprint names one key of several, as after a publisher has changed keys.",
    .words_min = 1,
    .words_max = 1,
    .options = {
        { "fingerprint", 0, "F", false, "only the key with this fingerprint" },
        { "yes", 'y', NULL, false, "revoke without being asked" },
        OPTION_JSON,
    },
    .run = run_revoke,
};
