/*
 * Fuzzes what the broker may send: the first byte chooses the frame type, the second how
 * much arrives as a sealed memfd, the rest is the body of a KEEPER_HTTP frame. A
 * request that passes must be for a granted origin, with a credential only then.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "keeper/request.h"
#include "keeper/test-vault-make.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static struct vault *the_vault(void)
{
    static struct vault *vault;

    if (!vault) {
        vault = test_vault_make();
        test_vault_bind(vault, "oauth2/g/me",
            "{\"connector_fqn\":\"local://g\",\"origins\":[\"https://a.example\",\"http://"
            "localhost:8080\"],\"token_url\":\"https://t.example/\"}",
            "token-one");
    }
    return vault;
}

static void judge(struct request *request)
{
    struct err err = ERR_INIT;
    char origin[URL_ORIGIN_MAX];

    if (request_check(request, the_vault(), &err) != KEEPER_HTTP_DONE) {
        require(request->credential.line == NULL && err.message[0] != '\0');
        return;
    }
    require(request_credential(request, the_vault(), &err) == KEEPER_HTTP_DONE);
    require(hostlist_contains(request->allowed_hosts, &request->url));
    url_origin(&request->url, origin);
    require((request->binding[0] == '\0') == (request->credential.line == NULL));
    if (request->credential.line) {
        require(!strcmp(request->connector_fqn, "local://g"));
        require(!strcmp(origin, "https://a.example:443") || !strcmp(origin, "http://localhost:8080"));
    }
    for (size_t i = 0; i < request->headers.len; i++)
        require(!header_is_reserved(request->headers.items[i].name) && !strpbrk(request->headers.items[i].value, "\r\n"));
    if (request_redirect(request, request->header_text, &err) == KEEPER_HTTP_DONE) {
        char again[URL_ORIGIN_MAX];

        require(!strcmp(origin, url_origin(&request->url, again)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request *request = NULL;
    struct wire_frame frame;
    int fd = -1;

    if (size < 2)
        return 0;
    wire_init(&frame, KEEPER_HTTP, data[0]);
    if (data[1] & 1)
        fd = memfd_sealed("fuzz", data, data[1] < size ? data[1] : size);
    if (fd >= 0)
        wire_put_fd(&frame, fd);
    require(buf_add(&frame.body, data + 2, size - 2) == 0 || size > LIMIT_FRAME_BYTES - 32);
    if (request_read(&frame, &request) == 0)
        judge(request);
    request_free(request);
    wire_free(&frame);
    return 0;
}
