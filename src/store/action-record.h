/*
 * What was signed of the actions that came from a publisher: store/actions/<name>.json, one file a name, written at once:
 * {"fqn","version","hash","signature":base64,"replaces"?:hash,"action":text}. What runs is actions/<name>.md; it must hash to
 * what is recorded here. A name without a record is a local, unsigned action.
 *
 * The two files change one after the other, the record first. Stopped in between, the record says by "replaces" which
 * file it was about to replace, and action_record_repair() finishes: neither is an edited file taken for that, nor that
 * for an edited file.
 */
#ifndef STORE_ACTION_RECORD_H
#define STORE_ACTION_RECORD_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/reference.h"
#include "crypt/digest.h"
#include "crypt/sign.h"

#include <jansson.h>

#define ACTION_RECORD_FOLDER   "store/actions" /* below the home */
#define ACTION_RECORD_TEXT_MAX ((size_t) 256 * 1024)

struct action_record {
    char fqn[REFERENCE_FQN_MAX];
    char version[REFERENCE_SEMVER_MAX];
    char hash[SHA256_TAGGED_MAX];
    uint8_t signature[SIGN_BYTES];
    char replaces[SHA256_TAGGED_MAX]; /* the file that was there before; "" = none */
    char *text;                       /* the action's file as it was signed; owned */
    size_t text_len;
};

void action_record_free(struct action_record *record);

/* Writes it durably; an older one of this name is replaced. The hash is taken of the text and written into *record. */
int action_record_put(const char *home, const char *name, struct action_record *record, struct err *err);
/*
 * Both files: the record and actions/<name>.md. Durable when it returns 0; else both are as before (or, when even that
 * was refused, as action_record_repair() will make them). Sets record->hash and record->replaces.
 */
int action_record_install(const char *home, const char *name, struct action_record *record, struct err *err);
/* Both files away. -ENOENT when there was neither. */
int action_record_remove(const char *home, const char *name, struct err *err);
/* What a program that was stopped left half done; to be called while no other changes the home. Makes the folder. */
int action_record_repair(const char *home, struct err *err);
/* -ENOENT: the name is not signed. -EBADMSG: the record is there and cannot be believed (damaged, or its text has another hash). */
int action_record_get(const char *home, const char *name, struct action_record *ret_record, struct err *err);
/* From now on the name is a local one, or nobody's. 0 also when there was no record. */
int action_record_drop(const char *home, const char *name, struct err *err);
/* Sorted names of all records. New reference. */
int action_record_names(const char *home, json_t **ret_names, struct err *err);

#endif
