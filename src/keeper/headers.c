/*
 * Header fields are split in a private copy: every line must be complete, every
 * name a token, every value free of control characters, so that no value can
 * begin a line or a request of its own.
 */
#include "keeper/headers.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "wire/limits.h"

#include "base/banned.h"

static const char *const reserved_names[] = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "cookie",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
};

static const char *const method_overrides[] = { "x-http-method-override", "x-http-method", "x-method-override" };

static const struct {
    const char *name;
    enum method_kind kind;
} methods[] = {
    { "GET", METHOD_SAFE },
    { "HEAD", METHOD_SAFE },
    { "POST", METHOD_OTHER },
    { "PUT", METHOD_OTHER },
    { "PATCH", METHOD_OTHER },
    { "DELETE", METHOD_OTHER },
    { "OPTIONS", METHOD_OTHER },
};

enum method_kind method_classify(const char *method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (!strcmp(methods[i].name, method))
            return methods[i].kind;
    return METHOD_UNKNOWN;
}

bool header_name_is_valid(const char *name, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (len == 0 || len > HEADER_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter_or_digit && !memchr(others, c, sizeof others - 1))
            return false;
    }
    return true;
}

bool header_value_is_valid(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) value[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool name_in(const char *name, const char *const *table, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strcasecmp(name, table[i]))
            return true;
    return false;
}

bool header_is_reserved(const char *name)
{
    return name_in(name, reserved_names, ARRAY_LEN(reserved_names)) || !strncasecmp(name, "proxy-", 6);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Splits one NUL-terminated line in place. */
static int line_split(char *line, struct header *ret_header, struct err *err)
{
    char *colon = strchr(line, ':'), *value = NULL, *end = NULL;

    if (!colon || !header_name_is_valid(line, (size_t) (colon - line))) {
        err_set(err, EINVAL, "a request header has no valid name");
        return HEADERS_MALFORMED;
    }
    *colon = '\0';
    for (value = colon + 1; is_blank(*value); value++)
        ;
    for (end = value + strlen(value); end > value && is_blank(end[-1]); end--)
        ;
    *end = '\0';
    if (!header_value_is_valid(value, strlen(value))) {
        err_set(err, EINVAL, "the value of request header %s has a control character", line);
        return HEADERS_MALFORMED;
    }
    *ret_header = (struct header){ line, value };
    return 0;
}

static int name_check(const char *name, const char *credential_header, bool read_only, struct err *err)
{
    if (header_is_reserved(name)) {
        err_set(err, EACCES, "a connector may not set the request header %s", name);
        return HEADERS_DENIED;
    }
    if (credential_header && !strcasecmp(name, credential_header)) {
        err_set(err, EACCES, "the request header %s carries the credential; a connector may not set it", name);
        return HEADERS_DENIED;
    }
    if (read_only && name_in(name, method_overrides, ARRAY_LEN(method_overrides))) {
        err_set(err, EACCES, "a read-only step may not send the request header %s", name);
        return HEADERS_DENIED;
    }
    return 0;
}

static int lines_read(struct header_list *list, const char *credential_header, bool read_only, struct err *err)
{
    char *line = list->text, *end = NULL;

    for (; *line; line = end + 1) {
        struct header header;
        int r = 0;

        end = strchr(line, '\n');
        if (!end) {
            err_set(err, EINVAL, "the last request header is cut off");
            return HEADERS_MALFORMED;
        }
        if (list->len >= LIMIT_REQUEST_HEADERS) {
            err_set(err, EINVAL, "the request has more than %d headers", LIMIT_REQUEST_HEADERS);
            return HEADERS_MALFORMED;
        }
        *end = '\0';
        r = line_split(line, &header, err);
        if (r == 0)
            r = name_check(header.name, credential_header, read_only, err);
        if (r != 0)
            return r;
        if (strcasecmp(header.name, "accept-encoding") != 0)
            list->items[list->len++] = header;
    }
    return 0;
}

int headers_parse(const char *text, const char *credential_header, bool read_only, struct header_list *ret_list, struct err *err)
{
    CLEANUP(headers_free) struct header_list list = HEADER_LIST_INIT;
    int r = 0;

    if (strlen(text) > LIMIT_HTTP_HEADER_BYTES) {
        err_set(err, EINVAL, "the request's headers are longer than %u bytes", LIMIT_HTTP_HEADER_BYTES);
        return HEADERS_MALFORMED;
    }
    list.text = strdup(text);
    list.items = calloc(LIMIT_REQUEST_HEADERS, sizeof *list.items);
    if (!list.text || !list.items)
        return err_set(err, ENOMEM, "out of memory");
    r = lines_read(&list, credential_header, read_only, err);
    if (r != 0)
        return r;
    *ret_list = list;
    list = (struct header_list) HEADER_LIST_INIT;
    return 0;
}

void headers_free(struct header_list *list)
{
    free(list->text);
    free(list->items);
    *list = (struct header_list) HEADER_LIST_INIT;
}

bool headers_have(const struct header_list *list, const char *name)
{
    for (size_t i = 0; i < list->len; i++)
        if (!strcasecmp(list->items[i].name, name))
            return true;
    return false;
}
