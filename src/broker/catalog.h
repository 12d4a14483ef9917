/*
 * The actions that are installed: actions/<name>.md, each parsed once and again
 * when device, inode, size, mtime or ctime of its file changed, so a file edited
 * by hand counts at its next use. A name with a record (store/action-record.h) is
 * signed: it counts only while its file is what was signed and its publisher is
 * trusted. A name without one is local and may use local connectors only. Which ones are enabled is in
 * action-state.json. An entry is immutable; a call keeps its reference.
 */
#ifndef BROKER_CATALOG_H
#define BROKER_CATALOG_H

#include "action/action.h"
#include "action/failure.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "crypt/digest.h"
#include "store/action-record.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct catalog;
struct loop;

struct catalog_entry {
    unsigned refs;
    struct action *action;
    char hash[SHA256_TAGGED_MAX]; /* of the file */
    char *file;                   /* absolute path */
    bool is_signed;
    char fqn[REFERENCE_FQN_MAX]; /* what it was installed as; "" when it is not signed */
};

void catalog_entry_unref(struct catalog_entry *entry);
DEFINE_CLEANUP_PTR(struct catalog_entry, catalog_entry_unref)

typedef void catalog_changed_fn(void *userdata);
/* `home` is borrowed. `changed` runs when a file of the folder or the state changed, by whomever. */
int catalog_new(struct loop *loop, const char *home, catalog_changed_fn *changed, void *userdata, struct catalog **ret_catalog,
    struct err *err);
/* False when the kernel cannot tell of changes: then nothing made from the list may be kept. */
bool catalog_is_watched(const struct catalog *catalog);
void catalog_free(struct catalog *catalog);
DEFINE_CLEANUP_PTR(struct catalog, catalog_free)

/*
 * New reference. -ENOENT: no such action; -EINVAL: its file is wrong, `err` says where; -EBADMSG: it is not what was signed;
 * -EKEYREJECTED: its signature, or the lack of one.
 */
int catalog_get(struct catalog *catalog, const char *name, struct catalog_entry **ret_entry, struct err *err);
/* The failure of a call for such a refusal; *ret_version: of what was signed, "" when that is not known; borrowed. */
void catalog_refusal(
    struct catalog *catalog, const char *name, const struct err *err, struct failure *failure, const char **ret_version);
bool catalog_is_enabled(const struct catalog *catalog, const char *name);

struct catalog_list {
    struct catalog_entry **entries; /* sorted by name, references held */
    size_t len;
    json_t *
        errors; /* [{"class","message","file","line","name"?,"fqn"?,"version"?,"authority"?,"pins"?:[hash…]}…]; fqn, version: of what was signed */
};
void catalog_list_free(struct catalog_list *list);
int catalog_list(struct catalog *catalog, struct catalog_list *ret_list, struct err *err);

/* Writes actions/<name>.md of a local action; what was signed under this name is forgotten. The caller has checked the text. */
int catalog_put(struct catalog *catalog, const char *name, const char *text, size_t len, struct err *err);
/* The same for one that was signed, with its record; the caller has verified it. */
int catalog_put_signed(struct catalog *catalog, const char *name, struct action_record *record, struct err *err);
/* True when the name is a publisher's, whatever has become of its file. */
bool catalog_is_signed(struct catalog *catalog, const char *name);
/* Also of a file that is wrong. -ENOENT: there is neither a file nor a record. */
int catalog_remove(struct catalog *catalog, const char *name, struct err *err);
int catalog_set_enabled(struct catalog *catalog, const char *name, bool enabled, struct err *err);

/* {"class","message","file","line"} of an error that reads "FILE:LINE:COLUMN: …". New reference. */
json_t *catalog_error_json(const char *file, const struct err *err);

#endif
