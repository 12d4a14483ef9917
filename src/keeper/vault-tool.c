/*
 * The vault without the keeper around it, for tests of the file alone; not installed.
 *
 *     vault-tool HOME PASSPHRASE-FD COMMAND [ARGUMENT…]
 *
 * Descriptor PASSPHRASE-FD gives the passphrase (and, on a second line, the new one); values come from standard input and go to
 * standard output. Exit status: 0, 10 + a named result of vault.h, or 1; the words are on standard error.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "crypt/digest.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define ARGUMENTS_MAX  4
#define PASSPHRASE_MAX 1024

struct tool {
    struct vault *vault;
    struct secret *passphrase, *new_passphrase;
    char **arguments;
};

static int read_all(int fd, size_t max, struct secret **ret_secret)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    size_t len = 0;
    int r = secret_new(max, &secret);

    while (r == 0 && len < max) {
        ssize_t n = read(fd, secret_data(secret) + len, max - len);

        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t) n;
    }
    if (r < 0)
        return r;
    return secret_from(secret_bytes(secret), len, ret_secret);
}

static int read_passphrases(struct tool *tool, int fd)
{
    CLEANUP_PTR(secret_free) struct secret *both = NULL;
    const uint8_t *line_end = NULL;
    size_t len = 0;
    int r = read_all(fd, PASSPHRASE_MAX, &both);

    if (r < 0)
        return r;
    line_end = memchr(secret_bytes(both), '\n', secret_len(both));
    len = line_end ? (size_t) (line_end - secret_bytes(both)) : secret_len(both);
    r = secret_from(secret_bytes(both), len, &tool->passphrase);
    if (r == 0 && line_end)
        r = secret_from(line_end + 1, secret_len(both) - len - 1, &tool->new_passphrase);
    return r;
}

static int unlock(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    uint8_t salt[KDF_SALT_BYTES];
    int r = vault_salt(tool->vault, salt, err);

    if (r == 0)
        r = kdf_derive(tool->passphrase, salt, &key);
    return r != 0 ? r : vault_unlock(tool->vault, key, err);
}

static int print_json(json_t *json)
{
    int r = json && json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY) == 0 ? 0 : -ENOMEM;

    json_decref(json);
    putchar('\n');
    return r;
}

static int print_secret(const struct secret *secret)
{
    return fwrite(secret_bytes(secret), 1, secret_len(secret), stdout) == secret_len(secret) ? 0 : -EIO;
}

static int do_create(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    uint8_t salt[KDF_SALT_BYTES];
    int r = 0;

    random_bytes(salt, sizeof salt);
    r = kdf_derive(tool->passphrase, salt, &key);
    return r < 0 ? r : vault_create(tool->vault, key, salt, tool->arguments[0] && !strcmp(tool->arguments[0], "dev"), err);
}

static int do_rekey(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    uint8_t salt[KDF_SALT_BYTES];
    int r = 0;

    random_bytes(salt, sizeof salt);
    r = kdf_derive(tool->new_passphrase, salt, &key);
    return r < 0 ? r : vault_rekey(tool->vault, key, salt, err);
}

/* put PATH [LABELS-JSON] */
static int do_put(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP_JSON json_t *labels = tool->arguments[1] ? json_loads(tool->arguments[1], 0, NULL) : NULL;
    const struct vault_labels metadata = { "text", "test", labels };
    int r = read_all(STDIN_FILENO, VAULT_VALUE_MAX + 1, &value);

    return r < 0 ? r : vault_put(tool->vault, tool->arguments[0], value, &metadata, err);
}

static int do_get(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    int r = vault_get(tool->vault, tool->arguments[0], &value, err);

    return r != 0 ? r : print_secret(value);
}

static int do_delete(struct tool *tool, struct err *err)
{
    return vault_delete(tool->vault, tool->arguments[0], err);
}

static int do_list(struct tool *tool, struct err *err)
{
    return print_json(vault_list(tool->vault));
}

