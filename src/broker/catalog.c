/*
 * The catalog. Reading is by name and cheap (one stat a call); listing scans the
 * folder. inotify tells the doors that something changed and wakes nobody while
 * nothing does.
 */
#include "broker/catalog.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/file-id.h"
#include "broker/log.h"
#include "broker/trusted.h"
#include "loop/loop.h"
#include "wire/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/banned.h"

#define CATALOG_MAGIC     0x63746c67u
#define ACTION_FILE_BYTES (256 * KIB)
#define ACTIONS_MAX       4096
#define SETTLE_MS         50
#define KEYRING_FILE      "keyring.json"

struct cached {
    char name[ACTION_NAME_MAX + 1];
    struct file_id id, record_id; /* the latter zeroed: there is no record */
    uint64_t generation;          /* of the keyring */
    struct catalog_entry *entry;  /* NULL: it is refused */
    struct err err;
    char fqn[REFERENCE_FQN_MAX], version[REFERENCE_SEMVER_MAX]; /* of what was signed, "" = nothing */
    char authority[KEYRING_AUTHORITY_MAX];                      /* whose signature is missing; "" = none is */
    json_t *pins;                                               /* hashes that a refused one needs; NULL = none are known */
};

struct catalog {
    uint32_t magic;
    const char *home;
    char *dir, *state_path;
    int dirfd, inotify_fd, home_watch;
    struct trusted *trusted;
    struct loop_watch *watch;
    struct loop_timer *settle;
    catalog_changed_fn *changed;
    void *userdata;
    struct cached **items;
    size_t len;
    json_t *state; /* {"<name>":{"enabled":false}} */
};

void catalog_entry_unref(struct catalog_entry *entry)
{
    if (!entry || --entry->refs)
        return;
    action_free(entry->action);
    free(entry->file);
    free(entry);
}

/* --- watching --- */

static void on_settled(void *userdata)
{
    struct catalog *catalog = MAGIC_CAST(struct catalog, userdata, CATALOG_MAGIC);

    catalog->changed(catalog->userdata);
}

/* Of the home's many files only the keyring decides about actions. */
static bool is_about_actions(const struct catalog *catalog, const struct inotify_event *event)
{
    return event->wd != catalog->home_watch || (event->len > 0 && !strcmp(event->name, KEYRING_FILE));
}

static void on_inotify(int fd, int events, void *userdata)
{
    struct catalog *catalog = MAGIC_CAST(struct catalog, userdata, CATALOG_MAGIC);
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len = 0;

    while ((len = read(fd, buffer, sizeof buffer)) > 0)
        for (const char *at = buffer; at < buffer + len;) {
            const struct inotify_event *event = (const void *) at;

            if (is_about_actions(catalog, event))
                loop_timer_set(catalog->settle, SETTLE_MS);
            at += sizeof *event + event->len;
        }
}

static int watch_add(struct catalog *catalog, const char *path)
{
    return inotify_add_watch(catalog->inotify_fd, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
}

/* A kernel without inotify instances to spare: the lists are still right when asked, only nobody is told. */
static void watch_folders(struct catalog *catalog, struct loop *loop)
{
    char records[PATH_MAX];

    snprintf(records, sizeof records, "%.4000s/" ACTION_RECORD_FOLDER, catalog->home);
    catalog->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (catalog->inotify_fd < 0 || watch_add(catalog, catalog->dir) < 0 || watch_add(catalog, records) < 0 ||
        (catalog->home_watch = watch_add(catalog, catalog->home)) < 0 ||
        loop_watch_new(loop, catalog->inotify_fd, LOOP_READ, on_inotify, catalog, &catalog->watch) < 0)
        log_warn("changes of %s by hand are noticed only when the actions are listed", catalog->dir);
}

bool catalog_is_watched(const struct catalog *catalog)
{
    return catalog->watch != NULL;
}

/* --- state --- */

static int load_state(struct catalog *catalog, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 * MIB);
    struct err ours = ERR_INIT;
    int r = file_read(AT_FDCWD, catalog->state_path, &text, &ours);

    if (r == -ENOENT) {
        catalog->state = json_object();
        return catalog->state ? 0 : -ENOMEM;
    }
    if (!r)
        r = json_parse(buf_str(&text), text.len, JSON_LIMITS(1 * MIB), &catalog->state, &ours);
    if (!r && !json_is_object(catalog->state))
        r = err_set(&ours, EINVAL, "it is no JSON object");
    if (r < 0) {
        err_set(err, -r, "%s: %s", catalog->state_path, ours.message);
        err_hint(err, "it says which actions are disabled; repair it, or remove it to enable all");
    }
    return r;
}

