/*
 * Records hang on one list, newest first, and in four trees of the C library: by id, by what holds a second call of
 * the same back, by what was done last of the same, and by session and idempotency key. Counts are kept, so that nothing
 * is walked for a new call. Ends of calls that nobody was asked about hang on a second list, in their order.
 */
#include "approval/queue.h"

#include "base/json.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define SUFFIX_MIN 6

struct node {
    struct approval *approval;
    TAILQ_ENTRY(node) link, end_link;
    size_t bytes; /* of memory, while it counts or has ended */
    bool counts;  /* as a pending one */
    bool holds;   /* is in the tree of the same */
    bool ended;   /* is in the list of ends */
};

struct session_count {
    char id[ULID_ID_MAX];
    size_t pending, bytes;
};

struct queue {
    struct queue_limits limits;
    TAILQ_HEAD(nodes, node) nodes; /* newest first */
    TAILQ_HEAD(, node) ends;       /* oldest first */
    size_t len, pending, bytes, ends_len, ends_bytes;
    void *by_id, *by_same, *by_done, *by_key, *sessions;
};

/* ---- trees ---- */

static int compare_id(const void *a, const void *b)
{
    const struct node *one = a, *other = b;

    return strcmp(one->approval->id, other->approval->id);
}

static int compare_same(const void *a, const void *b)
{
    const struct node *one = a, *other = b;

    return strcmp(one->approval->same, other->approval->same);
}

static int compare_key(const void *a, const void *b)
{
    const struct node *one = a, *other = b;
    int order = strcmp(one->approval->session_id, other->approval->session_id);

    return order != 0 ? order : strcmp(one->approval->key, other->approval->key);
}

static int compare_session(const void *a, const void *b)
{
    const struct session_count *one = a, *other = b;

    return strcmp(one->id, other->id);
}

static struct node *tree_find(void *const *tree, const struct approval *like, int (*compare)(const void *, const void *))
{
    const struct node probe = { .approval = (struct approval *) like };
    struct node *const *found = tfind(&probe, tree, compare);

    return found ? *found : NULL;
}

/* ---- counts ---- */

static struct session_count *session_find(struct queue *queue, const char *id)
{
    struct session_count probe = { .pending = 0 };
    struct session_count *const *found = NULL;

    memcpy(probe.id, id, strnlen(id, sizeof probe.id - 1) + 1);
    found = tfind(&probe, &queue->sessions, compare_session);
    return found ? *found : NULL;
}

static struct session_count *session_make(struct queue *queue, const char *id)
{
    struct session_count *count = session_find(queue, id);

    if (count)
        return count;
    count = calloc(1, sizeof *count);
    if (!count)
        return NULL;
    memcpy(count->id, id, strnlen(id, sizeof count->id - 1) + 1);
    if (tsearch(count, &queue->sessions, compare_session))
        return count;
    free(count);
    return NULL;
}

/* Counts a node as pending, or no longer. */
static int pending_count(struct queue *queue, struct node *node, bool counts)
{
    struct session_count *session = NULL;

    if (node->counts == counts)
        return 0;
    session = counts ? session_make(queue, node->approval->session_id) : session_find(queue, node->approval->session_id);
    if (!session)
        return -ENOMEM;
    if (counts)
        node->bytes = approval_memory(node->approval);
    node->counts = counts;
    queue->pending += counts ? 1 : (size_t) -1;
    queue->bytes += counts ? node->bytes : -node->bytes;
    session->pending += counts ? 1 : (size_t) -1;
    session->bytes += counts ? node->bytes : -node->bytes;
    if (session->pending == 0) {
        tdelete(session, &queue->sessions, compare_session);
        free(session);
    }
    return 0;
}

/* What was done last of the same, for the card of the next one. */
static void done_note(struct queue *queue, struct node *node)
{
    struct node **at = NULL;

    if (node->approval->state != APPROVAL_COMPLETED && node->approval->state != APPROVAL_UNKNOWN)
        return;
    at = tsearch(node, &queue->by_done, compare_same);
    if (at && (*at)->approval->finished_unix_ms <= node->approval->finished_unix_ms)
        *at = node;
}

