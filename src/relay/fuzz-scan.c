/*
 * Fuzzes the scanner of passing messages. How the bytes were cut on their way
 * must not matter, and no line counts twice.
 */
#include <stdint.h>
#include <stdlib.h>

#include "relay/scan.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct scan_count count_in_pieces(const char *data, size_t size, size_t piece)
{
    struct scan scan = { 0 };
    struct scan_count count = { 0 };

    for (size_t at = 0; at < size; at += piece)
        scan_feed(&scan, data + at, size - at < piece ? size - at : piece, &count);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan_count whole = count_in_pieces((const char *) data, size, size ? size : 1);
    struct scan_count pieces = count_in_pieces((const char *) data, size, 3);
    size_t lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (whole.requests != pieces.requests || whole.answers != pieces.answers || whole.requests + whole.answers > lines)
        abort();
    return 0;
}
