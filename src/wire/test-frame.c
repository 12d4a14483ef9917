/*
 * Tests of frames: what was put is got, large blobs travel as sealed memfds,
 * and whatever a lying peer sends is refused without leaving a descriptor behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "wire/frame.h"

#include "base/banned.h"

#define NEEDLE "correct horse battery staple"

static unsigned given_back; /* blocks that went back to the heap with the needle in them */

void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static void look(void *memory)
{
    if (memory && memmem(memory, malloc_usable_size(memory), NEEDLE, sizeof NEEDLE - 1))
        given_back++;
}

void __wrap_free(void *memory)
{
    look(memory);
    __real_free(memory);
}

/* A block that moves leaves its bytes behind. */
void *__wrap_realloc(void *memory, size_t size)
{
    look(memory);
    return __real_realloc(memory, size);
}

static int open_descriptors(void)
{
    CLEANUP_CLOSEDIR DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    return count;
}

/* Sends `frame` through a pair and gives what arrives. */
static int pass(struct wire_frame *frame, struct wire_frame *got)
{
    int sockets[2], r;

    assert_int_equal(wire_pair(sockets), 0);
    r = wire_send(sockets[0], frame);
    if (r == 0)
        r = wire_recv(sockets[1], got);
    close(sockets[0]);
    close(sockets[1]);
    return r;
}

static void test_fields(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame, got;
    size_t len;

    wire_init(&frame, 7, 99);
    wire_init(&got, 0, 0);
    wire_put_u8(&frame, 200);
    wire_put_u32(&frame, 4000000000u);
    wire_put_u64(&frame, UINT64_MAX);
    wire_put_i64(&frame, INT64_MIN);
    wire_put_str(&frame, "h\xc3\xa9llo");
    wire_put_str(&frame, NULL);
    wire_put_str(&frame, "again");
    wire_put_bytes(&frame, "a\0b", 3);
    wire_put_blob(&frame, "blob", 4);
    wire_put_blob(&frame, NULL, 0);
    wire_put_fd(&frame, open("/dev/null", O_RDONLY));
    assert_int_equal(pass(&frame, &got), 1);
    assert_int_equal(got.type, 7);
    assert_int_equal(got.id, 99);
    assert_int_equal(wire_get_u8(&got), 200);
    assert_int_equal(wire_get_u32(&got), 4000000000u);
    assert_true(wire_get_u64(&got) == UINT64_MAX);
    assert_true(wire_get_i64(&got) == INT64_MIN);
    {
        const char *first = wire_get_str(&got, 6), *empty = wire_get_str(&got, 0), *again = wire_get_str(&got, 5);

        assert_string_equal(first, "h\xc3\xa9llo");
        assert_string_equal(empty, "");
        assert_string_equal(again, "again");
    }
    assert_memory_equal(wire_get_bytes(&got, 3, &len), "a\0b", 3);
    assert_int_equal(len, 3);
    assert_memory_equal(wire_get_blob(&got, 4, &len), "blob", 4);
    assert_int_equal(len, 4);
    assert_non_null(wire_get_blob(&got, 4, &len));
    assert_int_equal(len, 0);
    {
        CLEANUP_CLOSE int fd = wire_get_fd(&got);

        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(wire_end(&got), 0);
}

static void test_empty(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame, got;

    wire_init(&frame, 1, 0);
    wire_init(&got, 0, 0);
    assert_int_equal(pass(&frame, &got), 1);
    assert_int_equal(wire_end(&got), 0);
    assert_int_equal(wire_get_u8(&got), 0);
    assert_int_equal(wire_end(&got), -EPROTO);
}

static void check_pattern(struct wire_frame *got, size_t len, uint8_t seed)
{
    size_t got_len;
    const uint8_t *data = wire_get_blob(got, LIMIT_BLOB_BYTES, &got_len);

    assert_int_equal(got_len, len);
    for (size_t i = 0; i < len; i += 97)
        assert_int_equal(data[i], (uint8_t) (i + seed));
}

static uint8_t *pattern(size_t len, uint8_t seed)
{
    uint8_t *data = malloc(len ? len : 1);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t) (i + seed);
    return data;
}

