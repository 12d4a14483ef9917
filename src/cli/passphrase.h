/*
 * Where a passphrase or another secret comes from: a file, the environment of this command, or the person at the terminal.
 * Bytes are read into a struct secret at once and stand nowhere else.
 */
#ifndef CLI_PASSPHRASE_H
#define CLI_PASSPHRASE_H

#include "base/err.h"
#include "base/secret.h"
#include "cli/cli.h"

#define PASSPHRASE_VARIABLE "AILERON_VAULT_PASSPHRASE"

enum passphrase_source { PASSPHRASE_NOWHERE, PASSPHRASE_FILE, PASSPHRASE_ENVIRONMENT, PASSPHRASE_TERMINAL };

/* Takes the variable out of the environment, its bytes in memory too; first thing in main, before any child. */
void passphrase_take_environment(void);
void passphrase_forget(void);
/* Where this command would get one. */
enum passphrase_source passphrase_source(const struct cli *cli);
/*
 * One passphrase from that place; `prompt` for the terminal. Never empty, at most KEEPER_PASSPHRASE_MAX bytes. -ENOKEY: from
 * nowhere (the hint tells the three ways). -ECANCELED, -EINTR and -EAGAIN (the terminal gave an empty or too long one) as they say.
 */
int passphrase_get(struct cli *cli, const char *prompt, struct secret **ret_secret, struct err *err);
/* A new one from the terminal, typed twice; typed differently or empty, it is asked for again, three times in all. */
int passphrase_ask_new(const char *prompt, const char *confirm, struct secret **ret_secret, struct err *err);
/*
 * The bytes of a file, of a pipe as <(…) makes it, or with "-" of standard input, less one newline at the end. A regular
 * file that others can read is refused (-EPERM), also an empty one (-ENODATA) and more than `max` bytes (-E2BIG). `what`
 * names it in messages.
 */
int secret_read_file(const char *path, const char *what, size_t max, struct secret **ret_secret, struct err *err);
/* The three ways to give a passphrase, in words. */
const char *passphrase_ways(void);

#endif
