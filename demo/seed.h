/* What the demo's mailbox and calendar hold at the start: invented people, realistic texts. */
#ifndef DEMO_SEED_H
#define DEMO_SEED_H

#include <stdint.h>

#define SEED_OWNER_ADDRESS "mara@example.com"
#define SEED_OWNER         "Mara Lindqvist <" SEED_OWNER_ADDRESS ">"

struct mailbox;
struct calendar;

/* 0 or -ENOMEM. */
int seed_mails(struct mailbox *mailbox, int64_t now_unix_ms);
int seed_events(struct calendar *calendar, int64_t now_unix_ms);

#endif