/* Every size around the border, with fields behind that may push the blob out into a memfd. */
static void test_blobs(void **state)
{
    static const size_t sizes[] = { 0, 1, 1023, 1024, 60000, 65514, 65515, 65516, 65520, 65536, 100000, 3000000 };
    static const size_t tails[] = { 0, 1, 8, 300, 40000, 65000 };
    CLEANUP_FREE uint8_t *tail = pattern(65000, 9);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t k = 0; k < ARRAY_LEN(tails); k++) {
            CLEANUP(wire_free) struct wire_frame frame, got;
            CLEANUP_FREE uint8_t *data = pattern(sizes[i], 5);
            size_t len;

            wire_init(&frame, 1, 1);
            wire_init(&got, 0, 0);
            wire_put_u32(&frame, 42);
            wire_put_blob(&frame, data, sizes[i]);
            wire_put_fd(&frame, open("/dev/null", O_RDONLY));
            wire_put_bytes(&frame, tail, tails[k]);
            assert_int_equal(pass(&frame, &got), 1);
            assert_int_equal(wire_get_u32(&got), 42);
            check_pattern(&got, sizes[i], 5);
            cleanup_close(&(int){ wire_get_fd(&got) });
            assert_memory_equal(wire_get_bytes(&got, 65000, &len), tail, tails[k]);
            assert_int_equal(len, tails[k]);
            assert_int_equal(wire_end(&got), 0);
        }
    }
}

static void test_many_blobs(void **state)
{
    CLEANUP_FREE uint8_t *data = pattern(40000, 1);
    CLEANUP(wire_free) struct wire_frame frame, got;

    wire_init(&frame, 1, 1);
    wire_init(&got, 0, 0);
    for (uint8_t i = 0; i < 4; i++)
        wire_put_blob(&frame, data, 40000);
    assert_int_equal(pass(&frame, &got), 1);
    for (uint8_t i = 0; i < 4; i++)
        check_pattern(&got, 40000, 1);
    assert_int_equal(wire_end(&got), 0);
}

static void test_overflow(void **state)
{
    CLEANUP_FREE uint8_t *data = pattern(70000, 1);
    CLEANUP(wire_free) struct wire_frame frame, got, too_many;

    wire_init(&frame, 1, 1);
    wire_init(&got, 0, 0);
    wire_put_bytes(&frame, data, 60000);
    wire_put_bytes(&frame, data, 60000);
    assert_int_equal(pass(&frame, &got), -EMSGSIZE);
    wire_init(&too_many, 1, 1);
    for (int i = 0; i < 5; i++)
        wire_put_fd(&too_many, open("/dev/null", O_RDONLY));
    assert_int_equal(pass(&too_many, &got), -EMSGSIZE);
    wire_free(&too_many);
    wire_put_blob(&too_many, NULL, (size_t) LIMIT_BLOB_BYTES + 1);
    assert_int_equal(pass(&too_many, &got), -EMSGSIZE);
    wire_free(&too_many);
    wire_put_bytes(&too_many, data, 70000);
    assert_int_equal(pass(&too_many, &got), -EMSGSIZE);
}

struct raw {
    uint16_t version, type;
    uint32_t id, body_len, fds;
};

/* Sends raw bytes and descriptors as one packet and gives what wire_recv() says. */
static int receive_raw(const void *data, size_t len, const int *fds, size_t fds_len, struct wire_frame *got)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
    struct iovec part = { (void *) data, len };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    int sockets[2], r;

    if (fds_len) {
        struct cmsghdr *item;

        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds_len * sizeof(int));
        item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(fds_len * sizeof(int));
        memcpy(CMSG_DATA(item), fds, fds_len * sizeof(int));
    }
    assert_int_equal(wire_pair(sockets), 0);
    assert_true(sendmsg(sockets[0], &message, 0) == (ssize_t) len);
    r = wire_recv(sockets[1], got);
    close(sockets[0]);
    close(sockets[1]);
    return r;
}

