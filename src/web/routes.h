/*
 * The HTTP routes as data (SPEC §7): method, path, function, who may use it. A
 * path is matched segment by segment; `{}` takes one segment, a final `{*}` the rest.
 */
#ifndef WEB_ROUTES_H
#define WEB_ROUTES_H

#include "broker/api.h"

#include <stddef.h>

enum route_who {
    ROUTE_OPEN,    /* anybody who reaches the door */
    ROUTE_OWNER,   /* the owner only */
    ROUTE_AGENT,   /* the owner, and a session's token */
    ROUTE_SESSION, /* a session's token only */
};

struct route {
    const char *method;
    const char *path;
    api_fn *function;
    enum route_who who;
    bool stream;  /* the answer does not end: events.h; no function */
    bool page;    /* for a browser: the query is passed on as it came, the answer becomes a page */
    bool watched; /* it may take long: its client's end is told to the broker */
    bool mounted; /* answered by whoever called web_mount(); no function */
};

#define ROUTE_NAME_MAX 512

enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/*
 * Looks up a decoded path. ROUTE_FOUND fills ret_route and ret_name (the captured part, "" without one);
 * ROUTE_NO_METHOD fills ret_allow with the methods that the path has.
 */
enum route_match route_find(const char *method, const char *path, const struct route **ret_route, char ret_name[ROUTE_NAME_MAX],
    char *ret_allow, size_t allow_size);

#endif
