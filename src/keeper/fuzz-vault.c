/*
 * Fuzzes the reader of secrets.json. What it accepts is written, read again as the same, and written again byte for byte; entries are
 * sorted and each either has a fault or is whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "crypt/aead.h"
#include "keeper/vault-file.h"
#include "keeper/vault.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_entry(const struct vault_entry *entry, const struct vault_entry *again)
{
    require(!strcmp(entry->path, again->path) && !entry->fault == !again->fault);
    require(entry->fault ? entry->raw != NULL : !entry->raw && entry->sealed_len >= AEAD_OVERHEAD_BYTES);
    require(entry->fault || vault_path_refusal(entry->path) == NULL);
    require(entry->sealed_len == again->sealed_len && !memcmp(entry->sealed, again->sealed, entry->sealed_len));
    require(!strcmp(entry->type, again->type) && !strcmp(entry->environment, again->environment));
    require(!entry->labels == !again->labels && (!entry->labels || json_equal(entry->labels, again->labels)));
}

static void check(const struct vault_tree *tree)
{
    CLEANUP(buf_free) struct buf first = BUF_INIT(VAULT_FILE_MAX), second = BUF_INIT(VAULT_FILE_MAX);
    CLEANUP_PTR(vault_tree_free) struct vault_tree *again = NULL;

    require(tree->len <= VAULT_ENTRIES_MAX);
    require(vault_file_write(tree, &first) == 0);
    require(vault_file_parse(first.data, first.len, &again, NULL) == 0);
    require(again->len == tree->len && !memcmp(again->salt, tree->salt, sizeof tree->salt));
    require(again->verification_len == tree->verification_len);
    for (size_t i = 0; i < tree->len; i++) {
        require(i == 0 || strcmp(tree->entries[i - 1]->path, tree->entries[i]->path) < 0);
        require(vault_tree_find(tree, tree->entries[i]->path) == tree->entries[i]);
        check_entry(tree->entries[i], again->entries[i]);
    }
    require(vault_file_write(again, &second) == 0);
    require(first.len == second.len && !memcmp(first.data, second.data, first.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;
    struct err err = ERR_INIT;

    if (vault_file_parse((const char *) data, size, &tree, &err) == 0)
        check(tree);
    else
        require(err.message[0] != '\0');
    return 0;
}
