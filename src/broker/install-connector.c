/*
 * `connector install --local DIR`: read, substitute, check, compile, receipt on
 * disk, store; in this order, so that a connector that cannot run is refused
 * before anything is written. Unsigned, and therefore under local:// only.
 */
#include "broker/install.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
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

#define INSTALL_MAGIC  0x69636e73u
#define MANIFEST_BYTES (64 * KIB)
#define VERSION_BYTES  256
#define UNCONFIGURED   "unconfigured"
#define HOST_MODULE    "aileron_host."
#define WASI_MODULE    "wasi_snapshot_preview1."

struct install {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
    struct connector *connector;
    int wasm_fd; /* our own: the connector's is closed once compiled */
    char *manifest;
    size_t manifest_len;
    bool existed;
};

static void install_free(struct install *install)
{
    if (!install)
        return;
    connector_unref(install->connector);
    if (install->wasm_fd >= 0)
        close(install->wasm_fd);
    free(install->manifest);
    free(install);
}
DEFINE_CLEANUP_PTR(struct install, install_free)

static void refuse(struct install *install, int status, const char *code, const char *message, const char *hint)
{
    struct api_reply *reply = install->reply;

    install_free(install);
    api_reply_error(reply, status, code, message, hint);
}

/* --- reading --- */

/* What DIR/VERSION says, else the version of this program. */
static int add_version(const char *dir, struct install_pairs *pairs)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VERSION_BYTES);
    CLEANUP_FREE char *path = NULL;

    if (asprintf(&path, "%s/VERSION", dir) < 0)
        return -ENOMEM;
    if (file_read(AT_FDCWD, path, &text, NULL) < 0 || !text.len)
        return install_pairs_add(pairs, "VERSION", AILERON_VERSION);
    text.data[strcspn(text.data, " \t\r\n")] = '\0';
    return install_pairs_add(pairs, "VERSION", text.data);
}

static int default_pairs(const char *dir, const char *name, struct install_pairs *pairs)
{
    char fqn[FQN_MAX];
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    size_t start = len;
    while (start && dir[start - 1] != '/')
        start--;
    snprintf(fqn, sizeof fqn, "local://%.*s", (int) (len - start), dir + start);
    int r = install_pairs_add(pairs, "FQN", name ? name : fqn);
    if (!r)
        r = add_version(dir, pairs);
    if (!r)
        r = install_pairs_add(pairs, "client_id", UNCONFIGURED);
    return r ? r : install_pairs_add(pairs, "client_secret", UNCONFIGURED);
}

