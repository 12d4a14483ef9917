/*
 * The hash-chained audit log (SPEC §9): one compact JSON line an event, each with
 * the hash of the line before, in one file a UTC day. This module formats,
 * appends with write(2), recovers, queries and verifies; it knows neither clock
 * nor thread: the caller gives `now` and calls fdatasync on audit_fd() when the
 * effect needs it.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ulid.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_KEY_MAX  48 /* base64 of a public key and NUL */

#define AUDIT_TEXT_MAX 256 /* of a query, with NUL */

enum audit_actor { AUDIT_HUMAN, AUDIT_AGENT, AUDIT_CONNECTOR, AUDIT_SERVICE };

struct audit_event {
    const char *type;       /* "execution.started", … one of the table in audit-events.c */
    const char *session_id; /* NULL when none */
    enum audit_actor actor;
    const char *actor_id;
    const json_t *payload; /* object; keys of SPEC §9 */
};

struct audit_log;

/*
 * Opens <dir> (created 0700), finds the end of the chain, moves a torn last line to <dir>/torn/ (then *ret_torn is true and the
 * caller appends audit.recovered). Reads only the newest file's end.
 */
int audit_open(const char *dir, struct audit_log **ret_log, bool *ret_torn, struct err *err);
void audit_close(struct audit_log *log);
DEFINE_CLEANUP_PTR(struct audit_log, audit_close)
/*
 * Appends one event and returns when write(2) has taken the whole line. A short or failed write is undone (ftruncate) and
 * returned (-ENOSPC, …): then the caller must not have the effect. An unknown type or a missing required key is -EINVAL.
 */
int audit_append(
    struct audit_log *log, const struct audit_event *event, int64_t now_unix_ms, char ret_id[ULID_ID_MAX], struct err *err);
/* The file to fdatasync, and the sequence number of its last line. The descriptor may change with the day; dup it for a thread. */
int audit_fd(const struct audit_log *log);
uint64_t audit_last_seq(const struct audit_log *log);
/* The hash of that line as 64 hexadecimal digits; zeros before the first. Borrowed until the next append. */
const char *audit_last_hash(const struct audit_log *log);

struct audit_query {
    int64_t since_unix_ms, until_unix_ms;           /* 0: open */
    const char *type, *session, *connector, *class; /* NULL: any; type may end in ".*" */
    const char *text;                               /* what the line holds somewhere; ASCII letters in any case. NULL: any */
    const char *before;                             /* id: only older ones */
    size_t limit;                                   /* 1 to 1000 */
};
/*
 * A search in steps, for who has other things to do: each reads about `bytes` of the files, 1 when there is more to read, 0 with the
 * events when it is done. The files may grow or go meanwhile; what was appended since it began is not found.
 */
struct audit_search;
/* The query's texts are borrowed while it lives. -EINVAL: not a query. */
int audit_search_new(const char *dir, const struct audit_query *query, struct audit_search **ret_search, struct err *err);
int audit_search_step(struct audit_search *search, size_t bytes, json_t **ret_events, struct err *err);
void audit_search_free(struct audit_search *search);
DEFINE_CLEANUP_PTR(struct audit_search, audit_search_free)
/* Newest first; reads files from their ends. JSON array of the events as stored. New reference. */
int audit_find(const char *dir, const struct audit_query *query, json_t **ret_events, struct err *err);
/* One event by id or by a unique suffix of at least 6 characters: 0, -ENOENT, -EINVAL too short, -EEXIST several. */
int audit_get(const char *dir, const char *id_or_suffix, json_t **ret_event, struct err *err);

/* The newest signed head that the log fits; seq 0: none. */
struct audit_anchor {
    uint64_t seq;
    uint64_t later;          /* chained events behind it, up to the end or the fault */
    char key[AUDIT_KEY_MAX]; /* base64; that of the vault? Only the keeper knows */
};

struct audit_verdict {
    uint64_t events; /* lines read */
    uint64_t files;
    bool intact;
    char where[256]; /* "audit-2026-11-23.jsonl line 17" of the first fault */
    char what[256];  /* edited, cut, reordered, gap between days, a head that is missing, … */
    char head[72];   /* hash of the last line */
    struct audit_anchor anchor;
    /* The newest head looked at; 0: none. A keeper that names another key disowns it when it is the last and the vault was not made anew since. */
    uint64_t head_line;
    char head_key[AUDIT_KEY_MAX];
    bool head_is_last, made_anew;
};
/* Hash and compare with the chain and with the signed heads (audit/heads.h), no JSON parsing. */
int audit_verify(const char *dir, struct audit_verdict *ret_verdict, struct err *err);

/* Required payload keys of an event type (NULL-terminated; "a|b": either of them), or NULL for an unknown type. */
const char *const *audit_required_keys(const char *type);

#endif
