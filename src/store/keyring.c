/*
 * The keyring in memory is one list of (authority, key), sorted, without
 * doubles; the file's two objects are made from it. The grammar of an authority is
 * that of references: an owner is a name with one part, a repository one with two.
 */
#include "store/keyring.h"

#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "base/reference.h"
#include "crypt/digest.h"
#include "crypt/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FILE_NAME  "keyring.json"
#define GITHUB     "github://"
#define GITHUB_LEN (sizeof GITHUB - 1)
#define PEM_MARK   "-----BEGIN"
#define KEY_TEXT   4096

struct row {
    char *authority;
    struct keyring_key key;
};

struct keyring {
    struct row *rows;
    size_t len;
};

enum authority { AUTHORITY_NONE, AUTHORITY_OWNER, AUTHORITY_REPOSITORY };

/* What the name stands for; nothing else may be trusted. */
static enum authority authority_kind(const char *name)
{
    char probe[KEYRING_AUTHORITY_MAX + 8];
    const char *slash = NULL;

    if (strncmp(name, GITHUB, GITHUB_LEN) != 0 || strlen(name) >= KEYRING_AUTHORITY_MAX)
        return AUTHORITY_NONE;
    slash = strchr(name + GITHUB_LEN, '/');
    if (slash)
        return !strchr(slash + 1, '/') && !reference_fqn_fault(name, strlen(name)) ? AUTHORITY_REPOSITORY : AUTHORITY_NONE;
    snprintf(probe, sizeof probe, "%s/x", name);
    return reference_fqn_fault(probe, strlen(probe)) ? AUTHORITY_NONE : AUTHORITY_OWNER;
}

void keyring_free(struct keyring *keyring)
{
    if (!keyring)
        return;
    for (size_t i = 0; i < keyring->len; i++)
        free(keyring->rows[i].authority);
    free(keyring->rows);
    free(keyring);
}

/* ---- keys ---- */

static size_t blank_span(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at;
}

static int raw_read(const char *text, size_t len, struct keyring_key *ret_key)
{
    CLEANUP(buf_free) struct buf raw = BUF_INIT(KEY_TEXT);

    if (base64_decode(text, len, &raw) < 0 || raw.len != SIGN_PUBLIC_BYTES)
        return -EINVAL;
    memcpy(ret_key->raw, raw.data, SIGN_PUBLIC_BYTES);
    return 0;
}

int keyring_key_read(const char *text, size_t len, struct keyring_key *ret_key, struct err *err)
{
    struct keyring_key key;
    size_t skip = blank_span(text, len);
    int r = 0;

    text += skip;
    len -= skip;
    while (len > 0 && blank_span(text + len - 1, 1) == 1)
        len--;
    if (len == 0 || len > KEY_TEXT)
        r = -EINVAL;
    else if (len >= sizeof PEM_MARK - 1 && !memcmp(text, PEM_MARK, sizeof PEM_MARK - 1))
        r = pem_read_public(text, len, key.raw);
    else
        r = raw_read(text, len, &key);
    if (r < 0) {
        err_set(err, EINVAL, "it holds no Ed25519 public key");
        err_hint(err, "a key is PEM (-----BEGIN PUBLIC KEY-----) or the base64 of its 32 bytes");
        return -EINVAL;
    }
    *ret_key = key;
    return 0;
}

