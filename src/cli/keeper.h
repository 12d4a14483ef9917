/*
 * The command line's end of keeper.sock (keeper/client.h): the only way of a passphrase, key or token into the program.
 * One request at a time, waiting for its answer. Functions that return an exit code have printed why it is not CODE_DONE.
 */
#ifndef CLI_KEEPER_H
#define CLI_KEEPER_H

#include "cli/cli.h"
#include "keeper/client.h"
#include "wire/frame.h"

struct keeper;

struct keeper_answer {
    enum keeper_result result;
    char *message, *hint, *detail; /* owned; "" = none */
};
void keeper_answer_free(struct keeper_answer *answer);

/* Connects, starting the daemon when needed, and reads the greeting. */
int keeper_open(struct cli *cli, struct keeper **ret_keeper);
void keeper_close(struct keeper *keeper);
DEFINE_CLEANUP_PTR(struct keeper, keeper_close)

/* As the greeting told them. */
enum keeper_vault_state keeper_state(const struct keeper *keeper);
const char *keeper_vault_path(const struct keeper *keeper);
int keeper_fd(const struct keeper *keeper);

/* Sends `request` (made by wire_init; stays the caller's). */
int keeper_send(struct keeper *keeper, struct wire_frame *request);
/*
 * The next frame of the keeper, waited for at most `limit_ms` (0: without limit). On a terminal `note` is printed once when
 * it takes over a second; NULL: silent. *ret_frame is the caller's to free after CODE_DONE.
 */
int keeper_receive(struct cli *cli, struct keeper *keeper, const char *note, int64_t limit_ms, struct wire_frame *ret_frame);
/* Reads an OWNER_DONE. CODE_FAILED, with words, for any other frame. */
int keeper_read_done(struct wire_frame *frame, struct keeper_answer *ret_answer);
/* Sends and waits for its OWNER_DONE, whatever its result. */
int keeper_ask(
    struct cli *cli, struct keeper *keeper, struct wire_frame *request, const char *note, struct keeper_answer *ret_answer);
/* Prints an answer that is not KEEPER_OK; returns the exit code that fits it. */
int keeper_fail(const struct keeper_answer *answer);
/* Puts a secret as bytes; NULL puts none. */
void keeper_put_secret(struct wire_frame *frame, const struct secret *secret);
/* The detail as JSON object; NULL when there is none. New reference. */
json_t *keeper_detail(const struct keeper_answer *answer);

#endif