static void end_note(struct queue *queue, struct node *node)
{
    if (node->ended || !node->approval->unattended || !approval_is_over(node->approval))
        return;
    node->ended = true;
    node->bytes = approval_memory(node->approval);
    queue->ends_len++;
    queue->ends_bytes += node->bytes;
    TAILQ_INSERT_TAIL(&queue->ends, node, end_link);
}

static void end_forget(struct queue *queue, struct node *node)
{
    if (!node->ended)
        return;
    node->ended = false;
    queue->ends_len--;
    queue->ends_bytes -= node->bytes;
    TAILQ_REMOVE(&queue->ends, node, end_link);
}

/* Of several that hold the same back (idempotent ones, or after a resolve) the newest is in the tree. */
static int hold(struct queue *queue, struct node *node, bool holds)
{
    if (node->holds == holds)
        return 0;
    if (holds) {
        struct node **at = tsearch(node, &queue->by_same, compare_same);

        if (!at)
            return -ENOMEM;
        (*at)->holds = false;
        *at = node;
        node->holds = true;
        return 0;
    }
    tdelete(node, &queue->by_same, compare_same);
    node->holds = false;
    return 0;
}

/* ---- life ---- */

int queue_new(const struct queue_limits *limits, struct queue **ret_queue)
{
    struct queue *queue = calloc(1, sizeof *queue);

    if (!queue)
        return -ENOMEM;
    TAILQ_INIT(&queue->nodes);
    TAILQ_INIT(&queue->ends);
    queue->limits = *limits;
    *ret_queue = queue;
    return 0;
}

void queue_set_limits(struct queue *queue, const struct queue_limits *limits)
{
    queue->limits = *limits;
}

static void node_drop(struct queue *queue, struct node *node)
{
    pending_count(queue, node, false);
    hold(queue, node, false);
    end_forget(queue, node);
    if (tree_find(&queue->by_done, node->approval, compare_same) == node)
        tdelete(node, &queue->by_done, compare_same);
    tdelete(node, &queue->by_id, compare_id);
    if (node->approval->key[0] && tree_find(&queue->by_key, node->approval, compare_key) == node)
        tdelete(node, &queue->by_key, compare_key);
    TAILQ_REMOVE(&queue->nodes, node, link);
    queue->len--;
    approval_free(node->approval);
    free(node);
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    while (!TAILQ_EMPTY(&queue->nodes))
        node_drop(queue, TAILQ_FIRST(&queue->nodes));
    free(queue);
}

/* Takes the approval in every case. */
static int node_add(struct queue *queue, struct approval *approval, struct node **ret_node)
{
    CLEANUP_PTR(approval_free) struct approval *taken = approval;
    struct node *node = calloc(1, sizeof *node), *older = NULL;

    if (!node)
        return -ENOMEM;
    node->approval = approval;
    if (!tsearch(node, &queue->by_id, compare_id) || (approval->key[0] && !tsearch(node, &queue->by_key, compare_key))) {
        tdelete(node, &queue->by_id, compare_id);
        free(node);
        return -ENOMEM;
    }
    TAKE_PTR(taken);
    /* By id, which begins with its time: a new one is the newest, and the journal is in nearly that order too. */
    older = TAILQ_FIRST(&queue->nodes);
    while (older && strcmp(older->approval->id, approval->id) >= 0)
        older = TAILQ_NEXT(older, link);
    if (older)
        TAILQ_INSERT_BEFORE(older, node, link);
    else
        TAILQ_INSERT_TAIL(&queue->nodes, node, link);
    queue->len++;
    *ret_node = node;
    return 0;
}

/* ---- requests ---- */

/* The last of the same that was done, for the card. */
static void before_note(const struct queue *queue, struct approval *approval)
{
    const struct node *node = tree_find(&queue->by_done, approval, compare_same);

    if (!node)
        return;
    memcpy(approval->before, node->approval->id, sizeof approval->before);
    approval->before_unix_ms = node->approval->finished_unix_ms;
}

