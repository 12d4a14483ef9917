/*
 * One release from its reference to verified bytes (SPEC §3): which version, download, unpack, signature, hash, name and
 * version; in this order, and nothing is parsed before its signature was good. Nothing is installed here and nobody is
 * asked: what a person has to decide comes back as facts.
 */
#ifndef BROKER_ACQUIRE_H
#define BROKER_ACQUIRE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "broker/forge.h"
#include "connector/program.h"
#include "crypt/digest.h"
#include "store/keyring.h"
#include "store/release.h"

#include <stdbool.h>

struct acquire;

/* What is needed around it; borrowed and longer-lived. */
struct acquire_context {
    struct loop *loop;
    struct forge *forge;
    struct worker_program unpacker;
    const char *home; /* of the keyring */
};

enum acquire_kind { ACQUIRE_CONNECTOR, ACQUIRE_ACTION };

struct acquired {
    enum acquire_kind kind;
    char fqn[FQN_MAX];
    struct semver version;
    char hash[SHA256_TAGGED_MAX];
    struct keyring_key key;                /* the one that made the signature */
    bool trusted;                          /* it is in the keyring; else it is one that was offered, or the publisher's own: */
    char authority[KEYRING_AUTHORITY_MAX]; /* the repository that it would be trusted for */
    char key_url[RELEASE_URL_MAX];         /* where it was found; "" for one that was offered */
    struct buf wasm, manifest;             /* a connector's */
    struct buf action;                     /* an action's */
    struct buf signature;
};

/* Frees the bytes; safe on a zeroed one. */
void acquired_free(struct acquired *acquired);

struct acquire_request {
    enum acquire_kind kind;
    const struct release_ref *ref;
    const struct semver *version;      /* what the reference stands for, when that is known already; NULL: to be found out */
    const struct keyring_key *offered; /* believed for this reference beside the keyring's keys: --key */
    size_t offered_len;
};

enum acquire_phase { ACQUIRE_RESOLVING, ACQUIRE_DOWNLOADING, ACQUIRE_UNPACKING, ACQUIRE_CHECKING };
/* `total` 0: unknown. */
typedef void acquire_progress_fn(enum acquire_phase phase, uint64_t done, uint64_t total, void *userdata);
/*
 * 0 with the release, which the callback takes by copying it and zeroing *acquired. Else err->code: EKEYREJECTED the signature; EBADMSG or
 * EINVAL the contents; those of forge.h. Once, from the loop, unless cancelled.
 */
typedef void acquire_fn(int result, struct acquired *acquired, const struct err *err, void *userdata);

int acquire_start(const struct acquire_context *context, const struct acquire_request *request, acquire_fn *fn,
    acquire_progress_fn *progress, void *userdata, struct acquire **ret_acquire, struct err *err);
/* NULL allowed. */
void acquire_cancel(struct acquire *acquire);

#endif
