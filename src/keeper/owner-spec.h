/*
 * The spec JSON of keeper/client.h: what the person has consented to, read strictly. Every member points into the parsed
 * JSON, which the spec owns. Pure.
 */
#ifndef KEEPER_OWNER_SPEC_H
#define KEEPER_OWNER_SPEC_H

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/grant.h"

#include <jansson.h>
#include <stdbool.h>

#define SPEC_SCOPES_MAX   64
#define SPEC_SCOPE_MAX    512
#define SPEC_CLIENT_MAX   512
#define SPEC_LABELS_MAX   32
#define SPEC_LABEL_MAX    1024
#define SPEC_REDIRECT_MAX 48

enum spec_use { SPEC_KEY, SPEC_REBIND, SPEC_OAUTH };

struct spec {
    json_t *json;
    const char *binding;
    struct grant *grant;
    const char *authorize_url, *client_id, *redirect_uri; /* NULL unless SPEC_OAUTH */
    const char *scopes[SPEC_SCOPES_MAX];
    size_t scopes_len;
    bool make_default;
    const json_t *labels; /* NULL: none */
};

/* -EINVAL names the key that is wrong and how it should be; -ENOMEM. */
int spec_parse(const char *text, size_t len, enum spec_use use, struct spec **ret_spec, struct err *err);
void spec_free(struct spec *spec);
DEFINE_CLEANUP_PTR(struct spec, spec_free)

/* True for exactly http://127.0.0.1:PORT/oauth2/callback. */
bool spec_redirect_is_valid(const char *uri);
/* Labels of an entry: an object of texts. NULL with an empty text; -EINVAL says what is wrong. *ret_labels is a new reference. */
int spec_labels_parse(const char *text, size_t len, json_t **ret_labels, struct err *err);

#endif
