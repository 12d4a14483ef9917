/*
 * Compiled modules and their files. A file is trusted for nothing: the code is
 * hashed while it is copied into the memfd, and a file whose hashes do not say
 * exactly this source and this engine is removed and compiled anew.
 */
#include "connector/module.h"

#include "base/file.h"
#include "wire/limits.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/encode.h"

#include "base/banned.h"

#define MODULE_FORMAT 1
#define COPY_BYTES    (256 * KIB)

struct module_header {
    char magic[8];
    uint32_t format, imports_bytes;
    uint8_t source[SHA256_BYTES], engine[SHA256_BYTES], code[SHA256_BYTES];
    uint64_t code_bytes;
    uint8_t has_start, has_memory, zero[6];
    uint8_t check[SHA256_BYTES];
};
_Static_assert(sizeof(struct module_header) == 8 + 8 + 3 * 32 + 8 + 8 + 32, "the header has no padding");

static const char MAGIC[8] = { 'A', 'I', 'L', 'C', 'W', 'A', 'S', 'M' };

struct module *module_ref(struct module *module)
{
    module->refs++;
    return module;
}

void module_unref(struct module *module)
{
    if (!module || --module->refs)
        return;
    if (module->code_fd >= 0)
        close(module->code_fd);
    free(module->imports);
    free(module);
}

static int module_wrap(
    int code_fd, size_t code_bytes, const char *imports, bool has_start, bool has_memory, struct module **ret_module)
{
    struct module *module = calloc(1, sizeof *module);

    if (module)
        module->imports = strdup(imports);
    if (!module || !module->imports) {
        free(module);
        close(code_fd);
        return -ENOMEM;
    }
    module->refs = 1;
    module->code_fd = code_fd;
    module->code_bytes = code_bytes;
    module->has_start = has_start;
    module->has_memory = has_memory;
    *ret_module = module;
    return 0;
}

int module_new(const void *code, size_t code_bytes, const char *imports, bool has_start, bool has_memory,
    struct module **ret_module, struct err *err)
{
    int fd = memfd_sealed("module", code, code_bytes);

    if (fd < 0)
        return err_errno(err, -fd, "cannot keep a compiled module in memory");
    int r = module_wrap(fd, code_bytes, imports, has_start, has_memory, ret_module);
    return r < 0 ? err_errno(err, -r, "cannot keep a compiled module in memory") : 0;
}

char *module_file_name(const struct module_key *key, char out[MODULE_FILE_MAX])
{
    uint8_t hash[SHA256_BYTES];
    struct digest *digest = digest_new();

    digest_add(digest, key->source, sizeof key->source);
    digest_add(digest, key->engine, sizeof key->engine);
    digest_end(digest, hash);
    hex_encode(hash, sizeof hash, out);
    snprintf(out + SHA256_HEX_MAX - 1, MODULE_FILE_MAX - SHA256_HEX_MAX + 1, ".cwasm");
    return out;
}

static void header_check(const struct module_header *header, const char *imports, uint8_t out[SHA256_BYTES])
{
    struct digest *digest = digest_new();

    digest_add(digest, header, offsetof(struct module_header, check));
    digest_add(digest, imports, strlen(imports));
    digest_end(digest, out);
}

/* Copies `len` bytes between descriptors; the hash of them goes to `out`. */
static int copy_hashed(int from, int to, uint64_t len, uint8_t out[SHA256_BYTES])
{
    CLEANUP_FREE char *chunk = malloc(COPY_BYTES);
    struct digest *digest = digest_new();
    int r = chunk ? 0 : -ENOMEM;

    while (!r && len) {
        size_t n = len < COPY_BYTES ? (size_t) len : COPY_BYTES;

        r = file_read_full(from, chunk, n);
        if (!r)
            r = file_write_full(to, chunk, n);
        if (!r)
            digest_add(digest, chunk, n);
        len -= n;
    }
    digest_end(digest, out);
    return r;
}

static int hash_code(int fd, size_t len, uint8_t out[SHA256_BYTES])
{
    void *code = len ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : NULL;

    if (code == MAP_FAILED)
        return -errno;
    sha256(code, len, out);
    if (code)
        munmap(code, len);
    return 0;
}

