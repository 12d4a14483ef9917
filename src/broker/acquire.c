/*
 * A chain of steps, each begun by the end of the one before; whatever is waited for is a handle in the record, so that it
 * can be cancelled in any of them.
 *
 * Whose signature counts: if any key is trusted for the reference, only those keys. A publisher who has another key
 * since must be trusted anew by the person (aileron keyring trust), who then compares fingerprints; the key that lies in the repository
 * decides nothing then, for whoever took the repository over would have replaced it as well.
 */
#include "broker/acquire.h"

#include "action/action.h"
#include "base/magic.h"
#include "broker/version.h"
#include "connector/manifest.h"
#include "connector/unpack.h"
#include "store/store.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define ACQUIRE_MAGIC 0x61637175u
#define KEYS_MAX      64
#define PUBLISHER_KEY "keys/publisher.pub"
#define KEY_BYTES     ((uint64_t) 16 * KIB)

static const char *const names[] = {
    [ACQUIRE_CONNECTOR] = "connector.wasm\nmanifest.toml\nsignature.sig",
    [ACQUIRE_ACTION] = "action.md\nsignature.sig",
};

struct acquire {
    uint32_t magic;
    struct acquire_context context;
    struct release_ref ref;
    struct keyring_key keys[KEYS_MAX]; /* the keyring's for this reference, then the offered ones */
    size_t keys_len, trusted_len;      /* all; those of the keyring */
    struct acquired acquired;
    acquire_fn *fn;
    acquire_progress_fn *progress;
    void *userdata;
    struct version_search *search;
    struct forge_get *get;
    struct unpack *unpack;
};

void acquired_free(struct acquired *acquired)
{
    buf_free(&acquired->wasm);
    buf_free(&acquired->manifest);
    buf_free(&acquired->action);
    buf_free(&acquired->signature);
}

void acquire_cancel(struct acquire *acquire)
{
    if (!acquire)
        return;
    version_cancel(acquire->search);
    forge_cancel(acquire->get);
    unpack_cancel(acquire->unpack);
    acquired_free(&acquire->acquired);
    free(acquire);
}
DEFINE_CLEANUP_PTR(struct acquire, acquire_cancel)

static void acquire_end(struct acquire *acquire, int result, const struct err *err)
{
    struct acquired acquired = acquire->acquired;
    acquire_fn *fn = acquire->fn;
    void *userdata = acquire->userdata;

    acquire->acquired = (struct acquired){ .kind = acquired.kind };
    acquire_cancel(acquire);
    fn(result, &acquired, err, userdata);
    acquired_free(&acquired);
}

static void tell(struct acquire *acquire, enum acquire_phase phase, uint64_t done, uint64_t total)
{
    if (acquire->progress)
        acquire->progress(phase, done, total, acquire->userdata);
}

/* "github://acme/tools@1.0.0" */
static char *called(const struct acquire *acquire, char out[RELEASE_URL_MAX])
{
    snprintf(out, RELEASE_URL_MAX, "%s@%s", acquire->acquired.fqn, acquire->acquired.version.text);
    return out;
}

/* ---- contents, after the signature ---- */

static int wrong_name(const struct acquire *acquire, const char *name, const char *version, struct err *err)
{
    char text[RELEASE_URL_MAX];

    return err_set(err, EBADMSG, "the release %s holds %s@%s: name and version must be those that were asked for",
        called(acquire, text), name, version);
}

/* A release whose publisher forgot to fill in a @@NAME@@ is none. */
static int placeholders_check(const struct buf *text, const char *file, struct err *err)
{
    CLEANUP_FREE char *same = NULL;
    size_t len = 0;
    int r = action_substitute(buf_str(text), text->len, file, NULL, 0, &same, &len, err);

    if (r < 0)
        err_hint(err, "tell the publisher; nothing was installed");
    return r;
}

