/*
 * Tickets. A ticket is 32 random bytes; the table has SHA-256 over it and what it is bound to, so neither can be
 * exchanged. All rows are compared, whichever fits, in a time that does not depend on their content.
 */
#include "keeper/ticket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"
#include "crypt/digest.h"

#include "base/banned.h"

#define TICKET_BYTES 32

struct ticket {
    uint8_t hash[SHA256_BYTES];
    int64_t until_ms; /* 0: free */
};

struct tickets {
    struct ticket rows[TICKETS_MAX];
};

int tickets_new(struct tickets **ret_tickets)
{
    *ret_tickets = calloc(1, sizeof **ret_tickets);
    return *ret_tickets ? 0 : -ENOMEM;
}

void tickets_free(struct tickets *tickets)
{
    if (tickets)
        secret_wipe(tickets, sizeof *tickets);
    free(tickets);
}

void tickets_void(struct tickets *tickets)
{
    secret_wipe(tickets, sizeof *tickets);
}

/* Each text with its NUL, so that no two triples give the same bytes. */
static int bind(const char *ticket, const char *approval, const char *seal, uint8_t out[SHA256_BYTES])
{
    struct digest *digest = digest_new();

    if (!digest)
        return -ENOMEM;
    digest_add(digest, ticket, strlen(ticket) + 1);
    digest_add(digest, approval, strlen(approval) + 1);
    digest_add(digest, seal, strlen(seal) + 1);
    digest_end(digest, out);
    return 0;
}

/* A free row, else the one that ends first: all have the same life. */
static struct ticket *row_take(struct tickets *tickets)
{
    struct ticket *oldest = &tickets->rows[0];

    for (size_t i = 1; i < TICKETS_MAX; i++)
        if (tickets->rows[i].until_ms < oldest->until_ms)
            oldest = &tickets->rows[i];
    return oldest;
}

int tickets_mint(struct tickets *tickets, const char *approval, const char *seal, int64_t now_ms, char out[KEEPER_TICKET_MAX])
{
    uint8_t bytes[TICKET_BYTES], hash[SHA256_BYTES];
    CLEANUP(buf_free) struct buf text = BUF_INIT(KEEPER_TICKET_MAX - 1);
    struct ticket *row = NULL;
    int r = 0;

    random_bytes(bytes, sizeof bytes);
    r = base64url_encode(bytes, sizeof bytes, &text);
    if (r == 0)
        r = bind(buf_str(&text), approval, seal, hash);
    if (r < 0)
        return r;
    row = row_take(tickets);
    row->until_ms = now_ms + KEEPER_TICKET_MS;
    memcpy(row->hash, hash, sizeof hash);
    memcpy(out, buf_str(&text), text.len + 1);
    return 0;
}

bool tickets_spend(struct tickets *tickets, const char *approval, const char *seal, const char *ticket, int64_t now_ms)
{
    uint8_t hash[SHA256_BYTES];
    bool good = false;

    if (bind(ticket, approval, seal, hash) < 0)
        return false;
    for (size_t i = 0; i < TICKETS_MAX; i++) {
        struct ticket *row = &tickets->rows[i];
        bool fits = secret_memequal(row->hash, hash, sizeof hash) & (now_ms < row->until_ms);

        good |= fits;
        if (fits || now_ms >= row->until_ms)
            *row = (struct ticket){ .until_ms = 0 };
    }
    return good;
}
