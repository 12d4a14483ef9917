/*
 * What the owner's door does, through the real aileron-keeper: passphrases and their pauses, receipts before effects,
 * entries, bindings, tickets, locking, and what a client that goes away takes with it.
 */
#include "keeper/test-driver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "crypt/head.h"
#include "crypt/sign.h"

#include "base/banned.h"

#define SPEC_OTHER                                                                                                               \
    "{\"binding\":\"api_key/other/work\",\"connector_fqn\":\"local://other\",\"origins\":[\"https://a.test:443\"],"              \
    "\"header\":\"X-Api-Key\",\"format\":\"Key {key}\"}"

static char home[] = "/tmp/aileron-owner-XXXXXX";

static int fresh_home(void **state)
{
    memcpy(strrchr(home, '-') + 1, "XXXXXX", 6);
    return mkdtemp(home) ? 0 : -1;
}

static int remove_home(void **state)
{
    return file_remove_tree(AT_FDCWD, home);
}

static struct keeper start(void)
{
    struct keeper keeper = keeper_start_raw(home);

    keeper_configure(&keeper, "");
    return keeper;
}

static struct done create(struct keeper *keeper, const char *passphrase, bool dev)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    door_frame(&frame, OWNER_CREATE, passphrase);
    wire_put_u8(&frame, dev);
    return door_ask(keeper, door, &frame);
}

static struct keeper start_created(bool dev)
{
    struct keeper keeper = start();

    assert_int_equal(create(&keeper, PASSPHRASE, dev).result, KEEPER_OK);
    return keeper;
}

static struct done change(struct keeper *keeper, const char *old, const char *new)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    door_frame(&frame, OWNER_CHANGE, old);
    wire_put_secret(&frame, new, strlen(new));
    return door_ask(keeper, door, &frame);
}

static struct done put(struct keeper *keeper, const char *path, const char *value, const char *labels)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    wire_init(&frame, OWNER_PUT, 3);
    wire_put_str(&frame, path);
    wire_put_secret(&frame, value, strlen(value));
    wire_put_str(&frame, "note");
    wire_put_str(&frame, "test");
    wire_put_str(&frame, labels);
    return door_ask(keeper, door, &frame);
}

/* A request of one text. */
static struct done say(struct keeper *keeper, uint16_t type, const char *text)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    wire_init(&frame, type, 3);
    wire_put_str(&frame, text);
    return door_ask(keeper, door, &frame);
}

static struct done bind_key(struct keeper *keeper, const char *spec, const char *key)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    wire_init(&frame, OWNER_BIND_KEY, 3);
    wire_put_str(&frame, spec);
    wire_put_secret(&frame, key, strlen(key));
    return door_ask(keeper, door, &frame);
}

static struct done lock(struct keeper *keeper)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_LOCK, 5);
    return keeper_ask(keeper, &frame);
}

