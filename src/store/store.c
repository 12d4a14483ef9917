/*
 * The content-addressed store. A connector is written whole into a folder of
 * store/tmp/, synced, and moved to its hash's name with one rename; whoever comes
 * second finds the name taken by the same bytes and drops his own. The index is a
 * cache: what it says is believed only while it names exactly the folders that
 * are there, otherwise it is made anew from the manifests.
 */
#include "store/store.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "base/reference.h"
#include "base/toml.h"
#include "crypt/digest.h"
#include "store/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define CONNECTORS      "store/connectors/sha256"
#define INDEX_DIR       "store/index"
#define INDEX           INDEX_DIR "/connectors.json"
#define TMP             "store/tmp"
#define INDEX_MAX_BYTES (16u << 20)
#define SIGNATURE       "signature.sig"
#define SIGNATURE_MAX   4096
#define HEX_LEN         64
#define TAG_LEN         7 /* "sha256:" */
#define TMP_NAME_BYTES  16

int store_content_hash(const struct buf *wasm, const struct buf *manifest, char ret_hash[72])
{
    uint8_t hash[SHA256_BYTES];
    char tagged[SHA256_TAGGED_MAX];
    struct digest *digest = digest_new();

    if (!digest)
        return -ENOMEM;
    digest_add(digest, wasm->data, wasm->len);
    digest_add(digest, manifest->data, manifest->len);
    digest_end(digest, hash);
    snprintf(ret_hash, 72, "%s", sha256_tag(hash, tagged));
    return 0;
}

static int join(char out[PATH_MAX], const char *home, const char *relative, struct err *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", home, relative) >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "the path of the home is too long");
    return 0;
}

/* ---- reading what is there ---- */

/* Name and version as the manifest in `dirfd` says; the full check of a manifest is not the store's. */
static int read_identity(int dirfd, struct store_connector *connector, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TOML_MAX_BYTES);
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    int r = file_read(dirfd, "manifest.toml", &text, err);

    if (r < 0)
        return r;
    r = toml_parse(buf_str(&text), text.len, "manifest.toml", 1, &root, err);
    if (r < 0)
        return r;
    const struct toml_node *table = toml_get(root, "connector");
    const struct toml_node *name = table ? toml_get(table, "name") : NULL;
    const struct toml_node *version = table ? toml_get(table, "version") : NULL;
    if (!name || name->type != TOML_STRING || reference_fqn_fault(name->text, strlen(name->text)) || !version ||
        version->type != TOML_STRING || !reference_is_semver(version->text, strlen(version->text)))
        return err_set(err, EINVAL, "%s/manifest.toml names no connector", connector->dir);
    snprintf(connector->fqn, sizeof(connector->fqn), "%s", name->text);
    snprintf(connector->version, sizeof(connector->version), "%s", version->text);
    return 0;
}

/* Fills `dir` and opens it. */
static int folder_open(const char *home, const char *hash, char dir[4096], int *ret_fd, struct err *err)
{
    if (!reference_is_hash(hash))
        return err_set(err, EINVAL, "%.80s is not sha256: and 64 hexadecimal digits", hash);
    if (snprintf(dir, 4096, "%s/" CONNECTORS "/%s", home, hash + TAG_LEN) >= 4096)
        return err_set(err, ENAMETOOLONG, "the path of the home is too long");
    int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ENOENT, "no connector with hash %s is installed", hash);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", dir);
    *ret_fd = fd;
    return 0;
}

int store_folder(const char *home, const char *hash, char ret_dir[4096], struct err *err)
{
    CLEANUP_CLOSE int dirfd = -1;

    return folder_open(home, hash, ret_dir, &dirfd, err);
}

int store_find(const char *home, const char *hash, struct store_connector *ret_connector, struct err *err)
{
    struct store_connector found = { .hash = "" };
    CLEANUP_CLOSE int dirfd = -1;
    struct stat st;
    int r = folder_open(home, hash, found.dir, &dirfd, err);

    if (r == 0)
        r = read_identity(dirfd, &found, err);
    if (r < 0)
        return r;
    snprintf(found.hash, sizeof(found.hash), "%s", hash);
    found.is_signed = !fstatat(dirfd, SIGNATURE, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode);
    *ret_connector = found;
    return 0;
}