static void test_lying_headers(void **state)
{
    static uint8_t long_one[LIMIT_FRAME_BYTES + 1];
    const struct raw good = { WIRE_VERSION, 1, 2, 0, 0 };
    int before = open_descriptors(), fds[6];
    struct wire_frame got;
    struct raw raw = good;

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = STDERR_FILENO;
    assert_int_equal(receive_raw(&raw, sizeof raw - 1, NULL, 0, &got), -EPROTO);
    assert_int_equal(receive_raw(&raw, 1, NULL, 0, &got), -EPROTO);
    assert_int_equal(receive_raw(&raw, 0, fds, 1, &got), -EPROTO);
    raw.version++;
    assert_int_equal(receive_raw(&raw, sizeof raw, NULL, 0, &got), -EPROTO);
    raw = good;
    raw.body_len = 1;
    assert_int_equal(receive_raw(&raw, sizeof raw, NULL, 0, &got), -EPROTO);
    raw.body_len = UINT32_MAX;
    assert_int_equal(receive_raw(&raw, sizeof raw, NULL, 0, &got), -EPROTO);
    raw = good;
    raw.fds = 1;
    assert_int_equal(receive_raw(&raw, sizeof raw, NULL, 0, &got), -EPROTO);
    assert_int_equal(receive_raw(&good, sizeof good, fds, 1, &got), -EPROTO);
    assert_int_equal(receive_raw(&raw, sizeof raw, fds, 2, &got), -EPROTO);
    raw.fds = 6;
    assert_int_equal(receive_raw(&raw, sizeof raw, fds, 6, &got), -EPROTO);
    raw.fds = 4;
    assert_int_equal(receive_raw(&raw, sizeof raw, fds, 6, &got), -EPROTO);
    raw = good;
    raw.body_len = sizeof long_one - sizeof raw;
    memcpy(long_one, &raw, sizeof raw);
    assert_int_equal(receive_raw(long_one, sizeof long_one, fds, 1, &got), -EPROTO);
    assert_int_equal(open_descriptors(), before);
}

/* A frame with the body `data`, ready to be read. */
static void body(struct wire_frame *frame, const void *data, size_t len)
{
    wire_init(frame, 1, 1);
    assert_int_equal(buf_add(&frame->body, data, len), 0);
}

static void test_lying_fields(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame;
    size_t len;

    body(&frame, "\x05\0\0\0abcd", 8);
    assert_string_equal(wire_get_str(&frame, 100), "");
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "\x04\0\0\0abcd", 8);
    assert_string_equal(wire_get_str(&frame, 3), "");
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "\x04\0\0\0a\0cd", 8);
    assert_string_equal(wire_get_str(&frame, 100), "");
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "\xff\xff\xff\xff", 4);
    assert_non_null(wire_get_bytes(&frame, SIZE_MAX, &len));
    assert_int_equal(len, 0);
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "\x02\0\0\0\0", 5);
    assert_non_null(wire_get_blob(&frame, 10, &len));
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "\x01\x05\0\0\0\0\0\0\0", 9);
    assert_non_null(wire_get_blob(&frame, 10, &len));
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    body(&frame, "abc", 3);
    assert_int_equal(wire_get_u32(&frame), 0);
    assert_int_equal(wire_get_u8(&frame), 0);
    assert_int_equal(wire_get_fd(&frame), -1);
    assert_int_equal(wire_end(&frame), -EPROTO);
}

/* Reads a blob that claims `len` bytes in `fd`, which it takes. */
static bool blob_accepted(int fd, uint64_t len)
{
    CLEANUP(wire_free) struct wire_frame frame;
    uint8_t bytes[9] = { 1 };
    size_t got;

    memcpy(bytes + 1, &len, sizeof len);
    body(&frame, bytes, sizeof bytes);
    frame.fds[0] = fd;
    frame.fds_len = 1;
    wire_get_blob(&frame, 1000, &got);
    return wire_end(&frame) == 0;
}

static void test_lying_blobs(void **state)
{
    int before = open_descriptors(), unsealed = memfd_create("x", MFD_ALLOW_SEALING), sockets[2];

    assert_true(blob_accepted(memfd_sealed("x", "12345", 5), 5));
    assert_false(blob_accepted(memfd_sealed("x", "12345", 5), 4));
    assert_false(blob_accepted(memfd_sealed("x", "12345", 5), 6));
    assert_false(blob_accepted(memfd_sealed("x", "12345", 5), UINT64_MAX));
    assert_int_equal(ftruncate(unsealed, 5), 0);
    assert_false(blob_accepted(unsealed, 5));
    assert_false(blob_accepted(open("/etc/passwd", O_RDONLY), 5));
    assert_false(blob_accepted(open("/dev/zero", O_RDONLY), 5));
    assert_int_equal(wire_pair(sockets), 0);
    assert_false(blob_accepted(sockets[0], 5));
    close(sockets[1]);
    assert_int_equal(open_descriptors(), before);
}

