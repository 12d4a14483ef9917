/*
 * The ways in which what stands at one place of a text can be read as characters: as itself, as %XX (RFC 3986 §2.1), as an
 * escape of a JSON text (RFC 8259 §7), and each of these after a line break as MIME puts it into base64 (RFC 2045 §6.8). Pure.
 */
#ifndef KEEPER_READING_H
#define KEEPER_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READINGS_MAX 4
/* Bytes of text that one reading takes at most: two escapes for the line break, two for the character. */
#define READING_LEN_MAX 24u

struct reading {
    uint8_t len;      /* bytes of the text */
    uint8_t n;        /* bytes that they stand for */
    uint8_t bytes[4]; /* more than one: a character in UTF-8 */
    bool wrapped;     /* a line break comes first, and is left out */
};

/* What stands at a byte that may begin an escape or a line break. */
size_t readings_of_special(const uint8_t *text, size_t len, struct reading out[READINGS_MAX]);

/* `len` is at least 1. The first reading is always the byte itself. Returns how many there are. */
static inline size_t readings_at(const uint8_t *text, size_t len, struct reading out[READINGS_MAX])
{
    if (text[0] == '%' || text[0] == '\\' || text[0] == '\r' || text[0] == '\n')
        return readings_of_special(text, len, out);
    out[0] = (struct reading){ .len = 1, .n = 1, .bytes = { text[0] } };
    return 1;
}

#endif
