/*
 * The request envelope that a connector hands to http_request (SPEC §5): read
 * strictly, then held against manifest and step. Pure. Two verdicts: malformed
 * (the guest gets -2) and denied (the guest gets -1 and the call fails whatever
 * the connector says afterwards).
 */
#ifndef BROKER_ENVELOPE_H
#define BROKER_ENVELOPE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/url.h"
#include "connector/manifest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct request {
    json_t *json;       /* what the texts below borrow from */
    const char *method; /* one of GET HEAD POST PUT PATCH DELETE OPTIONS */
    const char *url_text;
    struct url url;
    struct buf headers; /* "Name: value\n" each, checked */
    const char *body;   /* NULL without one */
    size_t body_len;
    struct buf body_bytes;  /* owns a decoded body_base64 */
    const char *credential; /* NULL: none wanted */
};

/* 0 or -EINVAL (malformed, with a sentence that repeats nothing of the envelope) or -ENOMEM. */
int request_read(const char *text, size_t len, struct request *ret_request, struct err *err);
void request_free(struct request *request);

/* GET and HEAD: what changes nothing. */
bool request_is_safe(const struct request *request);

enum request_verdict { REQUEST_ALLOWED, REQUEST_DENIED };
/*
 * May this connector, in a step that is `read_only` or not, send it? On REQUEST_DENIED `err` says why and
 * *ret_boundary who said no: "connector_manifest" or "action".
 */
enum request_verdict request_check(
    const struct request *request, const struct manifest *manifest, bool read_only, const char **ret_boundary, struct err *err);

#endif
