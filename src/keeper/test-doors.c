/*
 * Both permission tables of the real aileron-keeper, row by row: a frame out of turn, too short, too long, with a byte or a
 * descriptor too many ends who sent it. On the broker's channel that is the keeper; on the owner's door it is that
 * connection alone.
 */
#include "keeper/test-driver.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#include "base/banned.h"

/*
 * A row of the table that is expected, with the fields of its frame: s text, p secret, b u8, w u32, q u64, h 32 bytes, o blob.
 * `needs_unlocked`: answered with KEEPER_MISSING here, where there is no vault.
 */
struct row {
    uint16_t type;
    const char *fields;
    bool needs_unlocked;
};

static const struct row broker_rows[] = {
    { KEEPER_CONFIGURE, "sw", false },
    { KEEPER_GET_STATE, "", false },
    { KEEPER_HTTP, "sssssobswb", false },
    { KEEPER_HTTP_CANCEL, "", false },
    { KEEPER_EVENT_WRITTEN, "b", false },
    { KEEPER_SIGN_HEAD, "qh", false },
    { KEEPER_LOCK, "", false },
    { KEEPER_REVOKE, "s", true },
    { KEEPER_OAUTH_START, "ss", true },
    { KEEPER_OAUTH_CALLBACK, "s", false },
    { KEEPER_SPEND_TICKET, "sss", true },
    { KEEPER_LIST, "", false },
};

static const struct row owner_rows[] = {
    { OWNER_CREATE, "pb", false }, { OWNER_UNLOCK, "p", false }, { OWNER_CHANGE, "pp", false }, { OWNER_TICKET, "pss", true },
    { OWNER_PUT, "spsss", true }, { OWNER_DELETE, "s", true }, { OWNER_BIND_KEY, "sp", true }, { OWNER_REBIND, "s", true },
    { OWNER_DEFAULT, "s", true }, { OWNER_OAUTH_BEGIN, "sp", true }, { OWNER_OAUTH_AGAIN, "ss", true },
    { OWNER_OAUTH_PASTE, "s", false }, /* always out of turn here */
};

static void field_put(struct wire_frame *frame, char field)
{
    static const uint8_t hash[32] = { 7 };

    if (field == 's')
        wire_put_str(frame, "x/y/z");
    else if (field == 'p')
        wire_put_secret(frame, PASSPHRASE, strlen(PASSPHRASE));
    else if (field == 'b')
        wire_put_u8(frame, 0);
    else if (field == 'w')
        wire_put_u32(frame, 0);
    else if (field == 'q')
        wire_put_u64(frame, 1);
    else if (field == 'h')
        wire_put_bytes(frame, hash, sizeof hash);
    else
        wire_put_blob(frame, "", 0);
}

enum damage { WHOLE, SHORT, LONG, DESCRIPTOR, OVERSIZE, NUL_INSIDE, DAMAGES };

/* False when this damage cannot be done to this row. */
static bool frame_make(struct wire_frame *frame, const struct row *row, enum damage damage)
{
    static char large[60000];
    const char *text = strpbrk(row->fields, "sp");
    size_t len = strlen(row->fields);

    if ((damage == SHORT && len == 0) || (damage == OVERSIZE && !text) || (damage == NUL_INSIDE && !strchr(row->fields, 's')))
        return false;
    memset(large, 'x', sizeof large);
    wire_init(frame, row->type, 9);
    for (size_t i = 0; i < len - (damage == SHORT); i++) {
        if (damage == OVERSIZE && row->fields + i == text)
            wire_put_bytes(frame, large, sizeof large);
        else if (damage == NUL_INSIDE && row->fields[i] == 's')
            wire_put_bytes(frame, "a\0b", 3);
        else
            field_put(frame, row->fields[i]);
    }
    if (damage == LONG)
        wire_put_u8(frame, 0);
    if (damage == DESCRIPTOR)
        wire_put_fd(frame, dup(STDERR_FILENO));
    return true;
}

/* ---- the broker's channel ---- */

