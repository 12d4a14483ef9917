/*
 * Agent sessions and their tokens (SPEC §7). The token is shown once; only its
 * SHA-256 is kept, so agents survive a restart of the daemon. Pure but for the
 * serialised form: the broker reads and writes sessions.json.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ulid.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SESSION_TOKEN_MAX 64 /* "ags_" + 43 characters of base64url + NUL */

/* What the agent of a session cannot leave, as the launcher said. */
enum session_confinement { SESSION_OPEN, SESSION_FENCED, SESSION_CONTAINED, SESSION_CONFINEMENTS };

#define SESSION_ONLY_MAX 64 /* patterns */

struct session {
    char id[ULID_ID_MAX]; /* "ses_" + ULID */
    char *agent;          /* what the client called itself, cleaned, at most 64 bytes */
    char *folder;         /* may be NULL */
    int64_t started_unix_ms, ended_unix_ms /* 0 while open */, last_seen_unix_ms;
    uint8_t token_hash[32];
    uint64_t calls;
    bool launched; /* by `aileron launch`: its calls park longer */
    enum session_confinement confinement;
    json_t *only; /* array of fnmatch patterns of action names; NULL: all */
};

/* What is asked of a new session. Texts and `only` are copied. */
struct session_request {
    const char *agent, *folder; /* folder may be NULL */
    bool launched;
    enum session_confinement confinement;
    const json_t *only; /* array of text, or NULL */
};

struct session_table;

int session_table_new(struct session_table **ret_table);
void session_table_free(struct session_table *table);
DEFINE_CLEANUP_PTR(struct session_table, session_table_free)
/* Opens a session; `ret_token` is the only copy of the token. -ENOSPC over 10,000 open ones; the oldest ended are forgotten beyond 1,000. */
int session_open(struct session_table *table, const struct session_request *request, int64_t now_unix_ms,
    struct session **ret_session, char ret_token[SESSION_TOKEN_MAX], struct err *err);
/* "none", "fence", "container" */
const char *session_confinement_name(enum session_confinement confinement);
/* False when it is none of them. */
bool session_confinement_parse(const char *name, enum session_confinement *ret_confinement);
/* NULL, or an array of at most SESSION_ONLY_MAX non-empty texts. */
bool session_only_is_good(const json_t *only);
/* True when the session's `only` lets the action through; NULL = the owner, who may all. */
bool session_allows(const struct session *session, const char *action);
/* The open session of a token, or NULL. Constant time in the token. */
struct session *session_by_token(struct session_table *table, const char *token);
/* By id or unique suffix of 6 or more; NULL. */
struct session *session_by_id(struct session_table *table, const char *id);
void session_end(struct session *session, int64_t now_unix_ms);
/* Newest first; never a token or hash. New reference. */
json_t *session_list_json(const struct session_table *table);
json_t *session_to_json(const struct session *session);
/* The file's form, token hashes included. */
json_t *session_table_save(const struct session_table *table);
int session_table_load(struct session_table *table, const json_t *saved, struct err *err);

#endif