static void text_copy(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from ? from : "", size - 1);

    memcpy(to, from ? from : "", len);
    to[len] = '\0';
}

static struct approval *approval_new(const struct queue *queue, const struct queue_request *request, int64_t now)
{
    struct approval *approval = calloc(1, sizeof *approval);

    if (!approval)
        return NULL;
    ulid_new("apr_", now, approval->id);
    approval->state = request->unattended ? APPROVAL_RUNNING : APPROVAL_PENDING;
    approval->repeatable = request->repeatable;
    approval->unattended = request->unattended;
    approval->confined = request->confined;
    approval->requested_unix_ms = now;
    approval->expires_unix_ms = now + queue->limits.expiry_ms;
    text_copy(approval->session_id, sizeof approval->session_id, request->session_id);
    text_copy(approval->seal, sizeof approval->seal, request->seal);
    text_copy(approval->same, sizeof approval->same, request->same);
    text_copy(approval->key, sizeof approval->key, request->key);
    return approval;
}

static int same_find(const struct queue *queue, const struct approval *like, struct approval **ret_approval)
{
    const struct node *node = like->key[0] ? tree_find(&queue->by_key, like, compare_key) : NULL;
    int answer = QUEUE_SAME;

    if (node && strcmp(node->approval->same, like->same) != 0)
        answer = QUEUE_OTHER;
    if (!node && !like->repeatable)
        node = tree_find(&queue->by_same, like, compare_same);
    if (!node)
        return QUEUE_NEW;
    *ret_approval = node->approval;
    return answer;
}

int queue_same(const struct queue *queue, const char *session_id, const char *key, const char *same, bool repeatable,
    struct approval **ret_approval)
{
    struct approval like = { .repeatable = repeatable };

    text_copy(like.session_id, sizeof like.session_id, session_id);
    text_copy(like.key, sizeof like.key, key);
    text_copy(like.same, sizeof like.same, same);
    return same_find(queue, &like, ret_approval);
}

static bool is_over(size_t bytes, size_t limit)
{
    return limit && bytes > limit;
}

static int room_check(struct queue *queue, const char *session_id, size_t bytes)
{
    const struct session_count *session = session_find(queue, session_id);
    size_t before = session ? session->bytes : 0;

    if ((session && session->pending >= queue->limits.pending_session) || is_over(before + bytes, queue->limits.bytes_session))
        return QUEUE_SESSION_FULL;
    return queue->pending >= queue->limits.pending_all || is_over(queue->bytes + bytes, queue->limits.bytes_all) ? QUEUE_FULL
                                                                                                                 : QUEUE_NEW;
}

int queue_request(struct queue *queue, const struct queue_request *request, int64_t now, struct approval **ret_approval)
{
    CLEANUP_PTR(approval_free) struct approval *approval = approval_new(queue, request, now);
    CLEANUP_JSON json_t *card = request->card;
    CLEANUP_JSON json_t *asked = request->asked;
    struct approval *there = NULL;
    struct node *node = NULL;
    int r = 0;

    if (!approval)
        return -ENOMEM;
    r = same_find(queue, approval, ret_approval);
    if (r != QUEUE_NEW)
        return r;
    if (approval_set(approval, asked, card) < 0)
        return -ENOMEM;
    r = request->unattended ? QUEUE_NEW : room_check(queue, request->session_id, approval_memory(approval));
    if (r != QUEUE_NEW)
        return r;
    if (!request->unattended)
        before_note(queue, approval);
    there = approval;
    r = node_add(queue, TAKE_PTR(approval), &node);
    if (r < 0)
        return r;
    if (pending_count(queue, node, !request->unattended) < 0 || (!request->repeatable && hold(queue, node, true) < 0)) {
        node_drop(queue, node);
        return -ENOMEM;
    }
    *ret_approval = there;
    return QUEUE_NEW;
}

void queue_withdraw(struct queue *queue, struct approval *approval)
{
    struct node *node = tree_find(&queue->by_id, approval, compare_id);

    if (node)
        node_drop(queue, node);
}

