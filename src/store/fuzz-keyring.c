/*
 * Fuzzes the keyring and the keys in it. What is read and listed can be added to an
 * empty keyring, which then says the same; nobody gets trust by a name that only begins alike.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "store/keyring.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_row(struct keyring *copy, const json_t *row)
{
    const char *authority = json_get_str(row, "authority"), *text = json_get_str(row, "key");
    char longer[KEYRING_AUTHORITY_MAX + 8];
    CLEANUP_PTR(keyring_free) struct keyring *alone = NULL;
    struct keyring_key key, keys[1];

    require(authority && text && keyring_key_read(text, strlen(text), &key, NULL) == 0);
    require(keyring_add(copy, authority, &key, NULL) == 0);
    require(keyring_keys_for(copy, authority, keys, 1) > 0);
    /* The only row for its owner so far decides alone: a longer name is somebody else's. */
    require(keyring_parse("{\"version\":2}", 13, "empty", &alone, NULL) == 0 && keyring_add(alone, authority, &key, NULL) == 0);
    snprintf(longer, sizeof longer, "%sx", authority);
    require(keyring_keys_for(alone, longer, keys, 1) == 0);
}

static void check_keyring(const struct keyring *keyring)
{
    CLEANUP_PTR(keyring_free) struct keyring *copy = NULL;
    CLEANUP_JSON json_t *list = keyring_list(keyring), *again = NULL;
    const json_t *row = NULL;
    size_t i = 0;

    require(list && keyring_parse("{\"version\":2}", 13, "empty", &copy, NULL) == 0);
    json_array_foreach(list, i, row) check_row(copy, row);
    again = keyring_list(copy);
    require(json_equal(list, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    const char *text = (const char *) data;
    struct err err = ERR_INIT;
    struct keyring_key key;

    keyring_key_read(text, size, &key, NULL);
    if (keyring_parse(text, size, "keyring.json", &keyring, &err) == 0)
        check_keyring(keyring);
    else
        require(err.message[0] != '\0');
    return 0;
}
