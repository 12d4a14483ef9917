/*
 * The resolver: one c-ares channel, its sockets as watches, its next time-out as
 * one timer, and a small table of names. A name is either being asked for, with a list
 * of those who wait, or known until a point in time.
 */
#include "keeper/resolve.h"

#include <ares.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/magic.h"
#include "base/url.h"

#include "base/banned.h"

#define RESOLVER_MAGIC 0x6b726573u
#define NAME_MAGIC     0x6b6e616du
#define SOCKETS_MAX    32
#define SETTINGS_FILE  "/etc/resolv.conf"

struct resolve_wait {
    struct name *name;
    resolve_fn *fn;
    void *userdata;
    struct resolve_wait *next;
};

struct name {
    uint32_t magic;
    struct resolver *resolver;
    char host[URL_HOST_MAX + 1];
    bool asking;
    int64_t known_until_ms; /* CLOCK_BOOTTIME; of an answer */
    struct address_list list;
    struct resolve_wait *waits;
    struct name *next;
};

struct socket_watch {
    int fd;
    struct loop_watch *watch; /* NULL: the slot is free */
};

struct resolver {
    uint32_t magic;
    struct loop *loop;
    ares_channel channel;
    struct loop_timer *timer;
    struct socket_watch sockets[SOCKETS_MAX];
    struct name *names;
    size_t names_len;
    size_t asking;
    bool fixed_servers;
    bool closing;
    bool stale; /* the settings changed and could not be read again */
    struct stat settings;
};

static void timer_update(struct resolver *resolver)
{
    struct timeval tv, *next = resolver->channel ? ares_timeout(resolver->channel, NULL, &tv) : NULL;

    if (next)
        loop_timer_set(resolver->timer, (int64_t) next->tv_sec * 1000 + (next->tv_usec + 999) / 1000);
    else
        loop_timer_stop(resolver->timer);
}

static void on_timer(void *userdata)
{
    struct resolver *resolver = MAGIC_CAST(struct resolver, userdata, RESOLVER_MAGIC);

    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    timer_update(resolver);
}

static void on_socket(int fd, int events, void *userdata)
{
    struct resolver *resolver = MAGIC_CAST(struct resolver, userdata, RESOLVER_MAGIC);

    ares_process_fd(resolver->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD, events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    timer_update(resolver);
}

/* c-ares tells which sockets it wants watched; both flags off means that it closes the socket next. */
static void on_socket_state(void *userdata, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = MAGIC_CAST(struct resolver, userdata, RESOLVER_MAGIC);
    int events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);
    struct socket_watch *slot = NULL;

    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (resolver->sockets[i].watch && resolver->sockets[i].fd == fd)
            slot = &resolver->sockets[i];
    if (slot && events) {
        loop_watch_set(slot->watch, events);
    } else if (slot) {
        loop_watch_free(slot->watch);
        slot->watch = NULL;
    } else if (events) {
        for (size_t i = 0; i < SOCKETS_MAX && !slot; i++)
            slot = resolver->sockets[i].watch ? NULL : &resolver->sockets[i];
        /* Without a watch the question runs into its time-out, which is the answer then. */
        if (slot && loop_watch_new(resolver->loop, fd, events, on_socket, resolver, &slot->watch) == 0)
            slot->fd = fd;
    }
}

static int channel_open(struct resolver *resolver, const char *servers, ares_channel *ret_channel)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH,
        .timeout = 1500,
        .tries = 3,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = resolver,
    };
    ares_channel channel = NULL;
    int status =
        ares_init_options(&channel, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);

    if (status == ARES_SUCCESS && servers)
        status = ares_set_servers_ports_csv(channel, servers);
    if (status != ARES_SUCCESS) {
        ares_destroy(channel);
        return status == ARES_ENOMEM ? -ENOMEM : -EIO;
    }
    *ret_channel = channel;
    return 0;
}

static void settings_note(struct resolver *resolver)
{
    if (stat(SETTINGS_FILE, &resolver->settings) < 0)
        memset(&resolver->settings, 0, sizeof resolver->settings);
}

/* A laptop changes its network: the settings are read again when the file changed and no question is open. */
static void settings_refresh(struct resolver *resolver)
{
    struct stat now;
    ares_channel channel = NULL;

    if (resolver->fixed_servers || resolver->asking > 0 || stat(SETTINGS_FILE, &now) < 0)
        return;
    if (now.st_ino == resolver->settings.st_ino && now.st_dev == resolver->settings.st_dev &&
        now.st_mtim.tv_sec == resolver->settings.st_mtim.tv_sec && now.st_mtim.tv_nsec == resolver->settings.st_mtim.tv_nsec)
        return;
    resolver->settings = now;
    resolver->stale = channel_open(resolver, NULL, &channel) < 0;
    if (resolver->stale)
        return;
    ares_destroy(resolver->channel);
    resolver->channel = channel;
}

int resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver, struct err *err)
{
    CLEANUP_PTR(resolver_free) struct resolver *resolver = calloc(1, sizeof *resolver);
    int r = 0;

    if (!resolver)
        return err_set(err, ENOMEM, "out of memory");
    resolver->magic = RESOLVER_MAGIC;
    resolver->loop = loop;
    resolver->fixed_servers = servers != NULL;
    r = loop_timer_new(loop, on_timer, resolver, &resolver->timer);
    if (r < 0)
        return err_errno(err, -r, "cannot make a timer");
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return err_set(err, EIO, "the resolver library does not start");
    settings_note(resolver);
    r = channel_open(resolver, servers, &resolver->channel);
    if (r < 0)
        return err_set(err, -r, "the resolver cannot read its settings (" SETTINGS_FILE ")");
    *ret_resolver = TAKE_PTR(resolver);
    return 0;
}

