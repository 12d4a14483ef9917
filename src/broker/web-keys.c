/*
 * Two small rings of hashes. A look-up compares with every entry in constant time, so that its duration tells nothing.
 */
#include "broker/web-keys.h"

#include "base/encode.h"
#include "base/secret.h"
#include "crypt/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct entry {
    uint8_t hash[SHA256_BYTES];
    int64_t until_ms; /* of a code; a key has none */
    bool used;
};

struct web_keys {
    struct entry codes[WEB_CODES_MAX], keys[WEB_KEYS_MAX];
    size_t next_code, next_key; /* the oldest, taken next */
    int64_t wrong_since_ms;
    unsigned wrong;
};

struct web_keys *web_keys_new(void)
{
    return calloc(1, sizeof(struct web_keys));
}

void web_keys_free(struct web_keys *keys)
{
    free(keys);
}

static bool make_text(const char *prefix, char out[WEB_TEXT_MAX], struct entry *entry)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(WEB_TEXT_MAX);
    uint8_t bytes[32];

    random_bytes(bytes, sizeof bytes);
    bool good = base64url_encode(bytes, sizeof bytes, &text) == 0;
    snprintf(out, WEB_TEXT_MAX, "%s%s", prefix, good ? buf_str(&text) : "");
    secret_wipe(bytes, sizeof bytes);
    if (text.data)
        secret_wipe(text.data, text.len);
    return good && sha256(out, strlen(out), entry->hash) == 0;
}

/* The used entry of this text, or NULL. */
static struct entry *find(const struct entry *entries, size_t len, const char *text)
{
    uint8_t hash[SHA256_BYTES];
    const struct entry *found = NULL;

    if (sha256(text, strlen(text), hash) < 0)
        return NULL;
    for (size_t i = 0; i < len; i++)
        if (secret_memequal(entries[i].hash, hash, sizeof hash) && entries[i].used)
            found = &entries[i];
    return (struct entry *) found;
}

void web_keys_code(struct web_keys *keys, int64_t now_ms, char ret_code[WEB_TEXT_MAX])
{
    struct entry *entry = &keys->codes[keys->next_code++ % WEB_CODES_MAX];

    entry->used = make_text("", ret_code, entry);
    entry->until_ms = now_ms + WEB_CODE_LIFE_MS;
}

bool web_keys_waits(const struct web_keys *keys, const char *code, int64_t now_ms)
{
    const struct entry *entry = find(keys->codes, WEB_CODES_MAX, code);

    return entry && now_ms < entry->until_ms;
}

static int wrong_code(struct web_keys *keys, int64_t now_ms)
{
    if (!keys->wrong || now_ms - keys->wrong_since_ms >= WEB_WRONG_FRAME_MS) {
        keys->wrong_since_ms = now_ms;
        keys->wrong = 0;
    }
    if (keys->wrong >= WEB_WRONG_MAX)
        return -EAGAIN;
    keys->wrong++;
    return -ENOENT;
}

int web_keys_login(struct web_keys *keys, const char *code, int64_t now_ms, char ret_key[WEB_TEXT_MAX])
{
    struct entry *spent = find(keys->codes, WEB_CODES_MAX, code), *entry;

    if (!spent || now_ms >= spent->until_ms)
        return wrong_code(keys, now_ms);
    *spent = (struct entry){ 0 };
    entry = &keys->keys[keys->next_key++ % WEB_KEYS_MAX];
    entry->used = make_text("agw_", ret_key, entry);
    return entry->used ? 0 : -ENOMEM;
}

bool web_keys_known(const struct web_keys *keys, const char *key)
{
    return find(keys->keys, WEB_KEYS_MAX, key) != NULL;
}