static int do_describe(struct tool *tool, struct err *err)
{
    return print_json(vault_describe(tool->vault));
}

/* bind BINDING GRANT-JSON, regrant BINDING GRANT-JSON */
static int read_grant(struct tool *tool, struct grant **ret_grant, struct err *err)
{
    CLEANUP_JSON json_t *json = tool->arguments[1] ? json_loads(tool->arguments[1], JSON_REJECT_DUPLICATES, NULL) : NULL;

    return grant_read(json, strncmp(tool->arguments[0], "oauth2/", 7) ? GRANT_API_KEY : GRANT_OAUTH2, ret_grant, err);
}

static int do_bind(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    int r = read_grant(tool, &grant, err);

    if (r == 0)
        r = read_all(STDIN_FILENO, VAULT_VALUE_MAX + 1, &value);
    return r < 0 ? r : vault_binding_put(tool->vault, tool->arguments[0], grant, value, NULL, err);
}

static int do_regrant(struct tool *tool, struct err *err)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    int r = read_grant(tool, &grant, err);

    return r < 0 ? r : vault_binding_regrant(tool->vault, tool->arguments[0], grant, NULL, err);
}

static int do_unbind(struct tool *tool, struct err *err)
{
    return vault_binding_delete(tool->vault, tool->arguments[0], err);
}

/* mark BINDING STATUS [REASON] */
static int do_mark(struct tool *tool, struct err *err)
{
    return vault_binding_mark(tool->vault, tool->arguments[0], tool->arguments[1], tool->arguments[2], err);
}

static int do_default(struct tool *tool, struct err *err)
{
    return vault_binding_set_default(tool->vault, tool->arguments[0], true, err);
}

/* lend BINDING CONNECTOR: what would go into the header */
static int do_lend(struct tool *tool, struct err *err)
{
    struct vault_loan loan = { 0 };
    int r = vault_lend(tool->vault, tool->arguments[0], tool->arguments[1], &loan, err);

    return r != 0 ? r : print_secret(loan.value);
}

static int do_open(struct tool *tool, struct err *err)
{
    return 0;
}

static const struct command {
    const char *name;
    int arguments_min;
    int (*run)(struct tool *tool, struct err *err);
    bool is_open;
} commands[] = {
    { "create", 0, do_create, false },
    { "open", 0, do_open, true },
    { "rekey", 0, do_rekey, true },
    { "put", 1, do_put, true },
    { "get", 1, do_get, true },
    { "delete", 1, do_delete, true },
    { "list", 0, do_list, false },
    { "describe", 0, do_describe, true },
    { "bind", 2, do_bind, true },
    { "regrant", 2, do_regrant, true },
    { "unbind", 1, do_unbind, true },
    { "mark", 2, do_mark, true },
    { "default", 1, do_default, true },
    { "lend", 2, do_lend, true },
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int run(struct tool *tool, const struct command *command, struct err *err)
{
    int r = command->is_open ? unlock(tool, err) : 0;

    return r != 0 ? r : command->run(tool, err);
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 3 ? find(argv[3]) : NULL;
    struct tool tool = { .arguments = argv + 4 };
    struct err err = ERR_INIT;
    int r = 0;

    if (!command || argc < 4 + command->arguments_min || argc > 4 + ARGUMENTS_MAX) {
        fprintf(stderr, "usage: vault-tool HOME PASSPHRASE-FD COMMAND [ARGUMENT...]\n");
        return 2;
    }
    json_init();
    r = read_passphrases(&tool, (int) strtol(argv[2], NULL, 10));
    if (r == 0)
        r = vault_new(argv[1], &tool.vault, &err);
    if (r == 0)
        r = run(&tool, command, &err);
    if (r != 0)
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    vault_free(tool.vault);
    secret_free(tool.passphrase);
    secret_free(tool.new_passphrase);
    return r > 0 ? 10 + r : r < 0;
}