static void keeper_must_end(struct keeper *keeper, unsigned type, unsigned damage)
{
    char errors[1024];
    int status = keeper_reap(keeper, 5000);

    keeper_errors(keeper, errors, sizeof errors);
    close(keeper->errors);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || strncmp(errors, "aileron-keeper: ", 16) != 0 ||
        strchr(errors, '\n') != errors + strlen(errors) - 1)
        fail_msg("frame %u, damage %u: status %x: %s", type, damage, (unsigned) status, errors);
}

static void test_broker_before_configure(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(broker_rows); i++) {
        struct keeper keeper = { .pid = 0 };
        struct wire_frame frame;

        if (broker_rows[i].type == KEEPER_CONFIGURE)
            continue;
        keeper = keeper_start_raw(driver_bare);
        frame_make(&frame, &broker_rows[i], WHOLE);
        keeper_send(&keeper, &frame);
        keeper_must_end(&keeper, broker_rows[i].type, WHOLE);
    }
}

static void test_broker_damaged(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(broker_rows); i++) {
        for (int damage = SHORT; damage < DAMAGES; damage++) {
            struct keeper keeper = { .pid = 0 };
            struct wire_frame frame;

            if (!frame_make(&frame, &broker_rows[i], (enum damage) damage))
                continue;
            keeper = keeper_start_raw(driver_bare);
            keeper_configure(&keeper, "");
            keeper_send(&keeper, &frame);
            keeper_must_end(&keeper, broker_rows[i].type, (unsigned) damage);
        }
    }
}

/* Its own frames, the other door's, and none at all. */
static void test_broker_unknown(void **state)
{
    static const uint16_t types[] = { 0, KEEPER_HELLO, KEEPER_STATE, KEEPER_HTTP_RESULT, KEEPER_EVENT, KEEPER_SIGNED,
        KEEPER_LISTED, KEEPER_DONE, OWNER_HELLO, OWNER_CREATE, OWNER_UNLOCK, OWNER_PUT, OWNER_DONE, FETCH_GET, 0xffff };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct keeper keeper = keeper_start_raw(driver_bare);
        struct wire_frame frame;

        keeper_configure(&keeper, "");
        wire_init(&frame, types[i], 1);
        keeper_send(&keeper, &frame);
        keeper_must_end(&keeper, types[i], WHOLE);
    }
}

/* A receipt that was never asked for, and a head's hash of another length. */
static void test_broker_lies(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    struct wire_frame frame;

    keeper_configure(&keeper, "");
    wire_init(&frame, KEEPER_EVENT_WRITTEN, 1);
    wire_put_u8(&frame, 1);
    keeper_send(&keeper, &frame);
    keeper_must_end(&keeper, KEEPER_EVENT_WRITTEN, WHOLE);
    keeper = keeper_start_raw(driver_bare);
    keeper_configure(&keeper, "");
    wire_init(&frame, KEEPER_SIGN_HEAD, 1);
    wire_put_u64(&frame, 1);
    wire_put_bytes(&frame, "short", 5);
    keeper_send(&keeper, &frame);
    keeper_must_end(&keeper, KEEPER_SIGN_HEAD, SHORT);
}

