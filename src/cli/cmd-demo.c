/*
 * aileron demo: sets the stage, runs the steps and clears everything away, also
 * after a failure or Ctrl-C. Signals only set a flag; whoever waits looks at it.
 */
#include "cli/cli.h"
#include "cli/demo.h"
#include "cli/rows.h"
#include "cli/term.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/banned.h"

#define BASE_MAX        48 /* longer, and the sockets would not fit into the home */
#define LOG_LINES_SHOWN "20"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void catch_signals(void)
{
    static const int NUMBERS[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };

    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
        sigaction(NUMBERS[i], &action, NULL);
}

/* A new folder 0700 in the user's runtime folder, TMPDIR or /tmp. */
static int make_folder(struct demo *demo, struct err *err)
{
    const char *places[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char *path = NULL;

        if (!places[i] || places[i][0] != '/' || strlen(places[i]) > BASE_MAX)
            continue;
        if (asprintf(&path, "%s/aileron-demo-XXXXXX", places[i]) < 0)
            return -ENOMEM;
        demo->dir = mkdtemp(path);
        if (demo->dir)
            return 0;
        free(path);
    }
    return err_errno(err, errno, "cannot make a temporary folder");
}

static int set_stage(struct demo *demo, struct err *err)
{
    CLEANUP_FREE char *home = NULL;
    int r = make_folder(demo, err);

    if (r < 0)
        return r;
    if (asprintf(&home, "%s/home", demo->dir) < 0)
        return -ENOMEM;
    return home_from_path(home, &demo->home, err);
}

/* Undoes whatever was done, in the opposite order. True when all of it could be. */
static bool clear_stage(struct demo *demo)
{
    struct err err = ERR_INIT;
    bool stopped = false, clean = true;

    agent_free(TAKE_PTR(demo->agent));
    if (demo->daemon_started && daemon_stop(demo->home, &stopped, &err) < 0) {
        cli_fail(CODE_FAILED, &err);
        clean = false;
    }
    workspace_stop(&demo->workspace);
    if (demo->dir && file_remove_tree(AT_FDCWD, demo->dir) < 0) {
        cli_note("aileron: cannot remove %s", demo->dir);
        clean = false;
    }
    for (size_t i = 0; i < demo->mails_len; i++)
        json_decref(demo->mails[i]);
    home_free(demo->home);
    free(demo->forge_dir);
    free(demo->passphrase_path);
    free(demo->dir);
    return clean;
}

/* The log goes away with the folder, so a failure shows its end. */
static void show_log(struct demo *demo)
{
    char *const argv[] = { (char *) "daemon", (char *) "logs", (char *) "--lines", (char *) LOG_LINES_SHOWN, NULL };
    struct cli inner = { .home = demo->home, .out = stderr };

    if (!demo->daemon_started)
        return;
    cli_note("the end of the daemon's log:");
    cli_run(&inner, 4, argv);
    inner.home = NULL;
    cli_clear(&inner);
}

static int fail_step(struct demo *demo, size_t index, int r, const struct err *err)
{
    if (interrupted)
        return cli_failf(CODE_FAILED, NULL, "the demo was interrupted");
    if (r != -ECANCELED)
        cli_fail(CODE_FAILED, err);
    cli_note("aileron: step %zu of the demo failed", index + 1);
    show_log(demo);
    return CODE_FAILED;
}

static int run_steps(struct demo *demo)
{
    for (size_t i = 0; i < DEMO_STEPS_LEN; i++) {
        struct err err = ERR_INIT;
        int r;

        fprintf(demo->out, "%s%3zu  %s%s\n", term_style(demo->out, STYLE_GOOD), i + 1, term_end(demo->out), DEMO_STEPS[i].line);
        fflush(demo->out);
        r = DEMO_STEPS[i].run(demo, &err);
        fflush(demo->out);
        if (r < 0 || interrupted)
            return fail_step(demo, i, r, &err);
    }
    return CODE_DONE;
}

static int run_demo(struct cli *cli)
{
    struct demo demo = { .magic = DEMO_MAGIC,
        .out = cli->out,
        .workspace = WORKSPACE_NONE,
        .alone = args_has(cli->args, "auto-approve") || !term_is_tty(stdin) || !term_is_tty(cli->out),
        .interrupted = &interrupted };
    int64_t start = clock_boot_ms();
    struct err err = ERR_INIT;
    int code;

    catch_signals();
    fprintf(cli->out, "An agent works on a mailbox and a calendar. No account, no network; everything is removed at the end.\n");
    code = set_stage(&demo, &err) < 0 ? cli_fail(CODE_FAILED, &err) : run_steps(&demo);
    if (!clear_stage(&demo) && !code)
        code = CODE_FAILED;
    if (!code)
        fprintf(cli->out, "Done in %.1f s. Now yours: aileron help\n", (double) (clock_boot_ms() - start) / 1000);
    return code;
}

const struct command COMMAND_DEMO = {
    .name = "demo",
    .operands = "",
    .about = "watch an agent work on an invented mailbox and calendar",
    .details =
        "In a temporary home a small Google Workspace and a forge start on this machine. A publisher signs the bundled Google "
        "connector with its ten actions and releases them there; the suite is installed from it as from GitHub, and an account "
        "is "
        "connected by OAuth. An agent lists five mails through aileron-mcp, reads them in "
        "parallel, looks at the week and drafts a reply, and a token that ends on the way is refreshed. Then it wants to create "
        "an "
        "event, which waits for you: the page with it opens. The receipts of all that are listed and verified. It needs no "
        "account "
        "and no network, takes a few seconds, leaves nothing behind and exits 1 when a step failed.\n"
        "\n"
        "With --auto-approve, or without a terminal, the demo decides itself, through the API: it denies a first event and shows "
        "that nothing changed, then approves a second one and shows that it is there.",
    .options = { { "auto-approve", 0, NULL, false, "decide without asking you" } },
    .run = run_demo,
};
