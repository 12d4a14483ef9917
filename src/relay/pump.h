/*
 * Carries messages between the agent (two descriptors) and the daemon (a socket that is connected again whenever it is
 * lost) until the agent is done. What happens to requests meanwhile is link.h's.
 */
#ifndef RELAY_PUMP_H
#define RELAY_PUMP_H

#include <signal.h>
#include <stddef.h>

enum pump_end {
    PUMP_AGENT_DONE, /* the agent closed its output and has all its answers, or closed its input */
    PUMP_REFUSED,    /* the daemon did not accept the token, from the very first; ret_why says why */
    PUMP_SIGNAL,     /* *stop was set */
    PUMP_FAILED,     /* errno */
};

struct pump {
    int in, out;                       /* from and to the agent; blocking or not */
    const char *socket_path;           /* of the daemon */
    const char *token;                 /* the first line of every connection */
    const volatile sig_atomic_t *stop; /* set by a handler of signals that are blocked but while waiting; NULL */
    int quiet_ms; /* after the agent's end: how long to wait for outstanding answers without hearing anything */
};

#define PUMP_WHY_MAX 256

/* Returns when it is over. Leaves the agent's descriptors open. */
enum pump_end pump_run(const struct pump *pump, char ret_why[PUMP_WHY_MAX]);

#endif
