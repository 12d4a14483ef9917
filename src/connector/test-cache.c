/*
 * The module cache: one compilation however many ask, a file that is believed
 * only when every hash holds, a ceiling, and compilers that fail in every way.
 */
#include "connector/cache.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *fake_worker;

struct bench {
    struct loop *loop;
    struct cache *cache;
    struct loop_timer *guard;
    char dir[64];
    int program;
    unsigned open;
};

struct asked {
    struct bench *bench;
    struct cache_request *request;
    struct module *module;
    struct err err;
    bool answered;
};

static void on_guard(void *userdata)
{
    fail_msg("the cache does not answer");
}

static unsigned notes;

static void on_note(const char *text)
{
    assert_true(text[0] != '\0');
    notes++;
}

static void open_cache(struct bench *bench, uint64_t limit_bytes)
{
    const struct cache_config config = { bench->loop, { bench->program, -1 }, bench->dir, limit_bytes, 300, on_note };
    struct err err = ERR_INIT;

    cache_free(bench->cache);
    bench->cache = NULL;
    assert_int_equal(cache_new(&config, &bench->cache, &err), 0);
}

static struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;

    snprintf(bench->dir, sizeof bench->dir, "/tmp/test-cache-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    bench->program = open(fake_worker, O_PATH | O_CLOEXEC);
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    assert_int_equal(loop_timer_new(bench->loop, on_guard, bench, &bench->guard), 0);
    open_cache(bench, 1 << 20);
    return bench;
}

static void bench_free(struct bench *bench)
{
    cache_free(bench->cache);
    loop_timer_free(bench->guard);
    loop_free(bench->loop);
    close(bench->program);
    file_remove_tree(AT_FDCWD, bench->dir);
    free(bench);
}

static void on_answer(struct module *module, const struct err *err, void *userdata)
{
    struct asked *asked = userdata;

    asked->answered = true;
    if (module)
        asked->module = module_ref(module);
    else
        asked->err = *err;
    if (--asked->bench->open == 0)
        loop_stop(asked->bench->loop);
}

static int ask(struct bench *bench, struct asked *asked, const char *source)
{
    CLEANUP_CLOSE int wasm = memfd_sealed("wasm", source, strlen(source));
    uint8_t hash[SHA256_BYTES];
    struct err err = ERR_INIT;

    *asked = (struct asked){ .bench = bench };
    sha256(source, strlen(source), hash);
    int r = cache_get(bench->cache, hash, wasm, strlen(source), on_answer, asked, &asked->module, &asked->request, &err);
    assert_true(r >= 0);
    if (r == 0)
        bench->open++;
    return r;
}

static void run(struct bench *bench)
{
    if (!bench->open)
        return;
    loop_timer_set(bench->guard, 10000);
    loop_run(bench->loop);
    loop_timer_stop(bench->guard);
}

static char *only_file(struct bench *bench, char out[512])
{
    DIR *dir = opendir(bench->dir);
    struct dirent *entry;
    int found = 0;

    out[0] = '\0';
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(out, 512, "%s/%s", bench->dir, entry->d_name);
            found++;
        }
    closedir(dir);
    assert_true(found <= 1);
    return out;
}

static void test_compiled_once_and_kept(void **state)
{
    struct bench *bench = bench_new();
    struct asked first, second, later;

    assert_int_equal(ask(bench, &first, "module one"), 0);
    assert_int_equal(ask(bench, &second, "module one"), 0);
    run(bench);
    assert_non_null(first.module);
    assert_ptr_equal(first.module, second.module);
    assert_true(first.module->has_start && first.module->has_memory);
    assert_string_equal(first.module->imports, "wasi_snapshot_preview1.fd_write\n");
    size_t size;
    assert_true(memfd_is_sealed(first.module->code_fd, &size));
    assert_int_equal(size, strlen("module one"));
    /* From the disk now, at once. */
    assert_int_equal(ask(bench, &later, "module one"), 1);
    assert_string_equal(later.module->imports, first.module->imports);
    module_unref(first.module);
    module_unref(second.module);
    module_unref(later.module);
    /* Another daemon learns from the child what engine it is, and finds the file. */
    open_cache(bench, 1 << 20);
    assert_int_equal(ask(bench, &later, "module one"), 0);
    run(bench);
    assert_non_null(later.module);
    module_unref(later.module);
    bench_free(bench);
}

/* Each byte of the file in turn is changed: it is never believed, and compiled anew. */
static void test_a_changed_file_is_not_believed(void **state)
{
    struct bench *bench = bench_new();
    struct asked asked;
    char path[512];
    struct stat st;

    assert_int_equal(ask(bench, &asked, "module one"), 0);
    run(bench);
    module_unref(asked.module);
    assert_int_equal(stat(only_file(bench, path), &st), 0);
    for (off_t at = 0; at < st.st_size; at += 7) {
        int fd = open(path, O_RDWR);
        char byte;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        if (ask(bench, &asked, "module one") != 0)
            fail_msg("a change of byte %ld went unseen", (long) at);
        run(bench);
        assert_non_null(asked.module);
        module_unref(asked.module);
    }
    assert_int_equal(notes, (st.st_size + 6) / 7);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    assert_int_equal(ask(bench, &asked, "module one"), 0);
    run(bench);
    module_unref(asked.module);
    /* A link in the place of the file is not followed. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(ask(bench, &asked, "module one"), 0);
    run(bench);
    assert_non_null(asked.module);
    module_unref(asked.module);
    bench_free(bench);
}

static void test_failures(void **state)
{
    static const struct {
        const char *source;
        int code;
    } cases[] = { { "refuse", EINVAL }, { "die", EIO }, { "hang", ETIMEDOUT } };
    struct bench *bench = bench_new();
    struct asked asked;
    char path[512];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(ask(bench, &asked, cases[i].source), 0);
        run(bench);
        assert_null(asked.module);
        assert_int_equal(asked.err.code, cases[i].code);
        assert_true(asked.err.message[0] != '\0');
    }
    assert_string_equal(only_file(bench, path), "");
    assert_int_equal(ask(bench, &asked, "fine"), 0);
    run(bench);
    assert_non_null(asked.module);
    module_unref(asked.module);
    bench_free(bench);
}

static void test_many_and_cancelled(void **state)
{
    struct bench *bench = bench_new();
    struct asked asked[8];

    for (int i = 0; i < 8; i++) {
        char source[32];
        snprintf(source, sizeof source, "module %d", i);
        assert_int_equal(ask(bench, &asked[i], source), 0);
    }
    cache_cancel(asked[3].request);
    bench->open--;
    run(bench);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(asked[i].answered, i != 3);
        module_unref(asked[i].module);
    }
    bench_free(bench);
}

static void test_least_recently_used_goes_first(void **state)
{
    struct bench *bench = bench_new();
    struct asked asked;
    char path[512];

    open_cache(bench, 250);
    for (int i = 0; i < 3; i++) {
        char source[32];
        snprintf(source, sizeof source, "module %d", i);
        ask(bench, &asked, source);
        run(bench);
        module_unref(asked.module);
    }
    assert_string_not_equal(only_file(bench, path), "");
    assert_int_equal(ask(bench, &asked, "module 2"), 1);
    module_unref(asked.module);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compiled_once_and_kept),
        cmocka_unit_test(test_a_changed_file_is_not_believed),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_many_and_cancelled),
        cmocka_unit_test(test_least_recently_used_goes_first),
    };
    if (argc != 2)
        return 2;
    fake_worker = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
