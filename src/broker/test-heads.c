/* When heads are asked for and what becomes of the answers; the keeper is a key and a switch in this file. */
#include "broker/heads.h"

#include "audit/heads.h"
#include "base/file.h"
#include "broker/receipts.h"
#include "crypt/head.h"
#include "loop/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum answer { SIGN, REFUSE, WRONG, HANG, NOT_THERE };

struct bench {
    char home[64], dir[80];
    struct loop *loop;
    struct receipts *receipts;
    struct heads *heads;
    struct loop_timer *timer;
    struct secret *seed;
    uint8_t key[SIGN_PUBLIC_BYTES];
    enum answer answer;
    unsigned asked, finished;
    uint64_t asked_seq;
    keeper_reply_fn *fn, *hung;
    void *fn_userdata;
    uint8_t signature[SIGN_BYTES];
};

static void on_turn(void *userdata)
{
    struct bench *bench = userdata;
    struct keeper_reply reply = { .signature = bench->answer == REFUSE ? NULL : bench->signature };
    keeper_reply_fn *fn = bench->fn;

    bench->fn = NULL;
    bench->signature[0] ^= bench->answer == WRONG;
    bench->hung = fn;
    if (bench->answer != HANG)
        fn(&reply, bench->fn_userdata);
}

/* Answers at a later turn, as a process does. */
static int on_ask(void *userdata, uint64_t seq, const uint8_t hash[SHA256_BYTES], keeper_reply_fn *fn, void *fn_userdata)
{
    struct bench *bench = userdata;
    uint8_t message[AUDIT_HEAD_BYTES];

    assert_null(bench->fn);
    if (bench->answer == NOT_THERE)
        return -ENOTCONN;
    bench->asked++;
    bench->asked_seq = seq;
    bench->fn = fn;
    bench->fn_userdata = fn_userdata;
    audit_head_message(seq, hash, message);
    assert_int_equal(sign_message(bench->seed, message, sizeof message, bench->signature), 0);
    return loop_defer(bench->loop, on_turn, bench);
}

static void open_heads(struct bench *bench)
{
    struct err err = ERR_INIT;
    const struct heads_config config = { bench->loop, bench->receipts, bench->dir, on_ask, bench };

    if (heads_new(&config, &bench->heads, &err) < 0)
        fail_msg("%s", err.message);
}