static bool is_hex_name(const char *name)
{
    return strlen(name) == HEX_LEN && strspn(name, "0123456789abcdef") == HEX_LEN;
}

/* Every connector of the store as {fqn, version, hash, signed}; one that is damaged has no name. */
static int scan(const char *home, json_t **ret_list, struct err *err)
{
    CLEANUP_JSON json_t *list = json_array();
    char path[PATH_MAX];
    struct dirent *item;
    int r = join(path, home, CONNECTORS, err);

    if (r < 0)
        return r;
    CLEANUP_CLOSEDIR DIR *dir = opendir(path);
    if (!dir && errno != ENOENT)
        return err_errno(err, errno, "cannot read %s", path);
    while (dir && (item = readdir(dir))) {
        struct store_connector connector = { .hash = "" };
        char hash[72];

        if (!is_hex_name(item->d_name))
            continue;
        snprintf(hash, sizeof(hash), "sha256:%.64s", item->d_name);
        if (store_find(home, hash, &connector, NULL) < 0) {
            json_array_append_new(list, json_pack("{s:s,s:b}", "hash", hash, "signed", 0));
            continue;
        }
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b}", "fqn", connector.fqn, "version", connector.version, "hash",
                                        hash, "signed", connector.is_signed));
    }
    *ret_list = TAKE_PTR(list);
    return 0;
}

/* ---- the index ---- */

static json_t *index_of(const json_t *list)
{
    json_t *index = json_object();
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        char key[REFERENCE_FQN_MAX + REFERENCE_SEMVER_MAX + 2];

        if (!json_get_str(item, "fqn"))
            continue;
        snprintf(key, sizeof(key), "%s@%s", json_get_str(item, "fqn"), json_get_str(item, "version"));
        json_object_set_new(index, key, json_string(json_get_str(item, "hash")));
    }
    return index;
}

/* Writes the index when it differs from what is there. */
static int index_update(const char *home, const json_t *list, struct err *err)
{
    CLEANUP(buf_free) struct buf old = BUF_INIT(INDEX_MAX_BYTES);
    CLEANUP(buf_free) struct buf text = BUF_INIT(INDEX_MAX_BYTES);
    CLEANUP_JSON json_t *index = index_of(list);
    CLEANUP_CLOSE int dirfd = -1;
    int r = folders_open(home, INDEX_DIR, &dirfd, err);

    if (r < 0)
        return r;
    if (!index || json_write_canonical(index, &text) < 0 || buf_add_char(&text, '\n') < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (!file_read(dirfd, "connectors.json", &old, NULL) && old.len == text.len && !memcmp(buf_str(&old), text.data, text.len))
        return 0;
    return file_write_atomic(dirfd, "connectors.json", text.data, text.len, 0600, err);
}

int store_list(const char *home, json_t **ret_list, struct err *err)
{
    CLEANUP_JSON json_t *list = NULL;
    int r = scan(home, &list, err);

    if (r < 0)
        return r;
    if (json_array_size(list)) {
        r = index_update(home, list, err);
        if (r < 0 && r != -EROFS && r != -ENOSPC) /* a cache that cannot be written costs nothing but time */
            return r;
    }
    *ret_list = TAKE_PTR(list);
    return 0;
}

/* The index is a cache: one that cannot be written now is made at the next listing. */
static void reindex(const char *home)
{
    CLEANUP_JSON json_t *list = NULL;

    if (scan(home, &list, NULL) == 0)
        index_update(home, list, NULL);
}

/* ---- putting and removing ---- */

static int write_files(
    int dirfd, const struct buf *wasm, const struct buf *manifest, const struct buf *signature, struct err *err)
{
    int r = file_write_atomic(dirfd, "connector.wasm", wasm->data, wasm->len, 0600, err);

    if (r >= 0)
        r = file_write_atomic(dirfd, "manifest.toml", manifest->data, manifest->len, 0600, err);
    if (r >= 0 && signature)
        r = file_write_atomic(dirfd, SIGNATURE, signature->data, signature->len, 0600, err);
    return r;
}

/* Moves the finished folder to its name. -EEXIST: there is one of this name already, perhaps put there a moment ago. */
static int move_in(int tmpfd, const char *name, int connectorsfd, const char *hex, struct err *err)
{
    if (renameat2(tmpfd, name, connectorsfd, hex, RENAME_NOREPLACE) < 0)
        return errno == EEXIST ? -EEXIST : err_errno(err, errno, "cannot move the connector into the store");
    int r = file_sync_dir(connectorsfd);
    return r < 0 ? err_errno(err, -r, "cannot sync the store") : 0;
}

static void name_at_random(char out[2 * TMP_NAME_BYTES + 1])
{
    uint8_t random[TMP_NAME_BYTES];

    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), out);
}

