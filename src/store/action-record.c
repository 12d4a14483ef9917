/* See the header. Names are checked here too: they become file names. */
#include "store/action-record.h"

#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FOLDER        "store/actions"
#define SUFFIX        ".json"
#define SUFFIX_LEN    (sizeof SUFFIX - 1)
#define NAME_MAX_LEN  64
#define FILE_BYTES    (8 * ACTION_RECORD_TEXT_MAX) /* JSON may escape every byte */
#define SIGNATURE_MAX 128

void action_record_free(struct action_record *record)
{
    free(record->text);
    record->text = NULL;
}

static int path_make(const char *home, const char *name, char out[PATH_MAX], struct err *err)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    if (len == 0 || name[len] || len > NAME_MAX_LEN || strchr("._-", name[0]))
        return err_set(err, EINVAL, "'%.64s' is not the name of an action", name);
    if (snprintf(out, PATH_MAX, "%s/" FOLDER "/%s" SUFFIX, home, name) >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "the path of the home is too long");
    return 0;
}

static int hash_take(struct action_record *record)
{
    uint8_t hash[SHA256_BYTES];
    int r = sha256(record->text, record->text_len, hash);

    sha256_tag(hash, record->hash);
    return r;
}

int action_record_put(const char *home, const char *name, struct action_record *record, struct err *err)
{
    CLEANUP(buf_free) struct buf signature = BUF_INIT(SIGNATURE_MAX);
    CLEANUP(buf_free) struct buf text = BUF_INIT(FILE_BYTES);
    CLEANUP_JSON json_t *json = NULL;
    char path[PATH_MAX], folder[PATH_MAX];
    int r = path_make(home, name, path, err);

    if (r < 0)
        return r;
    if (record->text_len > ACTION_RECORD_TEXT_MAX || !utf8_is_valid(record->text, record->text_len))
        return err_set(err, EINVAL, "the action %s is too long or no text", name);
    if (hash_take(record) < 0 || base64_encode(record->signature, sizeof record->signature, &signature) < 0)
        return err_set(err, ENOMEM, "out of memory");
    json = json_pack("{s:s, s:s, s:s, s:s, s:s%}", "fqn", record->fqn, "version", record->version, "hash", record->hash,
        "signature", buf_str(&signature), "action", record->text, record->text_len);
    if (!json || json_write(json, &text) < 0)
        return err_set(err, ENOMEM, "out of memory");
    snprintf(folder, sizeof folder, "%s/" FOLDER, home);
    r = file_make_dirs(folder, 0700, err);
    return r < 0 ? r : file_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, err);
}

static int text_copy(const json_t *json, const char *key, char *out, size_t size)
{
    const char *text = json_get_str(json, key);

    return text && (size_t) snprintf(out, size, "%s", text) < size ? 0 : -EBADMSG;
}

static int signature_read(const json_t *json, uint8_t out[SIGN_BYTES])
{
    CLEANUP(buf_free) struct buf raw = BUF_INIT(SIGNATURE_MAX);
    const char *text = json_get_str(json, "signature");

    if (!text || base64_decode(text, strlen(text), &raw) < 0 || raw.len != SIGN_BYTES)
        return -EBADMSG;
    memcpy(out, raw.data, SIGN_BYTES);
    return 0;
}

static int record_read(const json_t *json, struct action_record *record)
{
    const json_t *action = json_object_get(json, "action");
    char claimed[SHA256_TAGGED_MAX];

    if (text_copy(json, "fqn", record->fqn, sizeof record->fqn) < 0 ||
        text_copy(json, "version", record->version, sizeof record->version) < 0 ||
        text_copy(json, "hash", claimed, sizeof claimed) < 0 || signature_read(json, record->signature) < 0 ||
        !json_is_string(action) || reference_fqn_fault(record->fqn, strlen(record->fqn)) ||
        !reference_is_semver(record->version, strlen(record->version)))
        return -EBADMSG;
    record->text_len = json_string_length(action);
    record->text = strndup(json_string_value(action), record->text_len);
    if (!record->text || hash_take(record) < 0)
        return -ENOMEM;
    return strcmp(record->hash, claimed) == 0 ? 0 : -EBADMSG;
}

int action_record_get(const char *home, const char *name, struct action_record *ret_record, struct err *err)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    CLEANUP(buf_free) struct buf text = BUF_INIT(FILE_BYTES);
    CLEANUP_JSON json_t *json = NULL;
    char path[PATH_MAX];
    int r = path_make(home, name, path, err);

    if (r == 0)
        r = file_read(AT_FDCWD, path, &text, err);
    if (r < 0)
        return r;
    r = json_parse(buf_str(&text), text.len, JSON_LIMITS(FILE_BYTES), &json, NULL) < 0 ? -EBADMSG : record_read(json, &record);
    if (r < 0) {
        err_set(err, -r, "%s is damaged: what was signed of the action %s is not known any more", path, name);
        err_hint(err, "install the action again, or remove it");
        return r;
    }
    *ret_record = record;
    record.text = NULL;
    return 0;
}

int action_record_drop(const char *home, const char *name, struct err *err)
{
    char path[PATH_MAX], folder[PATH_MAX];
    int r = path_make(home, name, path, err);

    if (r < 0)
        return r;
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "cannot remove %s", path);
    snprintf(folder, sizeof folder, "%s/" FOLDER, home);
    CLEANUP_CLOSE int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd >= 0)
        file_sync_dir(dirfd);
    return 0;
}

static int is_record(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > SUFFIX_LEN && entry->d_name[0] != '.' && !strcmp(entry->d_name + len - SUFFIX_LEN, SUFFIX);
}

int action_record_names(const char *home, json_t **ret_names, struct err *err)
{
    CLEANUP_JSON json_t *names = json_array();
    struct dirent **entries = NULL;
    char folder[PATH_MAX];
    int len = 0;

    if (snprintf(folder, sizeof folder, "%s/" FOLDER, home) >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "the path of the home is too long");
    len = scandir(folder, &entries, is_record, alphasort);
    if (len < 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot read %s", folder);
    for (int i = 0; i < len; i++) {
        json_array_append_new(names, json_stringn(entries[i]->d_name, strlen(entries[i]->d_name) - SUFFIX_LEN));
        free(entries[i]);
    }
    free(entries);
    *ret_names = TAKE_PTR(names);
    return 0;
}
