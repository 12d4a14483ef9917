/*
 * Release archives, right and wrong. Tars are written by hand here, so that a test can
 * lie in any field; what plain tar and gzip make is tested against the whole program.
 */
#include "worker/tarball.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"

#define NAMES "connector.wasm\nmanifest.toml\nsignature.sig"
#define ZEROS 1024

/* ---- writing ---- */

static void block_add(struct buf *tar, const void *data, size_t len)
{
    static const char zeros[512];

    assert_int_equal(buf_add(tar, data, len), 0);
    assert_int_equal(buf_add(tar, zeros, (512 - len % 512) % 512), 0);
}

struct entry {
    const char *name;
    char type; /* 0: regular */
    const char *link;
    const char *data;
    const char *size; /* the field as text; NULL: the true size */
};

static void header_add(struct buf *tar, const struct entry *entry)
{
    char header[512] = "";
    unsigned sum = 0;

    snprintf(header, 100, "%s", entry->name);
    memcpy(header + 100, "0000644\0000000000\0000000000", 24);
    if (entry->size)
        memcpy(header + 124, entry->size, 12);
    else
        snprintf(header + 124, 12, "%011o", (unsigned) strlen(entry->data ? entry->data : ""));
    memcpy(header + 136, "00000000000", 12);
    memset(header + 148, ' ', 8);
    header[156] = entry->type ? entry->type : '0';
    snprintf(header + 157, 100, "%s", entry->link ? entry->link : "");
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++)
        sum += (unsigned char) header[i];
    snprintf(header + 148, 8, "%06o", sum);
    block_add(tar, header, sizeof header);
}

static void entry_add(struct buf *tar, const struct entry *entry)
{
    header_add(tar, entry);
    if (entry->data && *entry->data)
        block_add(tar, entry->data, strlen(entry->data));
}

static void tar_make(struct buf *tar, const struct entry *entries, size_t zeros)
{
    static const char nothing[ZEROS];

    for (; entries->name; entries++)
        entry_add(tar, entries);
    for (size_t at = 0; at < zeros; at += sizeof nothing)
        assert_int_equal(buf_add(tar, nothing, zeros - at < sizeof nothing ? zeros - at : sizeof nothing), 0);
}

static void gzip_make(const struct buf *tar, struct buf *out)
{
    z_stream stream = { .next_in = (Bytef *) (uintptr_t) buf_str(tar), .avail_in = (uInt) tar->len };

    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(buf_reserve(out, deflateBound(&stream, tar->len)), 0);
    stream.next_out = (Bytef *) out->data + out->len;
    stream.avail_out = (uInt) deflateBound(&stream, tar->len);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->len += stream.total_out;
    deflateEnd(&stream);
}

static int read_tar(const struct buf *tar, struct tarball *ret_files, struct err *err)
{
    CLEANUP(buf_free) struct buf gzip = BUF_INIT(64 * MIB);

    gzip_make(tar, &gzip);
    return tarball_read(gzip.data, gzip.len, NAMES, ret_files, err);
}

static int read_entries(const struct entry *entries, struct tarball *ret_files, struct err *err)
{
    CLEANUP(buf_free) struct buf tar = BUF_INIT(256 * MIB);

    tar_make(&tar, entries, ZEROS);
    return read_tar(&tar, ret_files, err);
}

/* ---- tests ---- */

static const struct entry good[] = { { "./", '5', NULL, NULL, NULL }, { "./connector.wasm", 0, NULL, "\\0asm", NULL },
    { "manifest.toml", 0, NULL, "[connector]\n", NULL }, { "signature.sig", 0, NULL, "s", NULL }, { NULL } };