/* Whatever is written before and after a secret, no copy of it goes back to the heap. */
static void test_secret_written(void **state)
{
    static const size_t tails[] = { 0, 10, 200, 5000, 60000, 70000 };
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    CLEANUP_FREE uint8_t *tail = pattern(70000, 3);

    assert_int_equal(secret_from(NEEDLE, sizeof NEEDLE - 1, &secret), 0);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        CLEANUP(wire_free) struct wire_frame frame, got;
        struct secret *back = NULL;
        size_t len = 0;

        given_back = 0;
        wire_init(&frame, 1, 1);
        wire_init(&got, 0, 0);
        wire_put_str(&frame, "before");
        wire_put_blob(&frame, tail, 3000);
        wire_put_secret(&frame, secret_bytes(secret), secret_len(secret));
        wire_put_bytes(&frame, tail, tails[i]);
        if (tails[i] < 65000) {
            assert_int_equal(pass(&frame, &got), 1);
            wire_mark_secret(&got);
            assert_string_equal(wire_get_str(&got, 10), "before");
            check_pattern(&got, 3000, 3);
            wire_get_secret(&got, 100, &back);
            assert_non_null(back);
            assert_true(secret_equal(back, secret));
            assert_null(memmem(got.body.data, got.body.cap, NEEDLE, sizeof NEEDLE - 1));
            assert_memory_equal(wire_get_bytes(&got, 65000, &len), tail, tails[i]);
            assert_int_equal(wire_end(&got), 0);
        }
        secret_free(back);
        wire_free(&got);
        wire_free(&frame);
        assert_int_equal(given_back, 0);
    }
}

/* A frame that is never read, or is refused by its reader or by wire_recv(), is wiped as well; an unmarked one is not. */
static void test_secret_unread(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    CLEANUP(wire_free) struct wire_frame frame, got;
    struct {
        struct raw raw;
        char text[sizeof NEEDLE];
    } lie = { { WIRE_VERSION, 1, 2, 3, 0 }, NEEDLE };
    struct secret *back = secret;

    assert_int_equal(secret_from(NEEDLE, sizeof NEEDLE - 1, &secret), 0);
    wire_init(&frame, 1, 1);
    wire_init(&got, 0, 0);
    wire_put_secret(&frame, secret_bytes(secret), secret_len(secret));
    assert_int_equal(pass(&frame, &got), 1);
    given_back = 0;
    wire_mark_secret(&got);
    wire_get_secret(&got, sizeof NEEDLE - 2, &back);
    assert_null(back);
    assert_int_equal(wire_end(&got), -EPROTO);
    wire_free(&got);
    assert_int_equal(receive_raw(&lie, sizeof lie, NULL, 0, &got), -EPROTO);
    assert_int_equal(given_back, 0);
    assert_int_equal(pass(&frame, &got), 1);
    wire_free(&got);
    assert_int_equal(given_back, 1);
}

static void test_left_over(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame;
    int before = open_descriptors();

    body(&frame, "\x01\x02", 2);
    assert_int_equal(wire_get_u8(&frame), 1);
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    wire_put_fd(&frame, open("/dev/null", O_RDONLY));
    assert_int_equal(wire_end(&frame), -EPROTO);
    wire_free(&frame);
    assert_int_equal(open_descriptors(), before);
}

static void test_end_and_full(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame, got;
    int sockets[2], r = 0, sent = 0;

    wire_init(&frame, 1, 1);
    wire_init(&got, 0, 0);
    assert_int_equal(wire_pair(sockets), 0);
    assert_int_equal(fcntl(sockets[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(sockets[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(wire_recv(sockets[1], &got), -EAGAIN);
    while (sent < 1000000 && (r = wire_send(sockets[0], &frame)) == 0)
        sent++;
    assert_int_equal(r, -EAGAIN);
    close(sockets[1]);
    assert_int_equal(wire_send(sockets[0], &frame), -EPIPE);
    assert_int_equal(wire_recv(sockets[0], &got), 0);
    close(sockets[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_many_blobs),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_lying_headers),
        cmocka_unit_test(test_lying_fields),
        cmocka_unit_test(test_lying_blobs),
        cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_secret_written),
        cmocka_unit_test(test_secret_unread),
        cmocka_unit_test(test_end_and_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
