/*
 * What a person is asked before a connector gets a credential: pure text from the manifest as GET /v1/connectors/{hash} tells
 * it. What is printed here is what goes into the sealed grant, so both are made from the same object.
 */
#ifndef CLI_CONSENT_H
#define CLI_CONSENT_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdio.h>

struct consent {
    const json_t *connector; /* {"fqn","version","hash","unsigned"?,"hosts","credential":{…}} */
    const char *binding;     /* kind/service/identity */
    const json_t *before;    /* the origins that the binding was granted so far; NULL: a new binding */
    bool replaces;           /* a binding of this name exists and gets another credential */
    bool own_client;         /* the client id is the person's own */
};

/* The whole text, up to but without the question. Everything of the manifest is cleaned. */
void consent_print(FILE *file, const struct consent *consent);
/* True for a client id that stands for one still to be put in. */
bool consent_is_placeholder(const char *client_id);
/*
 * The spec of keeper/client.h without redirect_uri, client and labels that depend on the person's choice: binding, connector,
 * origins, header and format, or URLs and scopes. -EINVAL with words for a manifest that has none.
 */
int consent_spec(const struct consent *consent, json_t **ret_spec, struct err *err);
/* "kind/service/identity" of SPEC §1 for a connector; `as` is an identity, a full name or NULL ("me"). malloc'd. */
int consent_binding_name(const char *fqn, const char *kind, const char *as, char **ret_name, struct err *err);

#endif
