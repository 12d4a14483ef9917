/*
 * aileron open: a browser, signed in. The one-time code goes to the browser through a file that only the owner can read, and
 * without a display to the terminal, once; never into an argument, a log or the shell's history.
 */
#include "cli/browser.h"
#include "cli/cli.h"
#include "cli/decide.h"
#include "cli/open.h"
#include "cli/redirect.h"
#include "cli/rows.h"
#include "cli/term.h"

#include "base/url.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define CODE_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static const char *const PAGES[] = { "approvals", "actions", "bindings", "audit", "sessions" };

/* The part behind the address, "/approvals/ID". malloc'd. */
static int page_path(struct cli *cli, char **ret_path)
{
    const char *page = args_word(cli->args, 0), *id = args_word(cli->args, 1);
    CLEANUP_JSON json_t *approval = NULL;
    struct err err = ERR_INIT;
    bool known = !page;

    for (size_t i = 0; page && i < ARRAY_LEN(PAGES); i++)
        known = known || !strcmp(page, PAGES[i]);
    if (page && !strcmp(page, "approval") && id) {
        int code = approval_get(cli, id, &approval);

        if (code)
            return code;
        *ret_path = cli_path("/approvals/", json_get_str(approval, "id") ? json_get_str(approval, "id") : id, "");
        return *ret_path ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
    }
    if (!known || id) {
        err_set(&err, EINVAL, known ? "%s takes nothing behind it" : "there is no page \"%s\"", page);
        return cli_usage(cli, &err);
    }
    if (asprintf(ret_path, "/%s", page ? page : "") < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return CODE_DONE;
}

/* "http://127.0.0.1:PORT" of the running daemon. */
static int base_url(struct cli *cli, char ret_base[64], unsigned *ret_port)
{
    CLEANUP_JSON json_t *status = NULL;
    struct url url;
    int code = cli_get(cli, "GET", "/v1/status", NULL, &status);
    const char *text = json_get_str(status, "url");

    if (code)
        return code;
    if (!text || url_parse(text, strlen(text), &url, NULL) < 0)
        return cli_failf(CODE_FAILED, "aileron status", "the daemon does not tell where it listens");
    *ret_port = (unsigned) url.port;
    snprintf(ret_base, 64, "http://127.0.0.1:%u", *ret_port);
    return CODE_DONE;
}

int open_url(struct cli *cli, const char *path, char **ret_url, unsigned *ret_port)
{
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_JSON json_t *body = json_object();
    char base[64];
    const char *secret;
    int code = base_url(cli, base, ret_port);

    if (!code)
        code = cli_get(cli, "POST", "/v1/web/code", body, &answer);
    if (code)
        return code;
    secret = json_get_str(answer, "code");
    if (!secret || !*secret || secret[strspn(secret, CODE_LETTERS)])
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the daemon gave no code to sign in with");
    if (asprintf(ret_url, "%s%s#code=%s", base, path, secret) < 0)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    return CODE_DONE;
}

struct spending {
    struct cli *cli;
    json_t *body; /* {"code"} */
};

static bool is_spent(void *userdata)
{
    const struct spending *spending = userdata;
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };

    return cli_try(spending->cli, "POST", "/v1/web/code", spending->body, &answer, NULL) >= 0 && answer.status == 200 &&
           json_is_false(json_object_get(answer.json, "waiting"));
}

int open_browser(struct cli *cli, const char *url, struct err *err)
{
    const char *code = strstr(url, "#code=");
    CLEANUP_JSON json_t *body = json_pack("{s:s}", "code", code ? code + strlen("#code=") : "");
    struct spending spending = { cli, body };

    CLEANUP_PTR(redirect_free) struct redirect *redirect = NULL;
    CLEANUP_FREE char *file = NULL;
    pid_t pid;
    int r = redirect_new(url, &redirect, err);

    if (r < 0)
        return r;
    if (asprintf(&file, "file://%s", redirect_path(redirect)) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = browser_start(file, &pid, err);
    return r < 0 ? r : redirect_await(redirect, pid, is_spent, &spending, err);
}

/* Where this machine is reached from the one with the browser: as the person did, else by its name. */
static void put_tunnel(FILE *file, unsigned port)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *connection = getenv("SSH_CONNECTION");
    char host[HOST_NAME_MAX + 1] = "HOST", server[128] = "", ssh_port[8] = "", option[16] = "";

    gethostname(host, sizeof host - 1);
    if (connection && sscanf(connection, "%*127s %*7s %127s %7s", server, ssh_port) == 2 && strcmp(ssh_port, "22") != 0)
        snprintf(option, sizeof option, "-p %s ", ssh_port);
    fprintf(file, "ssh %s-L %u:127.0.0.1:%u ", option, port, port);
    term_put(file, user ? user->pw_name : "USER");
    fputc('@', file);
    term_put(file, server[0] ? server : host);
    fputc('\n', file);
}

void open_print(struct cli *cli, const char *url, unsigned port)
{
    cli_note("Open this page within a minute; its code signs in once:");
    fputc('\n', stderr);
    fprintf(cli->out, "    %s\n", url);
    fflush(cli->out);
    fputc('\n', stderr);
    cli_note("If your browser runs on another machine, make the way there first:");
    fprintf(stderr, "\n    ");
    put_tunnel(stderr, port);
    fputc('\n', stderr);
}

static int put_url(struct cli *cli, const char *url, unsigned port)
{
    if (!term_is_tty(cli->out))
        return cli_failf(CODE_FAILED, "run it in a terminal, or where there is a display",
            "the address holds a code that signs in, and is printed to a terminal only");
    open_print(cli, url, port);
    return CODE_DONE;
}

/* Says where the browser goes, without the code. */
static void note_where(const char *url)
{
    CLEANUP_FREE char *shown = strndup(url, strcspn(url, "#"));

    cli_note("aileron: opening %s", shown ? shown : "the page");
}

static int run_open(struct cli *cli)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *url = NULL;
    struct err err = ERR_INIT;
    unsigned port = 0;
    bool here = !args_has(cli->args, "no-browser") && browser_is_here();
    int code = CODE_DONE, r;

    if (!here && !term_is_tty(cli->out)) /* before a code is made */
        return put_url(cli, "", 0);
    code = page_path(cli, &path);
    if (!code)
        code = open_url(cli, path, &url, &port);
    if (code)
        return code;
    if (!here)
        return put_url(cli, url, port);
    note_where(url);
    r = open_browser(cli, url, &err);
    if (r < 0 && r != -EINTR && term_is_tty(cli->out)) {
        cli_note("aileron: %s", err.message);
        return put_url(cli, url, port);
    }
    return r < 0 ? cli_fail(CODE_FAILED, &err) : CODE_DONE;
}

const struct command COMMAND_OPEN = {
    .name = "open",
    .operands = "[approvals|approval ID|actions|bindings|audit|sessions]",
    .about = "open the web page, signed in",
    .details =
        "The page is on this machine only. What signs in is a code that is good for one minute and once. It goes to the browser "
        "through a "
        "file that nobody else can read and that is removed as soon as the browser has signed in.\n"
        "\n"
        "Without a display, over SSH, or with --no-browser, the address with its code is printed, to a terminal only, and the "
        "ssh command that makes it reachable from the machine with the browser. BROWSER names another browser than the default "
        "one.",
    .words_max = 2,
    .options = { { "no-browser", 0, NULL, false, "print the address instead" } },
    .run = run_open,
};
