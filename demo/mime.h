/*
 * A mail by RFC 5322 and MIME, read into the shape in which Gmail's API shows
 * it: a tree of parts with headers, decoded bodies as base64url, attachments
 * apart. Pure.
 */
#ifndef DEMO_MIME_H
#define DEMO_MIME_H

#include "base/json.h"

#include <stddef.h>

/*
 * The payload object of a raw mail (CRLF or LF). Bodies of attachments are left out of it and put into `attachments` (object of
 * attachmentId → base64url). NULL when out of memory or when parts are nested more than 8 deep. New reference.
 */
json_t *mime_payload(const char *raw, size_t len, json_t *attachments);
/* Value of a payload's header, whatever its case, or NULL. Borrowed. */
const char *mime_header(const json_t *payload, const char *name);
/* The first 200 characters or so of the mail's text in one line. malloc'd. */
char *mime_snippet(const json_t *payload);

#endif
