/* aileron audit list|show|verify: the receipts. */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rows.h"
#include "cli/table.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

const struct command COMMAND_AUDIT = { .name = "audit", .operands = "", .about = "Receipts of everything" };

static const char *payload_text(const json_t *event, const char *key)
{
    return json_get_str(json_object_get(event, "payload"), key);
}

/* What the event is about: the first of these that it names, else its session. */
static void subject_of(const json_t *event, char *out, size_t size)
{
    static const char *const KEYS[] = { "aileron.action.name", "aileron.action.fqn", "aileron.binding.name",
        "aileron.connector.fqn", "aileron.approval.id", "aileron.vault.path", "aileron.keyring.authority" };
    const char *version, *session = json_get_str(event, "session_id");

    out[0] = '\0';
    if (session)
        snprintf(out, size, "session …%s", print_suffix(session));
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        const char *text = payload_text(event, KEYS[i]);

        if (!text)
            continue;
        version = strcmp(KEYS[i], "aileron.connector.fqn") ? NULL : payload_text(event, "aileron.connector.version");
        snprintf(out, size, "%s%s%s", text, version ? "@" : "", version ? version : "");
        return;
    }
}

/* How it went: a failure class, a duration, or a decision. */
static enum style result_of(const json_t *event, char *out, size_t size)
{
    const json_t *payload = json_object_get(event, "payload");
    const json_t *duration = json_object_get(payload, "aileron.execution.duration_ms");
    const char *class = payload_text(event, "aileron.failure.class"),
               *decision = payload_text(event, "aileron.approval.decision");
    const char *consent = payload_text(event, "aileron.consent.decision"),
               *signature = payload_text(event, "aileron.signature.status");

    out[0] = '\0';
    if (class) {
        snprintf(out, size, "%s", class);
        return STYLE_BAD;
    }
    if (json_is_number(duration))
        snprintf(out, size, "ok, %.0f ms", json_number_value(duration));
    else if (decision || signature || consent)
        snprintf(out, size, "%s", decision ? decision : signature ? signature : consent);
    return json_is_number(duration) ? STYLE_GOOD : STYLE_PLAIN;
}

static void put_row(struct table *table, const json_t *event)
{
    char when[PRINT_TIME_MAX], subject[512], result[256];
    const json_t *actor = json_object_get(event, "actor");
    const char *actor_type = json_get_str(actor, "type"), *actor_id = json_get_str(actor, "id");
    enum style style = result_of(event, result, sizeof(result));

    subject_of(event, subject, sizeof(subject));
    table_row(table);
    table_cell(table, print_local_time(json_get_str(event, "timestamp"), when));
    table_cell_style(table, json_get_str(event, "event_type"), STYLE_BOLD);
    table_cell(table, subject);
    if (actor_id && strncmp(actor_id, "ses_", 4) == 0)
        table_cellf(table, "%s …%s", actor_type ? actor_type : "?", print_suffix(actor_id));
    else if (actor_id && *actor_id)
        table_cellf(table, "%s %s", actor_type ? actor_type : "?", actor_id);
    else
        table_cell(table, actor_type);
    table_cell_style(table, result, style);
    table_cell_style(table, print_suffix(json_get_str(event, "audit_id")), STYLE_DIM);
}

static int build_query(struct cli *cli, struct buf *path)
{
    static const char *const NAMES[] = { "since", "until", "type", "session", "connector", "class", "text", "limit" };
    int r = buf_add_str(path, "/v1/audit");

    for (size_t i = 0; i < ARRAY_LEN(NAMES) && r >= 0; i++)
        r = cli_query(path, NAMES[i], args_value(cli->args, NAMES[i]));
    return r;
}

static int run_list(struct cli *cli)
{
    static const struct table_column COLUMNS[] = {
        { "TIME", false, 0 },
        { "EVENT", false, 12 },
        { "ABOUT", false, 14 },
        { "BY", false, 8 },
        { "RESULT", false, 10 },
        { "ID", false, 0 },
    };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    CLEANUP(buf_free) struct buf path = BUF_INIT(8192);
    CLEANUP_JSON json_t *answer = NULL;
    const json_t *events;
    int code;

    if (build_query(cli, &path) < 0)
        return cli_failf(CODE_USAGE, NULL, "the options are too long");
    code = cli_get(cli, "GET", buf_str(&path), NULL, &answer);
    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    events = json_object_get(answer, "events");
    for (size_t i = json_array_size(events); i-- > 0;) /* as a log: the newest last */
        put_row(table, json_array_get(events, i));
    if (!table_rows(table)) {
        fputs("no events\n", cli->out);
        return CODE_DONE;
    }
    return table_print(table, cli->out, term_width(cli->out)) < 0 ? CODE_FAILED : CODE_DONE;
}

const struct command COMMAND_AUDIT_LIST = {
    .name = "audit list",
    .operands = "",
    .about = "list receipts, the newest last",
    .details = "Times are local; the id is the end of the receipt's id, enough for `aileron audit show`. TIME is RFC 3339, such as "
               "2026-11-23T08:00:00Z. TYPE may end in .* (execution.*). --json prints the newest first.",
    .options = {
        { "since", 0, "TIME", false, "only from this time on" },
        { "until", 0, "TIME", false, "only before this time" },
        { "type", 0, "TYPE", false, "only this type of event" },
        { "session", 0, "ID", false, "only of this agent session" },
        { "connector", 0, "FQN", false, "only of this connector" },
        { "class", 0, "CLASS", false, "only failures of this class" },
        { "text", 0, "TEXT", false, "only those that hold this somewhere, in any case" },
        { "limit", 'n', "N", false, "how many, 1 to 1000 (100 when not given)" },
        OPTION_JSON,
    },
    .run = run_list,
};

