/*
 * The table of sessions: a list, newest first. Tokens are random and only their
 * hashes are kept; a token is looked up by comparing its hash with every open
 * session's in constant time, so that timing says nothing about a near miss.
 *
 * The table owns its sessions. Ended ones stay for the list, the oldest are
 * forgotten beyond a bound.
 */
#include "session/session.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/secret.h"
#include "crypt/digest.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/banned.h"

#define TOKEN_PREFIX      "ags_"
#define TOKEN_BYTES       32
#define AGENT_MAX         64
#define FOLDER_MAX        4096
#define OPEN_MAX_SESSIONS 10000
#define ENDED_MAX         1000
#define SUFFIX_MIN        6
#define ID_PREFIX         "ses_"

struct entry {
    struct session session;
    TAILQ_ENTRY(entry) link;
};

struct session_table {
    TAILQ_HEAD(, entry) entries;
};

static void entry_free(struct entry *entry)
{
    free(entry->session.agent);
    free(entry->session.folder);
    json_decref(entry->session.only);
    free(entry);
}
DEFINE_CLEANUP_PTR(struct entry, entry_free)

int session_table_new(struct session_table **ret_table)
{
    struct session_table *table = calloc(1, sizeof(*table));

    if (!table)
        return -ENOMEM;
    TAILQ_INIT(&table->entries);
    *ret_table = table;
    return 0;
}

void session_table_free(struct session_table *table)
{
    struct entry *entry;

    if (!table)
        return;
    while ((entry = TAILQ_FIRST(&table->entries))) {
        TAILQ_REMOVE(&table->entries, entry, link);
        entry_free(entry);
    }
    free(table);
}

/* What a client calls itself, fit to be shown: valid UTF-8 without control characters, bounded. malloc'd. */
static char *clean_text(const char *text, size_t max, const char *otherwise)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(max);

    for (const char *at = text ? text : ""; *at;) {
        size_t step = utf8_step(at, strlen(at));

        if (!step) {
            at++;
            continue;
        }
        bool control = (unsigned char) *at < 0x20 || *at == 0x7f;
        if (!control && buf_add(&out, at, step) < 0)
            break;
        at += step;
    }
    if (!out.len)
        return otherwise ? strdup(otherwise) : NULL;
    return buf_take(&out);
}

static size_t count_open(const struct session_table *table)
{
    const struct entry *entry;
    size_t n = 0;

    TAILQ_FOREACH(entry, &table->entries, link)
    n += entry->session.ended_unix_ms == 0;
    return n;
}

/* Entries stand newest first: what is beyond the bound of ended ones is the oldest. */
static void forget_ended(struct session_table *table)
{
    struct entry *entry = TAILQ_FIRST(&table->entries);
    size_t ended = 0;

    while (entry) {
        struct entry *next = TAILQ_NEXT(entry, link);

        if (entry->session.ended_unix_ms && ++ended > ENDED_MAX) {
            TAILQ_REMOVE(&table->entries, entry, link);
            entry_free(entry);
        }
        entry = next;
    }
}

static int new_token(char ret_token[SESSION_TOKEN_MAX], uint8_t ret_hash[SHA256_BYTES])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SESSION_TOKEN_MAX);
    uint8_t raw[TOKEN_BYTES];

    random_bytes(raw, sizeof(raw));
    int r = base64url_encode(raw, sizeof(raw), &text);
    secret_wipe(raw, sizeof(raw));
    if (r < 0)
        return r;
    snprintf(ret_token, SESSION_TOKEN_MAX, TOKEN_PREFIX "%s", text.data);
    secret_wipe(text.data, text.len);
    return sha256(ret_token, strlen(ret_token), ret_hash);
}

static const char *const CONFINEMENTS[SESSION_CONFINEMENTS] = { "none", "fence", "container" };

const char *session_confinement_name(enum session_confinement confinement)
{
    return CONFINEMENTS[confinement];
}

bool session_confinement_parse(const char *name, enum session_confinement *ret_confinement)
{
    for (size_t i = 0; i < ARRAY_LEN(CONFINEMENTS); i++)
        if (!strcmp(CONFINEMENTS[i], name)) {
            *ret_confinement = (enum session_confinement) i;
            return true;
        }
    return false;
}