static int write_file(int fd, const struct module_key *key, const struct module *module)
{
    struct module_header header = {
        .format = htole32(MODULE_FORMAT),
        .imports_bytes = htole32((uint32_t) strlen(module->imports)),
        .code_bytes = htole64(module->code_bytes),
        .has_start = module->has_start,
        .has_memory = module->has_memory,
    };
    uint8_t written[SHA256_BYTES];

    memcpy(header.magic, MAGIC, sizeof MAGIC);
    memcpy(header.source, key->source, SHA256_BYTES);
    memcpy(header.engine, key->engine, SHA256_BYTES);
    int r = hash_code(module->code_fd, module->code_bytes, header.code);
    if (r < 0)
        return r;
    header_check(&header, module->imports, header.check);
    r = file_write_full(fd, &header, sizeof header);
    if (!r)
        r = file_write_full(fd, module->imports, strlen(module->imports));
    if (!r && lseek(module->code_fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r ? r : copy_hashed(module->code_fd, fd, module->code_bytes, written);
}

int module_save(int dirfd, const struct module_key *key, const struct module *module, struct err *err)
{
    char name[MODULE_FILE_MAX], temporary[MODULE_FILE_MAX + 8];

    module_file_name(key, name);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    unlinkat(dirfd, temporary, 0);
    CLEANUP_CLOSE int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot write %s into the module cache", temporary);
    int r = write_file(fd, key, module);
    if (!r && renameat(dirfd, temporary, dirfd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dirfd, temporary, 0);
        return err_errno(err, -r, "cannot write %s into the module cache", name);
    }
    return 0;
}

/* The header as it must be for `key`; *ret_imports is malloc'd. */
static int read_header(int fd, const struct module_key *key, struct module_header *header, char **ret_imports)
{
    uint8_t check[SHA256_BYTES];
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || file_read_full(fd, header, sizeof *header) < 0)
        return -EBADMSG;
    header->imports_bytes = le32toh(header->imports_bytes);
    header->code_bytes = le64toh(header->code_bytes);
    if (memcmp(header->magic, MAGIC, sizeof MAGIC) || le32toh(header->format) != MODULE_FORMAT ||
        memcmp(header->source, key->source, SHA256_BYTES) || memcmp(header->engine, key->engine, SHA256_BYTES) ||
        header->imports_bytes > MODULE_IMPORTS_MAX || !header->code_bytes || header->code_bytes > LIMIT_BLOB_BYTES ||
        (uint64_t) st.st_size != sizeof *header + header->imports_bytes + header->code_bytes)
        return -EBADMSG;
    CLEANUP_FREE char *imports = calloc(1, header->imports_bytes + 1);
    if (!imports)
        return -ENOMEM;
    if (file_read_full(fd, imports, header->imports_bytes) < 0 || strlen(imports) != header->imports_bytes)
        return -EBADMSG;
    struct module_header as_stored = *header;
    as_stored.imports_bytes = htole32(header->imports_bytes);
    as_stored.code_bytes = htole64(header->code_bytes);
    header_check(&as_stored, imports, check);
    if (memcmp(check, header->check, sizeof check))
        return -EBADMSG;
    *ret_imports = TAKE_PTR(imports);
    return 0;
}

static int load_file(int fd, const struct module_key *key, struct module **ret_module)
{
    CLEANUP_FREE char *imports = NULL;
    struct module_header header;
    uint8_t code[SHA256_BYTES];
    int r = read_header(fd, key, &header, &imports);

    if (r < 0)
        return r;
    CLEANUP_CLOSE int memfd = memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0)
        return -errno;
    r = copy_hashed(fd, memfd, header.code_bytes, code);
    if (r < 0)
        return r == -EPIPE ? -EBADMSG : r;
    if (memcmp(code, header.code, sizeof code))
        return -EBADMSG;
    if (fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return module_wrap(TAKE_FD(memfd), (size_t) header.code_bytes, imports, header.has_start, header.has_memory, ret_module);
}

int module_load(int dirfd, const struct module_key *key, struct module **ret_module, struct err *err)
{
    char name[MODULE_FILE_MAX];

    module_file_name(key, name);
    CLEANUP_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : err_errno(err, errno, "cannot read %s in the module cache", name);
    int r = load_file(fd, key, ret_module);
    if (r == -EBADMSG) {
        unlinkat(dirfd, name, 0);
        return err_set(err, EBADMSG, "the module cache's file %s was damaged and has been removed", name);
    }
    if (r < 0)
        return err_errno(err, -r, "cannot read %s in the module cache", name);
    futimens(fd, NULL);
    return 0;
}

struct cached_file {
    char name[MODULE_FILE_MAX];
    uint64_t bytes;
    struct timespec used;
};

static int by_age(const void *left, const void *right)
{
    const struct timespec *a = &((const struct cached_file *) left)->used;
    const struct timespec *b = &((const struct cached_file *) right)->used;

    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Lists the folder's finished files; anything half-written by an earlier daemon goes. */
static int list_files(int dirfd, struct cached_file **ret_files, size_t *ret_len, uint64_t *ret_bytes)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    CLEANUP_FREE struct cached_file *files = NULL;
    size_t len = 0;
    uint64_t bytes = 0;
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        struct stat st;

        if (entry->d_name[0] == '.' || fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (strlen(entry->d_name) != MODULE_FILE_MAX - 1) {
            unlinkat(dirfd, entry->d_name, 0);
            continue;
        }
        struct cached_file *more = reallocarray(files, len + 1, sizeof *files);
        if (!more)
            return -ENOMEM;
        files = more;
        snprintf(files[len].name, sizeof files[len].name, "%s", entry->d_name);
        files[len].bytes = (uint64_t) st.st_size;
        files[len++].used = st.st_mtim;
        bytes += (uint64_t) st.st_size;
    }
    *ret_files = TAKE_PTR(files);
    *ret_len = len;
    *ret_bytes = bytes;
    return 0;
}

int module_trim(int dirfd, uint64_t limit_bytes)
{
    CLEANUP_FREE struct cached_file *files = NULL;
    size_t len = 0;
    uint64_t bytes = 0;
    int r = list_files(dirfd, &files, &len, &bytes);

    if (r < 0 || bytes <= limit_bytes)
        return r;
    qsort(files, len, sizeof *files, by_age);
    for (size_t i = 0; i < len && bytes > limit_bytes; i++)
        if (!unlinkat(dirfd, files[i].name, 0))
            bytes -= files[i].bytes;
    return 0;
}
