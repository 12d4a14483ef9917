/* See the header. Names are checked here too: they become file names. */
#include "store/action-record.h"

#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "store/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define FOLDER        ACTION_RECORD_FOLDER
#define ACTIONS       "actions"
#define SUFFIX        ".json"
#define SUFFIX_LEN    (sizeof SUFFIX - 1)
#define NAME_MAX_LEN  64
#define FILE_BYTES    (8 * ACTION_RECORD_TEXT_MAX) /* JSON may escape every byte */
#define SIGNATURE_MAX 128
#define NEW           ".new"

void action_record_free(struct action_record *record)
{
    free(record->text);
    record->text = NULL;
}

static int name_check(const char *name, struct err *err)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    if (len == 0 || name[len] || len > NAME_MAX_LEN || strchr("._-", name[0]))
        return err_set(err, EINVAL, "'%.64s' is not the name of an action", name);
    return 0;
}

static int path_make(const char *home, const char *name, char out[PATH_MAX], struct err *err)
{
    int r = name_check(name, err);

    if (r < 0)
        return r;
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

/* Takes the hash and makes the file's text. */
static int record_write(const char *name, struct action_record *record, struct buf *text, struct err *err)
{
    CLEANUP(buf_free) struct buf signature = BUF_INIT(SIGNATURE_MAX);
    CLEANUP_JSON json_t *json = NULL;

    if (record->text_len > ACTION_RECORD_TEXT_MAX || !utf8_is_valid(record->text, record->text_len))
        return err_set(err, EINVAL, "the action %s is too long or no text", name);
    if (hash_take(record) < 0 || base64_encode(record->signature, sizeof record->signature, &signature) < 0)
        return err_set(err, ENOMEM, "out of memory");
    json = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s%}", "fqn", record->fqn, "version", record->version, "hash", record->hash,
        "signature", buf_str(&signature), "replaces", record->replaces[0] ? record->replaces : NULL, "action", record->text,
        record->text_len);
    if (!json || json_write(json, text) < 0)
        return err_set(err, ENOMEM, "out of memory");
    return 0;
}