static int read_manifest(struct install *install, const char *dir, const json_t *body, struct err *err)
{
    CLEANUP(install_pairs_free) struct install_pairs pairs = { .len = 0 };
    CLEANUP(buf_free) struct buf text = BUF_INIT(MANIFEST_BYTES);
    CLEANUP_FREE char *path = NULL;
    int r = install_pairs_from_json(&pairs, json_object_get(body, "bind"), err);

    if (r < 0)
        return r;
    if (default_pairs(dir, json_get_str(body, "name"), &pairs) < 0 || asprintf(&path, "%s/manifest.toml", dir) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = file_read(AT_FDCWD, path, &text, err);
    return r < 0 ? r
                 : action_substitute(
                       buf_str(&text), text.len, path, pairs.items, pairs.len, &install->manifest, &install->manifest_len, err);
}

static int check_names(const struct install *install, const char *asked, struct err *err)
{
    const struct manifest *manifest = install->connector->manifest;

    if (!trusted_is_local(manifest->name)) {
        err_set(err, EINVAL, "the manifest names %s, but an unsigned connector is installed under a local:// name only",
            manifest->name);
        err_hint(err, "write name = \"@@FQN@@\" into manifest.toml, or give a local:// name there");
        return -EINVAL;
    }
    if (asked && strcmp(asked, manifest->name))
        return err_set(err, EINVAL, "the manifest names %s, not %s", manifest->name, asked);
    return 0;
}

static int install_read(struct install *install, const char *dir, const json_t *body, struct err *err)
{
    CLEANUP_FREE char *wasm = NULL, *manifest = NULL;
    int r = read_manifest(install, dir, body, err);

    if (r < 0)
        return r;
    if (asprintf(&wasm, "%s/connector.wasm", dir) < 0 || asprintf(&manifest, "%s/manifest.toml", dir) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = connector_from_files(wasm, install->manifest, install->manifest_len, manifest, &install->connector, err);
    if (!r)
        r = check_names(install, json_get_str(body, "name"), err);
    if (r < 0)
        return r;
    install->wasm_fd = fcntl(install->connector->wasm_fd, F_DUPFD_CLOEXEC, 0);
    return install->wasm_fd < 0 ? err_errno(err, errno, "cannot keep %s", wasm) : 0;
}

/* --- checking what was compiled --- */

static bool is_allowed_host_function(const struct manifest *manifest, const char *name, size_t len)
{
    static const char *const defaults[] = { "log", "http_request", "http_response_status", "http_response_size",
        "http_response_read" };

    for (size_t i = 0; manifest->has_imports && i < manifest->imports_len; i++)
        if (strlen(manifest->imports[i]) == len && !memcmp(manifest->imports[i], name, len))
            return true;
    for (size_t i = 0; !manifest->has_imports && i < ARRAY_LEN(defaults); i++)
        if (strlen(defaults[i]) == len && !memcmp(defaults[i], name, len))
            return true;
    return false;
}

int install_check_module(const struct connector *connector, struct err *err)
{
    const struct module *module = connector->module;

    if (!module->has_start || !module->has_memory)
        return err_set(
            err, EINVAL, "connector.wasm exports no %s: it is no WASI command module", module->has_start ? "memory" : "_start");
    for (const char *line = module->imports; *line;) {
        size_t len = strcspn(line, "\n");
        bool host = !strncmp(line, HOST_MODULE, strlen(HOST_MODULE));

        if (host ? !is_allowed_host_function(connector->manifest, line + strlen(HOST_MODULE), len - strlen(HOST_MODULE))
                 : strncmp(line, WASI_MODULE, strlen(WASI_MODULE)) != 0) {
            err_set(err, EINVAL, "connector.wasm imports %.*s, which %s", (int) (len < 200 ? len : 200), line,
                host ? "its manifest does not allow" : "is neither WASI preview 1 nor ours");
            return -EINVAL;
        }
        line += len + (line[len] == '\n');
    }
    return 0;
}

/* --- storing --- */

static int store(struct install *install, struct err *err)
{
    const struct connector *connector = install->connector;
    void *bytes = mmap(NULL, connector->wasm_bytes, PROT_READ, MAP_SHARED, install->wasm_fd, 0);
    char hash[72];

    if (bytes == MAP_FAILED)
        return err_errno(err, errno, "cannot read the connector");
    const struct buf wasm = { bytes, connector->wasm_bytes, connector->wasm_bytes, connector->wasm_bytes };
    const struct buf manifest = { install->manifest, install->manifest_len, install->manifest_len, install->manifest_len };
    int r = store_put(install->broker->home->path, connector->manifest->name, connector->manifest->version, &wasm, &manifest,
        NULL, hash, &install->existed, err);
    munmap(bytes, connector->wasm_bytes);
    if (!r && strcmp(hash, connector->hash))
        return err_set(err, EIO, "the store holds %s instead of %s", hash, connector->hash);
    return r;
}

static void on_durable(int result, void *userdata)
{
    struct install *install = MAGIC_CAST(struct install, userdata, INSTALL_MAGIC);
    const struct manifest *manifest = install->connector->manifest;
    struct err err = ERR_INIT;

    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else
        result = store(install, &err);
    if (result < 0) {
        refuse(install, 500, "not_stored", err.message, err.hint);
        return;
    }
    log_info("installed the unsigned connector %s@%s, %s", manifest->name, manifest->version, install->connector->hash);
    json_t *body = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "fqn", manifest->name, "version", manifest->version, "hash",
        install->connector->hash, "signed", 0, "unsigned", 1, "already_installed", install->existed);
    struct api_reply *reply = install->reply;
    install_free(install);
    api_reply_send(reply, 200, body);
}

static void install_commit(struct install *install)
{
    const struct connector *connector = install->connector;
    struct store_connector stored;
    struct err err = ERR_INIT;

    bool there = store_find(install->broker->home->path, connector->hash, &stored, NULL) == 0;
    int r = broker_receipt_owner(install->broker, "connector.installed",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "aileron.connector.fqn", connector->manifest->name,
            "aileron.connector.version", connector->manifest->version, "aileron.connector.hash", connector->hash,
            "aileron.signature.status", "unsigned", "aileron.consent.decision", "accepted", "aileron.install.already_installed",
            there),
        NULL, &err);
    if (!r)
        r = receipts_durable(install->broker->receipts, on_durable, install, NULL);
    if (r < 0) {
        struct api_reply *reply = install->reply;

        install_free(install);
        broker_no_receipt(reply, &err);
    }
}

static void on_compiled(int result, const struct err *err, void *userdata)
{
    struct install *install = MAGIC_CAST(struct install, userdata, INSTALL_MAGIC);
    struct err ours = ERR_INIT;

    if (result < 0) {
        refuse(install, result == -EINVAL ? 422 : 500, result == -EINVAL ? "invalid_module" : "compile_failed", err->message,
            err->hint);
        return;
    }
    if (install_check_module(install->connector, &ours) < 0) {
        refuse(install, 422, "invalid_module", ours.message, "SPEC: a WASI preview 1 command module that imports aileron_host");
        return;
    }
    install_commit(install);
}

void api_connector_install(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *dir = install_by_plan(broker, request, reply) ? NULL : install_path(request, reply);
    CLEANUP_PTR(install_free) struct install *install = dir ? calloc(1, sizeof *install) : NULL;
    struct connector_wait *wait;
    struct err err = ERR_INIT;

    if (!dir)
        return;
    if (!install) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
        return;
    }
    *install = (struct install){ .magic = INSTALL_MAGIC, .broker = broker, .reply = reply, .wasm_fd = -1 };
    int r = install_read(install, dir, request->body, &err);
    if (r < 0) {
        api_reply_error(reply, r == -ENOENT ? 404 : 422, "invalid_connector", err.message, err.hint);
        return;
    }
    r = connector_compile(broker->connectors, install->connector, on_compiled, install, &wait, &err);
    if (r != 0)
        on_compiled(r < 0 ? r : 0, &err, install);
    TAKE_PTR(install);
}
