/*
 * The list of all rows, and finding one by what was typed.
 */
#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define NAME_MAX_LEN 48

const struct command *const COMMANDS[] = {
    &COMMAND_DEMO,
    &COMMAND_LAUNCH,
    &COMMAND_OPEN,
    &COMMAND_STATUS,
    &COMMAND_STOP,
    &COMMAND_SYNC,
    &COMMAND_DAEMON,
    &COMMAND_DAEMON_START,
    &COMMAND_DAEMON_STOP,
    &COMMAND_DAEMON_STATUS,
    &COMMAND_DAEMON_LOGS,
    &COMMAND_ACTION,
    &COMMAND_ACTION_ADD,
    &COMMAND_ACTION_ADD_SUITE,
    &COMMAND_ACTION_LIST,
    &COMMAND_ACTION_SHOW,
    &COMMAND_ACTION_RUN,
    &COMMAND_ACTION_ENABLE,
    &COMMAND_ACTION_DISABLE,
    &COMMAND_ACTION_UPDATE,
    &COMMAND_ACTION_VALIDATE,
    &COMMAND_ACTION_REMOVE,
    &COMMAND_APPROVAL,
    &COMMAND_APPROVAL_LIST,
    &COMMAND_APPROVAL_SHOW,
    &COMMAND_APPROVAL_APPROVE,
    &COMMAND_APPROVAL_DENY,
    &COMMAND_APPROVAL_RESULT,
    &COMMAND_APPROVAL_RESOLVE,
    &COMMAND_APPROVAL_WATCH,
    &COMMAND_CONNECTOR,
    &COMMAND_CONNECTOR_INSTALL,
    &COMMAND_CONNECTOR_LIST,
    &COMMAND_CONNECTOR_CHECK,
    &COMMAND_CONNECTOR_REMOVE,
    &COMMAND_KEYRING,
    &COMMAND_KEYRING_TRUST,
    &COMMAND_KEYRING_LIST,
    &COMMAND_KEYRING_REVOKE,
    &COMMAND_BINDING,
    &COMMAND_BINDING_SETUP,
    &COMMAND_BINDING_LIST,
    &COMMAND_BINDING_INSPECT,
    &COMMAND_BINDING_REBIND,
    &COMMAND_BINDING_REAUTHORIZE,
    &COMMAND_BINDING_REVOKE,
    &COMMAND_VAULT,
    &COMMAND_VAULT_INIT,
    &COMMAND_VAULT_STATUS,
    &COMMAND_VAULT_UNLOCK,
    &COMMAND_VAULT_LOCK,
    &COMMAND_VAULT_LIST,
    &COMMAND_VAULT_PUT,
    &COMMAND_VAULT_DELETE,
    &COMMAND_VAULT_CHANGE_PASSPHRASE,
    &COMMAND_SECRET,
    &COMMAND_SECRET_SET,
    &COMMAND_SECRET_LIST,
    &COMMAND_SECRET_DELETE,
    &COMMAND_AUDIT,
    &COMMAND_AUDIT_LIST,
    &COMMAND_AUDIT_SHOW,
    &COMMAND_AUDIT_VERIFY,
    &COMMAND_SESSIONS,
    &COMMAND_SESSIONS_LIST,
    &COMMAND_SESSIONS_GET,
    &COMMAND_SESSIONS_WATCH,
    &COMMAND_CONFIG,
    &COMMAND_CONFIG_LIST,
    &COMMAND_CONFIG_GET,
    &COMMAND_CONFIG_SET,
    &COMMAND_PUBLISH,
    &COMMAND_PUBLISH_KEYGEN,
    &COMMAND_PUBLISH_SIGN,
    &COMMAND_PUBLISH_PACK,
    &COMMAND_PUBLISH_VERIFY,
    &COMMAND_VERSION,
    &COMMAND_HELP,
    NULL,
};

const struct option *command_option(const struct command *command, size_t index)
{
    static const struct option PASSPHRASE = { "passphrase-file", 0, "FILE|-", false,
        "read the vault's passphrase from FILE or standard input" };
    size_t own = 0;

    while (own < COMMAND_OPTIONS_MAX && command->options[own].name)
        own++;
    if (index < own)
        return &command->options[index];
    return index == own && command->passphrase ? &PASSPHRASE : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; COMMANDS[i]; i++)
        if (!strcmp(COMMANDS[i]->name, name))
            return COMMANDS[i];
    return NULL;
}

const struct command *command_match(int argc, char *const argv[], int *ret_used)
{
    char name[NAME_MAX_LEN];
    const struct command *command = NULL;

    if (argc >= 2 && (size_t) snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]) < sizeof(name))
        command = command_find(name);
    *ret_used = 2;
    if (!command && argc >= 1) {
        command = command_find(argv[0]);
        *ret_used = 1;
    }
    return command;
}

bool command_is_group(const struct command *command)
{
    return !command->run;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned text_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
        return ~0u;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned) j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i - 1) % 3], *earlier = rows[(i + 1) % 3];

        now[0] = (unsigned) i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(before[j - 1] + (a[i - 1] != b[j - 1]), least(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

bool text_is_near(const char *typed, const char *name, unsigned *ret_distance)
{
    unsigned distance = text_distance(typed, name);
    size_t len = strlen(name);

    *ret_distance = distance;
    return distance <= (len < 4 ? 1u : len < 12 ? 2u : 3u);
}

const char *command_nearest(const char *text)
{
    unsigned best = ~0u, distance;
    const char *nearest = NULL;

    for (size_t i = 0; COMMANDS[i]; i++) {
        if (text_is_near(text, COMMANDS[i]->name, &distance) && distance < best) {
            best = distance;
            nearest = COMMANDS[i]->name;
        }
    }
    return nearest;
}
