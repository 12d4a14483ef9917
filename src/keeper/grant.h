/*
 * A grant: what the person consented to for one binding. Which connector may use
 * the credential, at which origins, and in which header it travels. The keeper
 * compares every request with it; nothing that comes in a frame can widen it.
 * Its JSON form is that of SPEC §1 (`_grants/<binding path>`). Pure.
 */
#ifndef KEEPER_GRANT_H
#define KEEPER_GRANT_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/url.h"

#include <jansson.h>
#include <stdbool.h>

#define GRANT_NAME_MAX      200
#define GRANT_CONNECTOR_MAX 512
#define GRANT_ORIGINS_MAX   32
#define GRANT_VALUE_MIN     8
#define GRANT_VALUE_MAX     (16 * 1024)

enum grant_kind { GRANT_OAUTH2, GRANT_API_KEY };

struct grant {
    enum grant_kind kind;
    char *connector_fqn;
    char **origins; /* "https://host:port" in the form of url_origin() */
    size_t origins_len;
    char *header;    /* "Authorization" */
    char *format;    /* "Bearer {key}": exactly one {key} */
    char *token_url; /* NULL when none, as the next two */
    char *revoke_url, *authorize_url;
};

/*
 * Reads connector_fqn, origins, header?, format?, token_url?, revoke_url?, authorize_url? of a JSON object; the caller has
 * checked for unknown keys.
 * oauth2 always travels as "Authorization: Bearer TOKEN". -EINVAL says which key is wrong and how it should be.
 */
int grant_read(const json_t *object, enum grant_kind kind, struct grant **ret_grant, struct err *err);
/* What grant_read() reads, in full. NULL when out of memory. */
json_t *grant_to_json(const struct grant *grant);
/* 0 or -ENOMEM. */
int grant_copy(const struct grant *grant, struct grant **ret_copy);
void grant_free(struct grant *grant);
DEFINE_CLEANUP_PTR(struct grant, grant_free)

/* True when the grant is for this connector, compared byte for byte. */
bool grant_is_for(const struct grant *grant, const char *connector_fqn);
/* True when the credential may go to the URL's origin: listed, and over TLS or to this machine alone. */
bool grant_covers(const struct grant *grant, const struct url *url);

/* "oauth2", "api_key". */
const char *grant_kind_name(enum grant_kind kind);
/* False when `name` is no kind. */
bool grant_kind_parse(const char *name, enum grant_kind *ret_kind);
/* `<kind>/<service>/<identity>` per SPEC §1. */
bool grant_binding_name_is_valid(const char *name);

/* A value that can stand in a header and is long enough to be told from ordinary text. The reason, or NULL. */
const char *grant_value_refusal(const uint8_t *value, size_t len);
/*
 * "Authorization: Bearer VALUE" and a NUL, without line end, in secret memory; the value stands at *ret_value_at in it.
 * 0 or -ENOMEM.
 */
int grant_header_line(const struct grant *grant, const struct secret *value, struct secret **ret_line, size_t *ret_value_at);

#endif
