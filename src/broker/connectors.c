/*
 * Connectors in use. An entry is one reading of the two files; when a file's
 * identity changes the entry is read again, and if the bytes are still those of
 * the pin nothing else happens. Calls that run keep the entry they started with.
 */
#include "broker/connectors.h"

#include "base/buf.h"
#include "base/file.h"
#include "broker/log.h"
#include "broker/trusted.h"
#include "store/store.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/banned.h"

#define MANIFEST_BYTES    (64 * KIB)
#define COPY_BYTES        (256 * KIB)
#define CONNECTORS_MAX    1024
#define WASM_HEADER_BYTES 8

struct connectors {
    const char *home;
    struct cache *cache;
    struct trusted *trusted;
    struct connector **items;
    size_t len;
};

struct connector_wait {
    struct connector *connector; /* referenced */
    struct cache_request *request;
    connector_ready_fn *fn;
    void *userdata;
};

int connectors_new(const char *home, struct cache *cache, struct connectors **ret_connectors, struct err *err)
{
    struct connectors *connectors = calloc(1, sizeof *connectors);

    if (!connectors)
        return err_set(err, ENOMEM, "out of memory");
    connectors->home = home;
    connectors->cache = cache;
    int r = trusted_new(home, &connectors->trusted, err);
    if (r < 0) {
        free(connectors);
        return r;
    }
    *ret_connectors = connectors;
    return 0;
}

void connectors_free(struct connectors *connectors)
{
    if (!connectors)
        return;
    for (size_t i = 0; i < connectors->len; i++)
        connector_unref(connectors->items[i]);
    trusted_free(connectors->trusted);
    free(connectors->items);
    free(connectors);
}

void connector_unref(struct connector *connector)
{
    if (!connector || --connector->refs)
        return;
    manifest_free(connector->manifest);
    module_unref(connector->module);
    if (connector->wasm_fd >= 0)
        close(connector->wasm_fd);
    free(connector->hosts);
    free(connector->imports);
    free(connector->folder);
    free(connector->signature_path);
    free(connector->wasm_path);
    free(connector->manifest_path);
    free(connector);
}

/* --- reading --- */

static int join(char *const *list, size_t len, const char *between, char **ret_text)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(MANIFEST_BYTES);

    for (size_t i = 0; i < len; i++)
        if (buf_printf(&text, "%s%s", i ? between : "", list[i]) < 0)
            return -ENOMEM;
    *ret_text = buf_take(&text);
    return *ret_text ? 0 : -ENOMEM;
}

/* File → memfd, hashed on the way: `content` goes on with the manifest, `source` is of these bytes alone. */
static int copy_wasm(int from, uint64_t size, int to, struct digest *content, struct digest *source)
{
    CLEANUP_FREE char *chunk = malloc(COPY_BYTES);
    uint64_t left = size;
    int r = chunk ? 0 : -ENOMEM;

    while (!r && left) {
        size_t n = left < COPY_BYTES ? (size_t) left : COPY_BYTES;

        r = file_read_full(from, chunk, n);
        if (!r && left == size && (n < WASM_HEADER_BYTES || memcmp(chunk, "\0asm", 4)))
            r = -ENOEXEC;
        if (!r)
            r = file_write_full(to, chunk, n);
        if (!r) {
            digest_add(content, chunk, n);
            digest_add(source, chunk, n);
        }
        left -= n;
    }
    return r;
}

static int read_wasm(
    struct connector *connector, const char *path, struct digest *content, struct digest *source, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "%s is not a regular file", path);
    if (st.st_size == 0 || (uint64_t) st.st_size > LIMIT_WASM_BYTES)
        return err_set(err, E2BIG, "%s is empty or larger than %u MiB", path, LIMIT_WASM_BYTES / MIB);
    CLEANUP_CLOSE int memfd = memfd_create("connector", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0)
        return err_errno(err, errno, "cannot keep %s in memory", path);
    int r = copy_wasm(fd, (uint64_t) st.st_size, memfd, content, source);
    if (r == -ENOEXEC)
        return err_set(err, EINVAL, "%s is not a WebAssembly module", path);
    if (!r && fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        r = -errno;
    if (r < 0)
        return err_errno(err, -r, "cannot read %s", path);
    connector->wasm_id = file_id(&st);
    connector->wasm_bytes = (size_t) st.st_size;
    connector->wasm_fd = TAKE_FD(memfd);
    return 0;
}