static int connector_check(struct acquire *acquire, struct err *err)
{
    struct acquired *acquired = &acquire->acquired;
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    int r = store_content_hash(&acquired->wasm, &acquired->manifest, acquired->hash);

    if (r == 0)
        r = placeholders_check(&acquired->manifest, "manifest.toml", err);
    if (r == 0)
        r = manifest_parse(buf_str(&acquired->manifest), acquired->manifest.len, "manifest.toml", &manifest, err);
    if (r < 0)
        return r;
    if (strcmp(manifest->name, acquired->fqn) != 0 || strcmp(manifest->version, acquired->version.text) != 0)
        return wrong_name(acquire, manifest->name, manifest->version, err);
    return 0;
}

static int action_check(struct acquire *acquire, struct err *err)
{
    struct acquired *acquired = &acquire->acquired;
    CLEANUP_PTR(action_free) struct action *action = NULL;
    uint8_t hash[SHA256_BYTES];
    int r = sha256(acquired->action.data, acquired->action.len, hash);

    sha256_tag(hash, acquired->hash);
    if (r == 0)
        r = placeholders_check(&acquired->action, "action.md", err);
    if (r == 0)
        r = action_parse(buf_str(&acquired->action), acquired->action.len, "action.md", NULL, &action, err);
    if (r < 0)
        return r;
    if (strcmp(action->name, strrchr(acquired->fqn, '/') + 1) != 0 || strcmp(action->version, acquired->version.text) != 0)
        return wrong_name(acquire, action->name, action->version, err);
    return 0;
}

static void contents_check(struct acquire *acquire)
{
    struct err err = ERR_INIT;
    int r = acquire->acquired.kind == ACQUIRE_CONNECTOR ? connector_check(acquire, &err) : action_check(acquire, &err);

    acquire_end(acquire, r < 0 ? -EBADMSG : 0, &err);
}

/* ---- the signature ---- */

static bool signature_is_by(const struct acquire *acquire, const struct keyring_key *keys, size_t len, size_t *ret_which)
{
    const struct acquired *acquired = &acquire->acquired;
    const struct keyring_part parts[] = {
        { acquired->wasm.data, acquired->wasm.len },
        { acquired->manifest.data, acquired->manifest.len },
        { acquired->action.data, acquired->action.len },
    };

    return acquired->signature.len == SIGN_BYTES &&
           keyring_verify(keys, len, parts, ARRAY_LEN(parts), (const uint8_t *) acquired->signature.data, ret_which);
}

static void signature_fail(struct acquire *acquire, const char *why, const char *hint)
{
    struct err err = ERR_INIT;
    char text[RELEASE_URL_MAX];

    err_set(&err, EKEYREJECTED, "the signature of %s is not valid: %s", called(acquire, text), why);
    err_hint(&err, "%s", hint);
    acquire_end(acquire, -EKEYREJECTED, &err);
}

static void on_publisher_key(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct acquire *acquire = MAGIC_CAST(struct acquire, userdata, ACQUIRE_MAGIC);
    struct acquired *acquired = &acquire->acquired;
    struct err ours = ERR_INIT;
    size_t which = 0;

    acquire->get = NULL;
    if (result < 0) {
        acquire_end(acquire, result, err);
        return;
    }
    if (keyring_key_read(data, len, &acquired->key, &ours) < 0) {
        err_prefix(&ours, "%s", acquired->key_url);
        acquire_end(acquire, -EBADMSG, &ours);
        return;
    }
    if (!signature_is_by(acquire, &acquired->key, 1, &which)) {
        signature_fail(acquire, "the publisher's own key did not make it", "tell the publisher; nothing was installed");
        return;
    }
    contents_check(acquire);
}