bool session_only_is_good(const json_t *only)
{
    const json_t *pattern;
    size_t i;

    if (!only)
        return true;
    if (!json_is_array(only) || !json_array_size(only) || json_array_size(only) > SESSION_ONLY_MAX)
        return false;
    json_array_foreach(only, i, pattern) if (!json_string_length(pattern)) return false;
    return true;
}

bool session_allows(const struct session *session, const char *action)
{
    const json_t *pattern;
    size_t i;

    if (!session || !session->only)
        return true;
    json_array_foreach(session->only, i, pattern) if (!fnmatch(json_string_value(pattern), action, 0)) return true;
    return false;
}

int session_open(struct session_table *table, const struct session_request *request, int64_t now_unix_ms,
    struct session **ret_session, char ret_token[SESSION_TOKEN_MAX], struct err *err)
{
    CLEANUP_PTR(entry_free) struct entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return err_set(err, ENOMEM, "out of memory");
    if (count_open(table) >= OPEN_MAX_SESSIONS) {
        err_set(err, ENOSPC, "%d sessions are open, which is the most there may be", OPEN_MAX_SESSIONS);
        err_hint(err, "end some: aileron sessions list");
        return -ENOSPC;
    }
    struct session *session = &entry->session;
    session->agent = clean_text(request->agent, AGENT_MAX, "unnamed");
    session->folder = clean_text(request->folder, FOLDER_MAX, NULL);
    session->launched = request->launched;
    session->confinement = request->confinement;
    session->only = request->only ? json_deep_copy(request->only) : NULL;
    if (!session->agent || (request->only && !session->only) || new_token(ret_token, session->token_hash) < 0)
        return err_set(err, ENOMEM, "out of memory");
    ulid_new(ID_PREFIX, now_unix_ms, session->id);
    session->started_unix_ms = session->last_seen_unix_ms = now_unix_ms;
    *ret_session = session;
    TAILQ_INSERT_HEAD(&table->entries, entry, link);
    entry = NULL;
    forget_ended(table);
    return 0;
}

struct session *session_by_token(struct session_table *table, const char *token)
{
    struct session *found = NULL;
    uint8_t hash[SHA256_BYTES];
    struct entry *entry;

    if (strlen(token) >= SESSION_TOKEN_MAX || sha256(token, strlen(token), hash) < 0)
        return NULL;
    TAILQ_FOREACH(entry, &table->entries, link)
    {
        if (secret_memequal(hash, entry->session.token_hash, sizeof(hash)) && !entry->session.ended_unix_ms)
            found = &entry->session;
    }
    return found;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);

    return suffix_len <= len && !strcasecmp(text + len - suffix_len, suffix);
}

struct session *session_by_id(struct session_table *table, const char *id)
{
    struct session *found = NULL;
    struct entry *entry;

    if (strlen(id) < SUFFIX_MIN)
        return NULL;
    TAILQ_FOREACH(entry, &table->entries, link)
    {
        if (!strcmp(entry->session.id, id))
            return &entry->session;
        if (!ends_with(entry->session.id, id))
            continue;
        if (found)
            return NULL; /* two of them: the suffix names neither */
        found = &entry->session;
    }
    return found;
}

void session_end(struct session *session, int64_t now_unix_ms)
{
    if (!session->ended_unix_ms)
        session->ended_unix_ms = now_unix_ms;
}

/* ---- forms ---- */

json_t *session_to_json(const struct session *session)
{
    char started[CLOCK_TEXT_MAX], seen[CLOCK_TEXT_MAX], ended[CLOCK_TEXT_MAX];
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:I}", "id", session->id, "agent", session->agent, "started_at",
        clock_format(session->started_unix_ms, started), "last_seen_at", clock_format(session->last_seen_unix_ms, seen), "calls",
        (json_int_t) session->calls);

    if (json)
        json_object_set_new(json, "confinement", json_string(session_confinement_name(session->confinement)));
    if (json && session->only)
        json_object_set(json, "only", session->only);
    if (json && session->folder)
        json_object_set_new(json, "folder", json_string(session->folder));
    if (json && session->ended_unix_ms)
        json_object_set_new(json, "ended_at", json_string(clock_format(session->ended_unix_ms, ended)));
    return json;
}