static int take_manifest(struct connector *connector, const char *text, size_t len, const char *name, struct err *err)
{
    int r = manifest_parse(text, len, name, &connector->manifest, err);

    if (r < 0)
        return r;
    const struct manifest *manifest = connector->manifest;
    r = join(manifest->hosts, manifest->hosts_len, "\n", &connector->hosts);
    if (!r)
        r = join(manifest->imports, manifest->has_imports ? manifest->imports_len : 0, ",", &connector->imports);
    return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* What a file that is no such file at all says of installed bytes: they were changed. */
static int not_as_installed(int r, struct err *err)
{
    if (r != -EINVAL && r != -E2BIG && r != -EPIPE && r != -ELOOP && r != -ENOTDIR)
        return r;
    err_prefix(err, "the installed files of the connector were changed");
    return -EBADMSG;
}

/* Reads and hashes; the manifest is parsed only when the hash is `pin`, or when there is none. */
static int read_connector(const char *wasm_path, const char *manifest_text, size_t manifest_len, const char *manifest_name,
    const char *pin, struct connector **ret_connector, struct err *err)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = calloc(1, sizeof *connector);
    uint8_t hash[SHA256_BYTES];

    if (!connector)
        return err_set(err, ENOMEM, "out of memory");
    connector->refs = 1;
    connector->wasm_fd = -1;
    struct digest *content = digest_new(), *source = digest_new();
    int r = read_wasm(connector, wasm_path, content, source, err);
    digest_add(content, manifest_text, manifest_len);
    digest_end(content, hash);
    digest_end(source, connector->source);
    sha256_tag(hash, connector->hash);
    if (r < 0)
        return pin ? not_as_installed(r, err) : r;
    if (pin && strcmp(pin, connector->hash))
        return err_set(err, EBADMSG, "the installed files of the connector have the hash %s, not %s", connector->hash, pin);
    r = take_manifest(connector, manifest_text, manifest_len, manifest_name, err);
    if (r < 0)
        return r;
    *ret_connector = TAKE_PTR(connector);
    return 0;
}

int connector_from_bytes(const struct buf *wasm, const struct buf *manifest, struct connector **ret_connector, struct err *err)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = calloc(1, sizeof *connector);
    uint8_t hash[SHA256_BYTES];
    int r = 0;

    if (!connector)
        return err_set(err, ENOMEM, "out of memory");
    connector->refs = 1;
    connector->wasm_fd = -1;
    if (wasm->len < WASM_HEADER_BYTES || memcmp(wasm->data, "\0asm", 4))
        return err_set(err, EINVAL, "connector.wasm is not a WebAssembly module");
    connector->wasm_fd = memfd_sealed("connector", wasm->data, wasm->len);
    if (connector->wasm_fd < 0)
        return err_errno(err, -connector->wasm_fd, "cannot keep the connector in memory");
    connector->wasm_bytes = wasm->len;
    struct digest *content = digest_new();
    digest_add(content, wasm->data, wasm->len);
    digest_add(content, manifest->data, manifest->len);
    digest_end(content, hash);
    sha256_tag(hash, connector->hash);
    r = sha256(wasm->data, wasm->len, connector->source);
    if (r == 0)
        r = take_manifest(connector, buf_str(manifest), manifest->len, "manifest.toml", err);
    if (r < 0)
        return r;
    *ret_connector = TAKE_PTR(connector);
    return 0;
}

int connector_from_files(const char *wasm_path, const char *manifest_text, size_t manifest_len, const char *manifest_name,
    struct connector **ret_connector, struct err *err)
{
    return read_connector(wasm_path, manifest_text, manifest_len, manifest_name, NULL, ret_connector, err);
}

/* --- signatures --- */

/* The file beside the two that it signs: 64 bytes. */
static int read_signature(struct connector *connector, uint8_t out[SIGN_BYTES], struct err *err)
{
    CLEANUP(buf_free) struct buf bytes = BUF_INIT(SIGN_BYTES);
    struct stat st;

    if (lstat(connector->signature_path, &st) < 0 || file_read(AT_FDCWD, connector->signature_path, &bytes, NULL) < 0 ||
        bytes.len != SIGN_BYTES)
        return err_set(err, EKEYREJECTED, "it has no signature");
    connector->signature_id = file_id(&st);
    memcpy(out, bytes.data, SIGN_BYTES);
    return 0;
}

