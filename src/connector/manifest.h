/*
 * manifest.toml (SPEC §3): what a connector is and what it may do. Pure: text in,
 * struct out; an unknown key is an error with its position.
 */
#ifndef CONNECTOR_MANIFEST_H
#define CONNECTOR_MANIFEST_H

#include "base/cleanup.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_OAUTH2, CREDENTIAL_API_KEY, CREDENTIAL_BASIC };

struct manifest_oauth2 {
    char *authorize_url, *token_url, *client_id, *client_secret, *revoke_url; /* the last two may be NULL */
    char **scopes;
    size_t scopes_len;
};

struct manifest {
    char *name;                                               /* FQN */
    char *version;                                            /* SemVer without v */
    char *publisher, *description, *provenance_hash, *origin; /* may be NULL */
    bool idempotent;                                          /* connector.idempotency.default: retry only */
    char **hosts;                                             /* "host:port" */
    size_t hosts_len;
    enum credential_kind credential;
    char *credential_scope, *credential_header, *credential_format; /* header and format have their defaults */
    struct manifest_oauth2 oauth2;                                  /* set when credential is CREDENTIAL_OAUTH2 */
    char **imports; /* runtime.imports; NULL when the key is absent (log and http functions) */
    size_t imports_len;
    bool has_imports;
    unsigned memory_mib, wall_time_s;
    bool wants_spawn; /* capabilities.spawn present: shown at consent, not executed */
    json_t *spawn;    /* that table as it stands; NULL */
    char **intents;
    size_t intents_len;
};

/* `name` is how errors call the file. */
int manifest_parse(const char *text, size_t len, const char *name, struct manifest **ret_manifest, struct err *err);
void manifest_free(struct manifest *manifest);
DEFINE_CLEANUP_PTR(struct manifest, manifest_free)
/* Is "host:port" (lower case) one of the manifest's? */
bool manifest_allows(const struct manifest *manifest, const char *hostport);
const char *credential_kind_name(enum credential_kind kind);
/* Everything but client_secret, for the API. New reference. */
json_t *manifest_to_json(const struct manifest *manifest);

#endif
