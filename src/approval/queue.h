/*
 * The queue of approvals: which there are, who may have how many, and what a second call of the same gets (SPEC §8, §12).
 * Owns the records. Pure: the caller gives `now`, writes the journal before an effect, and tells whoever waits.
 */
#ifndef APPROVAL_QUEUE_H
#define APPROVAL_QUEUE_H

#include "approval/approval.h"

#include <stddef.h>

struct queue;

struct queue_limits {
    size_t pending_session, pending_all;
    int64_t expiry_ms; /* of a pending one */
    int64_t forget_ms; /* arguments and results leave this long after collection */
    size_t kept;       /* records that are over and collected; the oldest go first */
    /* Memory of what is pending; 0: any. */
    size_t bytes_session, bytes_all;
    /* Ends of calls that nobody was asked about: how many, and their memory; 0: any. */
    size_t ends, ends_bytes;
};
#define QUEUE_LIMITS_DEFAULT                                                                                                     \
    {                                                                                                                            \
        100, 20000, 24 * 3600 * 1000ll, 24 * 3600 * 1000ll, 10000, (size_t) 64 << 20, (size_t) 256 << 20, 10000,                 \
            (size_t) 64 << 20                                                                                                    \
    }

int queue_new(const struct queue_limits *limits, struct queue **ret_queue);
void queue_free(struct queue *queue);
DEFINE_CLEANUP_PTR(struct queue, queue_free)
/* New limits count for what is asked from now on. */
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);

struct queue_request {
    const char *session_id; /* "" = the owner */
    const char *key;        /* idempotency key; NULL */
    const char *seal, *same;
    json_t *asked;   /* taken */
    json_t *card;    /* taken; NULL when nobody is asked */
    bool repeatable; /* idempotent by its own word: a second call of the same is a call of its own */
    bool unattended; /* nobody is asked: the record begins as a running one */
    bool confined;
};

enum queue_answer {
    QUEUE_NEW = 0,
    QUEUE_SAME = 1,         /* the same call is there already: its record */
    QUEUE_SESSION_FULL = 2, /* too many or too large pending ones of this session */
    QUEUE_FULL = 3,
    QUEUE_OTHER = 4, /* the idempotency key was used for another call: its record */
};

/*
 * A gated call: QUEUE_NEW or QUEUE_SAME with the record, which stays the queue's; QUEUE_NEW is not on disk yet. A negative errno is -ENOMEM.
 */
int queue_request(struct queue *queue, const struct queue_request *request, int64_t now, struct approval **ret_approval);
/* What queue_request() would say, as far as it is there already: QUEUE_SAME or QUEUE_OTHER with the record, else QUEUE_NEW. */
int queue_same(const struct queue *queue, const char *session_id, const char *key, const char *same, bool repeatable,
    struct approval **ret_approval);
/* A QUEUE_NEW whose receipt could not be written, or one that nothing depends on any more: as if it had not been asked. */
void queue_withdraw(struct queue *queue, struct approval *approval);

/* NULL when there is none. */
struct approval *queue_find(const struct queue *queue, const char *id);
/* By a suffix of at least 6 characters that only one id ends with. */
struct approval *queue_find_suffix(const struct queue *queue, const char *suffix);
/* Newest first; `fn` returns false to stop. Nothing may be added or withdrawn meanwhile. */
typedef bool queue_visit_fn(struct approval *approval, void *userdata);
void queue_visit(const struct queue *queue, queue_visit_fn *fn, void *userdata);
/* The same, oldest first. */
void queue_visit_oldest(const struct queue *queue, queue_visit_fn *fn, void *userdata);
size_t queue_pending(const struct queue *queue);
size_t queue_len(const struct queue *queue);

/* Call after every change of a record's state: counts and holds follow it. */
void queue_changed(struct queue *queue, struct approval *approval);
/* The earliest time at which a pending one expires; 0: none. */
int64_t queue_next_expiry(const struct queue *queue);

/* A record of the journal; the last one of an id counts. Takes it. -EEXIST never. */
int queue_load(struct queue *queue, struct approval *approval);
/* Drops records that are over beyond `kept`, unless somebody may still come for what was done. How many went. */
size_t queue_trim(struct queue *queue);
/* The oldest end of a call that nobody was asked about, when there are more of these than the limits allow; else NULL. */
struct approval *queue_overflow(const struct queue *queue);

#endif
