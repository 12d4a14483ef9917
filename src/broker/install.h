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

/*
 * The body that both installs take: {"path":absolute,"local":true,…}. Returns the path, or NULL after answering.
 */
const char *install_path(const struct api_request *request, struct api_reply *reply);

/* True for a name under local://, the only ones that may be unsigned. */
bool install_is_local(const char *fqn);

#endif