static void name_free(struct name *name)
{
    struct name **at = &name->resolver->names;

    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    name->resolver->names_len--;
    while (name->waits) {
        struct resolve_wait *wait = name->waits;

        name->waits = wait->next;
        free(wait);
    }
    free(name);
}

/* Frees answers that are no longer good. */
static void names_expire(struct resolver *resolver, int64_t now_ms)
{
    struct name *next = NULL;

    for (struct name *name = resolver->names; name; name = next) {
        next = name->next;
        if (!name->asking && name->known_until_ms <= now_ms)
            name_free(name);
    }
}

static struct name *name_find(struct resolver *resolver, const char *host)
{
    for (struct name *name = resolver->names; name; name = name->next)
        if (!strcmp(name->host, host))
            return name;
    return NULL;
}

static int name_new(struct resolver *resolver, const char *host, struct name **ret_name)
{
    struct name *name = NULL;

    if (resolver->names_len >= RESOLVE_NAMES_MAX)
        return -ENOBUFS;
    if (strlen(host) > URL_HOST_MAX)
        return -EINVAL;
    name = calloc(1, sizeof *name);
    if (!name)
        return -ENOMEM;
    name->magic = NAME_MAGIC;
    name->resolver = resolver;
    memcpy(name->host, host, strlen(host));
    name->next = resolver->names;
    resolver->names = name;
    resolver->names_len++;
    *ret_name = name;
    return 0;
}

/* Collects the addresses and the shortest TTL. */
static void answer_read(const struct ares_addrinfo *answer, struct address_list *ret_list, int64_t *ret_keep_ms)
{
    *ret_keep_ms = RESOLVE_KEEP_MS;
    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next) {
        if (ret_list->len == ADDRESS_LIST_MAX)
            break;
        if (!address_from_sockaddr(node->ai_addr, (socklen_t) node->ai_addrlen, &ret_list->items[ret_list->len]))
            continue;
        ret_list->len++;
        if ((int64_t) node->ai_ttl * 1000 < *ret_keep_ms)
            *ret_keep_ms = node->ai_ttl < 0 ? 0 : (int64_t) node->ai_ttl * 1000;
    }
}

static const char *status_reason(const struct resolver *resolver, int status)
{
    if (resolver->stale && status != ARES_SUCCESS)
        return "the name was not found; the system's resolver settings changed and cannot be read again: restart the daemon";
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return "the name has no address";
    case ARES_ETIMEOUT:
        return "no name server answered in time";
    case ARES_ECONNREFUSED:
        return "no name server can be reached";
    default:
        return "the name servers failed to answer";
    }
}

/* Runs inside ares_getaddrinfo() too, when the answer needs no network; nobody waits then. */
static void on_answer(void *userdata, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct name *name = MAGIC_CAST(struct name, userdata, NAME_MAGIC);
    struct resolver *resolver = name->resolver;
    int64_t keep_ms = 0;

    if (answer) {
        answer_read(answer, &name->list, &keep_ms);
        ares_freeaddrinfo(answer);
    }
    name->known_until_ms = name->list.len > 0 ? clock_boot_ms() + keep_ms : 0;
    /* Still "asking" while the waits are served one by one: each may cancel others or ask again. */
    while (name->waits) {
        struct resolve_wait *wait = name->waits;

        name->waits = wait->next;
        if (!resolver->closing)
            wait->fn(name->list.len > 0 ? &name->list : NULL, name->list.len > 0 ? NULL : status_reason(resolver, status),
                wait->userdata);
        free(wait);
    }
    name->asking = false;
    resolver->asking--;
}

static void name_ask(struct name *name)
{
    struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

    name->asking = true;
    name->resolver->asking++;
    ares_getaddrinfo(name->resolver->channel, name->host, NULL, &hints, on_answer, name);
    timer_update(name->resolver);
}

int resolver_ask(struct resolver *resolver, const char *host, resolve_fn *fn, void *userdata, struct address_list *ret_list,
    struct resolve_wait **ret_wait)
{
    struct name *name = NULL;
    struct resolve_wait *wait = NULL;
    int r = 0;

    names_expire(resolver, clock_boot_ms());
    name = name_find(resolver, host);
    if (!name) {
        settings_refresh(resolver);
        r = name_new(resolver, host, &name);
        if (r < 0)
            return r;
        name_ask(name);
    }
    if (!name->asking) {
        *ret_list = name->list;
        return 1;
    }
    wait = calloc(1, sizeof *wait);
    if (!wait)
        return -ENOMEM;
    *wait = (struct resolve_wait){ name, fn, userdata, name->waits };
    name->waits = wait;
    *ret_wait = wait;
    return 0;
}

void resolve_cancel(struct resolve_wait *wait)
{
    if (!wait)
        return;
    for (struct resolve_wait **at = &wait->name->waits; *at; at = &(*at)->next)
        if (*at == wait) {
            *at = wait->next;
            free(wait);
            return;
        }
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    resolver->closing = true;
    if (resolver->channel)
        ares_destroy(resolver->channel);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        loop_watch_free(resolver->sockets[i].watch);
    while (resolver->names)
        name_free(resolver->names);
    loop_timer_free(resolver->timer);
    free(resolver);
}
