/*
 * One KEEPER_HTTP frame: reading it, and deciding without any I/O whether it may
 * leave and with which credential. What the frame claims about itself is checked
 * against the grant, never believed. Pure.
 */
#ifndef KEEPER_REQUEST_H
#define KEEPER_REQUEST_H

#include "base/url.h"
#include "keeper/headers.h"
#include "keeper/overrides.h"
#include "keeper/vault.h"
#include "wire/frame.h"

#define REQUEST_METHOD_MAX      16
#define REQUEST_HOSTS_MAX       (32 * KIB)
#define REQUEST_DEADLINE_MAX_MS (CEILING_WALL_TIME_S * 1000u)

struct request {
    uint32_t id;
    char *connector_fqn;
    char *binding; /* "" = without credential */
    char method[REQUEST_METHOD_MAX + 1];
    enum method_kind method_kind;
    char *url_text;
    struct url url; /* target borrows from url_text */
    char *header_text;
    struct header_list headers;
    char *allowed_hosts;
    uint8_t *body;
    size_t body_len;
    bool has_body;
    bool read_only;
    uint32_t deadline_ms;
    struct secret *credential_line; /* "Authorization: Bearer ..." and a NUL; NULL without credential */
    size_t credential_at;           /* where the value stands in it */
    size_t credential_len;
};

/* Copies a frame's fields. -EPROTO when the frame is not one (the peer is dropped), -ENOMEM. */
int request_read(struct wire_frame *frame, struct request **ret_request);

/*
 * Every rule that needs no network: method, URL, header fields, allowed hosts, plain http, binding and grant. KEEPER_HTTP_DONE
 * when the request may go on to address resolution, then url, headers and credential are filled; else the
 * outcome to answer, with our words in `err`.
 */
enum keeper_http_outcome request_check(struct request *request, struct vault *vault, struct err *err);

/*
 * The same rules for where an answer redirects the request to: same origin only, GET and HEAD only.
 * KEEPER_HTTP_DONE when it may be sent again, then url_text and url are the new ones.
 */
enum keeper_http_outcome request_redirect(struct request *request, const char *location, struct err *err);

void request_free(struct request *request);
DEFINE_CLEANUP_PTR(struct request, request_free)

#endif
