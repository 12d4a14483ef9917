/*
 * Fuzzes the URL reader. What it accepts must be a fixed point: written out from
 * its parts and read again it names the same origin and target, and the
 * host holds none of the bytes that other parsers treat specially.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/url.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_url(const char *text, size_t len)
{
    char origin[URL_ORIGIN_MAX], again_origin[URL_ORIGIN_MAX];
    char whole[URL_ORIGIN_MAX + URL_MAX_BYTES];
    struct err err = ERR_INIT;
    struct url url, again;
    int n = 0;

    if (url_parse(text, len, &url, &err) < 0) {
        require(err.message[0] != '\0');
        return;
    }
    require(strpbrk(url.host, "@/\\?#% []") == NULL && url.port != 0);
    require(url.target >= text && url.target + url.target_len <= text + len);
    n = snprintf(whole, sizeof whole, "%s%.*s", url_origin(&url, origin), (int) url.target_len, url.target);
    require(n > 0 && (size_t) n < sizeof whole);
    if (n > URL_MAX_BYTES)
        return;
    require(url_parse(whole, (size_t) n, &again, NULL) == 0);
    require(url_same_origin(&url, &again) && !strcmp(origin, url_origin(&again, again_origin)));
    require(url.target_len == again.target_len && !memcmp(url.target, again.target, url.target_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *) data;
    char out[URL_HOSTPORT_MAX];
    struct url url, again;

    check_url(text, size);
    if (url_parse_hostport(text, size, &url, NULL) == 0) {
        url_hostport(&url, out);
        require(url_parse_hostport(out, strlen(out), &again, NULL) == 0 && url_same_origin(&url, &again));
    }
    return 0;
}
