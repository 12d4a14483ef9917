/* See the header. Names in archives are fixed; their order is that in which they are hashed and signed. */
#include "cli/publish.h"

#include "base/file.h"
#include "connector/manifest.h"
#include "crypt/pem.h"
#include "store/fqn.h"
#include "store/store.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define WASM       "connector.wasm"
#define MANIFEST   "manifest.toml"
#define ACTION     "action.md"
#define SIGNATURE  "signature.sig"
#define NAMES      WASM "\n" MANIFEST "\n" ACTION "\n" SIGNATURE
#define TEXT_BYTES ((size_t) 256 * KIB)
#define KEY_BYTES  ((size_t) 16 * KIB)

void publish_pairs_free(struct publish_pairs *pairs)
{
    for (size_t i = 0; i < pairs->len; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    pairs->len = 0;
}

int publish_pairs_add(struct publish_pairs *pairs, const char *name, const char *value, struct err *err)
{
    struct action_pair *pair = &pairs->items[pairs->len];

    for (size_t i = 0; i < pairs->len; i++)
        if (!strcmp(pairs->items[i].key, name))
            return !strcmp(pairs->items[i].value, value)
                       ? 0
                       : err_set(err, EEXIST, "@@%.64s@@ is given twice, with different values", name);
    if (pairs->len == PUBLISH_PAIRS_MAX)
        return err_set(err, E2BIG, "more than %d values are given", PUBLISH_PAIRS_MAX);
    *pair = (struct action_pair){ strdup(name), strdup(value) };
    pairs->len++;
    return pair->key && pair->value ? 0 : err_set(err, ENOMEM, "out of memory");
}

void publish_item_free(struct publish_item *item)
{
    free(item->name);
    free(item->version);
    box_free(&item->box);
    *item = (struct publish_item){ .name = NULL };
}

/* ---- what the bytes say ---- */

/* A connector that is released must be found by its name. */
static int name_check(const char *name, const char *file, struct err *err)
{
    struct fqn fqn;
    int r = fqn_parse(name, &fqn, err);

    if (r < 0 || fqn.scheme == FQN_GITHUB)
        return r;
    err_set(err, EINVAL, "%s names %s; a release is found by its name, so that must be github://OWNER/REPO", file, name);
    err_hint(err, "write name = \"@@FQN@@\" into it and give --fqn github://OWNER/REPO");
    return -EINVAL;
}

static int connector_identify(struct publish_item *item, const char *file, struct err *err)
{
    const struct buf *wasm = box_get(&item->box, WASM), *text = box_get(&item->box, MANIFEST);
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    int r = 0;

    if (!wasm || !text || wasm->len < 8 || memcmp(wasm->data, "\0asm", 4) != 0)
        return err_set(err, EINVAL, "%s: a connector is " WASM " (a WebAssembly module) and " MANIFEST, file);
    r = manifest_parse(buf_str(text), text->len, file, &manifest, err);
    if (r == 0)
        r = name_check(manifest->name, file, err);
    if (r < 0)
        return r;
    item->name = strdup(manifest->name);
    item->version = strdup(manifest->version);
    return store_content_hash(wasm, text, item->hash);
}

static int action_identify(struct publish_item *item, const char *file, struct err *err)
{
    const struct buf *text = box_get(&item->box, ACTION);
    CLEANUP_PTR(action_free) struct action *action = NULL;
    uint8_t hash[SHA256_BYTES];
    int r = action_parse(buf_str(text), text->len, file, NULL, &action, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < action->requires_len; i++) {
        r = name_check(action->requires_[i].name, file, err);
        if (r < 0)
            return r;
    }
    item->is_action = true;
    item->keys_of_ours_len = action_keys_of_ours(action, item->keys_of_ours);
    item->name = strdup(action->name);
    item->version = strdup(action->version);
    r = sha256(text->data, text->len, hash);
    sha256_tag(hash, item->hash);
    return r;
}

static int identify(struct publish_item *item, const char *file, struct err *err)
{
    int r = box_get(&item->box, ACTION) ? action_identify(item, file, err) : connector_identify(item, file, err);

    if (r == 0 && (!item->name || !item->version))
        r = err_set(err, ENOMEM, "out of memory");
    return r;
}

/* ---- reading sources ---- */

static int text_add(
    struct publish_item *item, const char *path, const char *name, const struct publish_pairs *pairs, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TEXT_BYTES);
    CLEANUP_FREE char *filled = NULL;
    size_t len = 0;
    int r = file_read(AT_FDCWD, path, &text, err);

    if (r == 0)
        r = action_substitute(buf_str(&text), text.len, path, pairs->items, pairs->len, &filled, &len, err);
    if (r < 0)
        return r;
    return box_add(&item->box, name, filled, len) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int connector_read(const char *dir, const struct publish_pairs *pairs, struct publish_item *item, struct err *err)
{
    CLEANUP(buf_free) struct buf wasm = BUF_INIT(LIMIT_WASM_BYTES);
    CLEANUP_FREE char *wasm_path = NULL;
    CLEANUP_FREE char *manifest_path = NULL;
    int r = 0;

    if (asprintf(&wasm_path, "%s/" WASM, dir) < 0 || asprintf(&manifest_path, "%s/" MANIFEST, dir) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = file_read(AT_FDCWD, wasm_path, &wasm, err);
    if (r == 0 && box_add(&item->box, WASM, wasm.data, wasm.len) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r == 0)
        r = text_add(item, manifest_path, MANIFEST, pairs, err);
    return r < 0 ? r : identify(item, manifest_path, err);
}

static int action_read(const char *path, const struct publish_pairs *pairs, struct publish_item *item, struct err *err)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    int r = text_add(item, path, ACTION, pairs, err);

    if (r == 0)
        r = identify(item, path, err);
    if (r < 0)
        return r;
    if (strncmp(file, item->name, strlen(item->name)) != 0 || strcmp(file + strlen(item->name), ".md") != 0)
        return err_set(err, EINVAL, "%s holds the action %s: its file is called %s.md", path, item->name, item->name);
    return 0;
}

int publish_read(const char *path, const struct publish_pairs *pairs, struct publish_item *ret_item, struct err *err)
{
    CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };
    struct stat st;
    int r = 0;

    if (stat(path, &st) < 0)
        return err_errno(err, errno, "cannot find %s", path);
    r = S_ISDIR(st.st_mode) ? connector_read(path, pairs, &item, err) : action_read(path, pairs, &item, err);
    if (r < 0)
        return r;
    *ret_item = item;
    item = (struct publish_item){ .name = NULL };
    return 0;
}

