/* The table of plans, their life, and taking them apart. */
#include "broker/plan.h"

#include "base/clock.h"
#include "base/magic.h"
#include "broker/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct plans {
    struct broker *broker;
    TAILQ_HEAD(, plan) list; /* oldest first */
    size_t len;
};

int plans_new(struct broker *broker, struct plans **ret_plans, struct err *err)
{
    struct plans *plans = calloc(1, sizeof *plans);

    if (!plans)
        return err_set(err, ENOMEM, "out of memory");
    plans->broker = broker;
    TAILQ_INIT(&plans->list);
    *ret_plans = plans;
    return 0;
}

static void connector_release(struct plan_connector *connector)
{
    acquired_free(&connector->got);
    manifest_free(connector->manifest);
}

static void action_release(struct plan_action *action)
{
    acquired_free(&action->got);
    action_free(action->action);
    json_decref(action->changes);
}

static void plan_free(struct plan *plan)
{
    acquire_cancel(plan->acquire);
    version_cancel(plan->search);
    forge_cancel(plan->get);
    sync_cancel(plan->sync);
    if (plan->compile)
        connector_wait_cancel(plan->compile);
    connector_unref(plan->connector);
    for (size_t i = 0; i < plan->connectors_len; i++)
        connector_release(&plan->connectors[i]);
    for (size_t i = 0; i < plan->actions_len; i++)
        action_release(&plan->actions[i]);
    free(plan->actions);
    suite_free(plan->suite);
    loop_timer_free(plan->timer);
    free(plan->offered);
    free(plan->path);
    free(plan);
}
DEFINE_CLEANUP_PTR(struct plan, plan_free)

void plan_drop(struct plan *plan)
{
    struct plans *plans = plan->broker->plans;

    TAILQ_REMOVE(&plans->list, plan, link);
    plans->len--;
    plan_free(plan);
}

void plans_free(struct plans *plans)
{
    if (!plans)
        return;
    while (!TAILQ_EMPTY(&plans->list)) {
        struct plan *plan = TAILQ_FIRST(&plans->list);

        TAILQ_REMOVE(&plans->list, plan, link);
        plan_free(plan);
    }
    free(plans);
}

void plan_bytes_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->connectors_len; i++)
        acquired_free(&plan->connectors[i].got);
    for (size_t i = 0; i < plan->actions_len; i++)
        acquired_free(&plan->actions[i].got);
    plan->bytes = 0;
}

struct plan *plan_find(struct plans *plans, const char *id)
{
    struct plan *plan = NULL;

    TAILQ_FOREACH(plan, &plans->list, link)
    if (!strcmp(plan->id, id))
        return plan;
    return NULL;
}

uint64_t plans_bytes(const struct plans *plans)
{
    const struct plan *plan = NULL;
    uint64_t bytes = 0;

    TAILQ_FOREACH(plan, &plans->list, link)
    bytes += plan->bytes;
    return bytes;
}

/* ---- beginning ---- */

static void on_old(void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);

    /* One that installs is let be; what it does ends by itself. */
    if (plan->state == PLAN_INSTALLING)
        loop_timer_set(plan->timer, PLAN_MS);
    else
        plan_drop(plan);
}

static void connector_first(struct plan *plan)
{
    struct plan_connector *connector = &plan->connectors[plan->connectors_len++];

    snprintf(connector->fqn, sizeof connector->fqn, "%s", plan->ref.fqn.text);
    if (plan->ref.at == RELEASE_VERSION)
        connector->version = plan->ref.version;
}

static int action_first(struct plan *plan, struct err *err)
{
    plan->actions = calloc(1, sizeof *plan->actions);
    if (!plan->actions)
        return err_set(err, ENOMEM, "out of memory");
    plan->actions_len = 1;
    snprintf(plan->actions[0].fqn, sizeof plan->actions[0].fqn, "%s", plan->ref.fqn.text);
    if (plan->ref.at == RELEASE_VERSION)
        plan->actions[0].version = plan->ref.version;
    return 0;
}

static int request_take(struct plan *plan, const struct plan_request *request, struct err *err)
{
    enum release_kind kind = request->kind == PLAN_SUITE ? RELEASE_FILE : RELEASE_THING;
    int r = request->path ? 0 : release_parse(request->ref, kind, &plan->ref, err);

    if (r < 0)
        return r;
    plan->kind = request->kind;
    plan->force = request->force;
    plan->path = request->path ? strdup(request->path) : NULL;
    plan->offered = calloc(request->offered_len + 1, sizeof *plan->offered);
    if (!plan->offered || (request->path && !plan->path))
        return err_set(err, ENOMEM, "out of memory");
    memcpy(plan->offered, request->offered, request->offered_len * sizeof *plan->offered);
    plan->offered_len = request->offered_len;
    if (plan->kind == PLAN_CONNECTOR)
        connector_first(plan);
    return plan->kind == PLAN_ACTION ? action_first(plan, err) : 0;
}

/* Makes room: a plan that is done or failed goes before one that a person may still look at. */
static int room_make(struct plans *plans, struct err *err)
{
    struct plan *plan = NULL;

    if (plans->len < PLANS_MAX)
        return 0;
    TAILQ_FOREACH(plan, &plans->list, link)
    if (plan->state == PLAN_DONE || plan->state == PLAN_FAILED) {
        plan_drop(plan);
        return 0;
    }
    err_set(err, EBUSY, "%d installations wait for a decision already", PLANS_MAX);
    err_hint(err, "decide about them, or wait until they are forgotten after ten minutes");
    return -EBUSY;
}

int plan_start(struct plans *plans, const struct plan_request *request, struct plan **ret_plan, struct err *err)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    int r = room_make(plans, err);

    if (r < 0)
        return r;
    plan = calloc(1, sizeof *plan);
    if (!plan)
        return err_set(err, ENOMEM, "out of memory");
    plan->magic = PLAN_MAGIC;
    plan->broker = plans->broker;
    ulid_new("pln_", clock_unix_ms(), plan->id);
    r = request_take(plan, request, err);
    if (r == 0 && loop_timer_new(plans->broker->loop, on_old, plan, &plan->timer) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r < 0)
        return r;
    loop_timer_set(plan->timer, PLAN_MS);
    TAILQ_INSERT_TAIL(&plans->list, plan, link);
    plans->len++;
    *ret_plan = plan;
    plan_work(TAKE_PTR(plan));
    return 0;
}
