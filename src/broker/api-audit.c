/*
 * The audit log over the API. Queries read from the files' ends, and what is rare a piece in each turn of the
 * loop; verifying reads everything and therefore runs in a child of this same program.
 */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/heads.h"
#include "broker/verdict.h"
#include "broker/verify.h"
#include "crypt/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIMIT_DEFAULT   100
#define LIMIT_MAX       1000

#define SEARCHING_MAGIC 0x73656172u
#define TURN_BYTES      ((size_t) 4 * 1024 * 1024) /* of the log in one turn: a few milliseconds */
#define SEARCHES_MAX    8

static char *audit_dir(const struct broker *broker)
{
    return home_file(broker->home, "audit");
}

static const char *read_time(const json_t *query, const char *key, int64_t *ret_ms)
{
    const char *text = json_get_str(query, key);

    return !text || clock_parse(text, ret_ms) == 0 ? NULL : key;
}

/* NULL, or the key whose value is wrong. */
static const char *read_query(const json_t *query, struct audit_query *ret_query)
{
    const char *limit = json_get_str(query, "limit");
    const char *wrong = read_time(query, "since", &ret_query->since_unix_ms);

    if (!wrong)
        wrong = read_time(query, "until", &ret_query->until_unix_ms);
    if (wrong)
        return wrong;
    ret_query->type = json_get_str(query, "type");
    ret_query->session = json_get_str(query, "session");
    ret_query->connector = json_get_str(query, "connector");
    ret_query->class = json_get_str(query, "class");
    ret_query->text = json_get_str(query, "text");
    ret_query->before = json_get_str(query, "before");
    ret_query->limit = LIMIT_DEFAULT;
    if (limit) {
        size_t len = strspn(limit, "0123456789");
        ret_query->limit = len && len <= 4 && !limit[len] ? strtoul(limit, NULL, 10) : 0;
        if (ret_query->limit < 1 || ret_query->limit > LIMIT_MAX)
            return "limit";
    }
    return NULL;
}

static const char *unknown_key(const json_t *query)
{
    static const char *const known[] = { "since", "until", "type", "session", "connector", "class", "text", "limit", "before" };
    const char *key;
    json_t *value;

    json_object_foreach((json_t *) query, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found |= !strcmp(key, known[i]);
        if (!found)
            return key;
    }
    return NULL;
}

/* A search that takes more than one turn of the loop: what it asks for, and who waits for it. */
struct searching {
    uint32_t magic;
    json_t *query; /* holds the texts of `search` */
    struct audit_search *search;
    struct loop_timer *timer;
    struct api_reply *reply;
    unsigned *under_way;
};

static struct api_reply *searching_free(struct searching *searching)
{
    struct api_reply *reply = TAKE_PTR(searching->reply);

    --*searching->under_way;
    audit_search_free(searching->search);
    loop_timer_free(searching->timer);
    json_decref(searching->query);
    api_reply_on_gone(reply, NULL, NULL);
    searching->magic = 0;
    free(searching);
    return reply;
}

static void on_searcher_gone(void *userdata)
{
    api_reply_send(searching_free(MAGIC_CAST(struct searching, userdata, SEARCHING_MAGIC)), 0, NULL);
}

static void answer_found(int r, json_t *events, const struct err *err, struct api_reply *reply)
{
    if (r < 0)
        api_reply_error(reply, r == -EINVAL || r == -ENOENT ? 400 : 500, "audit_unreadable", err->message, err->hint);
    else
        api_reply_send(reply, 200, json_pack("{s:o}", "events", events));
}

static void on_search_turn(void *userdata)
{
    struct searching *searching = MAGIC_CAST(struct searching, userdata, SEARCHING_MAGIC);
    json_t *events = NULL;
    struct err err = ERR_INIT;
    int r = audit_search_step(searching->search, TURN_BYTES, &events, &err);

    if (r == 1)
        loop_timer_set(searching->timer, 0);
    else
        answer_found(r, events, &err, searching_free(searching));
}