char *keyring_fingerprint(const struct keyring_key *key, char out[KEYRING_FINGERPRINT_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(KEYRING_FINGERPRINT_MAX);
    uint8_t hash[SHA256_BYTES];
    size_t len = 0;

    out[0] = '\0';
    if (sha256(key->raw, sizeof key->raw, hash) < 0 || base64_encode(hash, sizeof hash, &text) < 0)
        return out;
    len = strcspn(buf_str(&text), "=");
    snprintf(out, KEYRING_FINGERPRINT_MAX, "sha256:%.*s", (int) len, buf_str(&text));
    return out;
}

bool keyring_verify(const struct keyring_key *keys, size_t keys_len, const struct keyring_part *parts, size_t parts_len,
    const uint8_t signature[SIGN_BYTES], size_t *ret_which)
{
    CLEANUP_FREE uint8_t *message = NULL;
    size_t total = 0, at = 0;

    for (size_t i = 0; i < parts_len; i++)
        if (__builtin_add_overflow(total, parts[i].len, &total))
            return false;
    /* Ed25519 reads its message twice: it must be in one piece. */
    message = malloc(total + 1);
    if (!message)
        return false;
    for (size_t i = 0; i < parts_len; i++) {
        if (parts[i].len > 0)
            memcpy(message + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    for (size_t i = 0; i < keys_len; i++)
        if (sign_verify(keys[i].raw, message, total, signature)) {
            *ret_which = i;
            return true;
        }
    return false;
}

/* ---- rows ---- */

static int row_compare(const struct row *row, const char *authority, const struct keyring_key *key)
{
    int order = strcmp(row->authority, authority);

    return order != 0 ? order : memcmp(row->key.raw, key->raw, sizeof key->raw);
}

int keyring_add(struct keyring *keyring, const char *authority, const struct keyring_key *key, struct err *err)
{
    struct row *rows = NULL;
    size_t at = 0;
    char *copy = NULL;

    if (authority_kind(authority) == AUTHORITY_NONE) {
        err_set(err, EINVAL, "'%.80s' is neither an owner nor a repository", authority);
        err_hint(err, "write github://OWNER or github://OWNER/REPO");
        return -EINVAL;
    }
    while (at < keyring->len && row_compare(&keyring->rows[at], authority, key) < 0)
        at++;
    if (at < keyring->len && row_compare(&keyring->rows[at], authority, key) == 0)
        return 1;
    if (keyring->len == KEYRING_KEYS_MAX)
        return err_set(err, E2BIG, "the keyring holds %d keys already", KEYRING_KEYS_MAX);
    copy = strdup(authority);
    rows = copy ? realloc(keyring->rows, (keyring->len + 1) * sizeof *rows) : NULL;
    if (!rows) {
        free(copy);
        return err_set(err, ENOMEM, "out of memory");
    }
    memmove(&rows[at + 1], &rows[at], (keyring->len - at) * sizeof *rows);
    rows[at] = (struct row){ copy, *key };
    keyring->rows = rows;
    keyring->len++;
    return 0;
}

int keyring_remove(struct keyring *keyring, const char *authority, const struct keyring_key *key)
{
    size_t kept = 0;
    int removed = 0;

    for (size_t i = 0; i < keyring->len; i++) {
        struct row *row = &keyring->rows[i];

        if (!strcmp(row->authority, authority) && (!key || row_compare(row, authority, key) == 0)) {
            free(row->authority);
            removed++;
        } else {
            keyring->rows[kept++] = *row;
        }
    }
    keyring->len = kept;
    return removed;
}

bool keyring_covers(const char *authority, const char *fqn)
{
    size_t len = strlen(authority);

    return !strncmp(fqn, authority, len) && (fqn[len] == '/' || fqn[len] == '\0');
}

size_t keyring_keys_for(const struct keyring *keyring, const char *fqn, struct keyring_key *out, size_t max)
{
    size_t found = 0;

    for (size_t i = 0; i < keyring->len; i++) {
        if (!keyring_covers(keyring->rows[i].authority, fqn))
            continue;
        if (found < max)
            out[found] = keyring->rows[i].key;
        found++;
    }
    return found;
}

static json_t *key_json(const struct keyring_key *key)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64);

    return base64_encode(key->raw, sizeof key->raw, &text) < 0 ? NULL : json_string(buf_str(&text));
}

json_t *keyring_list(const struct keyring *keyring)
{
    CLEANUP_JSON json_t *list = json_array();
    char fingerprint[KEYRING_FINGERPRINT_MAX];

    for (size_t i = 0; list && i < keyring->len; i++) {
        const struct row *row = &keyring->rows[i];
        const char *kind = authority_kind(row->authority) == AUTHORITY_OWNER ? "owner" : "repository";
        json_t *item = json_pack("{s:s, s:s, s:s, s:o}", "authority", row->authority, "kind", kind, "fingerprint",
            keyring_fingerprint(&row->key, fingerprint), "key", key_json(&row->key));

        if (json_array_append_new(list, item) < 0)
            return NULL;
    }
    return TAKE_PTR(list);
}

/* ---- the file ---- */

static int keys_read(
    struct keyring *keyring, const char *authority, const json_t *keys, enum authority kind, const char *name, struct err *err)
{
    const json_t *item = NULL;
    struct keyring_key key;
    size_t i = 0;

    if (authority_kind(authority) != kind)
        return err_set(err, EINVAL, "%s: \"%.80s\" is no %s", name, authority,
            kind == AUTHORITY_OWNER ? "owner (github://owner)" : "repository (github://owner/repo)");
    if (!json_is_array(keys))
        return err_set(err, EINVAL, "%s: the keys of \"%.80s\" are not a list", name, authority);
    json_array_foreach(keys, i, item)
    {
        int r = json_is_string(item) ? raw_read(json_string_value(item), json_string_length(item), &key) : -EINVAL;

        if (r < 0)
            return err_set(err, EINVAL, "%s: key %zu of \"%.80s\" is not the base64 of 32 bytes", name, i + 1, authority);
        r = keyring_add(keyring, authority, &key, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int section_read(
    struct keyring *keyring, const json_t *root, const char *section, enum authority kind, const char *name, struct err *err)
{
    json_t *object = json_object_get(root, section), *keys = NULL;
    const char *authority = NULL;
    int r = 0;

    if (object && !json_is_null(object) && !json_is_object(object))
        return err_set(err, EINVAL, "%s: \"%s\" is no object", name, section);
    json_object_foreach(object, authority, keys)
    {
        r = keys_read(keyring, authority, keys, kind, name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A key that we do not know could mean that a key must not be trusted: refused rather than ignored. */
static int shape_check(const json_t *root, const char *name, struct err *err)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_int_t version = json_integer_value(json_object_get(root, "version"));

    if (!json_is_object(root) || (version != 1 && version != 2)) {
        err_set(err, EINVAL, "%s is no keyring of version 1 or 2", name);
        err_hint(err, "it may come from a newer version; move it away to start with an empty one");
        return -EINVAL;
    }
    json_object_foreach((json_t *) root, key, member)
    {
        bool known = !strcmp(key, "version") || !strcmp(key, "publishers") || (version == 2 && !strcmp(key, "owners"));

        if (!known)
            return err_set(err, EINVAL, "%s: unknown key \"%.64s\"", name, key);
    }
    return 0;
}

int keyring_parse(const char *text, size_t len, const char *name, struct keyring **ret_keyring, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = calloc(1, sizeof *keyring);
    CLEANUP_JSON json_t *root = NULL;
    int r = 0;

    if (!keyring)
        return err_set(err, ENOMEM, "out of memory");
    r = json_parse(text, len, JSON_LIMITS(KEYRING_FILE_MAX), &root, err);
    if (r < 0) {
        err_prefix(err, "%s", name);
        return r;
    }
    r = shape_check(root, name, err);
    if (r == 0)
        r = section_read(keyring, root, "publishers", AUTHORITY_REPOSITORY, name, err);
    if (r == 0)
        r = section_read(keyring, root, "owners", AUTHORITY_OWNER, name, err);
    if (r < 0)
        return r;
    *ret_keyring = TAKE_PTR(keyring);
    return 0;
}

int keyring_load(const char *home, struct keyring **ret_keyring, struct err *err)
{
    static const char empty[] = "{\"version\":2}";
    CLEANUP(buf_free) struct buf text = BUF_INIT(KEYRING_FILE_MAX);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_CLOSE int fd = -1;
    int r = 0;

    if (asprintf(&path, "%s/" FILE_NAME, home) < 0)
        return err_set(err, ENOMEM, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return keyring_parse(empty, sizeof empty - 1, FILE_NAME, ret_keyring, err);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    r = file_check_private(fd, path, err);
    if (r < 0)
        return r;
    r = file_read_fd(fd, &text, err);
    if (r < 0)
        err_prefix(err, "%s", path);
    return r < 0 ? r : keyring_parse(buf_str(&text), text.len, path, ret_keyring, err);
}

/* {"github://owner/repo":[b64…]} of one kind, in the order of the rows. */
static json_t *section_make(const struct keyring *keyring, enum authority kind)
{
    CLEANUP_JSON json_t *object = json_object();

    for (size_t i = 0; object && i < keyring->len; i++) {
        const struct row *row = &keyring->rows[i];
        json_t *keys = json_object_get(object, row->authority);

        if (authority_kind(row->authority) != kind)
            continue;
        if (!keys) {
            keys = json_array();
            if (json_object_set_new(object, row->authority, keys) < 0)
                return NULL;
        }
        if (json_array_append_new(keys, key_json(&row->key)) < 0)
            return NULL;
    }
    return TAKE_PTR(object);
}

int keyring_save(const struct keyring *keyring, const char *home, struct err *err)
{
    CLEANUP_JSON json_t *root = json_pack("{s:i, s:o, s:o}", "version", 2, "publishers",
        section_make(keyring, AUTHORITY_REPOSITORY), "owners", section_make(keyring, AUTHORITY_OWNER));
    CLEANUP_FREE char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    CLEANUP_FREE char *path = NULL;

    if (!text || asprintf(&path, "%s/" FILE_NAME, home) < 0)
        return err_set(err, ENOMEM, "out of memory");
    return file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, err);
}
