/* Reading a line of fixed layout from left to right: each step passes over what it took, or says false and the line is not ours. */
#ifndef AUDIT_CURSOR_H
#define AUDIT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_cursor {
    const char *at, *end;
};

struct audit_span {
    const char *text;
    size_t len;
};

bool audit_take(struct audit_cursor *cursor, const char *expected);
/* 1 to 999999999999999999, without leading zeros. */
bool audit_take_number(struct audit_cursor *cursor, uint64_t *ret_number);
/* Text up to the next quote, which is passed over; at most `max` bytes, none of them a backslash. */
bool audit_take_text(struct audit_cursor *cursor, size_t max, struct audit_span *ret_span);
/* Digits of a hash: lower case. */
bool audit_is_hex(const char *text, size_t len);

#endif
