/*
 * A message by RFC 5322 and MIME, ready for Gmail: headers folded at 76 columns,
 * non-ASCII text as RFC 2047 encoded words, one text/plain part in UTF-8. Date,
 * From and Message-ID are left to Gmail, which knows them.
 */
#ifndef GOOGLE_MESSAGE_H
#define GOOGLE_MESSAGE_H

#include "address.h"

struct message {
    struct address_list to, cc, bcc;
    const char *subject, *body;
    const char *in_reply_to; /* "<id>", or NULL */
    const char *references;  /* "<id> <id>", or NULL */
};

/* The whole message with CRLF line ends. Every text was checked: no control characters in headers. */
const char *message_write(struct aileron_call *call, const struct message *message, size_t *ret_len);

/* All message ids ("<…>", printable ASCII) found in a header's value, separated by a space; at most the first and the last 40. */
const char *message_ids(struct aileron_call *call, const char *value);

#endif