static int save_state(struct catalog *catalog, const json_t *state, struct err *err)
{
    CLEANUP_FREE char *text = json_dumps(state, JSON_INDENT(2) | JSON_SORT_KEYS);

    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    return file_write_atomic(AT_FDCWD, catalog->state_path, text, strlen(text), 0600, err);
}

bool catalog_is_enabled(const struct catalog *catalog, const char *name)
{
    const json_t *enabled = json_object_get(json_object_get(catalog->state, name), "enabled");

    return !json_is_false(enabled);
}

static int change_state(struct catalog *catalog, const char *name, bool enabled, struct err *err)
{
    CLEANUP_JSON json_t *state = json_deep_copy(catalog->state);

    if (!state)
        return err_set(err, ENOMEM, "out of memory");
    if (enabled)
        json_object_del(state, name);
    else
        json_object_set_new(state, name, json_pack("{s:b}", "enabled", 0));
    int r = save_state(catalog, state, err);
    if (r < 0)
        return r;
    json_decref(catalog->state);
    catalog->state = TAKE_PTR(state);
    return 0;
}

int catalog_set_enabled(struct catalog *catalog, const char *name, bool enabled, struct err *err)
{
    if (catalog_is_enabled(catalog, name) == enabled)
        return 0;
    int r = change_state(catalog, name, enabled, err);
    if (!r)
        loop_timer_set(catalog->settle, 0);
    return r;
}

/* --- life --- */

int catalog_new(struct loop *loop, const char *home, catalog_changed_fn *changed, void *userdata, struct catalog **ret_catalog,
    struct err *err)
{
    CLEANUP_PTR(catalog_free) struct catalog *catalog = calloc(1, sizeof *catalog);
    struct err repair = ERR_INIT;

    if (!catalog)
        return err_set(err, ENOMEM, "out of memory");
    catalog->magic = CATALOG_MAGIC;
    catalog->home = home;
    catalog->dirfd = catalog->inotify_fd = -1;
    catalog->changed = changed;
    catalog->userdata = userdata;
    if (asprintf(&catalog->dir, "%s/actions", home) < 0 || asprintf(&catalog->state_path, "%s/action-state.json", home) < 0 ||
        loop_timer_new(loop, on_settled, catalog, &catalog->settle) < 0)
        return err_set(err, ENOMEM, "out of memory");
    int r = trusted_new(home, &catalog->trusted, err);
    if (r == 0)
        r = file_make_dirs(catalog->dir, 0700, err);
    if (r < 0)
        return r;
    if (action_record_repair(home, &repair) < 0)
        log_warn("the signed actions were not looked through: %s", repair.message);
    catalog->dirfd = open(catalog->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (catalog->dirfd < 0)
        return err_errno(err, errno, "cannot open %s", catalog->dir);
    r = load_state(catalog, err);
    if (r < 0)
        return r;
    watch_folders(catalog, loop);
    *ret_catalog = TAKE_PTR(catalog);
    return 0;
}

static void cached_free(struct cached *cached)
{
    json_decref(cached->pins);
    catalog_entry_unref(cached->entry);
    free(cached);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < catalog->len; i++)
        cached_free(catalog->items[i]);
    free(catalog->items);
    loop_watch_free(catalog->watch);
    loop_timer_free(catalog->settle);
    if (catalog->inotify_fd >= 0)
        close(catalog->inotify_fd);
    if (catalog->dirfd >= 0)
        close(catalog->dirfd);
    json_decref(catalog->state);
    trusted_free(catalog->trusted);
    free(catalog->dir);
    free(catalog->state_path);
    free(catalog);
}

/* --- reading --- */

static struct cached **find(struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->len; i++)
        if (!strcmp(catalog->items[i]->name, name))
            return &catalog->items[i];
    return NULL;
}

static void forget(struct catalog *catalog, const char *name)
{
    struct cached **at = find(catalog, name);

    if (!at)
        return;
    cached_free(*at);
    *at = catalog->items[--catalog->len];
}

static struct cached *remember(struct catalog *catalog, const char *name)
{
    struct cached **at = find(catalog, name);

    if (at)
        return *at;
    struct cached **more = catalog->len < ACTIONS_MAX ? reallocarray(catalog->items, catalog->len + 1, sizeof *more) : NULL;
    struct cached *cached = more ? calloc(1, sizeof *cached) : NULL;
    if (more)
        catalog->items = more;
    if (!cached)
        return NULL;
    snprintf(cached->name, sizeof cached->name, "%s", name);
    catalog->items[catalog->len++] = cached;
    return cached;
}

