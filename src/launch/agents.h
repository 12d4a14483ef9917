/*
 * The agents that can be launched, as a table: how the program is called, how
 * one installs it, and how it is told of our MCP server without a change to the
 * user's configuration. What each needs was observed with the real programs.
 */
#ifndef LAUNCH_AGENTS_H
#define LAUNCH_AGENTS_H

#include "base/err.h"
#include "launch/words.h"

#include <stdbool.h>
#include <stddef.h>

/* What the agent has to be told. */
struct agent_facts {
    const char *relay;        /* the program aileron-mcp */
    const char *socket;       /* agent.sock */
    const char *session_file; /* holds the session's token; nothing of it may stand in argv or environment */
    bool fenced;              /* its shell is approved beforehand only when a fence is around it */
};

struct agent {
    const char *name;    /* as one types it, and the program's name in PATH */
    const char *title;   /* "Claude Code" */
    const char *install; /* a command */
    /* Adds the arguments that come before the user's. */
    void (*arguments)(const struct agent_facts *facts, struct words *argv);
    const char *root_note;       /* what to know when user 0 launches it in a fence; NULL */
    const char *variables[4][2]; /* set in its environment; ends at the first without a name */
};

/* The row called `name`, or NULL. */
const struct agent *agent_find(const char *name);
/* "claude, codex": for messages. */
const char *agent_names(void);
/* The program in the folders of `path` (a PATH), malloc'd. -ENOENT, with the install command as hint. */
int agent_program(const struct agent *agent, const char *path, char **ret_program, struct err *err);

#endif
