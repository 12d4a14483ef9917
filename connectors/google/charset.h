/*
 * Text of mails as UTF-8: bytes in some charset, RFC 2047 encoded words, HTML.
 * Whatever comes in, what comes out is a C string without a fault.
 */
#ifndef GOOGLE_CHARSET_H
#define GOOGLE_CHARSET_H

#include <aileron.h>

/*
 * UTF-8 from bytes. Bytes that are UTF-8 are left as they are, whatever charset they claim; else ISO-8859-1 and windows-1252
 * (also when nothing is claimed) are converted; of any other charset what is not UTF-8 becomes U+FFFD. CRLF becomes LF, NUL U+FFFD.
 */
const char *charset_text(struct aileron_call *call, const char *bytes, size_t len, const char *charset);
/* A header's value with its encoded words decoded, on one line. */
const char *charset_header(struct aileron_call *call, const char *value);
/* A parameter of a header like Content-Type, without its quotes; NULL when absent. */
const char *charset_parameter(struct aileron_call *call, const char *value, const char *name);

/* Adds one character, which is a valid code point. */
void charset_add(struct aileron_text *text, uint32_t character);

/* HTML as plain text: tags gone, blocks on their own lines, a link's target after it. */
const char *html_text(struct aileron_call *call, const char *html);
/* Text in which only entities like &#39; are to be replaced. */
const char *html_entities(struct aileron_call *call, const char *text);

#endif
