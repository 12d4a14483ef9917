/*
 * The consent at the provider as the command line sees it: the URL is opened or printed, then the end is awaited, which comes
 * through the daemon's callback or from the pasted address. The code passes through here in the latter case only, to the keeper.
 */
#ifndef CLI_AUTHORIZE_H
#define CLI_AUTHORIZE_H

#include "cli/keeper.h"

/* Sends OAUTH_BEGIN or OAUTH_AGAIN and stays until the flow has ended; *ret_answer is its end, whatever it is. */
int authorize(
    struct cli *cli, struct keeper *keeper, struct wire_frame *request, bool no_browser, struct keeper_answer *ret_answer);
/* "http://127.0.0.1:PORT/oauth2/callback" of the running daemon. malloc'd. */
int authorize_redirect_uri(struct cli *cli, char **ret_uri);

#endif