static void test_good(void **state)
{
    struct tarball files;
    struct err err = ERR_INIT;

    if (read_entries(good, &files, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(files.len, 3);
    assert_string_equal(files.items[0].name, "connector.wasm");
    assert_int_equal(files.items[1].len, 12);
    assert_memory_equal(files.items[1].data, "[connector]\n", 12);
    tarball_free(&files);
}

static void refused(const struct entry *entries, const char *words)
{
    struct tarball files;
    struct err err = ERR_INIT;

    if (read_entries(entries, &files, &err) != -EINVAL || !strstr(err.message, words))
        fail_msg("%s: %s, not %s", entries[0].name, err.message, words);
}

#define ENTRIES(...) ((const struct entry[]){ __VA_ARGS__, { NULL } })
#define FILE_(name_)                                                                                                             \
    {                                                                                                                            \
        name_, 0, NULL, "x", NULL                                                                                                \
    }

static void test_names(void **state)
{
    static const char *const wrong[] = { "../manifest.toml", "/manifest.toml", "a/manifest.toml", "././manifest.toml", "./../x",
        "manifest.toml/", "Manifest.toml", "MANIFEST.TOML", "manifest.toml ", "manifest.toml.", "manifest\xE2\x80\x8B.toml",
        "m\xC3\xA0nifest.toml", "manifest.tom\xC5\x82", "manifest.toml\\", "extra", ".", "", "connector.wasm\nmanifest.toml" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        refused(ENTRIES(FILE_(wrong[i])), wrong[i][0] && strcmp(wrong[i], "manifest.toml/") ? "does not belong" : "archive");
    refused(ENTRIES(FILE_("manifest.toml"), FILE_("connector.wasm"), FILE_("manifest.toml")), "twice");
    refused(ENTRIES(FILE_("manifest.toml"), FILE_("./manifest.toml")), "twice");
}

static void test_kinds(void **state)
{
    static const char kinds[] = "12346";

    for (size_t i = 0; kinds[i]; i++)
        refused(ENTRIES({ "manifest.toml", kinds[i], "/etc/passwd", NULL, NULL }), "no regular file");
    /* A hard link through a link, and one to a file of the archive itself. */
    refused(ENTRIES({ "connector.wasm", '2', "/etc", NULL, NULL }, { "manifest.toml", '1', "connector.wasm", NULL, NULL }),
        "no regular file");
    refused(ENTRIES(FILE_("connector.wasm"), { "manifest.toml", '1', "connector.wasm", NULL, NULL }), "no regular file");
}

static void test_pax_cannot_rename(void **state)
{
    /* The extended header's word is the name that counts; it must be held to the same rule. */
    refused(ENTRIES({ "x", 'x', NULL, "19 path=../evil.sh\n", NULL }, FILE_("manifest.toml")), "does not belong");
    refused(
        ENTRIES({ "x", 'x', NULL, "27 linkpath=/etc/passwd-\n\n", NULL }, { "manifest.toml", '2', "y", NULL, NULL }), "archive");
    refused(ENTRIES({ "x", 'x', NULL, "22 GNU.sparse.major=1\n", NULL }, { "y", 'S', NULL, "x", NULL }), "archive");
}

static void test_sizes(void **state)
{
    refused(ENTRIES({ "manifest.toml", 0, NULL, "x", "77777777777\0" }), "larger");
    refused(ENTRIES({ "manifest.toml", 0, NULL, "x", "00000010000\0" }), "cut off");
    refused(ENTRIES({ "manifest.toml", 0, NULL, "x", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" }), "");
    refused(ENTRIES({ "manifest.toml", 0, NULL, "x", "\x80\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" }), "");
}

static void test_many_entries(void **state)
{
    CLEANUP(buf_free) struct buf tar = BUF_INIT(256 * MIB);
    const struct entry folder = { "d/", '5', NULL, NULL, NULL };
    struct tarball files;
    struct err err = ERR_INIT;

    for (int i = 0; i < 100000; i++)
        header_add(&tar, &folder);
    assert_int_equal(read_tar(&tar, &files, &err), -EINVAL);
}

/* Cut anywhere, the archive is refused; so is every byte behind its end. */
static void test_cut_and_padded(void **state)
{
    CLEANUP(buf_free) struct buf tar = BUF_INIT(1 * MIB);
    CLEANUP(buf_free) struct buf gzip = BUF_INIT(1 * MIB);
    struct tarball files;
    struct err err = ERR_INIT;

    tar_make(&tar, good, ZEROS);
    gzip_make(&tar, &gzip);
    for (size_t len = 0; len < gzip.len; len++)
        if (tarball_read(gzip.data, len, NAMES, &files, &err) != -EINVAL)
            fail_msg("an archive of %zu of %zu bytes was taken", len, gzip.len);
    assert_int_equal(buf_add(&gzip, "x", 1), 0);
    assert_int_equal(tarball_read(gzip.data, gzip.len, NAMES, &files, &err), -EINVAL);
    assert_non_null(strstr(err.message, "goes on"));
    gzip.len--;
    gzip_make(&tar, &gzip); /* a second member */
    assert_int_equal(tarball_read(gzip.data, gzip.len, NAMES, &files, &err), -EINVAL);
    assert_non_null(strstr(err.message, "goes on"));
}

static int read_with_end(size_t zeros, const char *behind, struct err *err)
{
    CLEANUP(buf_free) struct buf tar = BUF_INIT(1 * MIB);
    struct tarball files = { .len = 0 };
    int r = 0;

    tar_make(&tar, good, zeros);
    buf_add_str(&tar, behind);
    r = read_tar(&tar, &files, err);
    tarball_free(&files);
    return r;
}

static void test_end_of_tar(void **state)
{
    struct err err = ERR_INIT;

    assert_int_equal(read_with_end(ZEROS, "", &err), 0);
    assert_int_equal(read_with_end(20 * 512, "", &err), 0); /* a record, as tar writes it */
    assert_int_equal(read_with_end(ZEROS, "x", &err), -EINVAL);
    assert_non_null(strstr(err.message, "goes on"));
    assert_int_equal(read_with_end(20 * 512, "hidden", &err), -EINVAL);
    assert_int_equal(read_with_end(0, "", &err), -EINVAL);
    assert_non_null(strstr(err.message, "cut off"));
    assert_int_equal(read_with_end(512, "", &err), -EINVAL);
    assert_int_equal(read_with_end(512 * KIB, "", &err), -EINVAL);
}

static void test_bombs(void **state)
{
    CLEANUP(buf_free) struct buf zeros = BUF_INIT(64 * MIB);
    CLEANUP(buf_free) struct buf gzip = BUF_INIT(64 * MIB);
    struct tarball files;
    struct err err = ERR_INIT;

    assert_int_equal(buf_reserve(&zeros, 32 * MIB), 0);
    memset(zeros.data, 0, 32 * MIB);
    zeros.len = 32 * MIB;
    gzip_make(&zeros, &gzip);
    assert_int_equal(tarball_read(gzip.data, gzip.len, NAMES, &files, &err), -EINVAL);
    assert_non_null(strstr(err.message, "times its size"));
    assert_int_equal(tarball_read("", 0, NAMES, &files, &err), -EINVAL);
    assert_int_equal(tarball_read("PK\3\4", 4, NAMES, &files, &err), -EINVAL);
    assert_int_equal(tarball_read("\x78\x9c\x03\x00\x00\x00\x00\x01", 8, NAMES, &files, &err), -EINVAL); /* zlib, not gzip */
}

/* What is written is read again; the same files give the same bytes. */
static void test_round_trip(void **state)
{
    CLEANUP(buf_free) struct buf first = BUF_INIT(1 * MIB);
    CLEANUP(buf_free) struct buf second = BUF_INIT(1 * MIB);
    struct tarball files = { .len = 2 }, read;
    struct err err = ERR_INIT;

    files.items[0] = (struct tarball_file){ "manifest.toml", (uint8_t *) (uintptr_t) "[connector]\n", 12 };
    files.items[1] = (struct tarball_file){ "signature.sig", (uint8_t *) (uintptr_t) "", 0 };
    assert_int_equal(tarball_write(&files, &first, &err), 0);
    assert_int_equal(tarball_write(&files, &second, &err), 0);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    if (tarball_read(first.data, first.len, NAMES, &read, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(read.len, 2);
    assert_string_equal(read.items[0].name, "manifest.toml");
    assert_memory_equal(read.items[0].data, "[connector]\n", 12);
    assert_int_equal(read.items[1].len, 0);
    tarball_free(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_pax_cannot_rename),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_entries),
        cmocka_unit_test(test_cut_and_padded),
        cmocka_unit_test(test_end_of_tar),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