static int read_entry(
    struct catalog *catalog, const char *name, const char *file, struct catalog_entry **ret_entry, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(ACTION_FILE_BYTES);
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = calloc(1, sizeof *entry);
    uint8_t hash[SHA256_BYTES];

    if (!entry)
        return err_set(err, ENOMEM, "out of memory");
    entry->refs = 1;
    int r = file_read(catalog->dirfd, file, &text, err);
    if (!r)
        r = action_parse(buf_str(&text), text.len, file, name, &entry->action, err);
    if (r < 0)
        return r;
    if (asprintf(&entry->file, "%s/%s", catalog->dir, file) < 0) {
        entry->file = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    sha256(buf_str(&text), text.len, hash);
    sha256_tag(hash, entry->hash);
    *ret_entry = TAKE_PTR(entry);
    return 0;
}

/* --- what was signed --- */

static int refuse_damaged(const struct cached *cached, struct err *err)
{
    struct err why = err ? *err : (struct err) ERR_INIT;

    err_set(err, EBADMSG,
        "what is recorded of the signed action %s cannot be believed: %s; `aileron action remove %s` removes it, then install it "
        "again",
        cached->name, why.message, cached->name);
    return -EBADMSG;
}

/* What it needs although it is refused, so that this is not taken away meanwhile. */
static void note_pins(struct cached *cached, const struct action *action)
{
    cached->pins = json_array();
    for (size_t i = 0; cached->pins && i < action->requires_len; i++)
        json_array_append_new(cached->pins, json_string(action->requires_[i].hash));
}

static void note_signed_pins(struct cached *cached, const struct action_record *record)
{
    CLEANUP_PTR(action_free) struct action *action = NULL;

    if (action_parse(record->text, record->text_len, cached->name, cached->name, &action, NULL) == 0)
        note_pins(cached, action);
}

/* The record of the name, believed only with a signature that is valid now. 1: there is none. */
static int read_record(struct catalog *catalog, struct cached *cached, struct action_record *record, struct err *err)
{
    struct keyring_key key;
    int r = action_record_get(catalog->home, cached->name, record, err);

    if (r == -ENOENT)
        return 1;
    if (r < 0)
        return refuse_damaged(cached, err);
    snprintf(cached->fqn, sizeof cached->fqn, "%s", record->fqn);
    snprintf(cached->version, sizeof cached->version, "%s", record->version);
    if (trusted_is_local(record->fqn) || strcmp(strrchr(record->fqn, '/') + 1, cached->name) != 0) {
        err_set(err, EBADMSG, "%s is not its name", record->fqn);
        return refuse_damaged(cached, err);
    }
    const struct keyring_part part = { record->text, record->text_len };
    r = trusted_verify(catalog->trusted, record->fqn, &part, 1, record->signature, &key, err);
    if (r < 0) {
        trusted_authority(record->fqn, cached->authority);
        note_signed_pins(cached, record);
        err_prefix(err, "the action %s, %s@%s, is refused", cached->name, record->fqn, record->version);
        err_hint(err, "`aileron action update %s` installs it anew, `aileron action remove %s` removes it", cached->name,
            cached->name);
    }
    return r;
}

static int refuse_edited(const struct cached *cached, struct err *err)
{
    err_set(err, EBADMSG,
        "the action %s was edited since it was installed from %s@%s; `aileron action update %s` restores it, `aileron action "
        "remove %s` removes it",
        cached->name, cached->fqn, cached->version, cached->name, cached->name);
    return -EBADMSG;
}

/* Nobody vouches for a local action: it may name nothing of a publisher's. */
static int check_local(struct cached *cached, const struct action *action, struct err *err)
{
    const char *foreign = action->source && !trusted_is_local(action->source) ? action->source : NULL;

    for (size_t i = 0; !foreign && i < action->requires_len; i++)
        if (!trusted_is_local(action->requires_[i].name))
            foreign = action->requires_[i].name;
    if (!foreign)
        return 0;
    trusted_authority(foreign, cached->authority);
    note_pins(cached, action);
    err_set(err, EKEYREJECTED,
        "the action %s names %s, but it was not installed from there and has no signature; an unsigned action may use local:// "
        "connectors only",
        action->name, foreign);
    err_hint(err, "`aileron action add` installs the publisher's own; `aileron action remove %s` removes this one", action->name);
    return -EKEYREJECTED;
}

/* What the file holds counts as what it is: the publisher's as it was signed, or a local one. */
static int load(struct catalog *catalog, struct cached *cached, const char *file, struct err *err)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;
    int found = read_record(catalog, cached, &record, err);
    int r = found < 0 ? found : read_entry(catalog, cached->name, file, &entry, err);

    if (r == -ENOMEM || (!entry && found != 0))
        return r;
    if (found == 1)
        r = check_local(cached, entry->action, err);
    else if (!entry || strcmp(entry->hash, record.hash) != 0 || strcmp(entry->action->version, record.version) != 0) {
        /* What is wrong with the file matters less than that it is not what was signed. */
        note_signed_pins(cached, &record);
        r = refuse_edited(cached, err);
    }
    if (r < 0)
        return r;
    entry->is_signed = found == 0;
    snprintf(entry->fqn, sizeof entry->fqn, "%s", cached->fqn);
    cached->entry = TAKE_PTR(entry);
    return 0;
}

