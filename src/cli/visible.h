/*
 * Text from elsewhere, made honest, where a person decides by it: what cannot be seen and what turns the order of reading is
 * shown by its number, a letter that passes for another one gets its number behind it. The page does the same (web/js/text.js).
 */
#ifndef CLI_VISIBLE_H
#define CLI_VISIBLE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* It takes no ink, or steers what is shown around it. */
bool text_is_unseen(uint32_t c);
/* Appends "pаypal" as "pа⟨U+0430⟩ypal", "a<zero-width space>b" as "a⟨U+200B⟩b". Newline and tab stay when `keep_lines`, else are blanks. */
int text_visible(const char *text, size_t len, bool keep_lines, struct buf *out);

#endif
