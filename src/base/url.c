/*
 * The strict URL reader. It goes once from left to right: scheme, authority up to
 * the first '/', '?' or '#', then the target. Everything not named as allowed is
 * refused, so backslash tricks, userinfo, encoded hosts and short or octal IPv4
 * forms never reach a second parser that might read them differently.
 */
#include "base/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* True when a label alone would make some parser read the host as a number: "7", "0x7f". */
static bool label_is_number(const char *label, size_t len)
{
    size_t at = 0;
    bool hex = len >= 2 && label[0] == '0' && label[1] == 'x';

    for (at = hex ? 2 : 0; at < len; at++)
        if (hex ? !is_hex(label[at]) : !is_digit(label[at]))
            return false;
    return true;
}

/* `host` is lower case already. */
static int name_check(const char *host, struct err *err)
{
    const char *label = host;

    for (;;) {
        size_t len = strcspn(label, ".");

        if (len == 0 || len > LABEL_MAX)
            return err_set(err, EINVAL, "the URL's host has an empty or overlong label");
        for (size_t i = 0; i < len; i++) {
            char c = label[i];

            if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
                return err_set(err, EINVAL, "the URL's host has a character that no host name has");
        }
        if (label[0] == '-' || label[len - 1] == '-')
            return err_set(err, EINVAL, "the URL's host has a label that starts or ends with '-'");
        if (label[len] == '\0')
            return label_is_number(label, len) ? err_set(err, EINVAL, "the URL's host is not a canonical IPv4 address") : 0;
        label += len + 1;
    }
}

/* Only the one spelling that inet_ntop writes is taken. */
static bool is_canonical_address(int family, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    return inet_pton(family, host, address) == 1 && inet_ntop(family, address, text, sizeof text) && !strcmp(text, host);
}

static int host_set(struct url *url, const char *text, size_t len, bool bracketed, struct err *err)
{
    if (len == 0)
        return err_set(err, EINVAL, "the URL has no host");
    if (len > URL_HOST_MAX)
        return err_set(err, EINVAL, "the URL's host is longer than %d bytes", URL_HOST_MAX);
    if (memchr(text, '\0', len))
        return err_set(err, EINVAL, "the URL's host has a NUL byte");
    for (size_t i = 0; i < len; i++)
        url->host[i] = to_lower(text[i]);
    url->host[len] = '\0';
    if (bracketed) {
        if (!is_canonical_address(AF_INET6, url->host))
            return err_set(err, EINVAL, "the URL's host is not a canonical IPv6 address");
        url->host_kind = URL_HOST_IPV6;
        return 0;
    }
    if (is_canonical_address(AF_INET, url->host)) {
        url->host_kind = URL_HOST_IPV4;
        return 0;
    }
    url->host_kind = URL_HOST_NAME;
    return name_check(url->host, err);
}

static int port_set(struct url *url, const char *text, size_t len, struct err *err)
{
    unsigned port = 0;

    if (len == 0 || len > 5 || text[0] == '0')
        return err_set(err, EINVAL, "the URL's port is not a number from 1 to 65535");
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return err_set(err, EINVAL, "the URL's port is not a number from 1 to 65535");
        port = port * 10 + (unsigned) (text[i] - '0');
    }
    if (port > UINT16_MAX)
        return err_set(err, EINVAL, "the URL's port is not a number from 1 to 65535");
    url->port = (uint16_t) port;
    return 0;
}

