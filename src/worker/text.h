/*
 * Text of the guest or about it, made fit for logs and terminals: valid UTF-8
 * without control characters or direction overrides, cut to a size.
 */
#ifndef WORKER_TEXT_H
#define WORKER_TEXT_H

#include <stddef.h>

/*
 * Writes a NUL-terminated clean form of `text` to `out` (`size` bytes, at least 4).
 * A byte that is not UTF-8 becomes U+FFFD, a run of control characters and blanks one blank. Returns the length.
 */
size_t text_clean(const char *text, size_t len, char *out, size_t size);

#endif