json_t *session_list_json(const struct session_table *table)
{
    json_t *list = json_array();
    const struct entry *entry;

    TAILQ_FOREACH(entry, &table->entries, link)
    json_array_append_new(list, session_to_json(&entry->session));
    return list;
}

static json_t *entry_save(const struct session *session)
{
    char hash[2 * SHA256_BYTES + 1];

    hex_encode(session->token_hash, sizeof(session->token_hash), hash);
    return json_pack("{s:s,s:s,s:s*,s:I,s:I,s:I,s:I,s:s,s:b,s:s,s:O*}", "id", session->id, "agent", session->agent, "folder",
        session->folder, "started_ms", (json_int_t) session->started_unix_ms, "ended_ms", (json_int_t) session->ended_unix_ms,
        "last_seen_ms", (json_int_t) session->last_seen_unix_ms, "calls", (json_int_t) session->calls, "token_sha256", hash,
        "launched", session->launched, "confinement", session_confinement_name(session->confinement), "only", session->only);
}

json_t *session_table_save(const struct session_table *table)
{
    json_t *list = json_array();
    const struct entry *entry;

    TAILQ_FOREACH(entry, &table->entries, link)
    json_array_append_new(list, entry_save(&entry->session));
    return json_pack("{s:i,s:o}", "version", 1, "sessions", list);
}

static int entry_load(const json_t *saved, struct entry **ret_entry)
{
    CLEANUP_PTR(entry_free) struct entry *entry = calloc(1, sizeof(*entry));
    const char *id = json_get_str(saved, "id"), *hash = json_get_str(saved, "token_sha256");
    const char *confinement = json_get_str(saved, "confinement");
    const json_t *only = json_object_get(saved, "only");

    if (!entry)
        return -ENOMEM;
    if (!id || !ulid_is_valid(ID_PREFIX, id) || !hash || hex_decode(hash, entry->session.token_hash, SHA256_BYTES) < 0)
        return -EINVAL;
    memcpy(entry->session.id, id, strlen(id) + 1);
    entry->session.agent = clean_text(json_get_str(saved, "agent"), AGENT_MAX, "unnamed");
    entry->session.folder = clean_text(json_get_str(saved, "folder"), FOLDER_MAX, NULL);
    entry->session.started_unix_ms = json_integer_value(json_object_get(saved, "started_ms"));
    entry->session.ended_unix_ms = json_integer_value(json_object_get(saved, "ended_ms"));
    entry->session.last_seen_unix_ms = json_integer_value(json_object_get(saved, "last_seen_ms"));
    entry->session.calls = (uint64_t) json_integer_value(json_object_get(saved, "calls"));
    entry->session.launched = json_is_true(json_object_get(saved, "launched"));
    if (confinement && !session_confinement_parse(confinement, &entry->session.confinement))
        return -EINVAL;
    if (!session_only_is_good(only))
        return -EINVAL;
    entry->session.only = only ? json_deep_copy(only) : NULL;
    if (!entry->session.agent || (only && !entry->session.only))
        return -ENOMEM;
    *ret_entry = TAKE_PTR(entry);
    return 0;
}

int session_table_load(struct session_table *table, const json_t *saved, struct err *err)
{
    const json_t *list = json_object_get(saved, "sessions");
    const json_t *item;
    size_t i;

    if (json_integer_value(json_object_get(saved, "version")) != 1 || !json_is_array(list))
        return err_set(err, EINVAL, "not a list of sessions of version 1");
    json_array_foreach(list, i, item)
    {
        struct entry *entry = NULL;
        int r = entry_load(item, &entry);

        if (r < 0)
            return err_set(err, -r, "session %zu is damaged", i + 1);
        TAILQ_INSERT_TAIL(&table->entries, entry, link);
    }
    forget_ended(table);
    return 0;
}
