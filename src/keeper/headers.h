/*
 * What a connector may say about its own request: method and header fields. The
 * broker checked them before; the keeper does not rely on that. Pure.
 */
#ifndef KEEPER_HEADERS_H
#define KEEPER_HEADERS_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct header {
    const char *name;
    const char *value; /* without surrounding blanks; may be "" */
};

struct header_list {
    char *text; /* owns the bytes of names and values */
    struct header *items;
    size_t len;
};

#define HEADER_LIST_INIT                                                                                                         \
    {                                                                                                                            \
        NULL, NULL, 0                                                                                                            \
    }

/* Results beside 0 and a negative errno. */
enum { HEADERS_MALFORMED = 1, HEADERS_DENIED = 2 };

/*
 * Reads "Name: value\n" lines. HEADERS_MALFORMED for what is not RFC 9110 §5 or over LIMIT_REQUEST_HEADERS or LIMIT_HTTP_HEADER_BYTES,
 * HEADERS_DENIED for a name that only the keeper sets: framing, routing, cookies, and
 * `credential_header` (NULL when no credential is added). Accept-Encoding is left out: answers come uncompressed,
 * else an echo of the credential could not be seen in them. A read-only request may not carry a method override.
 */
int headers_parse(const char *text, const char *credential_header, bool read_only, struct header_list *ret_list, struct err *err);
void headers_free(struct header_list *list);
bool headers_have(const struct header_list *list, const char *name);

/* A token of RFC 9110 §5.6.2, at most HEADER_NAME_MAX bytes. */
#define HEADER_NAME_MAX 128
bool header_name_is_valid(const char *name, size_t len);
/* True for the names above that belong to the keeper alone; a grant may not use them either. */
bool header_is_reserved(const char *name);
/* Visible characters, blanks and bytes over 0x7f; no control character. */
bool header_value_is_valid(const char *value, size_t len);

enum method_kind { METHOD_UNKNOWN, METHOD_SAFE, METHOD_OTHER };
/* METHOD_SAFE: GET and HEAD. Upper case only. */
enum method_kind method_classify(const char *method);

#endif