/* ---- looking ---- */

struct approval *queue_find(const struct queue *queue, const char *id)
{
    struct approval like = { .key = "" };
    const struct node *node = NULL;

    if (strlen(id) >= sizeof like.id)
        return NULL;
    memcpy(like.id, id, strlen(id) + 1);
    node = tree_find(&queue->by_id, &like, compare_id);
    return node ? node->approval : NULL;
}

struct approval *queue_find_suffix(const struct queue *queue, const char *suffix)
{
    size_t len = strlen(suffix);
    struct approval *found = NULL;
    const struct node *node = NULL;

    if (len < SUFFIX_MIN)
        return NULL;
    TAILQ_FOREACH(node, &queue->nodes, link)
    {
        size_t id_len = strlen(node->approval->id);

        if (id_len < len || strcasecmp(node->approval->id + id_len - len, suffix) != 0)
            continue;
        if (found)
            return NULL;
        found = node->approval;
    }
    return found;
}

void queue_visit(const struct queue *queue, queue_visit_fn *fn, void *userdata)
{
    const struct node *node = NULL;

    TAILQ_FOREACH(node, &queue->nodes, link)
    if (!fn(node->approval, userdata))
        return;
}

void queue_visit_oldest(const struct queue *queue, queue_visit_fn *fn, void *userdata)
{
    const struct node *node = NULL;

    TAILQ_FOREACH_REVERSE(node, &queue->nodes, nodes, link)
    if (!fn(node->approval, userdata))
        return;
}

size_t queue_pending(const struct queue *queue)
{
    return queue->pending;
}

size_t queue_len(const struct queue *queue)
{
    return queue->len;
}

void queue_changed(struct queue *queue, struct approval *approval)
{
    struct node *node = tree_find(&queue->by_id, approval, compare_id);

    if (!node)
        return;
    pending_count(queue, node, approval->state == APPROVAL_PENDING);
    if (!approval_holds(approval))
        hold(queue, node, false);
    done_note(queue, node);
    end_note(queue, node);
}

int64_t queue_next_expiry(const struct queue *queue)
{
    const struct node *node = NULL;
    int64_t next = 0;

    TAILQ_FOREACH(node, &queue->nodes, link)
    if (node->counts && (next == 0 || node->approval->expires_unix_ms < next))
        next = node->approval->expires_unix_ms;
    return next;
}

/* ---- the journal's ---- */

int queue_load(struct queue *queue, struct approval *approval)
{
    struct node *node = tree_find(&queue->by_id, approval, compare_id);
    int r = 0;

    if (node)
        node_drop(queue, node);
    r = node_add(queue, approval, &node);
    if (r < 0)
        return r;
    r = pending_count(queue, node, approval->state == APPROVAL_PENDING);
    if (r < 0)
        return r;
    done_note(queue, node);
    end_note(queue, node);
    return approval_holds(approval) ? hold(queue, node, true) : 0;
}

struct approval *queue_overflow(const struct queue *queue)
{
    const struct node *oldest = TAILQ_FIRST(&queue->ends);
    bool over = is_over(queue->ends_len, queue->limits.ends) || is_over(queue->ends_bytes, queue->limits.ends_bytes);

    return oldest && over ? oldest->approval : NULL;
}

/* Nothing was done, or its end was handed over: it may be asked again as if it had not been. */
static bool may_go(const struct approval *approval)
{
    bool nothing_done =
        approval->state == APPROVAL_DENIED || approval->state == APPROVAL_EXPIRED || approval->state == APPROVAL_CANCELLED;

    return approval_is_over(approval) && (nothing_done || !approval_holds(approval));
}

size_t queue_trim(struct queue *queue)
{
    struct node *node = NULL, *next = NULL;
    size_t kept = 0, dropped = 0;

    for (node = TAILQ_FIRST(&queue->nodes); node; node = next) {
        next = TAILQ_NEXT(node, link);
        if (!may_go(node->approval) || kept++ < queue->limits.kept)
            continue;
        node_drop(queue, node);
        dropped++;
    }
    return dropped;
}