/* Goes on with it in later turns. */
static void search_on(struct broker *broker, struct audit_search *search, const json_t *query, struct api_reply *reply)
{
    struct searching *searching = broker->searches < SEARCHES_MAX ? calloc(1, sizeof *searching) : NULL;

    if (!searching || loop_timer_new(broker->loop, on_search_turn, searching, &searching->timer) < 0) {
        free(searching);
        audit_search_free(search);
        api_reply_error(reply, 429, "busy", "too many searches of the audit log are under way", "wait for one of them to end");
        return;
    }
    searching->magic = SEARCHING_MAGIC;
    searching->search = search;
    searching->query = json_incref((json_t *) query);
    searching->reply = reply;
    searching->under_way = &broker->searches;
    broker->searches++;
    api_reply_on_gone(reply, on_searcher_gone, searching);
    loop_timer_set(searching->timer, 0);
}

void api_audit_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_FREE char *dir = audit_dir(broker);
    CLEANUP_PTR(audit_search_free) struct audit_search *search = NULL;
    struct audit_query query = { 0 };
    json_t *events = NULL;
    struct err err = ERR_INIT;
    char message[160];
    const char *wrong = unknown_key(request->query);

    if (!wrong)
        wrong = read_query(request->query, &query);
    if (wrong || !dir) {
        snprintf(message, sizeof message, "the query's %.64s is not understood", wrong ? wrong : "");
        api_reply_error(reply, 400, "bad_request", message, "times are RFC 3339, limit is 1 to 1000");
        return;
    }
    int r = audit_search_new(dir, &query, &search, &err);
    if (r == 0)
        r = audit_search_step(search, TURN_BYTES, &events, &err);
    if (r == 1)
        search_on(broker, TAKE_PTR(search), request->query, reply);
    else
        answer_found(r, events, &err, reply);
}

void api_audit_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_FREE char *dir = audit_dir(broker);
    json_t *event = NULL;
    struct err err = ERR_INIT;
    int r = dir ? audit_get(dir, request->name, &event, &err) : -ENOMEM;

    if (r == 0)
        api_reply_send(reply, 200, event);
    else if (r == -ENOENT)
        api_reply_error(reply, 404, "not_found", "there is no event with this id", "aileron audit list shows the newest");
    else if (r == -EINVAL || r == -EEXIST)
        api_reply_error(reply, 400, "ambiguous_id",
            r == -EINVAL ? "an id needs at least its last 6 characters" : "several events end with these characters", NULL);
    else
        api_reply_error(reply, 500, "audit_unreadable", err.message, err.hint);
}

/* A verification under way, and what the daemon had written when it began: no valid files may end before it. */
struct verification {
    struct broker *broker;
    struct api_reply *reply;
    uint64_t seq, signed_seq;
    char head[SHA256_TAGGED_MAX];
};

/* The vault's key as heads.jsonl writes it, or NULL. */
static const char *vault_key(const struct broker *broker, struct buf *text)
{
    const uint8_t *key = heads_vault_key(broker->heads);

    return key && base64_encode(key, SIGN_PUBLIC_BYTES, text) == 0 ? buf_str(text) : NULL;
}

static void on_verdict(json_t *verdict, const struct err *err, void *userdata)
{
    CLEANUP_FREE struct verification *verification = userdata;

    CLEANUP(buf_free) struct buf key = BUF_INIT(AUDIT_KEY_MAX);

    if (verdict) {
        const struct verdict_facts facts = { verification->seq, verification->head, verification->signed_seq,
            vault_key(verification->broker, &key) };

        verdict_compare(verdict, &facts);
        api_reply_send(verification->reply, 200, verdict);
    } else {
        api_reply_error(verification->reply, 500, "verify_failed", err->message, err->hint);
    }
}

void api_audit_verify(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_FREE struct verification *verification = calloc(1, sizeof *verification);
    CLEANUP_FREE char *dir = audit_dir(broker);
    struct err err = ERR_INIT;
    const char *hash;
    int r = -ENOMEM;

    if (verification && dir) {
        verification->broker = broker;
        verification->reply = reply;
        verification->signed_seq = heads_last_seq(broker->heads);
        verification->seq = receipts_head(broker->receipts, &hash);
        snprintf(verification->head, sizeof verification->head, "sha256:%s", hash);
        r = verify_start(broker->loop, broker->self_program, dir, on_verdict, verification, &err);
    }
    if (r < 0)
        api_reply_error(reply, r == -EBUSY ? 429 : 500, "verify_failed", err.message, err.hint);
    else
        TAKE_PTR(verification);
}
