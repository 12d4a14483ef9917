/*
 * The mailbox of one person, in memory: messages and drafts in the shapes of
 * Gmail's API (users.messages, users.drafts). Knows no HTTP.
 */
#ifndef DEMO_MAILBOX_H
#define DEMO_MAILBOX_H

#include "base/cleanup.h"
#include "base/json.h"

#include <stdint.h>

struct mailbox;

/* Seeded with mails that came during the days before `now`. NULL when out of memory. */
struct mailbox *mailbox_new(int64_t now_unix_ms);
void mailbox_free(struct mailbox *mailbox);
DEFINE_CLEANUP_PTR(struct mailbox, mailbox_free)

/*
 * Adds a mail; `thread_id` NULL starts a thread, `label` NULL is for mail that came. Returns its id, borrowed; NULL when the
 * mail cannot be read or the thread does not exist.
 */
const char *mailbox_add(
    struct mailbox *mailbox, const char *raw, size_t len, const char *thread_id, const char *label, bool unread, int64_t unix_ms);

/* All give an HTTP status and a body (new reference); the query and body objects are Gmail's. `id` is the path's. */
int mailbox_list(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_get(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_attachment(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *ids, json_t **ret);
int mailbox_send(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_list_drafts(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_get_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_create_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
int mailbox_send_draft(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);

#endif