static bool is_action_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    return len && !name[len] && len <= ACTION_NAME_MAX && !strchr("._-", name[0]);
}

/* Zeroed when there is none. */
static struct file_id record_id(const struct catalog *catalog, const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%.3900s/" ACTION_RECORD_FOLDER "/%s.json", catalog->home, name);
    return lstat(path, &st) == 0 ? file_id(&st) : (struct file_id){ 0 };
}

bool catalog_is_signed(struct catalog *catalog, const char *name)
{
    struct file_id id = { 0 }, none = { 0 };

    if (is_action_name(name))
        id = record_id(catalog, name);
    return !file_id_same(&id, &none);
}

/* Loads what changed since; 0 also when it is refused. */
static void freshen(struct catalog *catalog, struct cached *cached, const char *file, const struct file_id *id)
{
    struct file_id signed_id = record_id(catalog, cached->name);
    uint64_t generation = trusted_generation(catalog->trusted);

    if (file_id_same(&cached->id, id) && file_id_same(&cached->record_id, &signed_id) && cached->generation == generation)
        return;
    catalog_entry_unref(TAKE_PTR(cached->entry));
    err_clear(&cached->err);
    cached->fqn[0] = cached->version[0] = cached->authority[0] = '\0';
    json_decref(TAKE_PTR(cached->pins));
    cached->id = *id;
    cached->record_id = signed_id;
    cached->generation = generation;
    if (load(catalog, cached, file, &cached->err) < 0)
        log_warn("action %s cannot be used: %s", cached->name, cached->err.message);
}

