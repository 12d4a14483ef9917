/*
 * What a message of Gmail's "full" format says: headers, the text for people,
 * and what is attached. Nothing in it is trusted to be there or of its type.
 */
#ifndef GOOGLE_PARTS_H
#define GOOGLE_PARTS_H

#include <aileron.h>

#define ATTACHMENTS_SHOWN 100

struct attachment {
    const char *name, *mime_type;
    int64_t size;
    struct attachment *next;
};

struct parts {
    struct aileron_text text;
    bool plain, html;  /* where the text came from: text/plain, or text/html turned into text; both when parts differ */
    bool html_unshown; /* an HTML version exists beside the text/plain one */
    bool incomplete;   /* some text could not be had */
    struct attachment *first, *last;
    size_t attachments; /* in all; at most ATTACHMENTS_SHOWN are in the list */
};

/* Decoded values of a header, joined by ", " if it occurs more than once; NULL when it does not. `name` in any case. */
const char *parts_header(struct aileron_call *call, const struct aileron_json *message, const char *name);
/*
 * Reads the text and the attachments of `message` (an object with "id" and "payload"); may ask Gmail for a text that is kept
 * apart. 0, or -1 after the call has failed.
 */
int parts_read(struct aileron_call *call, const struct aileron_json *message, struct parts *ret_parts);
/* "plain text", "HTML as text", …: one phrase for a person. */
const char *parts_kind(const struct parts *parts);
/* "a.pdf (12345 bytes), b.png (3 bytes)", or "none". */
const char *parts_attachment_list(struct aileron_call *call, const struct parts *parts);
/* The member "attachments". */
void parts_put_attachments(struct aileron_writer *writer, const struct parts *parts);

#endif
