/* Any bytes as a spec or as labels: what is accepted keeps every promise of owner-spec.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "keeper/owner-spec.h"

#include "base/banned.h"

#define HOLDS(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition))                                                                                                        \
            abort();                                                                                                             \
    } while (0)

static void hold(const struct spec *spec, enum spec_use use)
{
    HOLDS(grant_binding_name_is_valid(spec->binding));
    HOLDS(!strncmp(spec->binding, grant_kind_name(spec->grant->kind), strlen(grant_kind_name(spec->grant->kind))));
    HOLDS(spec->grant->origins_len > 0 && spec->scopes_len <= SPEC_SCOPES_MAX);
    HOLDS(use != SPEC_KEY || (spec->grant->kind == GRANT_API_KEY && !spec->grant->token_url && !spec->authorize_url));
    HOLDS(use != SPEC_OAUTH || (spec->grant->kind == GRANT_OAUTH2 && spec->grant->token_url && spec->authorize_url));
    HOLDS(use != SPEC_OAUTH || (spec->client_id && spec_redirect_is_valid(spec->redirect_uri)));
    for (size_t i = 0; i < spec->scopes_len; i++)
        HOLDS(strlen(spec->scopes[i]) > 0 && !strchr(spec->scopes[i], ' '));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_JSON json_t *labels = NULL;

    if (size < 1)
        return 0;
    if (spec_labels_parse((const char *) data, size, &labels, NULL) == 0)
        HOLDS(json_is_object(labels) && json_object_size(labels) <= SPEC_LABELS_MAX);
    for (int use = SPEC_KEY; use <= SPEC_OAUTH; use++) {
        CLEANUP_PTR(spec_free) struct spec *spec = NULL;
        struct err err = ERR_INIT;

        if (spec_parse((const char *) data, size, (enum spec_use) use, &spec, &err) == 0)
            hold(spec, (enum spec_use) use);
        else
            HOLDS(!spec && err.message[0]);
    }
    return 0;
}