/* What KEEPER_LIST says has `text` in it. */
static bool lists(struct keeper *keeper, const char *text)
{
    struct wire_frame frame;
    size_t len = 0;
    bool found = false;
    const char *list = NULL;

    wire_init(&frame, KEEPER_LIST, 6);
    keeper_send(keeper, &frame);
    assert_int_equal(keeper_receive(keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_LISTED);
    list = wire_get_blob(&frame, LIMIT_BLOB_BYTES, &len);
    assert_int_equal(wire_end(&frame), 0);
    found = memmem(list, len, text, strlen(text)) != NULL;
    wire_free(&frame);
    return found;
}

/* The public key of the heads; the bindings have `text` in them. */
static bool state_has(struct keeper *keeper, const char *text, uint8_t key[SIGN_PUBLIC_BYTES])
{
    struct wire_frame frame;
    size_t len = 0;
    const void *bytes = NULL;
    bool found = false;

    wire_init(&frame, KEEPER_GET_STATE, 8);
    keeper_send(keeper, &frame);
    assert_int_equal(keeper_receive(keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_STATE);
    wire_get_u8(&frame);
    wire_get_u8(&frame);
    bytes = wire_get_bytes(&frame, SIGN_PUBLIC_BYTES, &len);
    if (key && len == SIGN_PUBLIC_BYTES)
        memcpy(key, bytes, len);
    wire_get_str(&frame, 1024);
    bytes = wire_get_blob(&frame, LIMIT_BLOB_BYTES, &len);
    assert_int_equal(wire_end(&frame), 0);
    found = memmem(bytes, len, text, strlen(text)) != NULL;
    wire_free(&frame);
    return found;
}

static void test_create(void **state)
{
    struct keeper keeper = start();
    char path[128];
    struct stat st;

    assert_int_equal(keeper.state, KEEPER_VAULT_MISSING);
    assert_int_equal(create(&keeper, PASSPHRASE, false).result, KEEPER_OK);
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    /* Flags alone make nothing active. */
    assert_int_equal(keeper.overrides, 1);
    assert_int_equal(keeper.overrides_active, 0);
    assert_int_equal(create(&keeper, "another", false).result, KEEPER_EXISTS);
    assert_int_equal(keeper_events(&keeper, "vault.created"), 1);
    assert_int_equal(keeper_events(&keeper, "vault.unlocked"), 1);
    assert_int_equal(keeper.events_len, 2);
    snprintf(path, sizeof path, "%s/secrets.json", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    keeper_stop(&keeper);
    keeper = start();
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_int_equal(create(&keeper, "another", false).result, KEEPER_EXISTS);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    keeper_stop(&keeper);
}

static void test_passphrases_that_cannot_be(void **state)
{
    char large[KEEPER_PASSPHRASE_MAX + 2];
    struct keeper keeper = start();

    memset(large, 'p', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(create(&keeper, "", false).result, KEEPER_REFUSED);
    assert_int_equal(create(&keeper, large, false).result, KEEPER_REFUSED);
    assert_int_equal(keeper.state, KEEPER_VAULT_MISSING);
    large[KEEPER_PASSPHRASE_MAX] = '\0';
    assert_int_equal(create(&keeper, large, false).result, KEEPER_OK);
    assert_int_equal(change(&keeper, large, "").result, KEEPER_REFUSED);
    assert_int_equal(change(&keeper, "", "new").result, KEEPER_REFUSED);
    assert_int_equal(door_unlock(&keeper, "").result, KEEPER_REFUSED);
    assert_int_equal(door_unlock(&keeper, large).result, KEEPER_OK);
    assert_int_equal(keeper_events(&keeper, "vault.unlock_failed"), 0);
    keeper_stop(&keeper);
}

/* The pause is behind a wrong one, for every client, and a right one ends it. */
static void test_pauses(void **state)
{
    struct keeper keeper = start_created(false);
    struct done done = { .result = 0 };
    int64_t before = 0;

    /* Open or locked makes no difference. */
    done = door_unlock(&keeper, "wrong");
    assert_int_equal(done.result, KEEPER_WRONG_PASSPHRASE);
    assert_string_equal(done.detail, "1");
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    before = clock_boot_ms();
    done = door_unlock(&keeper, "wrong again");
    assert_int_equal(done.result, KEEPER_WRONG_PASSPHRASE);
    assert_string_equal(done.detail, "2");
    assert_true(clock_boot_ms() - before >= 900);
    before = clock_boot_ms();
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    assert_true(clock_boot_ms() - before >= 1900);
    before = clock_boot_ms();
    done = door_unlock(&keeper, "wrong");
    assert_string_equal(done.detail, "1");
    assert_true(clock_boot_ms() - before < 1900);
    keeper_pump(&keeper, 50);
    assert_int_equal(keeper_events(&keeper, "vault.unlock_failed"), 3);
    assert_int_equal(keeper_events(&keeper, "vault.unlocked"), 2);
    keeper_stop(&keeper);
}

/* Wrong ones that were sent at the same time are not tried in one go. */
static void test_pauses_in_the_queue(void **state)
{
    struct keeper keeper = start_created(false);
    int doors[3];
    int64_t before = clock_boot_ms();

    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        struct wire_frame frame;

        doors[i] = door_open(&keeper);
        door_frame(&frame, OWNER_UNLOCK, "wrong");
        assert_int_equal(door_send(doors[i], &frame), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        assert_int_equal(door_read(&keeper, doors[i]).result, KEEPER_WRONG_PASSPHRASE);
        close(doors[i]);
    }
    assert_true(clock_boot_ms() - before >= 2900);
    keeper_stop(&keeper);
}

/* No receipt, no effect. */
static void test_receipts_first(void **state)
{
    struct keeper keeper = start();

    keeper.refuses_receipts = true;
    assert_int_equal(create(&keeper, PASSPHRASE, true).result, KEEPER_FAILED);
    assert_int_equal(keeper.state, KEEPER_VAULT_MISSING);
    keeper.refuses_receipts = false;
    assert_int_equal(create(&keeper, PASSPHRASE, true).result, KEEPER_OK);
    assert_int_equal(put(&keeper, "note", "text", "").result, KEEPER_OK);
    keeper.refuses_receipts = true;
    assert_int_equal(put(&keeper, "other", "text", "").result, KEEPER_FAILED);
    assert_false(lists(&keeper, "\"other\""));
    assert_int_equal(say(&keeper, OWNER_DELETE, "note").result, KEEPER_FAILED);
    assert_true(lists(&keeper, "\"note\""));
    assert_int_equal(bind_key(&keeper, SPEC_OTHER, KEY).result, KEEPER_FAILED);
    assert_false(state_has(&keeper, "api_key/other/work", NULL));
    assert_int_equal(change(&keeper, PASSPHRASE, "new").result, KEEPER_FAILED);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    assert_int_equal(keeper_events(&keeper, "vault.created"), 2);
    assert_int_equal(keeper_events(&keeper, "secret.written"), 2);
    assert_int_equal(keeper_events(&keeper, "secret.deleted"), 1);
    assert_int_equal(keeper_events(&keeper, "binding.created"), 1);
    assert_int_equal(keeper_events(&keeper, "vault.passphrase_changed"), 1);
    keeper_stop(&keeper);
}

/* A broker that never answers: nothing happens, and the client is told. */
static void test_receipt_that_never_comes(void **state)
{
    struct keeper keeper = start_created(false);
    int64_t before = clock_boot_ms();

    keeper.ignores_receipts = true;
    assert_int_equal(put(&keeper, "note", "text", "").result, KEEPER_FAILED);
    assert_in_range(clock_boot_ms() - before, 9000, 15000);
    assert_false(lists(&keeper, "\"note\""));
    keeper_stop(&keeper);
}

static void test_entries(void **state)
{
    static const char *const no_paths[] = { "", "_dev", "_grants/oauth2/google/me", "_audit/head-key", "_" };
    struct keeper keeper = start_created(false);

    assert_int_equal(put(&keeper, "folder/note", "a secret text", "{\"label\":\"of mine\"}").result, KEEPER_OK);
    assert_true(lists(&keeper, "\"folder/note\""));
    assert_true(lists(&keeper, "of mine"));
    assert_false(lists(&keeper, "a secret text"));
    assert_false(lists(&keeper, "\"_"));
    for (size_t i = 0; i < ARRAY_LEN(no_paths); i++) {
        assert_int_equal(put(&keeper, no_paths[i], "aileron-dev-v1", "").result, KEEPER_REFUSED);
        assert_int_equal(say(&keeper, OWNER_DELETE, no_paths[i]).result, KEEPER_REFUSED);
    }
    assert_int_equal(put(&keeper, "x", "text", "{\"label\":1}").result, KEEPER_REFUSED);
    assert_int_equal(put(&keeper, "x", "text", "[]").result, KEEPER_REFUSED);
    assert_int_equal(say(&keeper, OWNER_DELETE, "folder").result, KEEPER_NOT_FOUND);
    assert_int_equal(keeper_events(&keeper, "secret.written"), 1);
    assert_int_equal(keeper_events(&keeper, "secret.deleted"), 0);
    assert_int_equal(say(&keeper, OWNER_DELETE, "folder/note").result, KEEPER_OK);
    assert_false(lists(&keeper, "folder/note"));
    assert_int_equal(say(&keeper, OWNER_DELETE, "folder/note").result, KEEPER_NOT_FOUND);
    assert_int_equal(keeper_events(&keeper, "secret.deleted"), 1);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    assert_int_equal(put(&keeper, "note", "text", "").result, KEEPER_LOCKED);
    assert_int_equal(keeper_events(&keeper, "secret.written"), 1);
    keeper_stop(&keeper);
}

static void test_bindings(void **state)
{
    static const struct ask work = { .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/work" };
    struct keeper keeper = start_created(true);
    struct done done = bind_key(&keeper, SPEC_OTHER, KEY);

    assert_int_equal(keeper.overrides_active, 1);
    assert_int_equal(done.result, KEEPER_OK);
    assert_non_null(strstr(done.detail, "\"binding\":\"api_key/other/work\""));
    assert_non_null(strstr(done.detail, "\"missing_scopes\":[]"));
    ask_expect(&keeper, work, KEEPER_HTTP_DONE, true);
    assert_non_null(strstr(granted.last, "\r\nX-Api-Key: Key " KEY "\r\n"));
    assert_int_equal(bind_key(&keeper, SPEC_OTHER, "short").result, KEEPER_REFUSED);
    assert_int_equal(bind_key(&keeper, SPEC_OTHER, "with a blank in it").result, KEEPER_REFUSED);
    assert_int_equal(bind_key(&keeper, "{}", KEY).result, KEEPER_REFUSED);
    assert_int_equal(say(&keeper, OWNER_REBIND, "{}").result, KEEPER_REFUSED);
    assert_int_equal(say(&keeper, OWNER_REBIND,
                         "{\"binding\":\"api_key/none/me\",\"connector_fqn\":\"local://other\",\"origins\":[\"https://b.test\"]}")
                         .result,
        KEEPER_NOT_FOUND);
    assert_int_equal(keeper_events(&keeper, "binding.created"), 1);
    assert_int_equal(keeper_events(&keeper, "binding.rebound"), 0);
    /* Another grant for the same key: elsewhere now, and no longer where it was. */
    assert_int_equal(
        say(&keeper, OWNER_REBIND,
            "{\"binding\":\"api_key/other/work\",\"connector_fqn\":\"local://other\",\"origins\":[\"https://b.test\"]}")
            .result,
        KEEPER_OK);
    assert_int_equal(keeper_events(&keeper, "binding.rebound"), 1);
    ask_expect(&keeper, work, KEEPER_HTTP_DENIED, false);
    assert_int_equal(say(&keeper, OWNER_DEFAULT, "api_key/other/work").result, KEEPER_OK);
    assert_int_equal(say(&keeper, OWNER_DEFAULT, "api_key/other/nobody").result, KEEPER_NOT_FOUND);
    /* Its entry is not one that put and delete may touch. */
    assert_int_equal(put(&keeper, "api_key/other/work", "another-key-of-mine", "").result, KEEPER_REFUSED);
    assert_int_equal(say(&keeper, OWNER_DELETE, "api_key/other/work").result, KEEPER_REFUSED);
    assert_int_equal(keeper_events(&keeper, "secret.written") + keeper_events(&keeper, "secret.deleted"), 0);
    assert_true(state_has(&keeper, "\"default\":true", NULL));
    keeper_stop(&keeper);
}

static void test_change(void **state)
{
    struct keeper keeper = start_created(false);

    assert_int_equal(put(&keeper, "note", "text", "").result, KEEPER_OK);
    assert_int_equal(change(&keeper, PASSPHRASE, "the new one").result, KEEPER_OK);
    assert_int_equal(keeper_events(&keeper, "vault.passphrase_changed"), 1);
    keeper_stop(&keeper);
    keeper = start();
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_WRONG_PASSPHRASE);
    assert_int_equal(change(&keeper, PASSPHRASE, "x").result, KEEPER_WRONG_PASSPHRASE);
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_int_equal(keeper_events(&keeper, "vault.passphrase_changed"), 0);
    /* Opens it as well. */
    assert_int_equal(change(&keeper, "the new one", PASSPHRASE).result, KEEPER_OK);
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    assert_int_equal(keeper_events(&keeper, "vault.unlocked"), 1);
    assert_true(lists(&keeper, "\"note\""));
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    keeper_stop(&keeper);
}

/* Two at once with the same old passphrase: the second was proved under a key that is gone. */
static void test_two_changes(void **state)
{
    static const char *const new[] = { "the first new one", "the second new one" };
    struct keeper keeper = start_created(false);
    int doors[2];
    enum keeper_result results[2];

    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        struct wire_frame frame;

        doors[i] = door_open(&keeper);
        door_frame(&frame, OWNER_CHANGE, PASSPHRASE);
        wire_put_secret(&frame, new[i], strlen(new[i]));
        assert_int_equal(door_send(doors[i], &frame), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        results[i] = (enum keeper_result) door_read(&keeper, doors[i]).result;
        close(doors[i]);
    }
    assert_true((results[0] == KEEPER_OK) != (results[1] == KEEPER_OK));
    assert_int_equal(keeper_events(&keeper, "vault.passphrase_changed"), 1);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    assert_int_equal(door_unlock(&keeper, new[results[0] == KEEPER_OK ? 0 : 1]).result, KEEPER_OK);
    keeper_stop(&keeper);
}

static struct done ticket(struct keeper *keeper, const char *passphrase, const char *approval, const char *seal)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    door_frame(&frame, OWNER_TICKET, passphrase);
    wire_put_str(&frame, approval);
    wire_put_str(&frame, seal);
    return door_ask(keeper, door, &frame);
}

static enum keeper_result spend(struct keeper *keeper, const char *approval, const char *seal, const char *text)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_SPEND_TICKET, 4);
    wire_put_str(&frame, approval);
    wire_put_str(&frame, seal);
    wire_put_str(&frame, text);
    return keeper_ask(keeper, &frame).result;
}

static void test_tickets(void **state)
{
    struct keeper keeper = start_created(false);
    struct done done = ticket(&keeper, PASSPHRASE, "apr_1", "sha256:aa");

    assert_int_equal(done.result, KEEPER_OK);
    assert_int_equal(strlen(done.detail), 43);
    assert_int_equal(spend(&keeper, "apr_2", "sha256:aa", done.detail), KEEPER_REFUSED);
    assert_int_equal(spend(&keeper, "apr_1", "sha256:bb", done.detail), KEEPER_REFUSED);
    assert_int_equal(spend(&keeper, "apr_1", "sha256:aa", done.detail), KEEPER_OK);
    assert_int_equal(spend(&keeper, "apr_1", "sha256:aa", done.detail), KEEPER_REFUSED);
    assert_int_equal(ticket(&keeper, PASSPHRASE, "", "sha256:aa").result, KEEPER_REFUSED);
    assert_int_equal(ticket(&keeper, PASSPHRASE, "apr_1", "").result, KEEPER_REFUSED);
    assert_int_equal(ticket(&keeper, "wrong", "apr_1", "sha256:aa").result, KEEPER_WRONG_PASSPHRASE);
    /* Of one vault, while it is open: a lock voids what was given out. */
    done = ticket(&keeper, PASSPHRASE, "apr_1", "sha256:aa");
    assert_int_equal(done.result, KEEPER_OK);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    assert_int_equal(ticket(&keeper, PASSPHRASE, "apr_1", "sha256:aa").result, KEEPER_LOCKED);
    assert_int_equal(spend(&keeper, "apr_1", "sha256:aa", done.detail), KEEPER_LOCKED);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    assert_int_equal(spend(&keeper, "apr_1", "sha256:aa", done.detail), KEEPER_REFUSED);
    keeper_stop(&keeper);
}

static void test_lock(void **state)
{
    struct keeper keeper = start_created(true);

    assert_int_equal(keeper.overrides_active, 1);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    /* The STATE came before the answer. */
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_int_equal(keeper.overrides_active, 0);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    keeper_pump(&keeper, 50);
    assert_int_equal(keeper_events(&keeper, "vault.locked"), 1);
    keeper_stop(&keeper);
}

static void test_auto_lock(void **state)
{
    struct keeper keeper = start_created(true);
    int64_t before = clock_boot_ms();

    assert_int_equal(bind_key(&keeper, SPEC_OTHER, KEY).result, KEEPER_OK);
    keeper_configure_lock(&keeper, 1);
    /* Requests with a credential keep it open; others and questions do not. */
    while (clock_boot_ms() - before < 2200) {
        keeper_pump(&keeper, 300);
        ask_expect(&keeper,
            (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/work" },
            KEEPER_HTTP_DONE, true);
    }
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    before = clock_boot_ms();
    while (keeper.state == KEEPER_VAULT_UNLOCKED && clock_boot_ms() - before < 5000) {
        keeper_pump(&keeper, 100);
        ask_expect(&keeper, (struct ask){ .url = "https://denied.test/", .binding = "" }, KEEPER_HTTP_DENIED, false);
        lists(&keeper, "");
    }
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_in_range(clock_boot_ms() - before, 700, 2500);
    keeper_pump(&keeper, 50);
    assert_int_equal(keeper_events(&keeper, "vault.locked"), 1);
    /* Off: stays open. */
    keeper_configure_lock(&keeper, 0);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    keeper_pump(&keeper, 1500);
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    keeper_stop(&keeper);
}

static enum keeper_result sign(struct keeper *keeper, uint64_t seq, uint8_t first, const uint8_t key[SIGN_PUBLIC_BYTES])
{
    uint8_t hash[SHA256_BYTES] = { first }, message[AUDIT_HEAD_BYTES];
    struct wire_frame frame;
    enum keeper_result result = KEEPER_OK;
    size_t len = 0;
    const uint8_t *signature = NULL;

    wire_init(&frame, KEEPER_SIGN_HEAD, 2);
    wire_put_u64(&frame, seq);
    wire_put_bytes(&frame, hash, sizeof hash);
    keeper_send(keeper, &frame);
    assert_int_equal(keeper_receive(keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_SIGNED);
    result = (enum keeper_result) wire_get_u8(&frame);
    signature = wire_get_bytes(&frame, SIGN_BYTES, &len);
    assert_int_equal(wire_end(&frame), 0);
    assert_int_equal(len, result == KEEPER_OK ? SIGN_BYTES : 0);
    audit_head_message(seq, hash, message);
    assert_true(result != KEEPER_OK || sign_verify(key, message, sizeof message, signature));
    wire_free(&frame);
    return result;
}

static void test_heads(void **state)
{
    struct keeper keeper = start_created(false);
    uint8_t key[SIGN_PUBLIC_BYTES] = { 0 }, again[SIGN_PUBLIC_BYTES] = { 1 };

    assert_true(state_has(&keeper, "[", key));
    assert_int_equal(sign(&keeper, 10, 1, key), KEEPER_OK);
    assert_int_equal(sign(&keeper, 10, 1, key), KEEPER_OK);
    assert_int_equal(sign(&keeper, 10, 2, key), KEEPER_REFUSED);
    assert_int_equal(sign(&keeper, 9, 1, key), KEEPER_REFUSED);
    assert_int_equal(sign(&keeper, 11, 2, key), KEEPER_OK);
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    assert_int_equal(sign(&keeper, 12, 1, key), KEEPER_LOCKED);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    assert_true(state_has(&keeper, "[", again));
    assert_memory_equal(key, again, sizeof key);
    assert_int_equal(sign(&keeper, 9, 1, key), KEEPER_REFUSED);
    assert_int_equal(sign(&keeper, 12, 1, key), KEEPER_OK);
    keeper_stop(&keeper);
}

/* One request at a time: who sends another loses the connection and what was under way. */
static void test_impatient(void **state)
{
    struct keeper keeper = start_created(false);
    int door = -1;
    struct wire_frame frame;

    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    door = door_open(&keeper);
    door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
    assert_int_equal(door_send(door, &frame), 0);
    door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
    door_send(door, &frame);
    assert_int_equal(door_receive(&keeper, door, &frame, 5000), 0);
    close(door);
    keeper_pump(&keeper, 1000);
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    keeper_stop(&keeper);
}

/* A client that goes away takes its derivation with it, and the next one has its turn. */
static void test_disconnect(void **state)
{
    struct keeper keeper = start_created(false);
    struct wire_frame frame;

    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    for (int delay_ms = 0; delay_ms < 100; delay_ms += 20) {
        int door = door_open(&keeper);

        door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
        assert_int_equal(door_send(door, &frame), 0);
        keeper_pump(&keeper, delay_ms / 4);
        close(door);
        keeper_pump(&keeper, delay_ms);
    }
    keeper_pump(&keeper, 700);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    keeper_stop(&keeper);
}

/* A receipt that is being written is followed by its effect, whether or not the client is still there. */
static void test_disconnect_behind_receipt(void **state)
{
    struct keeper keeper = start_created(false);
    int door = door_open(&keeper);
    struct wire_frame frame;

    wire_init(&frame, OWNER_PUT, 3);
    wire_put_str(&frame, "note");
    wire_put_secret(&frame, "text", 4);
    for (int i = 0; i < 3; i++)
        wire_put_str(&frame, "");
    kill(keeper.pid, SIGSTOP); /* so that request and end are both there when it looks */
    assert_int_equal(door_send(door, &frame), 0);
    close(door);
    kill(keeper.pid, SIGCONT);
    keeper_pump(&keeper, 300);
    assert_int_equal(keeper_events(&keeper, "secret.written"), 1);
    assert_true(lists(&keeper, "\"note\""));
    keeper_stop(&keeper);
}

/* While a key is derived, the broker's requests are answered as ever. */
static void test_calls_go_on(void **state)
{
    struct keeper keeper = start_created(true);
    int door = door_open(&keeper), answered = 0;
    struct wire_frame frame;
    struct pollfd poller = { door, POLLIN, 0 };

    assert_int_equal(bind_key(&keeper, SPEC_OTHER, KEY).result, KEEPER_OK);
    door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
    assert_int_equal(door_send(door, &frame), 0);
    while (poll(&poller, 1, 0) == 0) {
        ask_expect(&keeper,
            (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/work" },
            KEEPER_HTTP_DONE, true);
        answered++;
    }
    assert_int_equal(door_read(&keeper, door).result, KEEPER_OK);
    assert_true(answered >= 2);
    close(door);
    keeper_stop(&keeper);
}

static void test_two_at_once(void **state)
{
    struct keeper keeper = start_created(false);
    int one = door_open(&keeper), two = door_open(&keeper);
    struct wire_frame frame;

    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
    assert_int_equal(door_send(one, &frame), 0);
    door_frame(&frame, OWNER_UNLOCK, "wrong");
    assert_int_equal(door_send(two, &frame), 0);
    assert_int_equal(door_read(&keeper, two).result, KEEPER_WRONG_PASSPHRASE);
    assert_int_equal(door_read(&keeper, one).result, KEEPER_OK);
    assert_int_equal(keeper_events(&keeper, "vault.unlocked"), 2);
    close(one);
    close(two);
    keeper_stop(&keeper);
}

/* More than may wait are told so at once. */
static void test_queue_full(void **state)
{
    struct keeper keeper = start_created(false);
    int doors[20], busy = 0;
    struct wire_frame frame;

    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        doors[i] = door_open(&keeper);
        door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
        assert_int_equal(door_send(doors[i], &frame), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        struct done done = door_read(&keeper, doors[i]);

        busy += done.result == KEEPER_BUSY;
        assert_true(done.result == KEEPER_OK || done.result == KEEPER_BUSY);
        close(doors[i]);
    }
    assert_in_range(busy, 1, 4);
    keeper_stop(&keeper);
}

/* SIGTERM ends it at once and in order, also amid a derivation; the vault is locked afterwards. */
static void test_signal(void **state)
{
    struct keeper keeper = start_created(false);
    int door = door_open(&keeper), status = 0;
    struct wire_frame frame;

    door_frame(&frame, OWNER_UNLOCK, PASSPHRASE);
    assert_int_equal(door_send(door, &frame), 0);
    keeper_pump(&keeper, 30);
    kill(keeper.pid, SIGTERM);
    status = keeper_reap(&keeper, 3000);
    close(keeper.errors);
    close(door);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    keeper = start();
    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    keeper_stop(&keeper);
}

#define REDIRECT "http://127.0.0.1:4711/oauth2/callback"

/* Begins a flow and gives its state. */
static void flow_begin(struct keeper *keeper, int door, char out_state[64])
{
    static const char spec[] =
        "{\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.test\"],"
        "\"token_url\":\"https://a.test/token\",\"authorize_url\":\"https://a.test/authorize\",\"client_id\":\"id\","
        "\"redirect_uri\":\"" REDIRECT "\",\"scopes\":[\"mail\"]}";
    struct wire_frame frame;
    const char *url = NULL, *at = NULL;

    wire_init(&frame, OWNER_OAUTH_BEGIN, 40);
    wire_put_str(&frame, spec);
    wire_put_secret(&frame, "client-secret", 13);
    assert_int_equal(door_send(door, &frame), 0);
    assert_int_equal(door_receive(keeper, door, &frame, 5000), 1);
    assert_int_equal(frame.type, OWNER_URL);
    assert_int_equal(frame.id, 40);
    url = wire_get_str(&frame, 8192);
    assert_int_equal(wire_end(&frame), 0);
    if (strstr(url, "https://a.test/authorize?") != url)
        fail_msg("the URL is %s", url);
    assert_null(strstr(url, "client-secret"));
    at = strstr(url, "state=");
    assert_non_null(at);
    snprintf(out_state, 64, "%.*s", (int) strcspn(at + 6, "&"), at + 6);
    wire_free(&frame);
}

static struct done callback(struct keeper *keeper, const char *format, const char *flow)
{
    struct wire_frame frame;
    char query[256];

    snprintf(query, sizeof query, "state=%s%s", flow, format);
    wire_init(&frame, KEEPER_OAUTH_CALLBACK, 41);
    wire_put_str(&frame, query);
    return keeper_ask(keeper, &frame);
}

static void paste(struct keeper *keeper, int door, const char *url)
{
    struct wire_frame frame;

    wire_init(&frame, OWNER_OAUTH_PASTE, 42);
    wire_put_str(&frame, url);
    assert_int_equal(door_send(door, &frame), 0);
}

/* A flow from both doors: a wrong paste goes on, the browser's answer ends it for both, a closed connection voids it. */
static void test_flows(void **state)
{
    struct keeper keeper = start_created(true);
    int door = door_open(&keeper);
    char flow[64];
    struct wire_frame frame;

    flow_begin(&keeper, door, flow);
    assert_int_equal(strlen(flow), 43);
    paste(&keeper, door, "https://evil.test/?state=x&code=y");
    assert_int_equal(door_receive(&keeper, door, &frame, 5000), 1);
    assert_int_equal(frame.type, OWNER_PASTED);
    assert_int_equal(frame.id, 42);
    assert_int_equal(wire_get_u8(&frame), KEEPER_REFUSED);
    wire_free(&frame);
    assert_int_equal(callback(&keeper, "&code=x", "another").result, KEEPER_NOT_FOUND);
    assert_int_equal(callback(&keeper, "&error=access_denied", flow).result, KEEPER_DENIED);
    assert_int_equal(door_read(&keeper, door).result, KEEPER_DENIED);
    assert_int_equal(callback(&keeper, "&error=access_denied", flow).result, KEEPER_NOT_FOUND);
    assert_false(lists(&keeper, "oauth2/google/me"));
    /* The connection is good for the next one; gone, its flow is void. */
    flow_begin(&keeper, door, flow);
    close(door);
    keeper_pump(&keeper, 50);
    assert_int_equal(callback(&keeper, "&code=x", flow).result, KEEPER_NOT_FOUND);
    /* Any other request amid a flow is out of turn. */
    door = door_open(&keeper);
    flow_begin(&keeper, door, flow);
    wire_init(&frame, OWNER_DELETE, 43);
    wire_put_str(&frame, "note");
    assert_int_equal(door_send(door, &frame), 0);
    assert_int_equal(door_receive(&keeper, door, &frame, 5000), 0);
    close(door);
    assert_int_equal(callback(&keeper, "&code=x", flow).result, KEEPER_NOT_FOUND);
    assert_int_equal(keeper_events(&keeper, "binding.created"), 0);
    keeper_stop(&keeper);
}

static struct done again(struct keeper *keeper, uint16_t type, const char *binding, const char *redirect)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    wire_init(&frame, type, 44);
    wire_put_str(&frame, binding);
    wire_put_str(&frame, redirect);
    return type == KEEPER_OAUTH_START ? keeper_ask(keeper, &frame) : door_ask(keeper, door, &frame);
}

static void test_flows_that_cannot_be(void **state)
{
    static const uint16_t types[] = { KEEPER_OAUTH_START, OWNER_OAUTH_AGAIN };
    struct keeper keeper = start_created(true);

    assert_int_equal(bind_key(&keeper, SPEC_OTHER, KEY).result, KEEPER_OK);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct done done = again(&keeper, types[i], "oauth2/google/me", REDIRECT);

        assert_int_equal(done.result, KEEPER_NOT_FOUND);
        done = again(&keeper, types[i], "oauth2/google/me", "https://evil.test/oauth2/callback");
        assert_int_equal(done.result, KEEPER_REFUSED);
        done = again(&keeper, types[i], "api_key/other/work", REDIRECT);
        assert_int_not_equal(done.result, KEEPER_OK);
    }
    assert_int_equal(lock(&keeper).result, KEEPER_OK);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        assert_int_equal(again(&keeper, types[i], "oauth2/google/me", REDIRECT).result, KEEPER_LOCKED);
    keeper_stop(&keeper);
}

static void test_revoke(void **state)
{
    struct keeper keeper = start_created(true);
    struct wire_frame frame;

    assert_int_equal(bind_key(&keeper, SPEC_OTHER, KEY).result, KEEPER_OK);
    for (int turn = 0; turn < 2; turn++) {
        wire_init(&frame, KEEPER_REVOKE, 45);
        wire_put_str(&frame, "api_key/other/work");
        assert_int_equal(keeper_ask(&keeper, &frame).result, turn ? KEEPER_NOT_FOUND : KEEPER_OK);
        assert_false(lists(&keeper, "api_key/other/work"));
    }
    assert_int_equal(keeper_events(&keeper, "binding.revoked"), 1);
    keeper_stop(&keeper);
}

#define HOME_TEST(function) cmocka_unit_test_setup_teardown(function, fresh_home, remove_home)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(test_create),
        HOME_TEST(test_passphrases_that_cannot_be),
        HOME_TEST(test_pauses),
        HOME_TEST(test_pauses_in_the_queue),
        HOME_TEST(test_receipts_first),
        HOME_TEST(test_receipt_that_never_comes),
        HOME_TEST(test_entries),
        HOME_TEST(test_bindings),
        HOME_TEST(test_change),
        HOME_TEST(test_two_changes),
        HOME_TEST(test_tickets),
        HOME_TEST(test_lock),
        HOME_TEST(test_auto_lock),
        HOME_TEST(test_heads),
        HOME_TEST(test_impatient),
        HOME_TEST(test_disconnect),
        HOME_TEST(test_disconnect_behind_receipt),
        HOME_TEST(test_calls_go_on),
        HOME_TEST(test_two_at_once),
        HOME_TEST(test_queue_full),
        HOME_TEST(test_signal),
        HOME_TEST(test_flows),
        HOME_TEST(test_flows_that_cannot_be),
        HOME_TEST(test_revoke),
    };

    if (argc != 2)
        return 2;
    driver_program = argv[1];
    return cmocka_run_group_tests(tests, driver_setup, driver_teardown);
}
