/*
 * Plans over the API: preview makes one, GET tells how far it is and what it would do, install or DELETE decides. The local
 * installs share the routes of install: a body without a plan is theirs.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "broker/install.h"
#include "broker/plan.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define OFFERED_MAX 16

static void refuse(struct api_reply *reply, int status, const char *code, const struct err *err)
{
    api_reply_error(reply, status, code, err->message[0] ? err->message : "out of memory", err->hint[0] ? err->hint : NULL);
}

/* Keys that the person brought along (--key). */
static int keys_read(const json_t *list, struct keyring_key keys[OFFERED_MAX], size_t *ret_len, struct err *err)
{
    const json_t *item = NULL;
    size_t i = 0;

    if (list && !json_is_array(list))
        return err_set(err, EINVAL, "keys must be a list of texts");
    json_array_foreach(list, i, item)
    {
        if (i == OFFERED_MAX)
            return err_set(err, E2BIG, "more than %d keys", OFFERED_MAX);
        if (!json_is_string(item))
            return err_set(err, EINVAL, "keys must be a list of texts");
        int r = keyring_key_read(json_string_value(item), json_string_length(item), &keys[i], err);
        if (r < 0)
            return r;
        *ret_len = i + 1;
    }
    return 0;
}

static void preview(struct broker *broker, const struct api_request *request, struct api_reply *reply, enum plan_kind kind)
{
    struct keyring_key keys[OFFERED_MAX];
    struct plan_request what = { .kind = kind,
        .ref = json_get_str(request->body, "ref"),
        .path = json_get_str(request->body, "path"),
        .force = json_is_true(json_object_get(request->body, "force")),
        .offered = keys };
    struct plan *plan = NULL;
    struct err err = ERR_INIT;
    int r = keys_read(json_object_get(request->body, "keys"), keys, &what.offered_len, &err);

    if (r == 0 && (!what.ref == !what.path || (what.path && (kind != PLAN_SUITE || what.path[0] != '/'))))
        r = err_set(&err, EINVAL, "the body needs \"ref\", or for a local suite \"path\" (absolute)");
    if (r == 0)
        r = plan_start(broker->plans, &what, &plan, &err);
    if (r < 0)
        refuse(reply, r == -EBUSY ? 429 : 400,
            r == -EBUSY     ? "too_many_plans"
            : r == -ENOTSUP ? "not_supported"
                            : "bad_request",
            &err);
    else
        api_reply_send(reply, 202, json_pack("{s:s}", "plan", plan->id));
}

void api_connector_preview(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    preview(broker, request, reply, PLAN_CONNECTOR);
}

void api_action_preview(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    preview(broker, request, reply, json_is_true(json_object_get(request->body, "suite")) ? PLAN_SUITE : PLAN_ACTION);
}

/* NULL after answering. */
static struct plan *find(struct broker *broker, const char *id, struct api_reply *reply)
{
    struct plan *plan = id ? plan_find(broker->plans, id) : NULL;

    if (!plan)
        api_reply_error(
            reply, 404, "not_found", "there is no such plan (any more)", "plans are forgotten after ten minutes; start again");
    return plan;
}

void api_plan_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const struct plan *plan = find(broker, request->name, reply);
    json_t *json = plan ? plan_json(plan) : NULL;

    if (plan && !json)
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
    else if (plan)
        api_reply_send(reply, 200, json);
}

/* A no, or Ctrl-C: receipted when there was something to decide. */
static void drop(struct broker *broker, struct plan *plan, struct api_reply *reply)
{
    struct err err = ERR_INIT;

    if (plan->state == PLAN_INSTALLING) {
        api_reply_error(reply, 409, "installing", "it is being installed already", NULL);
        return;
    }
    if (plan_refuse(plan, &err) < 0) {
        broker_no_receipt(reply, &err);
        return;
    }
    json_t *body = json_pack("{s:s}", "cancelled", plan->id);
    plan_drop(plan);
    api_reply_send(reply, 200, body);
}

void api_plan_drop(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct plan *plan = find(broker, request->name, reply);

    if (plan)
        drop(broker, plan, reply);
}

bool install_by_plan(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *id = json_get_str(request->body, "plan"), *consent = json_get_str(request->body, "consent");
    struct plan *plan = NULL;
    struct err err = ERR_INIT;

    if (!id)
        return false;
    plan = find(broker, id, reply);
    if (!plan)
        return true;
    if (consent && !strcmp(consent, "cancelled")) {
        drop(broker, plan, reply);
    } else if (!consent || strcmp(consent, "accepted") != 0) {
        api_reply_error(reply, 400, "bad_request", "consent must be \"accepted\" or \"cancelled\"", NULL);
    } else if (plan->state != PLAN_READY) {
        api_reply_error(reply, 409, "not_ready", "there is nothing to decide about in this plan now", NULL);
    } else {
        int r = plan_install(plan, json_object_get(request->body, "trust"), json_object_get(request->body, "only"), &err);

        if (r == -EPERM)
            refuse(reply, 409, "trust_needed", &err);
        else if (r == -EKEYREJECTED)
            refuse(reply, 409, "other_key", &err);
        else if (r < 0)
            broker_no_receipt(reply, &err);
        else
            api_reply_send(reply, 202, json_pack("{s:s}", "plan", plan->id));
    }
    return true;
}
