/* See the header. */
#include "keeper/start.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/json.h"
#include "keeper/memory.h"

#include "base/banned.h"

/* Connections in use and kept, and what curl needs beside them, of every pool. */
#define FILES_WANTED 4096

/* Raises the soft limit to `wanted`, or to the hard limit when that is less. */
static void limit_raise(int resource, rlim_t wanted)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t) resource, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit((__rlimit_resource_t) resource, &limit);
}

/* Libraries that read files or the environment when they start, while they still may. */
int start_libraries(struct err *err)
{
    int r = 0;

    clearenv();
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    limit_raise(RLIMIT_NOFILE, FILES_WANTED);
    limit_raise(RLIMIT_MEMLOCK, RLIM_INFINITY); /* each secret is a locked page of its own */
    r = memory_wipe_on_release(err);
    if (r < 0)
        return r;
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) != 1)
        return err_set(err, EIO, "OpenSSL does not start");
    json_init();
    return 0;
}
