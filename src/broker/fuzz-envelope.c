/*
 * Fuzzes the request envelope that a connector hands to http_request, and the
 * verdict over it. What is read must hold what its header promises; what is
 * allowed must be within the manifest.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/envelope.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char MANIFEST[] = "[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n"
                               "[capabilities.network]\nhosts = [\"a.test:443\", \"127.0.0.1:80\"]\n"
                               "[capabilities.credential]\nkind = \"api_key\"\n";

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_read(const struct request *request)
{
    size_t lines = 0;

    require(request->method && request->url_text && request->url.port);
    require(!strpbrk(request->method, " \r\n"));
    require(!strpbrk(request->url_text, "\r\n"));
    require(!strchr(buf_str(&request->headers), '\r'));
    require(strlen(buf_str(&request->headers)) == request->headers.len);
    for (const char *line = buf_str(&request->headers); *line; line = strchr(line, '\n') + 1) {
        require(strchr(line, '\n') && strchr(line, ':') && strchr(line, ':') < strchr(line, '\n'));
        lines++;
    }
    require(lines == json_object_size(json_object_get(request->json, "headers")));
}

static void check_allowed(const struct request *request, bool read_only)
{
    char hostport[URL_HOSTPORT_MAX];

    url_hostport(&request->url, hostport);
    require(!strcmp(hostport, "a.test:443") || !strcmp(hostport, "127.0.0.1:80"));
    require(request->url.tls || !strcmp(request->url.host, "127.0.0.1"));
    require(!request->credential || !strcmp(request->credential, "api_key"));
    require(!read_only || request_is_safe(request));
    for (const char *line = buf_str(&request->headers); *line; line = strchr(line, '\n') + 1)
        require(strncasecmp(line, "Host:", 5) && strncasecmp(line, "Cookie:", 7) && strncasecmp(line, "Proxy-", 6) &&
                strncasecmp(line, "Authorization:", 14));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct manifest *manifest;
    struct request request;
    struct err err = ERR_INIT;
    const char *boundary = NULL;

    if (!manifest)
        require(manifest_parse(MANIFEST, sizeof MANIFEST - 1, "manifest.toml", &manifest, &err) == 0);
    if (request_read((const char *) data, size, &request, &err) < 0) {
        require(err.message[0] != '\0');
        return 0;
    }
    check_read(&request);
    for (int read_only = 0; read_only < 2; read_only++) {
        if (request_check(&request, manifest, read_only, &boundary, &err) == REQUEST_ALLOWED)
            check_allowed(&request, read_only);
        else
            require(boundary && err.message[0]);
    }
    request_free(&request);
    return 0;
}