int catalog_get(struct catalog *catalog, const char *name, struct catalog_entry **ret_entry, struct err *err)
{
    char file[ACTION_NAME_MAX + 4];
    struct stat st;

    if (!is_action_name(name))
        return err_set(err, ENOENT, "there is no such action");
    snprintf(file, sizeof file, "%s.md", name);
    if (fstatat(catalog->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        int code = errno;

        forget(catalog, name);
        return code == ENOENT ? err_set(err, ENOENT, "there is no action %s", name)
                              : err_errno(err, code, "cannot look at %s", file);
    }
    struct file_id id = file_id(&st);
    struct cached *cached = remember(catalog, name);
    if (!cached)
        return err_set(err, ENOMEM, "there are too many actions");
    freshen(catalog, cached, file, &id);
    if (!cached->entry) {
        if (err)
            *err = cached->err;
        return cached->err.code == EBADMSG || cached->err.code == EKEYREJECTED ? -cached->err.code : -EINVAL;
    }
    cached->entry->refs++;
    *ret_entry = cached->entry;
    return 0;
}

static enum failure_class class_of(const struct err *err)
{
    return err->code == EBADMSG        ? FAILURE_HASH_MISMATCH
           : err->code == EKEYREJECTED ? FAILURE_SIGNATURE_FAILURE
                                       : FAILURE_BAD_INPUT;
}

void catalog_refusal(
    struct catalog *catalog, const char *name, const struct err *err, struct failure *failure, const char **ret_version)
{
    struct cached **cached = find(catalog, name);

    failure_set(failure, class_of(err), "%s%s%s; nothing was done", err->message, err->hint[0] ? "; " : "", err->hint);
    *ret_version = cached ? (*cached)->version : "";
    if (cached && (*cached)->authority[0])
        failure_detail(failure, "authority", json_string((*cached)->authority));
}

json_t *catalog_error_json(const char *file, const struct err *err)
{
    size_t len = strlen(file);
    unsigned line = 0;

    if (!strncmp(err->message, file, len) && err->message[len] == ':')
        line = (unsigned) strtoul(err->message + len + 1, NULL, 10);
    return json_pack("{s:s, s:s, s:s, s:i, s:s*}", "class", failure_class_name(class_of(err)), "message", err->message, "file",
        file, "line", (int) line, "hint", err->hint[0] ? err->hint : NULL);
}

/* With what is known of it although it is refused. */
static json_t *refused_json(struct catalog *catalog, const char *name, const char *file, const struct err *err)
{
    struct cached **at = find(catalog, name);
    const struct cached *cached = at ? *at : NULL;
    json_t *row = catalog_error_json(file, err);

    if (!row || !cached)
        return row;
    json_object_update_new(
        row, json_pack("{s:s, s:b, s:s*, s:s*, s:s*, s:O*}", "name", name, "signed", cached->fqn[0] != '\0', "fqn",
                 cached->fqn[0] ? cached->fqn : NULL, "version", cached->version[0] ? cached->version : NULL, "authority",
                 cached->authority[0] ? cached->authority : NULL, "pins", cached->pins));
    return row;
}

/* --- listing --- */

void catalog_list_free(struct catalog_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        catalog_entry_unref(list->entries[i]);
    free(list->entries);
    json_decref(list->errors);
    *list = (struct catalog_list){ 0 };
}

static int by_name(const void *left, const void *right)
{
    const struct catalog_entry *const *a = left, *const *b = right;

    return strcmp((*a)->action->name, (*b)->action->name);
}

/* One file of the folder into the list, as an entry or as an error. */
static int list_file(struct catalog *catalog, const char *file, struct catalog_list *list)
{
    struct catalog_entry *entry = NULL;
    struct err err = ERR_INIT;
    char name[ACTION_NAME_MAX + 1];
    size_t len = strlen(file);

    const char *dot = strrchr(file, '.');

    if (!dot || dot == file || strcmp(dot, ".md") != 0)
        return 0;
    if (len - 3 > ACTION_NAME_MAX) {
        err_set(&err, EINVAL, "%s: the name is longer than %d characters", file, ACTION_NAME_MAX);
        return json_array_append_new(list->errors, catalog_error_json(file, &err));
    }
    snprintf(name, sizeof name, "%.*s", (int) (len - 3), file);
    int r = catalog_get(catalog, name, &entry, &err);
    if (r == -ENOENT && !is_action_name(name))
        err_set(&err, EINVAL, "%s: an action's name has lower-case letters, digits, dot, dash and underline only", file);
    if (r < 0)
        return json_array_append_new(list->errors, refused_json(catalog, name, file, &err));
    struct catalog_entry **more = reallocarray(list->entries, list->len + 1, sizeof *more);
    if (!more) {
        catalog_entry_unref(entry);
        return -ENOMEM;
    }
    list->entries = more;
    list->entries[list->len++] = entry;
    return 0;
}

static int is_shown(const struct dirent *file)
{
    return file->d_name[0] != '.';
}

int catalog_list(struct catalog *catalog, struct catalog_list *ret_list, struct err *err)
{
    CLEANUP(catalog_list_free) struct catalog_list list = { NULL, 0, json_array() };
    struct dirent **files = NULL;
    int len = scandirat(catalog->dirfd, ".", &files, is_shown, alphasort), r = 0;

    if (len < 0)
        return err_errno(err, errno, "cannot list %s", catalog->dir);
    for (int i = 0; i < len; i++) {
        if (r == 0 && list.len < ACTIONS_MAX)
            r = list_file(catalog, files[i]->d_name, &list);
        free(files[i]);
    }
    free(files);
    if (r < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (list.len)
        qsort(list.entries, list.len, sizeof *list.entries, by_name);
    *ret_list = list;
    list = (struct catalog_list){ 0 };
    return 0;
}

/* --- changing --- */

int catalog_put(struct catalog *catalog, const char *name, const char *text, size_t len, struct err *err)
{
    char file[ACTION_NAME_MAX + 4];

    snprintf(file, sizeof file, "%s.md", name);
    int r = file_write_atomic(catalog->dirfd, file, text, len, 0600, err);
    if (!r)
        r = action_record_drop(catalog->home, name, err);
    if (!r)
        loop_timer_set(catalog->settle, 0);
    return r;
}

int catalog_put_signed(struct catalog *catalog, const char *name, struct action_record *record, struct err *err)
{
    int r = action_record_install(catalog->home, name, record, err);

    if (!r)
        loop_timer_set(catalog->settle, 0);
    return r;
}

int catalog_remove(struct catalog *catalog, const char *name, struct err *err)
{
    int r =
        is_action_name(name) ? action_record_remove(catalog->home, name, err) : err_set(err, ENOENT, "there is no such action");

    if (r < 0)
        return r;
    forget(catalog, name);
    loop_timer_set(catalog->settle, 0);
    /* What is gone is not disabled: the same name installed again starts enabled. */
    return catalog_is_enabled(catalog, name) ? 0 : change_state(catalog, name, true, err);
}
