/* Fuzzes the manifest. What is taken keeps within the ceilings, and names only hosts and URLs that the URL reader takes too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/url.h"
#include "connector/manifest.h"
#include "wire/limits.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_url(const char *text)
{
    struct url url;

    require(text && url_parse(text, strlen(text), &url, NULL) == 0 && (url.tls || url_is_this_machine(&url)));
}

static void check_manifest(const struct manifest *manifest)
{
    CLEANUP_JSON json_t *json = manifest_to_json(manifest);
    CLEANUP_FREE char *text = json_dumps(json, 0);

    require(manifest->name && manifest->version && text);
    require(manifest->memory_mib >= 1 && manifest->memory_mib <= CEILING_MEMORY_MIB);
    require(manifest->wall_time_s >= 1 && manifest->wall_time_s <= CEILING_WALL_TIME_S);
    for (size_t i = 0; i < manifest->hosts_len; i++) {
        struct url url;

        require(url_parse_hostport(manifest->hosts[i], strlen(manifest->hosts[i]), &url, NULL) == 0);
        require(manifest_allows(manifest, manifest->hosts[i]));
    }
    if (manifest->credential == CREDENTIAL_OAUTH2) {
        check_url(manifest->oauth2.authorize_url);
        check_url(manifest->oauth2.token_url);
        require(manifest->oauth2.client_id != NULL);
    }
    if (manifest->credential != CREDENTIAL_NONE)
        require(!strpbrk(manifest->credential_header, "\r\n:") && !strpbrk(manifest->credential_format, "\r\n") &&
                strstr(manifest->credential_format, "{key}"));
    require(!json_object_get(json_object_get(json_object_get(json, "credential"), "oauth2"), "client_secret"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    struct err err = ERR_INIT;

    if (manifest_parse((const char *) data, size, "f", &manifest, &err) < 0)
        require(err.message[0] != '\0' && !manifest);
    else
        check_manifest(manifest);
    return 0;
}
