/*
 * Two steps, so that nothing stays unseen: zlib inflates the one member, bounded by
 * ratio and size, and must end exactly where the archive ends; libarchive reads the
 * tar from memory, and behind its end there may be only the zeros that fill a record.
 */
#include "worker/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "base/banned.h"

#define GZIP_WINDOW   (15 + 16) /* zlib: largest window, gzip wrapper only */
#define RATIO_MAX     200
#define BLOCK_BYTES   512
#define PADDING_MAX   (128 * KIB) /* zeros after the end: records of up to 64 KiB are common */
#define TAR_EXTRA     (1 * MIB)   /* headers and padding beside the files */
#define TAR_MAX_BYTES (3 * (size_t) LIMIT_WASM_BYTES + TAR_EXTRA)
#define INFLATE_PIECE ((size_t) 256 * KIB)

struct inflated {
    uint8_t *data;
    size_t len, cap;
};

DEFINE_CLEANUP_PTR(struct archive, archive_read_free)
DEFINE_CLEANUP_PTR(struct archive, archive_write_free)
DEFINE_CLEANUP_PTR(struct archive_entry, archive_entry_free)

static void inflated_free(struct inflated *inflated)
{
    free(inflated->data);
}

void tarball_free(struct tarball *files)
{
    for (size_t i = 0; i < files->len; i++)
        free(files->items[i].data);
    files->len = 0;
}

/* ---- gzip ---- */

static int inflated_grow(struct inflated *inflated, size_t most)
{
    size_t cap = inflated->cap ? inflated->cap * 2 : INFLATE_PIECE;
    uint8_t *data = NULL;

    if (cap > most)
        cap = most;
    if (cap == inflated->cap)
        return -E2BIG;
    data = realloc(inflated->data, cap);
    if (!data)
        return -ENOMEM;
    inflated->data = data;
    inflated->cap = cap;
    return 0;
}

static int inflate_step(z_stream *stream, struct inflated *inflated, size_t most)
{
    int r = inflated->len == inflated->cap ? inflated_grow(inflated, most) : 0;
    size_t room = inflated->cap - inflated->len;

    if (r < 0)
        return r;
    stream->next_out = inflated->data + inflated->len;
    stream->avail_out = (uInt) room;
    r = inflate(stream, Z_NO_FLUSH);
    inflated->len += room - stream->avail_out;
    if (r == Z_STREAM_END)
        return 1;
    if (r == Z_OK || (r == Z_BUF_ERROR && stream->avail_out == 0))
        return 0;
    return r == Z_MEM_ERROR ? -ENOMEM : r == Z_BUF_ERROR ? -ENODATA : -EINVAL;
}

static int inflate_all(const void *data, size_t len, struct inflated *inflated, struct err *err)
{
    z_stream stream = { .next_in = (Bytef *) data, .avail_in = (uInt) len };
    size_t most = len > TAR_MAX_BYTES / RATIO_MAX ? TAR_MAX_BYTES : len * RATIO_MAX;
    size_t left = 0;
    int r = 0;

    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return err_set(err, ENOMEM, "out of memory");
    while (r == 0)
        r = inflate_step(&stream, inflated, most);
    left = stream.avail_in;
    inflateEnd(&stream);
    if (r == -E2BIG)
        return err_set(err, EINVAL, "the archive unpacks to more than %d times its size, or to more than %zu MiB", RATIO_MAX,
            TAR_MAX_BYTES / MIB);
    if (r == -ENOMEM)
        return err_set(err, ENOMEM, "there is not enough memory to unpack the archive");
    if (r == -ENODATA)
        return err_set(err, EINVAL, "the archive is cut off");
    if (r < 0)
        return err_set(err, EINVAL, "the archive is no gzip file, or it is damaged");
    if (left > 0)
        return err_set(err, EINVAL, "the archive goes on after its end");
    return 0;
}

/* ---- tar ---- */

static bool name_expected(const char *names, const char *name)
{
    size_t name_len = strlen(name);

    while (*names) {
        size_t len = strcspn(names, "\n");

        if (len == name_len && !memcmp(names, name, len))
            return true;
        names += len + (names[len] == '\n');
    }
    return false;
}

/* The flat name of a regular file, or NULL with the reason. */
static const char *entry_name(struct archive_entry *entry, const char *names, struct err *err)
{
    const char *name = archive_entry_pathname(entry);

    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) || archive_entry_filetype(entry) != AE_IFREG) {
        err_set(err, EINVAL, "the archive holds something that is no regular file");
        return NULL;
    }
    if (name && !strncmp(name, "./", 2))
        name += 2;
    if (!name || !name_expected(names, name)) {
        err_set(err, EINVAL, "the archive holds a file that does not belong in it");
        return NULL;
    }
    if (archive_entry_sparse_count(entry) > 0 || !archive_entry_size_is_set(entry)) {
        err_set(err, EINVAL, "the archive holds a file with holes");
        return NULL;
    }
    return name;
}

static int file_add(struct archive *tar, struct archive_entry *entry, const char *name, struct tarball *files, struct err *err)
{
    struct tarball_file *file = &files->items[files->len];
    int64_t size = archive_entry_size(entry);
    size_t at = 0;
    la_ssize_t n = 0;

    for (size_t i = 0; i < files->len; i++)
        if (!strcmp(files->items[i].name, name))
            return err_set(err, EINVAL, "the archive holds %s twice", name);
    if (files->len == TARBALL_FILES_MAX || strlen(name) >= TARBALL_NAME_MAX)
        return err_set(err, EINVAL, "the archive holds too many files");
    if (size < 0 || (uint64_t) size > LIMIT_WASM_BYTES)
        return err_set(err, EINVAL, "%s is larger than %llu MiB", name, (unsigned long long) (LIMIT_WASM_BYTES / MIB));
    file->data = malloc((size_t) size + 1);
    if (!file->data)
        return err_set(err, ENOMEM, "there is not enough memory to unpack the archive");
    memcpy(file->name, name, strlen(name) + 1);
    file->len = (size_t) size;
    files->len++;
    while (at < file->len && (n = archive_read_data(tar, file->data + at, file->len - at)) > 0)
        at += (size_t) n;
    return at == file->len ? 0 : err_set(err, EINVAL, "%s is cut off", name);
}