static int put_new(const char *home, const char *hex, const struct buf *wasm, const struct buf *manifest,
    const struct buf *signature, struct err *err)
{
    char name[2 * TMP_NAME_BYTES + 1];
    CLEANUP_CLOSE int tmpfd = -1;
    CLEANUP_CLOSE int connectorsfd = -1;
    CLEANUP_CLOSE int dirfd = -1;
    int r = folders_open(home, TMP, &tmpfd, err);

    if (r >= 0)
        r = folders_open(home, CONNECTORS, &connectorsfd, err);
    if (r < 0)
        return r;
    name_at_random(name);
    if (mkdirat(tmpfd, name, 0700) < 0)
        return err_errno(err, errno, "cannot make a folder in %s/" TMP, home);
    dirfd = openat(tmpfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = dirfd < 0 ? err_errno(err, errno, "cannot open a folder in %s/" TMP, home)
                  : write_files(dirfd, wasm, manifest, signature, err);
    if (r >= 0)
        r = move_in(tmpfd, name, connectorsfd, hex, err);
    if (r < 0)
        file_remove_tree(tmpfd, name);
    return r;
}

/* True when the store already holds exactly these bytes. A folder with other bytes under this name was tampered with and is replaced. */
static bool holds_same(const char *home, const char *hash)
{
    CLEANUP(buf_free) struct buf wasm = BUF_INIT(64u << 20);
    CLEANUP(buf_free) struct buf manifest = BUF_INIT(TOML_MAX_BYTES);
    struct store_connector connector;
    char own[72];

    if (store_find(home, hash, &connector, NULL) < 0)
        return false;
    CLEANUP_CLOSE int dirfd = open(connector.dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dirfd >= 0 && !file_read(dirfd, "connector.wasm", &wasm, NULL) &&
           !file_read(dirfd, "manifest.toml", &manifest, NULL) && !store_content_hash(&wasm, &manifest, own) &&
           !strcmp(own, hash);
}

/* Whatever has this name goes to store/tmp with one rename and is taken apart there: nothing half removed is ever met. */
static int remove_dir(const char *home, const char *hex, struct err *err)
{
    char name[2 * TMP_NAME_BYTES + 1];
    CLEANUP_CLOSE int tmpfd = -1;
    CLEANUP_CLOSE int connectorsfd = -1;
    int r = folders_open(home, TMP, &tmpfd, err);

    if (r >= 0)
        r = folders_open(home, CONNECTORS, &connectorsfd, err);
    if (r < 0)
        return r;
    name_at_random(name);
    if (renameat(connectorsfd, hex, tmpfd, name) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "cannot remove %s/" CONNECTORS "/%s", home, hex);
    r = file_sync_dir(connectorsfd);
    if (file_remove_tree(tmpfd, name) == -ENOTDIR)
        unlinkat(tmpfd, name, 0);
    return r < 0 ? err_errno(err, -r, "cannot sync the store") : 0;
}

/* Written in store/tmp, so that a connector's folder never holds anything else than its files. */
static int replace_signature(const char *home, int dirfd, const struct buf *signature, struct err *err)
{
    char name[2 * TMP_NAME_BYTES + 1];
    CLEANUP_CLOSE int tmpfd = -1;
    int r = folders_open(home, TMP, &tmpfd, err);

    if (r < 0)
        return r;
    name_at_random(name);
    r = file_write_atomic(tmpfd, name, signature->data, signature->len, 0600, err);
    if (r == 0 && renameat(tmpfd, name, dirfd, SIGNATURE) < 0)
        r = err_errno(err, errno, "cannot move the signature into the store");
    if (r < 0) {
        unlinkat(tmpfd, name, 0);
        return r;
    }
    r = file_sync_dir(dirfd);
    return r < 0 ? err_errno(err, -r, "cannot sync the store") : 0;
}

/* The bytes are there; the signature beside them may be missing, damaged, or by a key that is not trusted any more. */
static int renew_signature(const char *home, const char *hash, const struct buf *signature, struct err *err)
{
    CLEANUP(buf_free) struct buf old = BUF_INIT(SIGNATURE_MAX);
    CLEANUP_CLOSE int pathfd = -1;
    char dir[4096];
    int r = signature ? folder_open(home, hash, dir, &pathfd, err) : 0;

    if (!signature || r < 0)
        return r;
    if (!file_read(pathfd, SIGNATURE, &old, NULL) && old.len == signature->len && !memcmp(old.data, signature->data, old.len))
        return 0;
    CLEANUP_CLOSE int dirfd = openat(pathfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd < 0 ? err_errno(err, errno, "cannot open %s", dir) : replace_signature(home, dirfd, signature, err);
}

int store_put(const char *home, const char *fqn, const char *version, const struct buf *wasm, const struct buf *manifest,
    const struct buf *signature, char ret_hash[72], bool *ret_existed, struct err *err)
{
    char hash[72];
    int r = store_content_hash(wasm, manifest, hash);

    if (r < 0)
        return err_set(err, -r, "out of memory");
    if (!signature && strncmp(fqn, "local://", 8))
        return err_set(err, EPERM, "%s@%s has no signature; unsigned connectors live only under local:// names", fqn, version);
    bool existed = holds_same(home, hash);
    if (!existed) {
        r = put_new(home, hash + TAG_LEN, wasm, manifest, signature, err);
        if (r == -EEXIST && !(existed = holds_same(home, hash))) {
            r = remove_dir(home, hash + TAG_LEN, err);
            if (r >= 0)
                r = put_new(home, hash + TAG_LEN, wasm, manifest, signature, err);
        }
        if (r == -EEXIST)
            existed = true; /* somebody else has put the same bytes since */
        else if (r < 0)
            return r;
    }
    r = existed ? renew_signature(home, hash, signature, err) : 0;
    if (r < 0)
        return r;
    reindex(home);
    snprintf(ret_hash, 72, "%s", hash);
    *ret_existed = existed;
    return 0;
}

int store_remove(const char *home, const char *hash, struct err *err)
{
    char dir[4096];
    int r = store_folder(home, hash, dir, err);

    /* What is no folder, or one with damaged files, is removed all the same. */
    if (r == -ENOENT || r == -EINVAL)
        return r;
    r = remove_dir(home, hash + TAG_LEN, err);
    if (r == 0)
        reindex(home);
    return r;
}

static void sweep_tmp(int tmpfd)
{
    int fd = openat(tmpfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    while (dir && (item = readdir(dir)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 && file_remove_tree(tmpfd, item->d_name) < 0)
            unlinkat(tmpfd, item->d_name, 0);
}

int store_repair(const char *home, struct err *err)
{
    CLEANUP_CLOSE int tmpfd = -1;
    CLEANUP_CLOSE int indexfd = -1;
    CLEANUP_CLOSE int homefd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[PATH_MAX];
    int r = folders_open(home, TMP, &tmpfd, err);

    if (r == 0)
        r = folders_make(home, CONNECTORS, path, err);
    if (r == 0)
        r = folders_open(home, INDEX_DIR, &indexfd, err);
    if (r < 0)
        return r;
    sweep_tmp(tmpfd);
    folders_sweep(indexfd, NULL);
    /* The keyring's and its neighbours'; the vault's are the keeper's, who may be writing one now. */
    folders_sweep(homefd, ".secrets.json");
    reindex(home);
    return 0;
}
