/*
 * The closed set of failure classes (SPEC §6), as a table: name, HTTP status,
 * whether a retry may help, the boundary that said no. Pure.
 */
#ifndef ACTION_FAILURE_H
#define ACTION_FAILURE_H

#include <jansson.h>
#include <stdbool.h>

enum failure_class {
    FAILURE_NONE,
    FAILURE_CAPABILITY_DENIED,
    FAILURE_BINDING_REQUIRED,
    FAILURE_BINDING_FAILED,
    FAILURE_RESOURCE_LIMIT_EXCEEDED,
    FAILURE_CONNECTOR_RUNTIME_ERROR,
    FAILURE_NETWORK_ERROR,
    FAILURE_EXTERNAL_API_ERROR,
    FAILURE_HASH_MISMATCH,
    FAILURE_SIGNATURE_FAILURE,
    FAILURE_BAD_INPUT,
    FAILURE_APPROVAL_DENIED,
    FAILURE_APPROVAL_TIMEOUT,
};

struct failure {
    enum failure_class class;
    char message[1024];
    const char *boundary; /* static text; NULL: the class's default */
    bool retriable;
    json_t *details; /* object or NULL; owned */
};

#define FAILURE_INIT                                                                                                             \
    {                                                                                                                            \
        FAILURE_NONE, "", NULL, false, NULL                                                                                      \
    }

const char *failure_class_name(enum failure_class class);
/* FAILURE_NONE for a name outside the set. */
enum failure_class failure_class_from_name(const char *name);
int failure_http_status(enum failure_class class);

/* Fills (replacing what was there) with the class's default boundary and retriability. */
void failure_set(struct failure *failure, enum failure_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void failure_detail(struct failure *failure, const char *key, json_t *value_stolen);
void failure_clear(struct failure *failure);
void failure_copy(struct failure *to, const struct failure *from);
/* {"error":{"class","message","retriable","boundary","audit_id","details"}}; audit_id may be NULL (then ""). New reference. */
json_t *failure_to_json(const struct failure *failure, const char *audit_id);

/*
 * Reads a connector's stdout envelope (SPEC §5, §6). Returns 0 with *ret_output (new reference), or 1 with
 * `ret_failure` filled by the closed mapping (unknown classes become connector_runtime_error with
 * details.connector_class), external_api_error taking details.status and .retry_after from the connector's details.
 * Malformed text is connector_runtime_error.
 */
int failure_read_envelope(const char *text, size_t len, json_t **ret_output, struct failure *ret_failure);

/* Delay before retry number `n` (1..3) in ms: 1, 2, 4 s × 1–1.2 by `random` in [0,1), or retry_after_ms if longer. */
long failure_retry_delay_ms(unsigned n, double random, long retry_after_ms);

#endif
