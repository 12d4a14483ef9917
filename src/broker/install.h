/* What installs of connectors and actions share: placeholder pairs, receipts with consent. */
#ifndef BROKER_INSTALL_H
#define BROKER_INSTALL_H

#include "action/action.h"
#include "base/cleanup.h"
#include "broker/broker.h"

#define INSTALL_PAIRS_MAX 32

/* Pairs for action_substitute(); keys and values are owned. */
struct install_pairs {
    struct action_pair items[INSTALL_PAIRS_MAX];
    size_t len;
};

void install_pairs_free(struct install_pairs *pairs);
/* Copies; a key that is there already stays as it is. -ENOSPC, -ENOMEM. */
int install_pairs_add(struct install_pairs *pairs, const char *key, const char *value);
/* From the body's "bind", an object of texts. */
int install_pairs_from_json(struct install_pairs *pairs, const json_t *bind, struct err *err);
const char *install_pairs_get(const struct install_pairs *pairs, const char *key);

/* True when the body names a plan; then it has been answered. */
bool install_by_plan(struct broker *broker, const struct api_request *request, struct api_reply *reply);

/*
 * The body that both local installs take: {"path":absolute,"local":true,…}. Returns the path, or NULL after answering.
 */
const char *install_path(const struct api_request *request, struct api_reply *reply);

/* Actions that are about to be installed together. */
struct install_actions {
    struct broker *broker;
    const struct action *const *items;
    size_t len;
};
/* Would agents see two actions under one name? -EEXIST says which. */
int install_check_name(const struct install_actions *with, const struct action *action, struct err *err);
/* May its preview run? -EINVAL; "" or a warning when it cannot run yet. */
int install_check_preview(
    const struct install_actions *with, const struct action *action, char warning[ERR_MESSAGE_MAX], struct err *err);

struct connector;
/* What the compiled module exports and imports against its manifest. -EINVAL. */
int install_check_module(const struct connector *connector, struct err *err);

#endif
