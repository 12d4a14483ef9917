/* `action add --local`, for the command that also takes references. */
#ifndef CLI_ACTION_ADD_H
#define CLI_ACTION_ADD_H

struct cli;

int action_add_local(struct cli *cli);

#endif