int publish_unpack(const struct buf *archive, const char *path, struct publish_item *ret_item, struct err *err)
{
    CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };
    bool is_action = false, is_connector = false;
    int r = box_unpack(archive->data, archive->len, NAMES, &item.box, err);

    if (r < 0) {
        err_prefix(err, "%s", path);
        return r;
    }
    is_action = box_get(&item.box, ACTION) != NULL;
    is_connector = box_get(&item.box, WASM) && box_get(&item.box, MANIFEST);
    if (!box_get(&item.box, SIGNATURE) || is_action == is_connector || item.box.len != (is_action ? 2 : 3))
        return err_set(
            err, EINVAL, "%s holds neither " WASM ", " MANIFEST " and " SIGNATURE " nor " ACTION " and " SIGNATURE, path);
    r = identify(&item, path, err);
    if (r < 0)
        return r;
    *ret_item = item;
    item = (struct publish_item){ .name = NULL };
    return 0;
}

int publish_open(const char *path, struct publish_item *ret_item, struct err *err)
{
    CLEANUP(buf_free) struct buf archive = BUF_INIT(LIMIT_WASM_BYTES);
    int r = file_read(AT_FDCWD, path, &archive, err);

    return r < 0 ? r : publish_unpack(&archive, path, ret_item, err);
}

/* ---- signatures ---- */

/* What is signed: all files but the signature, in their order. */
static size_t parts_of(const struct publish_item *item, struct keyring_part parts[BOX_FILES_MAX])
{
    static const char *const names[] = { WASM, MANIFEST, ACTION };
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct buf *bytes = box_get(&item->box, names[i]);

        if (bytes)
            parts[len++] = (struct keyring_part){ bytes->data, bytes->len };
    }
    return len;
}

int publish_attach(struct publish_item *item, const void *signature, size_t len, struct err *err)
{
    if (len != SIGN_BYTES)
        return err_set(err, EINVAL, "a signature has %d bytes, not %zu", SIGN_BYTES, len);
    return box_add(&item->box, SIGNATURE, signature, len) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int publish_sign(struct publish_item *item, const struct secret *seed, struct err *err)
{
    CLEANUP(buf_free) struct buf message = BUF_INIT(SIZE_MAX);
    struct keyring_part parts[BOX_FILES_MAX];
    uint8_t signature[SIGN_BYTES];
    size_t len = parts_of(item, parts);
    int r = 0;

    for (size_t i = 0; r == 0 && i < len; i++)
        r = buf_add(&message, parts[i].data, parts[i].len);
    if (r == 0)
        r = sign_message(seed, message.data, message.len, signature);
    return r < 0 ? err_errno(err, -r, "cannot sign") : publish_attach(item, signature, sizeof signature, err);
}

int publish_check(const struct publish_item *item, const struct keyring_key *key, struct err *err)
{
    const struct buf *signature = box_get(&item->box, SIGNATURE);
    struct keyring_part parts[BOX_FILES_MAX];
    size_t len = parts_of(item, parts), which = 0;

    if (!signature || signature->len != SIGN_BYTES)
        return err_set(
            err, EKEYREJECTED, "the signature of %s@%s is not one: it must have %d bytes", item->name, item->version, SIGN_BYTES);
    if (!keyring_verify(key, 1, parts, len, (const uint8_t *) signature->data, &which))
        return err_set(
            err, EKEYREJECTED, "the signature of %s@%s was not made by this key over these files", item->name, item->version);
    return 0;
}

int publish_key_read(const char *path, struct secret **ret_seed, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    struct stat st;
    int r = 0;

    if (fd < 0 && errno == ELOOP)
        return err_set(err, ELOOP, "the key %s is a symbolic link; name the file itself", path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open the key %s", path);
    r = file_check_private(fd, path, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t) st.st_size > KEY_BYTES)
        return err_set(err, EINVAL, "%s is no key", path);
    r = secret_new((size_t) st.st_size, &text);
    if (r == 0)
        r = file_read_full(fd, secret_data(text), secret_len(text));
    if (r == 0)
        r = pem_read_private(text, ret_seed);
    if (r == -EINVAL) {
        err_set(err, EINVAL, "%s is no unencrypted Ed25519 private key in PEM", path);
        err_hint(err, "aileron publish keygen makes one; so does: openssl genpkey -algorithm ed25519");
        return r;
    }
    return r < 0 ? err_errno(err, -r, "cannot read the key %s", path) : 0;
}
