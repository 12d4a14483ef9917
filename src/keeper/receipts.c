/* See the header. */
#include "keeper/receipts.h"

#include <errno.h>

#include "base/banned.h"

int receipts_new(struct loop *loop, struct channel *channel, struct receipts **ret_receipts)
{
    return -ENOSYS;
}
void receipts_free(struct receipts *receipts) { }
int receipts_ask(struct receipts *receipts, const char *type, json_t *payload, receipt_fn *fn, void *userdata,
    struct receipt_wait **ret_wait)
{
    return -ENOSYS;
}
void receipts_cancel(struct receipt_wait *wait) { }
void receipts_tell(struct receipts *receipts, const char *type, json_t *payload) { }
int receipts_written(struct receipts *receipts, uint32_t id, bool written)
{
    return -EPROTO;
}
