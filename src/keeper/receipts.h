/*
 * Receipts of what the keeper does. The broker writes them; the keeper asks over their channel (KEEPER_EVENT) and, where a
 * receipt must be on disk before its effect, waits for KEEPER_EVENT_WRITTEN. Payloads hold names, never a secret.
 */
#ifndef KEEPER_RECEIPTS_H
#define KEEPER_RECEIPTS_H

#include "base/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct channel;
struct loop;
struct receipts;
struct receipt_wait;

/* 0: it is on disk; negative: it is not, and there must be no effect. From the loop, once, unless cancelled. */
typedef void receipt_fn(int result, void *userdata);

int receipts_new(struct loop *loop, struct channel *channel, struct receipts **ret_receipts);
void receipts_free(struct receipts *receipts);
DEFINE_CLEANUP_PTR(struct receipts, receipts_free)
/* An event type of SPEC §9; steals `payload`. Fails with -ETIMEDOUT when no answer comes within 10 s. */
int receipts_ask(
    struct receipts *receipts, const char *type, json_t *payload, receipt_fn *fn, void *userdata, struct receipt_wait **ret_wait);
void receipts_cancel(struct receipt_wait *wait);
/* Without waiting: for what has happened already (vault.unlocked, binding.refreshed). Steals `payload`. */
void receipts_tell(struct receipts *receipts, const char *type, json_t *payload);
/* The broker's answer; -EPROTO for an id that nobody waits for. */
int receipts_written(struct receipts *receipts, uint32_t id, bool written);

#endif