static int run_show(struct cli *cli)
{
    CLEANUP_FREE char *path = cli_path("/v1/audit/", args_word(cli->args, 0), "");
    CLEANUP_JSON json_t *answer = NULL;
    char when[PRINT_TIME_MAX];
    const json_t *event, *actor;
    const char *key;
    json_t *member;
    int code = path ? cli_get(cli, "GET", path, NULL, &answer) : cli_failf(CODE_FAILED, NULL, "out of memory");

    if (code)
        return code;
    if (args_has(cli->args, "json"))
        return print_json(cli->out, answer) < 0 ? CODE_FAILED : CODE_DONE;
    event = json_object_get(answer, "event") ? json_object_get(answer, "event") : answer;
    actor = json_object_get(event, "actor");
    print_field(cli->out, "event", json_get_str(event, "event_type"));
    print_fieldf(
        cli->out, "time", "%s (%s)", print_local_time(json_get_str(event, "timestamp"), when), json_get_str(event, "timestamp"));
    print_field(cli->out, "id", json_get_str(event, "audit_id"));
    print_fieldf(cli->out, "number", "%lld", (long long) json_integer_value(json_object_get(event, "seq")));
    print_field(cli->out, "session", json_get_str(event, "session_id"));
    print_fieldf(cli->out, "by", "%s %s", json_get_str(actor, "type") ? json_get_str(actor, "type") : "?",
        json_get_str(actor, "id") ? json_get_str(actor, "id") : "");
    print_field(cli->out, "chained to", json_get_str(event, "prev"));
    json_object_foreach(json_object_get(event, "payload"), key, member)
    {
        CLEANUP_FREE char *value = print_member(json_object_get(event, "payload"), key);

        fprintf(cli->out, "  %s%-32s%s ", term_style(cli->out, STYLE_DIM), key, term_end(cli->out));
        term_put(cli->out, value ? value : "");
        fputc('\n', cli->out);
    }
    return CODE_DONE;
}

const struct command COMMAND_AUDIT_SHOW = {
    .name = "audit show",
    .operands = "ID",
    .about = "show one receipt",
    .details = "ID is a receipt's id or the end of it, six characters or more, as long as only one receipt ends so.",
    .words_min = 1,
    .words_max = 1,
    .options = { OPTION_JSON },
    .run = run_show,
};

/* How far signatures of the vault hold the log, in words. */
static void print_anchor(struct cli *cli, const json_t *verdict)
{
    const json_t *anchor = json_object_get(verdict, "anchor");
    const char *why = json_get_str(anchor, "unconfirmed");
    long long seq = json_integer_value(json_object_get(anchor, "seq"));
    long long later = json_integer_value(json_object_get(anchor, "later"));

    if (!json_is_object(anchor)) {
        print_field(cli->out, "anchor", "none: no head of the log has been signed; that happens while the vault is open");
        return;
    }
    print_fieldf(cli->out, "anchor", "anchored to seq %lld, %lld later", seq, later);
    print_fieldf(cli->out, "key", "%s", json_get_str(anchor, "key"));
    if (json_is_true(json_object_get(anchor, "confirmed")))
        print_field(cli->out, "", "the vault's own key");
    else if (why && !strcmp(why, "vault_made_anew"))
        print_field(cli->out, "", "the key of the vault that was there before `vault.created`; it cannot be confirmed any more");
    else
        print_field(cli->out, "", "not confirmed while the vault is locked: `aileron vault unlock`, then verify again");
}

static int print_broken(struct cli *cli, const json_t *verdict)
{
    const char *where = json_get_str(verdict, "where"), *what = json_get_str(verdict, "what");
    const json_t *anchor = json_object_get(verdict, "anchor");
    char hint[192] = "keep the files of the folder audit as they are";

    if (json_is_true(json_object_get(anchor, "confirmed")))
        snprintf(hint, sizeof(hint),
            "keep the files of the folder audit as they are; up to receipt number %lld they are as the vault signed them",
            (long long) json_integer_value(json_object_get(anchor, "seq")));
    return cli_failf(CODE_FAILED, hint, "the audit log is BROKEN at %s: %s", where ? where : "an unknown place",
        what ? what : "it does not match its chain");
}

static int run_verify(struct cli *cli)
{
    CLEANUP_JSON json_t *verdict = NULL;
    int code = cli_get(cli, "GET", "/v1/audit/verify", NULL, &verdict);
    long long files;
    bool intact;

    if (code)
        return code;
    intact = json_is_true(json_object_get(verdict, "intact"));
    if (args_has(cli->args, "json")) {
        print_json(cli->out, verdict);
        return intact ? CODE_DONE : CODE_FAILED;
    }
    if (!intact)
        return print_broken(cli, verdict);
    files = json_integer_value(json_object_get(verdict, "files"));
    fprintf(cli->out, "%sintact%s: %lld events in %lld %s, each chained to the one before\n", term_style(cli->out, STYLE_GOOD),
        term_end(cli->out), (long long) json_integer_value(json_object_get(verdict, "events")), files,
        files == 1 ? "file" : "files");
    print_field(cli->out, "head", json_get_str(verdict, "head"));
    print_anchor(cli, verdict);
    return CODE_DONE;
}

const struct command COMMAND_AUDIT_VERIFY = {
    .name = "audit verify",
    .operands = "",
    .about = "check that no receipt was edited, cut or reordered",
    .details =
        "Reads every receipt and compares the chain of hashes and the heads that the vault's key has signed. Exits 0 when all "
        "is intact, 1 with the place of the first fault when not. What came after the newest signed head could be written anew "
        "by whoever can write the files, and so could everything if the heads were cut away too: keep the head that this "
        "command prints elsewhere to notice that.",
    .options = { OPTION_JSON },
    .run = run_verify,
};