static int entries_read(struct archive *tar, const char *names, struct tarball *files, struct err *err)
{
    struct archive_entry *entry = NULL;
    unsigned entries = 0;
    int r = 0;

    while ((r = archive_read_next_header(tar, &entry)) == ARCHIVE_OK) {
        const char *name = NULL;

        if (++entries > TARBALL_ENTRIES_MAX)
            return err_set(err, EINVAL, "the archive has more than %d entries", TARBALL_ENTRIES_MAX);
        if (archive_entry_filetype(entry) == AE_IFDIR && !archive_entry_hardlink(entry))
            continue;
        name = entry_name(entry, names, err);
        if (!name)
            return -EINVAL;
        r = file_add(tar, entry, name, files, err);
        if (r < 0)
            return r;
    }
    /* A warning is a header that was read only in part: as bad as an error. */
    return r == ARCHIVE_EOF ? 0 : err_set(err, EINVAL, "the archive holds no tar file, or it is damaged");
}

/* The two blocks of zeros that end a tar, and nothing but zeros behind them. */
static int end_check(const struct inflated *inflated, size_t end, struct err *err)
{
    size_t zeros = 0;

    if (end > inflated->len)
        end = inflated->len;
    while (zeros < end && inflated->data[end - 1 - zeros] == 0 && zeros < 2 * BLOCK_BYTES)
        zeros++;
    for (size_t i = end; i < inflated->len; i++, zeros++)
        if (inflated->data[i] != 0)
            return err_set(err, EINVAL, "the archive goes on after its end");
    if (zeros < 2 * BLOCK_BYTES)
        return err_set(err, EINVAL, "the archive is cut off");
    if (inflated->len - end > PADDING_MAX)
        return err_set(err, EINVAL, "the archive is padded with more than %llu KiB", (unsigned long long) (PADDING_MAX / KIB));
    return 0;
}

static int tar_read(const struct inflated *inflated, const char *names, struct tarball *files, struct err *err)
{
    CLEANUP_PTR(archive_read_free) struct archive *tar = archive_read_new();
    int r = 0;

    if (!tar || archive_read_support_format_tar(tar) != ARCHIVE_OK)
        return err_set(err, ENOMEM, "out of memory");
    if (archive_read_open_memory(tar, inflated->data, inflated->len) != ARCHIVE_OK)
        return err_set(err, EINVAL, "the archive holds no tar file");
    r = entries_read(tar, names, files, err);
    if (r == 0)
        r = end_check(inflated, (size_t) archive_filter_bytes(tar, 0), err);
    return r;
}

int tarball_read(const void *data, size_t len, const char *names, struct tarball *ret_files, struct err *err)
{
    CLEANUP(inflated_free) struct inflated inflated = { NULL, 0, 0 };
    CLEANUP(tarball_free) struct tarball files = { .len = 0 };
    int r = 0;

    if (len == 0 || len > LIMIT_WASM_BYTES)
        return err_set(
            err, EINVAL, "the archive is empty or larger than %llu MiB", (unsigned long long) (LIMIT_WASM_BYTES / MIB));
    r = inflate_all(data, len, &inflated, err);
    if (r == 0)
        r = tar_read(&inflated, names, &files, err);
    if (r < 0)
        return r;
    *ret_files = files;
    files.len = 0;
    return 0;
}

/* ---- writing ---- */

static la_ssize_t on_write(struct archive *tar, void *userdata, const void *data, size_t len)
{
    return buf_add(userdata, data, len) < 0 ? -1 : (la_ssize_t) len;
}

static int file_write(struct archive *tar, const struct tarball_file *file)
{
    CLEANUP_PTR(archive_entry_free) struct archive_entry *entry = archive_entry_new();

    if (!entry)
        return ARCHIVE_FATAL;
    archive_entry_set_pathname(entry, file->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t) file->len);
    archive_entry_set_mtime(entry, 0, 0);
    if (archive_write_header(tar, entry) != ARCHIVE_OK)
        return ARCHIVE_FATAL;
    return archive_write_data(tar, file->data, file->len) == (la_ssize_t) file->len ? ARCHIVE_OK : ARCHIVE_FATAL;
}

int tarball_write(const struct tarball *files, struct buf *out, struct err *err)
{
    CLEANUP_PTR(archive_write_free) struct archive *tar = archive_write_new();
    int r = ARCHIVE_OK;

    if (!tar || archive_write_set_format_ustar(tar) != ARCHIVE_OK || archive_write_add_filter_gzip(tar) != ARCHIVE_OK ||
        archive_write_set_options(tar, "gzip:!timestamp,gzip:compression-level=9") != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(tar, 1) != ARCHIVE_OK ||
        archive_write_open(tar, out, NULL, on_write, NULL) != ARCHIVE_OK)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; r == ARCHIVE_OK && i < files->len; i++)
        r = file_write(tar, &files->items[i]);
    if (r == ARCHIVE_OK)
        r = archive_write_close(tar);
    return r == ARCHIVE_OK ? 0 : err_set(err, ENOMEM, "there is not enough memory to write the archive");
}