/* What needs an open vault is answered, not punished, when there is none. */
static void test_broker_without_vault(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    struct wire_frame frame;
    size_t len = 1;

    keeper_configure(&keeper, "");
    for (size_t i = 0; i < ARRAY_LEN(broker_rows); i++) {
        if (!broker_rows[i].needs_unlocked)
            continue;
        frame_make(&frame, &broker_rows[i], WHOLE);
        assert_int_equal(keeper_ask(&keeper, &frame).result, KEEPER_MISSING);
    }
    frame_make(&frame, &(struct row){ KEEPER_LOCK, "", false }, WHOLE);
    assert_int_equal(keeper_ask(&keeper, &frame).result, KEEPER_MISSING);
    frame_make(&frame, &(struct row){ KEEPER_SIGN_HEAD, "qh", false }, WHOLE);
    keeper_send(&keeper, &frame);
    assert_int_equal(keeper_receive(&keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_SIGNED);
    assert_int_not_equal(wire_get_u8(&frame), KEEPER_OK);
    wire_get_bytes(&frame, 64, &len);
    assert_int_equal(len, 0);
    assert_int_equal(wire_end(&frame), 0);
    wire_free(&frame);
    frame_make(&frame, &(struct row){ KEEPER_LIST, "", false }, WHOLE);
    keeper_send(&keeper, &frame);
    assert_int_equal(keeper_receive(&keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_LISTED);
    assert_memory_equal(wire_get_blob(&frame, 100, &len), "[]", 2);
    assert_int_equal(len, 2);
    wire_free(&frame);
    keeper_stop(&keeper);
}

/* ---- the owner's door ---- */

static void door_must_end(struct keeper *keeper, int door, unsigned type, unsigned damage)
{
    struct wire_frame frame;
    int r = door_receive(keeper, door, &frame, 5000);

    if (r != 0)
        fail_msg("frame %u, damage %u: the connection goes on (%d)", type, damage, r);
    close(door);
}

/* Another connection, and the broker's channel, go on as before. */
static void others_go_on(struct keeper *keeper, int other)
{
    struct wire_frame frame;

    wire_init(&frame, OWNER_DELETE, 1);
    wire_put_str(&frame, "x");
    assert_int_equal(door_ask(keeper, other, &frame).result, KEEPER_MISSING);
    frame_make(&frame, &(struct row){ KEEPER_LOCK, "", false }, WHOLE);
    assert_int_equal(keeper_ask(keeper, &frame).result, KEEPER_MISSING);
}

static void test_owner_before_configure(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int door = door_open_raw(&keeper);
    struct wire_frame frame;

    assert_int_equal(door_receive(&keeper, door, &frame, 200), -1);
    keeper_configure(&keeper, "");
    assert_int_equal(door_receive(&keeper, door, &frame, 5000), 1);
    assert_int_equal(frame.type, OWNER_HELLO);
    wire_free(&frame);
    close(door);
    keeper_stop(&keeper);
}

static void test_owner_damaged(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int other = -1;

    keeper_configure(&keeper, "");
    other = door_open(&keeper);
    for (size_t i = 0; i < ARRAY_LEN(owner_rows); i++) {
        for (int damage = SHORT; damage < DAMAGES; damage++) {
            struct wire_frame frame;
            int door = -1;

            if (!frame_make(&frame, &owner_rows[i], (enum damage) damage))
                continue;
            door = door_open(&keeper);
            assert_int_equal(door_send(door, &frame), 0);
            door_must_end(&keeper, door, owner_rows[i].type, (unsigned) damage);
        }
        others_go_on(&keeper, other);
    }
    assert_int_equal(keeper.events_len, 0);
    close(other);
    keeper_stop(&keeper);
}

static void test_owner_unknown(void **state)
{
    static const uint16_t types[] = { 0, KEEPER_HELLO, KEEPER_CONFIGURE, KEEPER_GET_STATE, KEEPER_HTTP, KEEPER_EVENT_WRITTEN,
        KEEPER_SIGN_HEAD, KEEPER_LOCK, KEEPER_REVOKE, KEEPER_LIST, OWNER_HELLO, OWNER_OAUTH_PASTE, OWNER_URL, OWNER_PASTED,
        OWNER_DONE, FETCH_GET, 0xffff };
    struct keeper keeper = keeper_start_raw(driver_bare);
    int other = -1;

    keeper_configure(&keeper, "");
    other = door_open(&keeper);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int door = door_open(&keeper);
        struct wire_frame frame;

        wire_init(&frame, types[i], 1);
        if (types[i] == OWNER_OAUTH_PASTE)
            wire_put_str(&frame, "http://127.0.0.1:1/oauth2/callback?state=x");
        assert_int_equal(door_send(door, &frame), 0);
        door_must_end(&keeper, door, types[i], WHOLE);
    }
    others_go_on(&keeper, other);
    close(other);
    keeper_stop(&keeper);
}

/* Packets that are no frames. */
static void test_owner_garbage(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    uint8_t bytes[512] = { 0 };
    uint32_t seed = 4711;
    int other = -1;

    keeper_configure(&keeper, "");
    other = door_open(&keeper);
    for (size_t len = 1; len < sizeof bytes; len += 13) {
        int door = door_open(&keeper);

        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t) ((seed = seed * 1664525u + 1013904223u) >> 24);
        assert_int_equal(send(door, bytes, len, MSG_NOSIGNAL), len);
        door_must_end(&keeper, door, 0, WHOLE);
    }
    others_go_on(&keeper, other);
    close(other);
    keeper_stop(&keeper);
}