static int verify_bytes(struct connectors *connectors, struct connector *connector, const struct buf *manifest,
    const uint8_t signature[SIGN_BYTES], struct err *err)
{
    void *wasm = mmap(NULL, connector->wasm_bytes, PROT_READ, MAP_SHARED, connector->wasm_fd, 0);

    if (wasm == MAP_FAILED)
        return err_errno(err, errno, "cannot read the connector");
    const struct keyring_part parts[] = { { wasm, connector->wasm_bytes }, { manifest->data, manifest->len } };
    int r = trusted_verify(
        connectors->trusted, connector->manifest->name, parts, ARRAY_LEN(parts), signature, &connector->signer, err);
    munmap(wasm, connector->wasm_bytes);
    return r;
}

/* A name that is not local is a publisher's, and he must have signed these bytes. */
static int check_signature(
    struct connectors *connectors, struct connector *connector, const char *folder, const struct buf *manifest, struct err *err)
{
    const struct manifest *named = connector->manifest;
    uint8_t signature[SIGN_BYTES];

    connector->is_signed = !trusted_is_local(named->name);
    if (!connector->is_signed)
        return 0;
    connector->generation = trusted_generation(connectors->trusted);
    if (asprintf(&connector->signature_path, "%s/signature.sig", folder) < 0) {
        connector->signature_path = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    int r = read_signature(connector, signature, err);
    if (r == 0)
        r = verify_bytes(connectors, connector, manifest, signature, err);
    if (r < 0) {
        err_prefix(err, "the connector %s@%s is refused", named->name, named->version);
        if (err && !err->hint[0])
            err_hint(err, "`aileron connector install %.150s@v%.50s` installs the publisher's own", named->name, named->version);
    }
    return r;
}

bool connectors_has_trust(struct connectors *connectors, const char *fqn)
{
    return trusted_has_any(connectors->trusted, fqn);
}

static int read_files(struct connectors *connectors, const char *hash, const char *folder, const char *wasm_path,
    const char *manifest_path, struct connector **ret_connector, struct err *err)
{
    CLEANUP(buf_free) struct buf manifest = BUF_INIT(MANIFEST_BYTES);
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
    struct stat st;

    if (lstat(manifest_path, &st) < 0) {
        int code = errno;

        err_errno(err, code, "cannot read %s", manifest_path);
        return not_as_installed(code == ENOENT ? -EINVAL : -code, err);
    }
    int r = not_as_installed(file_read(AT_FDCWD, manifest_path, &manifest, err), err);
    if (!r)
        r = read_connector(wasm_path, buf_str(&manifest), manifest.len, "manifest.toml", hash, &connector, err);
    if (!r)
        r = check_signature(connectors, connector, folder, &manifest, err);
    if (r < 0)
        return r;
    connector->manifest_id = file_id(&st);
    *ret_connector = TAKE_PTR(connector);
    return 0;
}

static int read_stored(struct connectors *connectors, const char *hash, struct connector **ret_connector, struct err *err)
{
    CLEANUP_FREE char *folder_path = NULL, *wasm_path = NULL, *manifest_path = NULL;
    struct connector *connector = NULL;
    char folder[4096];
    struct stat st;
    int r = store_folder(connectors->home, hash, folder, err);

    if (r < 0)
        return not_as_installed(r, err);
    if (lstat(folder, &st) < 0)
        return err_errno(err, errno, "cannot look at %s", folder);
    folder_path = strdup(folder);
    if (!folder_path || asprintf(&wasm_path, "%s/connector.wasm", folder) < 0 ||
        asprintf(&manifest_path, "%s/manifest.toml", folder) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = read_files(connectors, hash, folder, wasm_path, manifest_path, &connector, err);
    if (r < 0)
        return r;
    connector->folder_device = st.st_dev;
    connector->folder_inode = st.st_ino;
    connector->folder = TAKE_PTR(folder_path);
    connector->wasm_path = TAKE_PTR(wasm_path);
    connector->manifest_path = TAKE_PTR(manifest_path);
    *ret_connector = connector;
    return 0;
}

/* --- the table --- */

static bool is_unchanged(const struct connector *connector)
{
    struct stat folder, wasm, manifest, signature;

    if (lstat(connector->folder, &folder) < 0 || lstat(connector->wasm_path, &wasm) < 0 ||
        lstat(connector->manifest_path, &manifest) < 0)
        return false;
    if (connector->is_signed && lstat(connector->signature_path, &signature) < 0)
        return false;
    struct file_id wasm_id = file_id(&wasm), manifest_id = file_id(&manifest), signature_id = { 0 };
    if (connector->is_signed)
        signature_id = file_id(&signature);
    return file_id_same(&signature_id, &connector->signature_id) && folder.st_dev == connector->folder_device &&
           folder.st_ino == connector->folder_inode && file_id_same(&wasm_id, &connector->wasm_id) &&
           file_id_same(&manifest_id, &connector->manifest_id);
}

/* The key that signed it is still one of those that are trusted for its name. */
static bool is_still_trusted(struct connectors *connectors, struct connector *connector)
{
    uint64_t generation = connector->is_signed ? trusted_generation(connectors->trusted) : 0;

    if (!connector->is_signed || connector->generation == generation)
        return true;
    if (!trusted_has(connectors->trusted, connector->manifest->name, &connector->signer))
        return false;
    connector->generation = generation;
    return true;
}

static struct connector *take_out(struct connectors *connectors, const char *hash)
{
    for (size_t i = 0; i < connectors->len; i++)
        if (!strcmp(connectors->items[i]->hash, hash)) {
            struct connector *found = connectors->items[i];
            connectors->items[i] = connectors->items[--connectors->len];
            return found;
        }
    return NULL;
}

static int keep(struct connectors *connectors, struct connector *connector)
{
    struct connector **more =
        connectors->len < CONNECTORS_MAX ? reallocarray(connectors->items, connectors->len + 1, sizeof *more) : NULL;

    if (!more)
        return -ENOMEM;
    connectors->items = more;
    connectors->items[connectors->len++] = connector;
    return 0;
}

int connectors_get(struct connectors *connectors, const char *hash, struct connector **ret_connector, struct err *err)
{
    for (size_t i = 0; i < connectors->len; i++) {
        struct connector *known = connectors->items[i];

        if (!strcmp(known->hash, hash) && is_unchanged(known) && is_still_trusted(connectors, known)) {
            known->refs++;
            *ret_connector = known;
            return 0;
        }
    }
    CLEANUP_PTR(connector_unref) struct connector *before = take_out(connectors, hash);
    struct connector *connector = NULL;
    int r = read_stored(connectors, hash, &connector, err);
    if (r < 0)
        return r;
    if (before && before->module) {
        /* The same bytes in a touched file: the compiled module is still theirs. */
        connector->module = module_ref(before->module);
        memcpy(connector->last_binding, before->last_binding, sizeof connector->last_binding);
    }
    if (keep(connectors, connector) < 0) {
        connector_unref(connector);
        return err_set(err, ENOMEM, "there are too many connectors");
    }
    connector->refs++;
    *ret_connector = connector;
    return 0;
}

void connectors_forget(struct connectors *connectors, const char *hash)
{
    connector_unref(take_out(connectors, hash));
}

/* --- compiling --- */

static void have_module(struct connector *connector, struct module *module)
{
    if (!connector->module)
        connector->module = module_ref(module);
    if (connector->wasm_fd >= 0)
        close(connector->wasm_fd);
    connector->wasm_fd = -1;
}

static void on_compiled(struct module *module, const struct err *err, void *userdata)
{
    struct connector_wait *wait = userdata;
    CLEANUP_PTR(connector_unref) struct connector *connector = wait->connector;
    connector_ready_fn *fn = wait->fn;
    void *argument = wait->userdata;

    free(wait);
    if (module)
        have_module(connector, module);
    else
        log_warn("connector %s cannot be compiled: %s", connector->hash, err->message);
    fn(module ? 0 : -(err->code ? err->code : EIO), err, argument);
}

int connector_compile(struct connectors *connectors, struct connector *connector, connector_ready_fn *fn, void *userdata,
    struct connector_wait **ret_wait, struct err *err)
{
    struct module *module = NULL;

    if (connector->module)
        return 1;
    struct connector_wait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return err_set(err, ENOMEM, "out of memory");
    wait->fn = fn;
    wait->userdata = userdata;
    int r = cache_get(connectors->cache, connector->source, connector->wasm_fd, connector->wasm_bytes, on_compiled, wait, &module,
        &wait->request, err);
    if (r != 0) {
        free(wait);
        if (r > 0) {
            have_module(connector, module);
            module_unref(module);
        }
        return r;
    }
    wait->connector = connector;
    connector->refs++;
    *ret_wait = wait;
    return 0;
}

void connector_wait_cancel(struct connector_wait *wait)
{
    if (!wait)
        return;
    cache_cancel(wait->request);
    connector_unref(wait->connector);
    free(wait);
}
