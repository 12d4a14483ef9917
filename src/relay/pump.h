/*
 * Carries bytes between the agent (two descriptors) and the daemon (one socket)
 * until one of them ends. Memory is one buffer a direction; a side that does
 * not read stops the other.
 */
#ifndef RELAY_PUMP_H
#define RELAY_PUMP_H

#include <signal.h>

enum pump_end {
    PUMP_AGENT_DONE,  /* the agent closed its output and has all its answers, or closed its input */
    PUMP_DAEMON_GONE, /* the daemon closed or broke the connection; what it had sent was delivered */
    PUMP_SIGNAL,      /* *stop was set */
    PUMP_FAILED,      /* errno */
};

struct pump {
    int in, out;                       /* from and to the agent; blocking or not */
    int daemon;                        /* socket */
    const char *first_line;            /* sent to the daemon before anything else, with its newline; NULL */
    const volatile sig_atomic_t *stop; /* set by a handler of signals that are blocked but while waiting; NULL */
    int quiet_ms; /* after the agent's end: how long to wait for outstanding answers without hearing anything */
};

/* Returns when it is over. Leaves all descriptors open. */
enum pump_end pump_run(const struct pump *pump);

#endif
