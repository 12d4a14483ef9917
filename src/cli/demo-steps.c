/*
 * The steps of the tour. What a person would type goes through the same
 * commands that the person would type; what an agent would do goes through
 * aileron-mcp.
 */
#include "cli/demo.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/magic.h"
#include "cli/print.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/banned.h"

#define SUITE            DEMO_REPOSITORY "/suite.toml@latest"
#define IDENTITY         "mara"
#define BINDING          "oauth2/google/" IDENTITY
#define PROVIDER_MS      100 /* how long the stand-in takes over each answer */
#define MAILS            5
#define INDENT           DEMO_INDENT
#define ANSWER_MAX       65536

#define PASSPHRASE_BYTES 24

/* Stands in for the default browser while `binding setup` runs. */
static int browse(const char *url, void *userdata, struct err *err)
{
    struct demo *demo = MAGIC_CAST(struct demo, userdata, DEMO_MAGIC);

    fprintf(demo->out, INDENT "a browser opens %.*s and presses Allow\n", (int) strcspn(url, "?"), url);
    fflush(demo->out);
    return workspace_consent(&demo->workspace, url, err);
}

static struct cli inner_of(struct demo *demo, FILE *out)
{
    return (struct cli){ .home = demo->home,
        .out = out,
        .overrides_told = true,
        .interrupted = demo->interrupted,
        .browse = browse,
        .browse_userdata = demo };
}

static int run(struct demo *demo, char *const *argv, const char *shown, FILE *out)
{
    struct cli inner = inner_of(demo, out);
    int argc = 0, code;

    while (argv[argc])
        argc++;
    fprintf(demo->out, INDENT "%s$ aileron %s%s\n", term_style(demo->out, STYLE_BOLD), shown, term_end(demo->out));
    code = cli_run(&inner, argc, argv);
    inner.home = NULL;
    cli_clear(&inner);
    return code ? -ECANCELED : 0;
}

int demo_run(struct demo *demo, char *const *argv, const char *shown)
{
    return run(demo, argv, shown, demo->out);
}

int demo_ask(struct demo *demo, char *const *argv, const char *shown, json_t **ret_answer, struct err *err)
{
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int r;

    if (!out)
        return -ENOMEM;
    r = run(demo, argv, shown, out);
    if (fclose(out) != 0)
        return -ENOMEM;
    return r < 0 ? r : json_parse(text, len, JSON_LIMITS(ANSWER_MAX), ret_answer, err);
}

static int start_workspace(struct demo *demo, struct err *err)
{
    int r = asprintf(&demo->forge_dir, "%s/forge", demo->dir) < 0 ? -ENOMEM : file_make_dirs(demo->forge_dir, 0700, err);

    return r < 0 ? r : workspace_start(demo->dir, demo->forge_dir, PROVIDER_MS, &demo->workspace, err);
}

/* The passphrase of a vault that lives for seconds: random, in a file of the tour's own folder. */
static int write_passphrase(struct demo *demo, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64);
    unsigned char bytes[PASSPHRASE_BYTES];

    if (asprintf(&demo->passphrase_path, "%s/passphrase", demo->dir) < 0) {
        demo->passphrase_path = NULL;
        return -ENOMEM;
    }
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) || base64url_encode(bytes, sizeof(bytes), &text) < 0)
        return err_errno(err, errno, "no random bytes");
    return file_write_atomic(AT_FDCWD, demo->passphrase_path, text.data, text.len, 0600, err);
}

/* The tour's agent is in no fence, so its approvals would ask for a passphrase that nobody knows. */
static int set_confirm(struct demo *demo)
{
    char *const argv[] = { (char *) "config", (char *) "set", (char *) "approval.confirm", (char *) "never", NULL };

    return demo_run(demo, argv, "config set approval.confirm never");
}