/* host [":" port]; `port_required` tells a manifest's entry from a URL. */
static int authority_set(struct url *url, const char *text, size_t len, bool port_required, struct err *err)
{
    const char *host = text, *after = NULL, *end = text + len;
    size_t host_len = 0;
    bool bracketed = len > 0 && text[0] == '[';
    int r = 0;

    if (memchr(text, '@', len))
        return err_set(err, EINVAL, "the URL has a user name or password before the host");
    if (bracketed) {
        const char *close = memchr(text, ']', len);

        if (!close)
            return err_set(err, EINVAL, "the URL's host has '[' without ']'");
        host = text + 1;
        host_len = (size_t) (close - host);
        after = close + 1;
    } else {
        const char *colon = memchr(text, ':', len);

        after = colon ? colon : end;
        host_len = (size_t) (after - host);
    }
    r = host_set(url, host, host_len, bracketed, err);
    if (r < 0)
        return r;
    if (after == end)
        return port_required ? err_set(err, EINVAL, "a port is missing: write host:port") : 0;
    if (*after != ':')
        return err_set(err, EINVAL, "the URL has text between its host and port");
    return port_set(url, after + 1, (size_t) (end - after - 1), err);
}

/* Length of the target before a fragment, or -EINVAL. The fragment is checked too, then left out. */
static int target_set(struct url *url, const char *text, size_t len, struct err *err)
{
    size_t target_len = len;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\\\"<>", c))
            return err_set(err, EINVAL, "the URL has a character that must be percent-encoded");
        if (c == '%' && (len - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2])))
            return err_set(err, EINVAL, "the URL has a '%%' that is not followed by two hexadecimal digits");
        if (c == '#' && target_len == len)
            target_len = i;
    }
    url->target = text;
    url->target_len = target_len;
    return 0;
}

static bool has_scheme(const char *text, size_t len, const char *scheme, size_t scheme_len)
{
    if (len < scheme_len)
        return false;
    for (size_t i = 0; i < scheme_len; i++)
        if (to_lower(text[i]) != scheme[i])
            return false;
    return true;
}

int url_parse(const char *text, size_t len, struct url *ret_url, struct err *err)
{
    struct url url = { .tls = true };
    size_t scheme_len = 0, authority_len = 0;
    int r = 0;

    if (len > URL_MAX_BYTES)
        return err_set(err, EINVAL, "the URL is longer than %d bytes", URL_MAX_BYTES);
    if (has_scheme(text, len, "https://", 8)) {
        scheme_len = 8;
        url.port = 443;
    } else if (has_scheme(text, len, "http://", 7)) {
        scheme_len = 7;
        url.port = 80;
        url.tls = false;
    } else {
        return err_set(err, EINVAL, "the URL does not start with https:// or http://");
    }
    text += scheme_len;
    len -= scheme_len;
    while (authority_len < len && text[authority_len] != '/' && text[authority_len] != '?' && text[authority_len] != '#')
        authority_len++;
    r = authority_set(&url, text, authority_len, false, err);
    if (r < 0)
        return r;
    r = target_set(&url, text + authority_len, len - authority_len, err);
    if (r < 0)
        return r;
    *ret_url = url;
    return 0;
}

int url_parse_hostport(const char *text, size_t len, struct url *ret_url, struct err *err)
{
    struct url url = { .tls = false };
    int r = authority_set(&url, text, len, true, err);

    if (r < 0)
        return r;
    url.target = "";
    *ret_url = url;
    return 0;
}

char *url_hostport(const struct url *url, char out[URL_HOSTPORT_MAX])
{
    bool v6 = url->host_kind == URL_HOST_IPV6;

    snprintf(out, URL_HOSTPORT_MAX, "%s%s%s:%u", v6 ? "[" : "", url->host, v6 ? "]" : "", (unsigned) url->port);
    return out;
}

char *url_origin(const struct url *url, char out[URL_ORIGIN_MAX])
{
    char hostport[URL_HOSTPORT_MAX];

    snprintf(out, URL_ORIGIN_MAX, "%s://%s", url->tls ? "https" : "http", url_hostport(url, hostport));
    return out;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && a->port == b->port && a->host_kind == b->host_kind && !strcmp(a->host, b->host);
}

bool url_is_this_machine(const struct url *url)
{
    return !strcmp(url->host, "localhost") || !strcmp(url->host, "127.0.0.1");
}