static void publisher_key_ask(struct acquire *acquire)
{
    char what[RELEASE_URL_MAX];
    struct err err = ERR_INIT;
    int r = release_raw_url(&acquire->ref, "HEAD", PUBLISHER_KEY, acquire->acquired.key_url);

    snprintf(what, sizeof what, "the publisher's key of %s/%s (" PUBLISHER_KEY ")", acquire->ref.owner, acquire->ref.repo);
    const struct forge_request request = { .url = acquire->acquired.key_url, .what = what, .bytes_max = KEY_BYTES };
    if (r < 0)
        err_set(&err, ENAMETOOLONG, "the reference is too long");
    else
        r = forge_get(acquire->context.forge, &request, on_publisher_key, NULL, acquire, &acquire->get, &err);
    if (r < 0)
        acquire_end(acquire, r, &err);
}

static void signature_check(struct acquire *acquire)
{
    size_t which = 0;

    tell(acquire, ACQUIRE_CHECKING, 0, 0);
    if (acquire->acquired.signature.len != SIGN_BYTES) {
        signature_fail(acquire, "it must have 64 bytes", "tell the publisher; nothing was installed");
    } else if (acquire->keys_len == 0) {
        publisher_key_ask(acquire);
    } else if (signature_is_by(acquire, acquire->keys, acquire->keys_len, &which)) {
        acquire->acquired.trusted = which < acquire->trusted_len;
        acquire->acquired.key = acquire->keys[which];
        contents_check(acquire);
    } else {
        signature_fail(acquire, "no key that you trust for it made it",
            "if the publisher has a new key, compare its fingerprint with what they publish, then: aileron keyring trust");
    }
}

/* ---- download and unpacking ---- */

/* Takes the bytes of one file out of the unpacked ones. */
static bool bytes_take(struct unpacked *unpacked, const char *name, struct buf *out)
{
    for (size_t i = 0; i < unpacked->len; i++)
        if (!strcmp(unpacked->files[i].name, name)) {
            *out = unpacked->files[i].bytes;
            unpacked->files[i].bytes = (struct buf) BUF_INIT(0);
            return true;
        }
    return false;
}

static void on_unpacked(int result, struct unpacked *unpacked, const struct err *err, void *userdata)
{
    struct acquire *acquire = MAGIC_CAST(struct acquire, userdata, ACQUIRE_MAGIC);
    struct acquired *acquired = &acquire->acquired;
    struct err ours = ERR_INIT;
    char text[RELEASE_URL_MAX];
    bool whole = false;

    acquire->unpack = NULL;
    if (result < 0) {
        ours = *err;
        err_prefix(&ours, "the release %s", called(acquire, text));
        acquire_end(acquire, result == -EINVAL ? -EBADMSG : result, &ours);
        return;
    }
    if (acquired->kind == ACQUIRE_CONNECTOR)
        whole =
            bytes_take(unpacked, "connector.wasm", &acquired->wasm) && bytes_take(unpacked, "manifest.toml", &acquired->manifest);
    else
        whole = bytes_take(unpacked, "action.md", &acquired->action);
    if (!whole || !bytes_take(unpacked, "signature.sig", &acquired->signature)) {
        err_set(&ours, EBADMSG, "the archive of %s lacks one of its files", called(acquire, text));
        acquire_end(acquire, -EBADMSG, &ours);
        return;
    }
    signature_check(acquire);
}

static void on_archive(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct acquire *acquire = MAGIC_CAST(struct acquire, userdata, ACQUIRE_MAGIC);
    struct err ours = ERR_INIT;

    acquire->get = NULL;
    if (result < 0) {
        acquire_end(acquire, result, err);
        return;
    }
    tell(acquire, ACQUIRE_UNPACKING, 0, 0);
    result = unpack_start(acquire->context.loop, &acquire->context.unpacker, data, len, names[acquire->acquired.kind],
        on_unpacked, acquire, &acquire->unpack, &ours);
    if (result < 0)
        acquire_end(acquire, result, &ours);
}

