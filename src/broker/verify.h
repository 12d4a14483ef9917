/*
 * Verifying the audit log in a child of this program: `aileron-broker
 * --verify-audit DIR` prints one JSON object. The broker goes on serving.
 */
#ifndef BROKER_VERIFY_H
#define BROKER_VERIFY_H

#include "base/err.h"

#include <jansson.h>

struct loop;

/*
 * `verdict` is the callee's; NULL on failure. It is what the files say by themselves; its member "heads" (line, key, is_last, made_anew
 * of struct audit_verdict) is for whoever knows the vault's key, see broker/verdict.h.
 */
typedef void verify_fn(json_t *verdict, const struct err *err, void *userdata);
/* Answers once from the loop. -EBUSY while too many run. */
int verify_start(struct loop *loop, int self_program, const char *dir, verify_fn *fn, void *userdata, struct err *err);
/* The child's side: returns its exit status. */
int verify_main(const char *dir);

#endif