static void on_pause(void *userdata)
{
    loop_stop(((struct bench *) userdata)->loop);
}

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;
    bool torn;

    snprintf(bench->home, sizeof bench->home, "%s/test-heads-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(bench->home));
    snprintf(bench->dir, sizeof bench->dir, "%s/audit", bench->home);
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    assert_int_equal(receipts_open(bench->loop, bench->dir, &bench->receipts, &torn, &err), 0);
    assert_int_equal(loop_timer_new(bench->loop, on_pause, bench, &bench->timer), 0);
    assert_int_equal(sign_seed_new(&bench->seed), 0);
    assert_int_equal(sign_public(bench->seed, bench->key), 0);
    open_heads(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    heads_free(bench->heads);
    receipts_close(bench->receipts);
    loop_timer_free(bench->timer);
    loop_free(bench->loop);
    secret_free(bench->seed);
    file_remove_tree(AT_FDCWD, bench->home);
    free(bench);
    return 0;
}

static void append(struct bench *bench, const char *type, unsigned count)
{
    const struct receipt receipt = { .type = type, .actor = AUDIT_SERVICE, .actor_id = "daemon" };
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(receipts_append(bench->receipts, &receipt, NULL, &err), 0);
}

/* Lets the loop work for a while. */
static void turn(struct bench *bench, int64_t ms)
{
    loop_timer_set(bench->timer, ms);
    loop_run(bench->loop);
}

/* Lets it work until the head of `seq` is written, however slow the machine is. */
static void turn_until(struct bench *bench, uint64_t seq)
{
    for (int i = 0; i < 500 && heads_last_seq(bench->heads) < seq; i++)
        turn(bench, 10);
    assert_int_equal(heads_last_seq(bench->heads), seq);
}

static void turn_until_trouble(struct bench *bench, bool trouble)
{
    for (int i = 0; i < 500 && (heads_trouble(bench->heads) != NULL) != trouble; i++)
        turn(bench, 10);
    assert_int_equal(heads_trouble(bench->heads) != NULL, trouble);
}

static struct audit_verdict verify(const struct bench *bench)
{
    struct audit_verdict verdict;
    struct err err = ERR_INIT;

    assert_int_equal(audit_verify(bench->dir, &verdict, &err), 0);
    return verdict;
}

static void assert_anchor(const struct bench *bench, uint64_t seq, uint64_t later)
{
    struct audit_verdict verdict = verify(bench);

    if (!verdict.intact || verdict.anchor.seq != seq || verdict.anchor.later != later)
        fail_msg("%s: %s, anchored to %d, %d later", verdict.where, verdict.what, (int) verdict.anchor.seq,
            (int) verdict.anchor.later);
}

static void test_locked_is_not_asked(void **state)
{
    struct bench *bench = *state;

    append(bench, "daemon.started", 600);
    heads_now(bench->heads);
    turn(bench, 50);
    assert_int_equal(bench->asked, 0);
    assert_null(heads_vault_key(bench->heads));
    assert_null(heads_trouble(bench->heads));
    assert_anchor(bench, 0, 600);
}

static void test_at_once_when_open(void **state)
{
    struct bench *bench = *state;

    append(bench, "daemon.started", 3);
    heads_key(bench->heads, bench->key);
    heads_key(bench->heads, bench->key);
    turn_until(bench, 3);
    assert_int_equal(bench->asked, 1);
    assert_anchor(bench, 3, 0);
    assert_int_equal(heads_last_seq(bench->heads), 3);
    /* The receipt of the unlocking may come after the state. */
    append(bench, "vault.unlocked", 1);
    turn_until(bench, 4);
    assert_anchor(bench, 4, 0);
}

static void test_every_256(void **state)
{
    struct bench *bench = *state;

    append(bench, "daemon.started", 1);
    heads_key(bench->heads, bench->key);
    turn_until(bench, 1);
    append(bench, "daemon.started", 255);
    turn(bench, 50);
    assert_anchor(bench, 1, 255);
    append(bench, "daemon.started", 1);
    turn_until(bench, 257);
    assert_anchor(bench, 257, 0);
    assert_int_equal(bench->asked, 2);
    /* Many at once are one request and one more for what came meanwhile. */
    append(bench, "daemon.started", 2000);
    turn_until(bench, 2257);
    assert_anchor(bench, 2257, 0);
    assert_true(bench->asked <= 4);
}

static void test_a_decision(void **state)
{
    struct bench *bench = *state;

    heads_key(bench->heads, bench->key);
    append(bench, "daemon.started", 1);
    turn(bench, 20);
    assert_int_equal(bench->asked, 0);
    heads_now(bench->heads);
    append(bench, "daemon.started", 1);
    heads_now(bench->heads);
    turn_until(bench, 2);
    assert_anchor(bench, 2, 0);
    heads_now(bench->heads);
    turn(bench, 20);
    assert_int_equal(bench->asked, 2);
}

static void test_answers_that_are_no_signature(void **state)
{
    static const enum answer answers[] = { REFUSE, WRONG, NOT_THERE };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        bench->answer = answers[i];
        append(bench, "daemon.started", 1);
        heads_key(bench->heads, bench->key);
        heads_now(bench->heads);
        turn_until_trouble(bench, true);
        turn(bench, 50); /* the second one, for what came meanwhile */
        assert_int_equal(heads_last_seq(bench->heads), 0);
        heads_key(bench->heads, NULL);
        assert_null(heads_trouble(bench->heads));
    }
    bench->answer = SIGN;
    heads_key(bench->heads, bench->key);
    turn_until(bench, 3);
    assert_null(heads_trouble(bench->heads));
    assert_anchor(bench, 3, 0);
}

/* A lock between question and answer: the answer is worth nothing, and the next opening asks anew. */
static void test_the_key_changes_meanwhile(void **state)
{
    struct bench *bench = *state;
    struct keeper_reply reply = { .signature = bench->signature };

    append(bench, "daemon.started", 1);
    bench->answer = HANG;
    heads_key(bench->heads, bench->key);
    for (int i = 0; i < 500 && !bench->hung; i++)
        turn(bench, 10);
    assert_int_equal(bench->asked, 1);
    heads_key(bench->heads, NULL);
    heads_key(bench->heads, bench->key);
    bench->answer = SIGN;
    /* The answer to the question of before, good as it is. */
    bench->hung(&reply, bench->fn_userdata);
    assert_int_equal(heads_last_seq(bench->heads), 0);
    turn_until(bench, 1);
    assert_int_equal(bench->asked, 2);
    assert_anchor(bench, 1, 0);
}

