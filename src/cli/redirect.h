/*
 * The file by which a browser gets a one-time code: the code must not be an argument of any program, so what the browser is
 * given is the path of a small page (0600, in a folder of its own, 0700) that leads on. It exists as short as possible.
 */
#ifndef CLI_REDIRECT_H
#define CLI_REDIRECT_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct redirect;

/* Writes the page that leads to `url`, where no fenced agent can look: in /run/user/UID or /tmp/aileron-UID. redirect_free() removes it. */
int redirect_new(const char *url, struct redirect **ret_redirect, struct err *err);
/* The choice of the place, for tests: a new folder in `runtime` when that is this user's alone, else in `fallback`, which it makes. */
int redirect_folder(const char *runtime, const char *fallback, char **ret_folder, struct err *err);
const char *redirect_path(const struct redirect *redirect);
/* True when the code was spent: nobody needs the page any more. */
typedef bool redirect_spent_fn(void *userdata);
/*
 * Waits until the code in it was spent; or for some time without a further reader after the first (what opens a page often looks
 * at it before the browser does); at most a minute. `pid` is what was started to open it. 0; -ENOENT: that failed, and nobody read
 * it; -EINTR.
 */
int redirect_await(struct redirect *redirect, pid_t pid, redirect_spent_fn *spent, void *userdata, struct err *err);
void redirect_free(struct redirect *redirect);
DEFINE_CLEANUP_PTR(struct redirect, redirect_free)

#endif
