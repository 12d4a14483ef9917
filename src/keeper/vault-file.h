/*
 * The text of secrets.json (SPEC §1, shared): read with keys in any case and unknown keys kept, written in one form. An entry
 * that makes no sense is kept as it is, with its fault, and spoils nothing else. Pure.
 */
#ifndef KEEPER_VAULT_FILE_H
#define KEEPER_VAULT_FILE_H

#include "keeper/vault-tree.h"

/* -EBADMSG for what is no vault, -E2BIG over a limit; the words quote nothing of it. */
int vault_file_parse(const char *text, size_t len, struct vault_tree **ret_tree, struct err *err);
/* 0, -ENOMEM, -E2BIG. */
int vault_file_write(const struct vault_tree *tree, struct buf *out);

/* NULL, or why `path` cannot be a path of the vault. Paths that begin with "_" are fine here. */
const char *vault_path_refusal(const char *path);

#endif