static void test_another_vault(void **state)
{
    struct bench *bench = *state;

    append(bench, "daemon.started", 1);
    heads_key(bench->heads, bench->key);
    turn_until(bench, 1);
    assert_int_equal(heads_other_vault(bench->heads), 0);
    heads_key(bench->heads, NULL);
    secret_free(bench->seed);
    assert_int_equal(sign_seed_new(&bench->seed), 0);
    assert_int_equal(sign_public(bench->seed, bench->key), 0);
    heads_key(bench->heads, bench->key);
    assert_int_equal(heads_other_vault(bench->heads), 1);
    heads_key(bench->heads, NULL);
    assert_int_equal(heads_other_vault(bench->heads), 0);
    append(bench, "vault.created", 1);
    heads_key(bench->heads, bench->key);
    assert_int_equal(heads_other_vault(bench->heads), 0);
    turn_until(bench, 2);
    assert_anchor(bench, 2, 0);
}

static void on_finished(void *userdata)
{
    struct bench *bench = userdata;

    bench->finished++;
    loop_stop(bench->loop);
}

static void test_finish(void **state)
{
    struct bench *bench = *state;

    heads_finish(bench->heads, on_finished, bench);
    assert_int_equal(bench->finished, 1);
    heads_key(bench->heads, bench->key);
    append(bench, "daemon.started", 5);
    heads_now(bench->heads);
    append(bench, "daemon.stopped", 1);
    heads_finish(bench->heads, on_finished, bench);
    assert_int_equal(bench->finished, 1);
    loop_run(bench->loop);
    assert_int_equal(bench->finished, 2);
    assert_anchor(bench, 6, 0);
}

static void test_finish_does_not_wait_for_ever(void **state)
{
    struct bench *bench = *state;

    append(bench, "daemon.started", 5);
    bench->answer = HANG;
    heads_key(bench->heads, bench->key);
    heads_finish(bench->heads, on_finished, bench);
    loop_timer_set(bench->timer, 3000);
    loop_run(bench->loop);
    assert_int_equal(bench->finished, 1);
    assert_anchor(bench, 0, 5);
}

static void test_takes_up_where_it_was(void **state)
{
    struct bench *bench = *state;
    char path[128];

    append(bench, "daemon.started", 5);
    heads_key(bench->heads, bench->key);
    turn_until(bench, 5);
    heads_free(bench->heads);
    snprintf(path, sizeof path, "%s/heads.jsonl", bench->dir);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(file_write_full(fd, "{\"seq\"", 6), 0);
    open_heads(bench);
    assert_int_equal(heads_last_seq(bench->heads), 5);
    /* audit.recovered */
    assert_anchor(bench, 5, 1);
    assert_null(heads_trouble(bench->heads));
}

static void test_a_log_that_was_cut(void **state)
{
    struct bench *bench = *state;
    struct err err = ERR_INIT;
    char path[160];
    bool torn;
    DIR *folder;
    struct dirent *entry;

    append(bench, "daemon.started", 5);
    heads_key(bench->heads, bench->key);
    turn_until(bench, 5);
    heads_free(bench->heads);
    bench->heads = NULL;
    receipts_close(bench->receipts);
    folder = opendir(bench->dir);
    while ((entry = readdir(folder)))
        if (!strncmp(entry->d_name, "audit-", 6) && snprintf(path, sizeof path, "%s/%.40s", bench->dir, entry->d_name) > 0)
            unlink(path);
    closedir(folder);
    assert_int_equal(receipts_open(bench->loop, bench->dir, &bench->receipts, &torn, &err), 0);
    append(bench, "daemon.started", 1);
    open_heads(bench);
    assert_non_null(strstr(heads_trouble(bench->heads), "event 5 was signed but is gone"));
    /* No head of an event that is not beyond those that were signed. */
    heads_key(bench->heads, bench->key);
    append(bench, "daemon.started", 4);
    heads_now(bench->heads);
    turn(bench, 50);
    assert_int_equal(bench->asked, 1);
    append(bench, "daemon.started", 1);
    heads_now(bench->heads);
    turn_until(bench, 6);
    assert_int_equal(bench->asked, 2);
    assert_int_equal(bench->asked_seq, 6);
    assert_false(verify(bench).intact);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_locked_is_not_asked),
        TEST(test_at_once_when_open),
        TEST(test_every_256),
        TEST(test_a_decision),
        TEST(test_answers_that_are_no_signature),
        TEST(test_the_key_changes_meanwhile),
        TEST(test_another_vault),
        TEST(test_finish),
        TEST(test_finish_does_not_wait_for_ever),
        TEST(test_takes_up_where_it_was),
        TEST(test_a_log_that_was_cut),
    };

    return cmocka_run_group_tests_name("broker/heads", tests, NULL, NULL);
}