static int start_daemon(struct demo *demo, struct err *err)
{
    static const char *const HOSTS[] = { "gmail.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com", "github.com",
        "api.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com" };
    struct daemon_flags flags = { .dev_ca = demo->workspace.ca_path, .die_with_parent = true };
    char rows[ARRAY_LEN(HOSTS)][96];
    int r;

    for (size_t i = 0; i < ARRAY_LEN(HOSTS); i++) {
        snprintf(rows[i], sizeof(rows[i]), "%s:443:127.0.0.1:%u", HOSTS[i], demo->workspace.port);
        flags.dev_connect_to[flags.dev_connect_to_len++] = rows[i];
    }
    fprintf(demo->out, INDENT "%s$ aileron daemon start --dev-ca FILE --dev-connect-to %s …%s\n",
        term_style(demo->out, STYLE_BOLD), rows[0], term_end(demo->out));
    fflush(demo->out);
    r = daemon_start(demo->home, &flags, &demo->daemon_started, err);
    return r > 0 ? -EIO : r < 0 ? r : set_confirm(demo);
}

static int make_vault(struct demo *demo, struct err *err)
{
    int r = write_passphrase(demo, err);

    if (r < 0)
        return r;
    char *const argv[] = { (char *) "vault", (char *) "init", (char *) "--dev", (char *) "--passphrase-file",
        demo->passphrase_path, NULL };

    return demo_run(demo, argv, "vault init --dev --passphrase-file FILE");
}

static int add_suite(struct demo *demo, struct err *err)
{
    char *const argv[] = { (char *) "action", (char *) "add-suite", (char *) SUITE, (char *) "--as", (char *) IDENTITY,
        (char *) "--yes", NULL };

    return demo_run(demo, argv, "action add-suite " SUITE " --as " IDENTITY " --yes");
}

/* The access token ends behind everybody's back; the next call is refused with 401 and refreshed on the way. */
static int refresh_token(struct demo *demo, struct err *err)
{
    CLEANUP_JSON json_t *args = json_pack("{s:i}", "max_results", 1);
    CLEANUP_JSON json_t *list = NULL;
    int64_t start = clock_boot_ms();
    int r = workspace_expire(&demo->workspace, err);

    if (r >= 0)
        r = agent_call(demo->agent, "list_recent_emails", args, &list, err);
    if (r < 0)
        return r;
    fprintf(
        demo->out, INDENT "the agent's next call took %lld ms and says nothing of it\n", (long long) (clock_boot_ms() - start));
    char *const argv[] = { (char *) "binding", (char *) "inspect", (char *) BINDING, NULL };

    return demo_run(demo, argv, "binding inspect " BINDING);
}

static int connect_agent(struct demo *demo, struct err *err)
{
    CLEANUP_JSON json_t *tools = NULL;
    const json_t *tool;
    size_t i;
    int r = agent_start(demo->home->path, demo->interrupted, &demo->agent, err);

    if (r >= 0)
        r = agent_tools(demo->agent, &tools, err);
    if (r < 0)
        return r;
    fprintf(demo->out, INDENT "its tools:");
    json_array_foreach(tools, i, tool)
    {
        fprintf(demo->out, "%s ", i ? "," : "");
        term_put(demo->out, json_get_str(tool, "name") ? json_get_str(tool, "name") : "?");
    }
    fputc('\n', demo->out);
    return json_array_size(tools) ? 0 : err_set(err, EPROTO, "the agent was offered no tools");
}

static int read_mails(struct demo *demo, const json_t *ids, int64_t *ret_ms, struct err *err)
{
    json_t *args[MAILS] = { NULL };
    int64_t start = clock_boot_ms();
    int r;

    for (size_t i = 0; i < MAILS; i++)
        args[i] = json_pack("{s:s}", "id", json_get_str(json_array_get(ids, i), "id"));
    r = agent_call_all(demo->agent, "get_email", args, MAILS, demo->mails, err);
    *ret_ms = clock_boot_ms() - start;
    demo->mails_len = MAILS;
    for (size_t i = 0; i < MAILS; i++)
        json_decref(args[i]);
    return r;
}

