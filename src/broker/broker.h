/*
 * The broker itself: everything it owns, wired together. Only files of this
 * folder see inside; doors use broker/api.h.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/home.h"
#include "broker/acquire.h"
#include "broker/api.h"
#include "broker/catalog.h"
#include "broker/connectors.h"
#include "broker/discovery.h"
#include "broker/heads.h"
#include "broker/keeper-events.h"
#include "broker/keeper-link.h"
#include "broker/notify.h"
#include "broker/receipts.h"
#include "broker/settings.h"
#include "broker/web-keys.h"
#include "confine/confine.h"
#include "connector/pool.h"
#include "loop/loop.h"
#include "session/session.h"

#include <sys/queue.h>

#define BROKER_CHANGED_MAX 8
#define DEV_CONNECT_TO_MAX 64

struct approvals;
struct call;
struct plans;
struct web;
struct mcp;

/* What `daemon start` said; borrowed from argv. */
struct broker_flags {
    const char *home, *libexec;
    const char *dev_ca; /* NULL: not given */
    const char *dev_connect_to[DEV_CONNECT_TO_MAX];
    size_t dev_connect_to_len;
    int ready_fd; /* -1: nobody waits */
};

struct broker {
    uint32_t magic;
    const struct broker_flags *flags;
    struct home *home;
    struct settings settings;
    char *settings_path;
    struct confine_report confined;
    struct loop *loop;
    struct discovery *discovery;
    struct receipts *receipts;
    struct heads *heads;
    struct keeper_link *keeper;
    struct keeper_events *keeper_events;
    unsigned callbacks; /* GET /oauth2/callback under way */
    unsigned searches;  /* GET /v1/audit under way for more than a turn */
    unsigned locking;   /* POST /v1/vault/lock under way: the lock that follows is a person's */
    struct cache *cache;
    struct pool *pool;
    struct catalog *catalog;
    struct connectors *connectors;
    struct session_table *sessions;
    char *sessions_path;
    struct loop_timer *sessions_timer; /* writes what was seen, a while after */
    struct fetch_link *fetcher;
    struct forge *forge;
    struct acquire_context acquire; /* what getting a release needs */
    struct plans *plans;
    struct notify *notify; /* runs notify.command */
    struct approvals *approvals;
    struct web *web;
    struct web_keys *web_keys; /* of signed-in browsers */
    struct {
        broker_event_fn *fn; /* NULL: nobody listens */
        void *userdata;
        struct loop_timer *timer;
        unsigned kinds; /* what the receipts of this moment change */
        bool gathering;
    } events;
    struct mcp *mcp;
    int keeper_program, worker_program, self_program; /* O_PATH, opened at start */
    const char *keeper_argv[8 + 2 * DEV_CONNECT_TO_MAX];
    const char *fetch_argv[8 + 2 * DEV_CONNECT_TO_MAX]; /* with the overrides */
    LIST_HEAD(, call) calls;
    unsigned calls_len;
    json_t *tools; /* cached; NULL: to be made anew */
    struct {
        broker_changed_fn *fn;
        void *userdata;
    } changed[BROKER_CHANGED_MAX];
    size_t changed_len;
    int64_t started_unix_ms, started_boot_ms;
    struct loop_timer *stop_timer;
    bool running, stopping, sessions_dirty, overrides_told;
    int exit_code;
};

#define BROKER_MAGIC 0x62726f6bu

/*
 * Starts everything but the doors; they open when the keeper has said hello. Whoever waits at ready_fd is told, also
 * of a failure.
 */
int broker_new(const struct broker_flags *flags, struct broker **ret_broker, struct err *err);
/* The program's exit status. */
int broker_run(struct broker *broker);
void broker_free(struct broker *broker);
DEFINE_CLEANUP_PTR(struct broker, broker_free)

/* A clean stop: no new calls, running ones get a moment. */
void broker_stop(struct broker *broker);
/* "missing", "locked", "unlocked" */
const char *vault_state_name(enum keeper_vault_state state);

/* The last call of a stopping broker has ended. */
void broker_drained(struct broker *broker);

/* Actions, or what they need, have changed: cached lists are dropped, listeners told. */
void broker_actions_changed(struct broker *broker);

/* From then on changes become events (api-events.c). */
int broker_events_start(struct broker *broker);

/* Settings or overrides that the fetcher goes by may have changed. */
void broker_fetcher_renew(struct broker *broker);

/* An event of the owner or of the daemon itself. */
int broker_receipt_owner(
    struct broker *broker, const char *type, json_t *payload_stolen, char ret_id[ULID_ID_MAX], struct err *err);
int broker_receipt_service(struct broker *broker, const char *type, json_t *payload_stolen, struct err *err);
/* Answers a request whose receipt failed. */
void broker_no_receipt(struct api_reply *reply, const struct err *err);

/* Names of the actions that pin a connector. New reference. */
json_t *api_connector_used_by(const struct catalog_list *actions, const char *hash);
/* What an action says of a connector that it pins; NULL when none does. Borrowed from the list. */
const struct action_require *api_connector_pin(const struct catalog_list *actions, const char *hash);
/* Adds "files", and "error" and "hint" for what connectors_get() said. `fqn` and `version` may be NULL. */
void api_connector_state(json_t *row, const char *fqn, const char *version, int r, const struct err *err);

/* Writes sessions.json; soon = within a minute, else now. */
void broker_sessions_touched(struct broker *broker);
int broker_sessions_save(struct broker *broker, struct err *err);

#endif
