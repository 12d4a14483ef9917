/* See the header. */
#include "keeper/oauth.h"

#include <errno.h>

#include "base/banned.h"

int oauth_new(const struct oauth_context *context, struct oauth **ret_oauth)
{
    return -ENOSYS;
}
void oauth_free(struct oauth *oauth) { }
int oauth_begin(struct oauth *oauth, const struct oauth_spec *spec, oauth_fn *fn, void *userdata, char **ret_url,
    struct oauth_flow **ret_flow, struct err *err)
{
    return -ENOSYS;
}
int oauth_begin_again(struct oauth *oauth, const char *binding, const char *redirect_uri, oauth_fn *fn, void *userdata,
    char **ret_url, struct oauth_flow **ret_flow, struct err *err)
{
    return -ENOSYS;
}
void oauth_cancel(struct oauth_flow *flow) { }
void oauth_callback(struct oauth *oauth, const char *query, size_t len, oauth_fn *fn, void *userdata) { }
int oauth_paste(struct oauth_flow *flow, const char *url, struct err *err)
{
    return -ENOSYS;
}
int oauth_refresh(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata, struct oauth_wait **ret_wait)
{
    return -ENOSYS;
}
void oauth_wait_cancel(struct oauth_wait *wait) { }
void oauth_revoke(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata) { }