static void put_fitted(FILE *out, const char *text, size_t indent)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(64 * 1024);
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(64 * 1024);
    size_t width = term_width(out) ? term_width(out) : 100;

    text_clean(text, strlen(text), false, &clean);
    text_fit(buf_str(&clean), width > indent ? width - indent : 1, &fitted);
    fputs(buf_str(&fitted), out);
}

/* "Anna Müller" of `Anna Müller <anna@example.org>`. malloc'd. */
static char *display_name(const char *from)
{
    size_t skip = *from == '"' ? 1 : 0, len = strcspn(from, "<");

    while (len > skip && (from[len - 1] == ' ' || from[len - 1] == '"'))
        len--;
    return len > skip ? strndup(from + skip, len - skip) : strdup(from);
}

static void put_digest(struct demo *demo)
{
    fprintf(demo->out, INDENT "%sdigest:%s\n", term_style(demo->out, STYLE_DIM), term_end(demo->out));
    for (size_t i = 0; i < demo->mails_len; i++) {
        const char *from = json_get_str(demo->mails[i], "from"), *subject = json_get_str(demo->mails[i], "subject");
        const char *snippet = json_get_str(demo->mails[i], "snippet");
        CLEANUP_FREE char *name = display_name(from ? from : "?");
        CLEANUP(buf_free) struct buf line = BUF_INIT(8192);

        buf_printf(&line, "%s: %s", name ? name : "?", subject ? subject : "(no subject)");
        fprintf(demo->out, INDENT "  %zu. %s", i + 1, term_style(demo->out, STYLE_BOLD));
        put_fitted(demo->out, buf_str(&line), 11);
        fprintf(demo->out, "%s\n" INDENT "     %s", term_end(demo->out), term_style(demo->out, STYLE_DIM));
        put_fitted(demo->out, snippet ? snippet : "", 11);
        fprintf(demo->out, "%s\n", term_end(demo->out));
    }
}

static int list_and_read(struct demo *demo, struct err *err)
{
    CLEANUP_JSON json_t *args = json_pack("{s:i}", "max_results", MAILS);
    CLEANUP_JSON json_t *list = NULL;
    const json_t *ids;
    int64_t ms = 0;
    int r = agent_call(demo->agent, "list_recent_emails", args, &list, err);

    if (r < 0)
        return r;
    ids = json_object_get(list, "messages");
    if (json_array_size(ids) < MAILS)
        return err_set(err, EPROTO, "%zu mails were listed instead of %d", json_array_size(ids), MAILS);
    r = read_mails(demo, ids, &ms, err);
    if (r < 0)
        return r;
    fprintf(demo->out, INDENT "%d mails read at once in %lld ms; the provider takes %d ms over each\n", MAILS, (long long) ms,
        PROVIDER_MS);
    put_digest(demo);
    return 0;
}

static void put_event(FILE *out, const json_t *event)
{
    const char *start = json_get_str(event, "start"), *end = json_get_str(event, "end"), *title = json_get_str(event, "title");
    int64_t from_ms = 0, to_ms = 0;
    char day[32] = "", to[16] = "";
    struct tm tm;

    if (start && end && clock_parse(start, &from_ms) == 0 && clock_parse(end, &to_ms) == 0) {
        time_t from_s = (time_t) (from_ms / 1000), to_s = (time_t) (to_ms / 1000);

        strftime(day, sizeof(day), "%a %d %b  %H:%M", localtime_r(&from_s, &tm));
        strftime(to, sizeof(to), "%H:%M", localtime_r(&to_s, &tm));
    }
    fprintf(out, INDENT "  %s–%s  ", day, to);
    put_fitted(out, title ? title : "(no title)", 30);
    fputc('\n', out);
}

static int show_week(struct demo *demo, struct err *err)
{
    char until[CLOCK_TEXT_MAX];
    CLEANUP_JSON json_t *args = NULL;
    CLEANUP_JSON json_t *output = NULL;
    const json_t *events, *event;
    size_t i;
    int r;

    clock_format(clock_unix_ms() + INT64_C(7) * 24 * 60 * 60 * 1000, until);
    args = json_pack("{s:s,s:i}", "time_max", until, "max_results", 10);
    r = agent_call(demo->agent, "list_upcoming_events", args, &output, err);
    if (r < 0)
        return r;
    events = json_object_get(output, "events");
    json_array_foreach((json_t *) events, i, event) put_event(demo->out, event);
    return json_array_size(events) ? 0 : err_set(err, EPROTO, "the week is empty");
}

