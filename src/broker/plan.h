/*
 * Plans: what an installation would do, before anybody has agreed to it (SPEC §3, §13). References are acquired and held
 * in memory; what a person must decide is told as facts; after the decision exactly the bytes that were shown are
 * installed. A plan lives PLAN_MS and dies with the daemon; nothing of one is on disk.
 */
#ifndef BROKER_PLAN_H
#define BROKER_PLAN_H

#include "action/action.h"
#include "base/reference.h"
#include "base/toml.h"
#include "base/ulid.h"
#include "broker/acquire.h"
#include "broker/connectors.h"
#include "broker/sync.h"
#include "broker/version.h"
#include "store/suite.h"

#include <sys/queue.h>

struct broker;

#define PLAN_MAGIC          0x706c616eu
#define PLAN_MS             600000
#define PLANS_MAX           16
#define PLAN_CONNECTORS_MAX 32
#define PLAN_ACTIONS_MAX    SUITE_ACTIONS_MAX
#define PLAN_TRUST_MAX      16
#define PLAN_BYTES_MAX      (512ull * 1024 * 1024) /* of all plans together */

enum plan_kind { PLAN_CONNECTOR, PLAN_ACTION, PLAN_SUITE };
enum plan_state { PLAN_WORKING, PLAN_READY, PLAN_FAILED, PLAN_INSTALLING, PLAN_DONE };
enum plan_item_state { ITEM_WAITING, ITEM_INSTALLING, ITEM_INSTALLED, ITEM_UPDATED, ITEM_ALREADY, ITEM_FAILED, ITEM_SKIPPED };

struct plan_result {
    enum plan_item_state state;
    struct err err; /* of ITEM_FAILED and ITEM_SKIPPED */
};

struct plan_connector {
    char fqn[FQN_MAX];
    struct semver version;
    char hash[SHA256_TAGGED_MAX]; /* what an action pins; "" until it is known */
    bool already;                 /* installed, with a signature that is valid now */
    struct acquired got;          /* zeroed when `already` */
    struct manifest *manifest;
    struct plan_result result;
};

struct plan_action {
    char fqn[FQN_MAX];
    struct semver version;
    struct action *action;
    bool already;                      /* exactly this is installed */
    char before[REFERENCE_SEMVER_MAX]; /* the version of this name that is installed; "" = none */
    json_t *changes;                   /* against that one; NULL without one */
    char warning[ERR_MESSAGE_MAX];
    struct acquired got;
    struct plan_result result;
};

/* A key that is not in the keyring and that the plan's signatures need. */
struct plan_trust {
    char authority[KEYRING_AUTHORITY_MAX], url[RELEASE_URL_MAX];
    bool offered; /* the person brought it along: nothing to ask */
    struct keyring_key key;
};

struct plan {
    uint32_t magic;
    struct broker *broker;
    TAILQ_ENTRY(plan) link;
    char id[ULID_ID_MAX];
    enum plan_kind kind;
    enum plan_state state;
    struct err err; /* of PLAN_FAILED */
    struct loop_timer *timer;

    /* What was asked for. */
    struct release_ref ref;
    struct semver version; /* of the suite */
    char *path;            /* of a local suite; NULL */
    bool force;            /* also what is installed already */
    struct keyring_key *offered;
    size_t offered_len;

    /* What it comes to. */
    struct suite *suite;
    struct plan_connector connectors[PLAN_CONNECTORS_MAX];
    size_t connectors_len;
    struct plan_action *actions;
    size_t actions_len;
    struct plan_trust trust[PLAN_TRUST_MAX];
    size_t trust_len;
    uint64_t bytes;

    /* What is under way. */
    enum acquire_phase phase;
    uint64_t done, total;
    size_t next_action, next_connector;
    char what[RELEASE_URL_MAX];
    struct acquire *acquire;
    struct version_search *search;
    struct forge_get *get;

    /* The installation. */
    struct connector *connector; /* the one that is being compiled */
    struct connector_wait *compile;
    struct sync_wait *sync;
};

/* The table of a broker's plans. */
struct plans;
int plans_new(struct broker *broker, struct plans **ret_plans, struct err *err);
void plans_free(struct plans *plans);
/* NULL when there is none of this id (any more). */
struct plan *plan_find(struct plans *plans, const char *id);
/* What all of them hold. */
uint64_t plans_bytes(const struct plans *plans);
/* What is decided needs no bytes any more. */
void plan_bytes_free(struct plan *plan);
/* Ends whatever runs, forgets the bytes. */
void plan_drop(struct plan *plan);

struct plan_request {
    enum plan_kind kind;
    const char *ref;  /* what was typed; NULL for */
    const char *path; /* ... a local suite file */
    bool force;
    const struct keyring_key *offered;
    size_t offered_len;
};
/* Begins to work; -EINVAL with the right form for a wrong reference, -EBUSY when there are too many plans. */
int plan_start(struct plans *plans, const struct plan_request *request, struct plan **ret_plan, struct err *err);
/* As GET /v1/plans/{id} tells it (api.h). New reference. */
json_t *plan_json(const struct plan *plan);

/* ---- plan-work.c ---- */

/* The next step of a plan that works; it becomes ready or failed in the end. */
void plan_work(struct plan *plan);
void plan_fail(struct plan *plan, const struct err *err);
/*
 * A version is made once: -EILSEQ when this one is installed with other contents. Asked when it was acquired, and again
 * whenever time has passed since.
 */
int plan_contents_check(const struct plan *plan, const struct acquired *got, struct err *err);

/* ---- plan-install.c ---- */

/*
 * Installs what was shown. `trust` [{"authority","fingerprint"}…] must name every key that what is wanted needs; `only` names of
 * actions, or NULL for all. -EPERM with words when a key is not in it; -EKEYREJECTED when another key was trusted meanwhile. Runs on in the loop; results are in the plan.
 */
int plan_install(struct plan *plan, const json_t *trust, const json_t *only, struct err *err);
/* Receipts of a decision against it. */
int plan_refuse(struct plan *plan, struct err *err);

#endif
