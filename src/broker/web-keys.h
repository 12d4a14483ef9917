/*
 * How a browser signs in: a one-time code is traded for a key. Pure: `now` in, decisions out. Both are 256 random bits; only
 * their hashes are kept, in memory, so all of them die with the daemon. Both are bounded; the oldest gives way.
 */
#ifndef BROKER_WEB_KEYS_H
#define BROKER_WEB_KEYS_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define WEB_TEXT_MAX       48 /* a code or a key with its NUL */
#define WEB_CODE_LIFE_MS   60000
#define WEB_CODES_MAX      8
#define WEB_KEYS_MAX       32
#define WEB_WRONG_MAX      10 /* wrong codes */
#define WEB_WRONG_FRAME_MS 60000

struct web_keys;

struct web_keys *web_keys_new(void);
void web_keys_free(struct web_keys *keys);
DEFINE_CLEANUP_PTR(struct web_keys, web_keys_free)

/* A new code, good for WEB_CODE_LIFE_MS from `now_ms` (CLOCK_BOOTTIME). */
void web_keys_code(struct web_keys *keys, int64_t now_ms, char ret_code[WEB_TEXT_MAX]);
/* True while the code can be spent. */
bool web_keys_waits(const struct web_keys *keys, const char *code, int64_t now_ms);
/*
 * Spends a code: 0 with the key; -ENOENT when it is unknown, spent or old; -EAGAIN instead of that after WEB_WRONG_MAX wrong
 * ones within WEB_WRONG_FRAME_MS. A right code is taken even then, so that nobody can keep the owner out by guessing.
 */
int web_keys_login(struct web_keys *keys, const char *code, int64_t now_ms, char ret_key[WEB_TEXT_MAX]);
bool web_keys_known(const struct web_keys *keys, const char *key);

#endif
