/*
 * Fuzzes the reader of HTTP answers. How the bytes were cut on their way must
 * not matter, and an accepted body is never longer than what came.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/http-read.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static int read_in_pieces(struct http_reader *reader, const char *data, size_t size, size_t piece)
{
    struct err err = ERR_INIT;
    int r = 0;

    for (size_t at = 0; at < size && r == 0; at += piece)
        r = http_reader_feed(reader, data + at, size - at < piece ? size - at : piece, &err);
    if (r == 0)
        r = http_reader_end(reader, &err);
    require(r == 1 || (r < 0 && err.message[0]));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(http_reader_free) struct http_reader whole = HTTP_READER_INIT;
    CLEANUP(http_reader_free) struct http_reader pieces = HTTP_READER_INIT;
    int r = read_in_pieces(&whole, (const char *) data, size, size ? size : 1);

    require(read_in_pieces(&pieces, (const char *) data, size, size ? 1 + data[size - 1] % 7 : 1) == r);
    if (r == 1) {
        require(whole.status == pieces.status && whole.status >= 200 && whole.status <= 999);
        require(whole.body.len == pieces.body.len && whole.body.len <= size);
        require(!whole.body.len || !memcmp(whole.body.data, pieces.body.data, whole.body.len));
    }
    return 0;
}
