/*
 * The guided tour: what its steps share, and what is undone at its end. The
 * stand-in and the relay are children that end with this process, however that
 * ends; so does the daemon.
 */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- the loopback Google Workspace ---- */

struct workspace {
    int stdin_fd; /* it ends when this closes */
    int pidfd;
    pid_t pid;
    unsigned port, browser_port;
    char *ca_path;
    char *client_id, *client_secret; /* as its provider would have registered the connector */
};

#define WORKSPACE_NONE                                                                                                           \
    {                                                                                                                            \
        .stdin_fd = -1, .pidfd = -1                                                                                              \
    }

/* Starts it and waits until it listens. `dir` gets its certificate; `forge` holds the repositories of its forge. */
int workspace_start(const char *dir, const char *forge, int delay_ms, struct workspace *ret_workspace, struct err *err);
void workspace_stop(struct workspace *workspace);
/* Ends every access token that the stand-in has given, as an hour would. */
int workspace_expire(const struct workspace *workspace, struct err *err);
/*
 * What a person would do in a browser: opens the authorize URL at the stand-in, presses Allow and follows the redirect to the
 * daemon. 0 when the daemon has answered it.
 */
int workspace_consent(const struct workspace *workspace, const char *url, struct err *err);

/* ---- the browser of the tour ---- */

struct visit_page {
    int status;
    struct buf text; /* headers and body */
};

#define VISIT_PAGE_INIT                                                                                                          \
    {                                                                                                                            \
        0, BUF_INIT(256 * 1024)                                                                                                  \
    }

/* One request to http://127.0.0.1:`port`; `form` NULL: GET. Follows nothing. */
int visit_load(unsigned port, const char *target, const char *form, struct visit_page *ret_page, struct err *err);
void visit_page_free(struct visit_page *page);
/* Value of a header of the page. malloc'd; NULL: it has none. */
char *visit_header(const struct visit_page *page, const char *name);

/* ---- the agent: an MCP client behind aileron-mcp ---- */

struct agent;

#define AGENT_CALLS_MAX 8

/* Starts the relay in `home` and does MCP's handshake. `interrupted` is looked at while waiting. */
int agent_start(const char *home, const volatile sig_atomic_t *interrupted, struct agent **ret_agent, struct err *err);
/* Closes its standard input and waits until it has ended. */
void agent_free(struct agent *agent);
DEFINE_CLEANUP_PTR(struct agent, agent_free)
/* tools/list: the array of tools. New reference. */
int agent_tools(struct agent *agent, json_t **ret_tools, struct err *err);
/* One tools/call: its structuredContent. New reference. A tool's failure is an error with the tool's words. */
int agent_call(struct agent *agent, const char *tool, const json_t *args, json_t **ret_output, struct err *err);
/* `len` calls of one tool, all sent before the first answer is awaited. `ret_outputs` get new references in the order of `args`. */
int agent_call_all(struct agent *agent, const char *tool, json_t *const *args, size_t len, json_t **ret_outputs, struct err *err);

/* Sends one tools/call; its answer is taken by agent_end(), which waits at most a minute. *ret_result is MCP's, whatever it says. */
int agent_begin(struct agent *agent, const char *tool, const json_t *args, int *ret_id, struct err *err);
int agent_end(struct agent *agent, int id, json_t **ret_result, struct err *err);

/* ---- the tour ---- */

#define DEMO_MAGIC 0x64656d6f

struct demo {
    uint32_t magic;
    FILE *out;
    char *dir; /* temporary folder, 0700 */
    char *passphrase_path;
    struct home *home; /* dir/home */
    struct workspace workspace;
    bool daemon_started;
    struct agent *agent;
    json_t *mails[AGENT_CALLS_MAX]; /* as get_email gave them */
    size_t mails_len;
    char *forge_dir;
    bool alone;        /* nobody decides: the tour does, through the API */
    size_t events_len; /* in the calendar, before the agent adds one */
    const volatile sig_atomic_t *interrupted;
};

/* Runs one of our own commands in the tour's home, after showing it as a person would type it. -ECANCELED: it failed, and said so. */
int demo_run(struct demo *demo, char *const *argv, const char *shown);
/* The same with --json among its arguments: what it answered instead of printing it. New reference. */
int demo_ask(struct demo *demo, char *const *argv, const char *shown, json_t **ret_answer, struct err *err);

/* The event that the agent wants to create, and what a person has to say about it. */
int demo_event(struct demo *demo, struct err *err);

/* ---- the publisher ---- */

#define DEMO_REPOSITORY "github://acme/google"

/*
 * Makes a key, packs the bundled connector and its actions with the stand-in's client in it, and puts what came of it with the suite
 * where the stand-in's forge serves it.
 */
int demo_publish(struct demo *demo, struct err *err);

struct demo_step {
    const char *line;                               /* what it is about */
    int (*run)(struct demo *demo, struct err *err); /* 0, or negative with words; -ECANCELED: they were printed */
};

#define DEMO_INDENT "     "

extern const struct demo_step DEMO_STEPS[];
extern const size_t DEMO_STEPS_LEN;

#endif
