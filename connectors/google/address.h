/*
 * Lists of mail addresses as a person or an agent writes them:
 *     ada@example.com, "Lovelace, Ada" <ada@example.com>, Ada Lovelace <ada@example.com>
 */
#ifndef GOOGLE_ADDRESS_H
#define GOOGLE_ADDRESS_H

#include <aileron.h>

#define ADDRESSES_MAX 500

struct address {
    const char *name; /* "" when there is none; UTF-8, one line */
    const char *mailbox;
    struct address *next;
};

struct address_list {
    struct address *first, *last;
    size_t count;
};

/*
 * An argument that is one text with commas, or a list of texts; absent and not required gives an empty list. Only plain
 * local@domain in ASCII is taken: no groups, comments, quoted local parts or address literals. 0, or -1 after bad_input.
 */
int address_input(struct aileron_call *call, const char *name, bool required, struct address_list *ret_list);

#endif
