/*
 * Fuzzes the reader of release archives. Compressed input hardly ever mutates into
 * something valid, so input that does not begin like gzip is taken for a tar and compressed
 * here. What comes out has expected names, each once, and sizes that add up to no more than went in.
 */
#include "worker/tarball.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check(const void *gzip, size_t len)
{
    static const char names[] = "connector.wasm\nmanifest.toml\nsignature.sig";
    struct tarball files = { .len = 0 };
    struct err err = ERR_INIT;
    size_t total = 0;

    if (tarball_read(gzip, len, names, &files, &err) < 0) {
        require(err.message[0] != '\0' && files.len == 0);
        return;
    }
    require(files.len <= 3);
    for (size_t i = 0; i < files.len; i++) {
        require(strstr(names, files.items[i].name) && files.items[i].data);
        for (size_t k = 0; k < i; k++)
            require(strcmp(files.items[k].name, files.items[i].name) != 0);
        total += files.items[i].len;
    }
    require(total <= len * 200);
    tarball_free(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    z_stream stream = { .next_in = (Bytef *) (uintptr_t) data, .avail_in = (uInt) size };
    uint8_t *gzip = NULL;
    size_t most = 0;

    check(data, size);
    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b)
        return 0;
    require(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    most = deflateBound(&stream, size);
    gzip = malloc(most);
    require(gzip != NULL);
    stream.next_out = gzip;
    stream.avail_out = (uInt) most;
    require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    check(gzip, stream.total_out);
    deflateEnd(&stream);
    free(gzip);
    return 0;
}