int action_record_put(const char *home, const char *name, struct action_record *record, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(FILE_BYTES);
    CLEANUP_CLOSE int folder = -1;
    char path[PATH_MAX];
    int r = path_make(home, name, path, err);

    if (r == 0)
        r = record_write(name, record, &text, err);
    if (r == 0)
        r = folders_open(home, FOLDER, &folder, err);
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
    if (json_object_get(json, "replaces") &&
        (text_copy(json, "replaces", record->replaces, sizeof record->replaces) < 0 || !reference_is_hash(record->replaces)))
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

/* ---- both files ---- */

/* A file written beside the one whose name it is to take. */
struct staged {
    int folder; /* borrowed */
    char name[NAME_MAX_LEN + 8], beside[NAME_MAX_LEN + 16];
    bool swapped; /* what was there before has the other name now */
};

static int stage(struct staged *staged, const void *data, size_t len)
{
    struct stat st;

    if (fstatat(staged->folder, staged->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return -EISDIR; /* not ours, and not to be exchanged away */
    unlinkat(staged->folder, staged->beside, 0);
    CLEANUP_CLOSE int fd = openat(staged->folder, staged->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : file_write_full(fd, data, len);

    return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* By exchange, so that it can be taken back without asking for room; where that is not known, by a plain rename. */
static int publish(struct staged *staged)
{
    if (renameat2(staged->folder, staged->beside, staged->folder, staged->name, RENAME_EXCHANGE) == 0)
        staged->swapped = true;
    else if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
        return -errno;
    else if (renameat(staged->folder, staged->beside, staged->folder, staged->name) < 0)
        return -errno;
    return file_sync_dir(staged->folder);
}

static void take_back(const struct staged *staged, bool had_one)
{
    if (staged->swapped)
        renameat2(staged->folder, staged->beside, staged->folder, staged->name, RENAME_EXCHANGE);
    else if (!had_one)
        unlinkat(staged->folder, staged->name, 0);
    file_sync_dir(staged->folder);
}

static struct staged staged_of(int folder, const char *name, const char *suffix)
{
    struct staged staged = { .folder = folder };

    snprintf(staged.name, sizeof staged.name, "%.*s%.5s", NAME_MAX_LEN, name, suffix);
    snprintf(staged.beside, sizeof staged.beside, ".%.*s" NEW, (int) sizeof staged.name, staged.name);
    return staged;
}

static bool is_there(int folder, const char *name)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Writes both aside, which is what can run out of room, then gives them their names. */
static int install_files(struct staged *record, const struct buf *json, struct staged *action, const struct action_record *from)
{
    bool had_record = is_there(record->folder, record->name), had_action = is_there(action->folder, action->name);
    int r = stage(action, from->text, from->text_len);

    if (r == 0)
        r = stage(record, json->data, json->len);
    if (r < 0)
        return r;
    r = publish(record);
    if (r == 0)
        r = publish(action);
    if (r < 0) {
        take_back(action, had_action);
        take_back(record, had_record);
    }
    return r;
}

/* The hash of actions/<name>.md; "" when there is none, or what is there is no file that we wrote. */
static int file_hash(int folder, const char *name, char out[SHA256_TAGGED_MAX], struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(ACTION_RECORD_TEXT_MAX);
    uint8_t hash[SHA256_BYTES];
    int r = file_read(folder, name, &text, err);

    out[0] = '\0';
    if (r == -ENOENT || r == -EINVAL || r == -E2BIG || r == -ELOOP)
        return 0;
    if (r == 0 && (r = sha256(buf_str(&text), text.len, hash)) == 0)
        sha256_tag(hash, out);
    return r;
}

int action_record_install(const char *home, const char *name, struct action_record *record, struct err *err)
{
    CLEANUP(buf_free) struct buf json = BUF_INIT(FILE_BYTES);
    CLEANUP_CLOSE int records = -1;
    CLEANUP_CLOSE int actions = -1;
    int r = name_check(name, err);

    if (r == 0)
        r = folders_open(home, FOLDER, &records, err);
    if (r == 0)
        r = folders_open(home, ACTIONS, &actions, err);
    if (r < 0)
        return r;
    struct staged to_record = staged_of(records, name, SUFFIX), to_action = staged_of(actions, name, ".md");
    r = file_hash(actions, to_action.name, record->replaces, err);
    if (r == 0)
        r = record_write(name, record, &json, err);
    if (r < 0)
        return r;
    r = install_files(&to_record, &json, &to_action, record);
    unlinkat(actions, to_action.beside, 0);
    unlinkat(records, to_record.beside, 0);
    return r < 0 ? err_errno(err, -r, "cannot write the action %s", name) : 0;
}

/* The file is put aside first, so that it can come back when its record cannot go. */
static int remove_files(const char *home, const char *name, const struct staged *action, struct err *err)
{
    bool had_action = renameat(action->folder, action->name, action->folder, action->beside) == 0;
    int r = had_action || errno == ENOENT ? file_sync_dir(action->folder) : -errno;

    if (r < 0)
        err_errno(err, -r, "cannot remove %s", action->name);
    else
        r = action_record_drop(home, name, err);
    if (r < 0 && had_action)
        renameat(action->folder, action->beside, action->folder, action->name);
    else if (had_action)
        unlinkat(action->folder, action->beside, 0);
    return r;
}

int action_record_remove(const char *home, const char *name, struct err *err)
{
    CLEANUP_CLOSE int actions = -1;
    char path[PATH_MAX];
    struct stat st;
    int r = path_make(home, name, path, err);

    if (r == 0)
        r = folders_open(home, ACTIONS, &actions, err);
    if (r < 0)
        return r;
    const struct staged action = staged_of(actions, name, ".md");
    if (!is_there(actions, action.name) && lstat(path, &st) < 0)
        return err_set(err, ENOENT, "there is no action %s", name);
    return remove_files(home, name, &action, err);
}

/* ---- after a crash ---- */

static int repair_one(const char *home, int actions, const char *name, struct err *err)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    char file[NAME_MAX_LEN + 8], hash[SHA256_TAGGED_MAX];

    /* One that cannot be believed is told of when the action is used. */
    if (action_record_get(home, name, &record, NULL) < 0)
        return 0;
    snprintf(file, sizeof file, "%.*s.md", NAME_MAX_LEN, name);
    if (!is_there(actions, file))
        return action_record_drop(home, name, err);
    if (file_hash(actions, file, hash, NULL) < 0)
        return 0;
    if (!record.replaces[0] || strcmp(hash, record.replaces) != 0 || !strcmp(hash, record.hash))
        return 0;
    return file_write_atomic(actions, file, record.text, record.text_len, 0600, err);
}

int action_record_repair(const char *home, struct err *err)
{
    CLEANUP_JSON json_t *names = NULL;
    CLEANUP_CLOSE int records = -1;
    CLEANUP_CLOSE int actions = -1;
    const json_t *name = NULL;
    size_t i = 0;
    int r = folders_open(home, FOLDER, &records, err);

    if (r == 0)
        r = folders_open(home, ACTIONS, &actions, err);
    if (r == 0)
        r = action_record_names(home, &names, err);
    if (r < 0)
        return r;
    folders_sweep(records, NULL);
    folders_sweep(actions, NULL);
    json_array_foreach(names, i, name)
    {
        r = repair_one(home, actions, json_string_value(name), err);
        if (r < 0)
            return r;
    }
    return 0;
}