/* The address inside <…>, or the whole. malloc'd. */
static char *address_of(const char *from)
{
    const char *open = from ? strchr(from, '<') : NULL;

    return open ? strndup(open + 1, strcspn(open + 1, ">")) : strdup(from ? from : "");
}

static int draft_reply(struct demo *demo, struct err *err)
{
    static const char TEXT[] =
        "Hi Anna,\n\npages 4 to 9 are fine. Take the larger sum, 24,000 €, for the pilot in München.\n\nBest\nMara\n";
    const json_t *mail = demo->mails[0];
    const char *subject = json_get_str(mail, "subject");
    CLEANUP_FREE char *to = address_of(json_get_str(mail, "from"));
    CLEANUP_FREE char *re = NULL;
    CLEANUP_JSON json_t *args = NULL;
    CLEANUP_JSON json_t *output = NULL;
    int r;

    if (asprintf(&re, "Re: %s", subject ? subject : "") < 0)
        return -ENOMEM;
    args = json_pack("{s:s,s:s,s:s,s:s}", "to", to, "subject", re, "body", TEXT, "reply_to_id", json_get_str(mail, "id"));
    r = agent_call(demo->agent, "draft_email", args, &output, err);
    if (r < 0)
        return r;
    fprintf(demo->out, INDENT "to ");
    term_put(demo->out, to);
    fprintf(demo->out, ": ");
    put_fitted(demo->out, re, 40);
    fprintf(demo->out, "\n" INDENT "draft ");
    term_put(demo->out, json_get_str(output, "id") ? json_get_str(output, "id") : "?");
    fprintf(demo->out, " is saved in its thread; nothing was sent\n");
    return json_get_str(output, "id") ? 0 : err_set(err, EPROTO, "the draft has no id");
}

static int list_audit(struct demo *demo, struct err *err)
{
    char *const argv[] = { (char *) "audit", (char *) "list", NULL };

    return demo_run(demo, argv, "audit list");
}

static int verify_audit(struct demo *demo, struct err *err)
{
    char *const argv[] = { (char *) "audit", (char *) "verify", NULL };

    return demo_run(demo, argv, "audit verify");
}

const struct demo_step DEMO_STEPS[] = {
    { "A Google Workspace and a forge of its own start on 127.0.0.1, with an invented mailbox and calendar.", start_workspace },
    { "A publisher signs and releases there: a connector, ten actions that pin its hash, and a suite.", demo_publish },
    { "The daemon starts, with overrides that lead googleapis.com and github.com to the stand-in once a development vault is "
      "open.",
        start_daemon },
    { "A vault is made. Only the keeper opens it; this one has a random passphrase and is marked for development.", make_vault },
    { "The suite is fetched and verified, you are told what it can do, and the account is connected. Tokens go to the keeper "
      "alone.",
        add_suite },
    { "The agent connects through aileron-mcp. It gets tools, and no credential.", connect_agent },
    { "It lists five mails and reads them in parallel. One of them gives orders to AI assistants; there is nothing to steal.",
        list_and_read },
    { "It looks at the week.", show_week },
    { "It drafts a reply to the first mail.", draft_reply },
    { "The access token ends. The keeper sees the 401, refreshes it and repeats the request.", refresh_token },
    { "It wants to create an event. That cannot be undone unseen, so it waits for a person, with a preview of what will happen.",
        demo_event },
    { "Everything left a receipt, written before its effect.", list_audit },
    { "The receipts are chained by hashes, so none can be edited, cut or reordered unseen.", verify_audit },
};
const size_t DEMO_STEPS_LEN = ARRAY_LEN(DEMO_STEPS);