static void test_owner_without_vault(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int door = -1;

    keeper_configure(&keeper, "");
    door = door_open(&keeper);
    for (size_t i = 0; i < ARRAY_LEN(owner_rows); i++) {
        struct wire_frame frame;
        struct done done = { .result = 0 };

        if (!owner_rows[i].needs_unlocked && owner_rows[i].type != OWNER_UNLOCK)
            continue;
        frame_make(&frame, &owner_rows[i], WHOLE);
        done = door_ask(&keeper, door, &frame);
        assert_int_equal(done.id, 9);
        if (done.result != KEEPER_MISSING)
            fail_msg("frame %u: result %u (%s)", owner_rows[i].type, done.result, done.message);
        assert_non_null(strstr(done.hint, "aileron vault init"));
    }
    assert_int_equal(keeper.events_len, 0);
    close(door);
    keeper_stop(&keeper);
}

/* A full house lets the others wait, and each of them has its turn. */
static void test_owner_many(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int doors[64], waiting = -1;
    struct wire_frame frame;

    keeper_configure(&keeper, "");
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        doors[i] = door_open(&keeper);
    waiting = door_open_raw(&keeper);
    assert_int_equal(door_receive(&keeper, waiting, &frame, 200), -1);
    others_go_on(&keeper, doors[63]);
    close(doors[7]);
    assert_int_equal(door_receive(&keeper, waiting, &frame, 5000), 1);
    assert_int_equal(frame.type, OWNER_HELLO);
    wire_free(&frame);
    others_go_on(&keeper, waiting);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (i != 7)
            close(doors[i]);
    close(waiting);
    keeper_stop(&keeper);
}

/* Whoever only sits there makes room for the next one, the idlest first; who asked a moment ago stays. */
static void test_owner_idle(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int doors[64], late = -1;
    struct wire_frame frame;

    keeper_configure(&keeper, "");
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        doors[i] = door_open(&keeper);
    keeper_pump(&keeper, 4000);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (i != 9)
            others_go_on(&keeper, doors[i]);
    late = door_open_raw(&keeper);
    assert_int_equal(door_receive(&keeper, late, &frame, 8000), 1);
    assert_int_equal(frame.type, OWNER_HELLO);
    wire_free(&frame);
    door_must_end(&keeper, doors[9], 0, WHOLE);
    others_go_on(&keeper, doors[0]);
    others_go_on(&keeper, late);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (i != 9)
            close(doors[i]);
    close(late);
    keeper_stop(&keeper);
}

/* Another user is let go without a word. */
static void test_owner_other_user(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_bare);
    int status = 0;
    pid_t pid = 0;

    keeper_configure(&keeper, "");
    if (geteuid() != 0) {
        keeper_stop(&keeper);
        print_message("SKIPPED: only root can be another user\n");
        skip();
    }
    assert_int_equal(chmod(driver_bare, 0755) | chmod(keeper.socket, 0666), 0);
    pid = fork();
    if (pid == 0) {
        struct wire_frame frame;

        if (setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        _exit(wire_recv(door_open_raw(&keeper), &frame) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(driver_bare, 0700), 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(door_open(&keeper));
    keeper_stop(&keeper);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broker_before_configure),
        cmocka_unit_test(test_broker_damaged),
        cmocka_unit_test(test_broker_unknown),
        cmocka_unit_test(test_broker_lies),
        cmocka_unit_test(test_broker_without_vault),
        cmocka_unit_test(test_owner_before_configure),
        cmocka_unit_test(test_owner_damaged),
        cmocka_unit_test(test_owner_unknown),
        cmocka_unit_test(test_owner_garbage),
        cmocka_unit_test(test_owner_without_vault),
        cmocka_unit_test(test_owner_many),
        cmocka_unit_test(test_owner_idle),
        cmocka_unit_test(test_owner_other_user),
    };

    if (argc != 2)
        return 2;
    driver_program = argv[1];
    return cmocka_run_group_tests(tests, driver_setup, driver_teardown);
}