static void on_archive_progress(uint64_t done, uint64_t total, int64_t pause_ms, void *userdata)
{
    tell(MAGIC_CAST(struct acquire, userdata, ACQUIRE_MAGIC), ACQUIRE_DOWNLOADING, done, total);
}

static int archive_ask(struct acquire *acquire, struct err *err)
{
    char url[RELEASE_URL_MAX], what[2 * RELEASE_URL_MAX], text[RELEASE_URL_MAX];
    const struct forge_request request = { .url = url, .what = what, .bytes_max = LIMIT_WASM_BYTES };

    if (release_asset_url(&acquire->ref, &acquire->acquired.version, url) < 0)
        return err_set(err, ENAMETOOLONG, "the reference is too long");
    snprintf(what, sizeof what, "the release %s", called(acquire, text));
    tell(acquire, ACQUIRE_DOWNLOADING, 0, 0);
    return forge_get(acquire->context.forge, &request, on_archive, on_archive_progress, acquire, &acquire->get, err);
}

/* ---- start ---- */

static void on_version(int result, const struct semver *version, const struct err *err, void *userdata)
{
    struct acquire *acquire = MAGIC_CAST(struct acquire, userdata, ACQUIRE_MAGIC);
    struct err ours = ERR_INIT;

    acquire->search = NULL;
    if (result < 0) {
        acquire_end(acquire, result, err);
        return;
    }
    acquire->acquired.version = *version;
    result = archive_ask(acquire, &ours);
    if (result < 0)
        acquire_end(acquire, result, &ours);
}

static int keys_load(struct acquire *acquire, const struct acquire_request *request, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    size_t room = KEYS_MAX - (request->offered_len < KEYS_MAX ? request->offered_len : KEYS_MAX);
    int r = keyring_load(acquire->context.home, &keyring, err);

    if (r < 0)
        return r;
    acquire->keys_len = keyring_keys_for(keyring, acquire->ref.fqn.text, acquire->keys, room);
    if (acquire->keys_len > room)
        acquire->keys_len = room;
    acquire->trusted_len = acquire->keys_len;
    for (size_t i = 0; i < request->offered_len && acquire->keys_len < KEYS_MAX; i++)
        acquire->keys[acquire->keys_len++] = request->offered[i];
    return 0;
}

static int first_step(struct acquire *acquire, const struct acquire_request *request, struct err *err)
{
    int r = 1;

    if (request->version)
        acquire->acquired.version = *request->version;
    else
        r = version_find(
            acquire->context.forge, &acquire->ref, on_version, acquire, &acquire->acquired.version, &acquire->search, err);
    if (r == 0)
        tell(acquire, ACQUIRE_RESOLVING, 0, 0);
    return r == 1 ? archive_ask(acquire, err) : r;
}

int acquire_start(const struct acquire_context *context, const struct acquire_request *request, acquire_fn *fn,
    acquire_progress_fn *progress, void *userdata, struct acquire **ret_acquire, struct err *err)
{
    CLEANUP_PTR(acquire_cancel) struct acquire *acquire = calloc(1, sizeof *acquire);
    int r = 0;

    if (!acquire)
        return err_set(err, ENOMEM, "out of memory");
    acquire->magic = ACQUIRE_MAGIC;
    acquire->context = *context;
    acquire->ref = *request->ref;
    acquire->acquired.kind = request->kind;
    acquire->fn = fn;
    acquire->progress = progress;
    acquire->userdata = userdata;
    snprintf(acquire->acquired.fqn, sizeof acquire->acquired.fqn, "%s", request->ref->fqn.text);
    snprintf(
        acquire->acquired.authority, sizeof acquire->acquired.authority, "github://%s/%s", acquire->ref.owner, acquire->ref.repo);
    r = keys_load(acquire, request, err);
    if (r == 0)
        r = first_step(acquire, request, err);
    if (r < 0)
        return r;
    *ret_acquire = TAKE_PTR(acquire);
    return 0;
}
