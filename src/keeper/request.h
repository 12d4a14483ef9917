/*
 * One outbound request: reading it from a KEEPER_HTTP frame, and deciding without any I/O whether it may
 * leave and with which credential. What the frame claims about itself is checked
 * against the grant, never believed. The keeper's own requests (tokens) have no frame and no credential line
 * but a form in secret memory. Pure.
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
#define TAINTED_MAX             3

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
    struct secret *form; /* one of the keeper's own requests: the body, and the answer is a secret too */
    struct request_get { /* ... or a download */
        bool is_set;
        bool follows; /* redirects to other hosts too, over https */
        size_t answer_max;
    } get;
    struct credential {
        struct secret *line;                 /* "Authorization: Bearer ..." and a NUL; NULL without credential */
        struct secret *tainted[TAINTED_MAX]; /* what must not come back in the answer: value, refresh token, client secret */
        size_t tainted_len;
        int64_t expires_unix_s; /* 0: unknown */
        uint64_t generation;    /* of the vault's loan */
        bool refreshable;
    } credential;
};

/* A request of the keeper itself: POST of a form to `url`, which must be https or of this machine. Copies. -EINVAL says what is wrong. */
int request_form(const char *url, const char *pool, const struct secret *form, struct request **ret_request, struct err *err);

/* What is downloaded, and under which pool. */
struct request_download {
    const char *url, *pool;
    const char *accept, *etag;  /* "" = none; a value that cannot stand in a header is refused */
    const struct secret *token; /* sent as Authorization: Bearer, to this origin alone; NULL: none. Excludes `follows` */
    bool follows;
    size_t answer_max;
};
/* A GET of the keeper itself, of an https URL (or one of this machine). -EINVAL says what is wrong. */
int request_get(const struct request_download *what, struct request **ret_request, struct err *err);

/* Copies a frame's fields. -EPROTO when the frame is not one (the peer is dropped), -ENOMEM. */
int request_read(struct wire_frame *frame, struct request **ret_request);

/*
 * Every rule that needs no network: method, URL, header fields, allowed hosts, plain http, binding and grant. KEEPER_HTTP_DONE
 * when the request may go on, then url and headers are filled; else the outcome to answer, with our words in `err`.
 */
enum keeper_http_outcome request_check(struct request *request, struct vault *vault, struct err *err);

/*
 * Takes the credential out of the vault as it is now and compares the grant again, which may be another than when the
 * request came: to be called when it is about to leave, and again after a refresh. Nothing to do without a binding.
 */
enum keeper_http_outcome request_credential(struct request *request, struct vault *vault, struct err *err);

/*
 * The same rules for where an answer redirects the request to: same origin only (a download that follows: any https one), GET and HEAD only.
 * KEEPER_HTTP_DONE when it may be sent again, then url_text and url are the new ones.
 */
enum keeper_http_outcome request_redirect(struct request *request, const char *location, struct err *err);

void request_free(struct request *request);
DEFINE_CLEANUP_PTR(struct request, request_free)

#endif
