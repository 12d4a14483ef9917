/*
 * Development credentials: the 0600 file of `daemon start --dev-credentials FILE`,
 * read once before lock-down, serving the requests that a vault serves.
 *
 *     {"credentials":[{"binding":"oauth2/google/me", "connector_fqn":"local://google", "kind":"oauth2",
 *       "origins":["https://gmail.googleapis.com:443"], "header":"Authorization", "format":"Bearer {key}",
 *       "token_url":"https://...", "value":"..."}]}
 *
 * header, format and token_url may be left out; unknown keys are errors.
 */
#ifndef KEEPER_DEVELOPMENT_H
#define KEEPER_DEVELOPMENT_H

#include "keeper/vault.h"

#define DEVELOPMENT_FILE_MAX        (64 * 1024)
#define DEVELOPMENT_CREDENTIALS_MAX 64

/*
 * Opens and reads the file: a regular file of the effective user, no symlink, no access for others. Values go into
 * secret memory; every other copy is wiped. Errors never repeat a part of the text.
 */
int development_load(const char *path, struct vault **ret_vault, struct err *err);
/* The same from text; the caller wipes it. `name` is for messages. */
int development_parse(const char *text, size_t len, const char *name, struct vault **ret_vault, struct err *err);

#endif
