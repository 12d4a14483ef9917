/* Base64 (RFC 4648 §4 and §5), hexadecimal and percent-encoding (RFC 3986 §2.1). Outputs are bounded buffers. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"

#include <stdbool.h>

int base64_encode(const void *data, size_t len, struct buf *out);
int base64url_encode(const void *data, size_t len, struct buf *out);
/* Either alphabet, padded or not; -EINVAL on anything else, non-zero trailing bits included. */
int base64_decode(const char *text, size_t len, struct buf *out);
/* `out` holds 2 * len + 1 bytes. Lower case. */
void hex_encode(const void *data, size_t len, char *out);
/* `text` is NUL-terminated and holds exactly 2 * len hexadecimal digits; else -EINVAL. */
int hex_decode(const char *text, void *out, size_t len);
int percent_encode(const char *text, size_t len, struct buf *out);
/* Bytes of the well-formed character (RFC 3629, not NUL) that `text` begins with; 0 when there is none. */
size_t utf8_step(const char *text, size_t len);
/* True when the bytes are valid UTF-8 (RFC 3629) without NUL. */
bool utf8_is_valid(const char *text, size_t len);
/* Makes it valid: every byte that belongs to no character becomes '?', such as those that cutting left of one. */
void utf8_mend(char *text);

#endif
