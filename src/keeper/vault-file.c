/*
 * See the header. Keys that differ only in case are refused where both would be read, so that two readers cannot see two
 * different vaults in one file.
 */
#include "keeper/vault-file.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"
#include "base/json.h"
#include "crypt/aead.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define VERSION    1
#define DEPTH_MAX  16
#define NODES_MAX  500000
#define SEALED_MAX (VAULT_VALUE_MAX + AEAD_OVERHEAD_BYTES)

const char *vault_path_refusal(const char *path)
{
    size_t len = strlen(path);

    if (len == 0)
        return "is empty";
    if (len > VAULT_PATH_MAX)
        return "is longer than 200 bytes";
    if (path[0] == '/' || path[len - 1] == '/' || strstr(path, "//"))
        return "begins or ends with / or has an empty part";
    for (size_t i = 0; i < len; i++)
        if ((uint8_t) path[i] < 0x20 || path[i] == 0x7f)
            return "has a control character";
    if (!utf8_is_valid(path, len))
        return "is not valid UTF-8";
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if ((at[0] == '.' && strcspn(at, "/") == 1) || (at[0] == '.' && at[1] == '.' && strcspn(at, "/") == 2))
            return "has a part . or ..";
    return NULL;
}

/* Members of the names `names` in any case, and those left over. */
static int pick(const json_t *object, const char *const names[], size_t len, json_t *members[], json_t **ret_more)
{
    CLEANUP_JSON json_t *more = NULL;
    const char *key = NULL;
    json_t *value = NULL;

    if (json_case_folded_twin(object))
        return -EINVAL;
    json_object_foreach((json_t *) object, key, value)
    {
        size_t i = 0;

        while (i < len && strcasecmp(names[i], key) != 0)
            i++;
        if (i < len) {
            members[i] = json_is_null(value) ? NULL : value;
            continue;
        }
        if (!more)
            more = json_object();
        if (json_object_set(more, key, value) < 0)
            return -ENOMEM;
    }
    *ret_more = TAKE_PTR(more);
    return 0;
}

static bool are_labels(const json_t *labels)
{
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *) labels, key, value) if (!json_is_string(value)) return false;
    return json_is_object(labels);
}

/* 0, -ENOMEM, or -EINVAL with a fault. */
static int read_metadata(struct vault_entry *entry, const json_t *metadata, const char **ret_fault)
{
    static const char *const names[] = { "Type", "Environment", "Labels" };
    json_t *members[ARRAY_LEN(names)] = { NULL, NULL, NULL };
    int r = 0;

    *ret_fault = "its metadata is damaged";
    if (!metadata)
        return 0;
    if (!json_is_object(metadata))
        return -EINVAL;
    r = pick(metadata, names, ARRAY_LEN(names), members, &entry->more_metadata_keys);
    if (r < 0)
        return r;
    if ((members[0] && !json_is_string(members[0])) || (members[1] && !json_is_string(members[1])) ||
        (members[2] && !are_labels(members[2])))
        return -EINVAL;
    entry->labels = json_object_size(members[2]) > 0 ? json_incref(members[2]) : NULL;
    return vault_entry_set_metadata(
        entry, members[0] ? json_string_value(members[0]) : "", members[1] ? json_string_value(members[1]) : "");
}

static int read_value(struct vault_entry *entry, const json_t *value, const char **ret_fault)
{
    CLEANUP(buf_free) struct buf sealed = BUF_INIT(SEALED_MAX);
    int r = 0;

    *ret_fault = "its value is damaged";
    if (!json_is_string(value))
        return -EINVAL;
    r = base64_decode(json_string_value(value), json_string_length(value), &sealed);
    if (r == -E2BIG)
        *ret_fault = "its value is too long";
    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    return sealed.len < AEAD_OVERHEAD_BYTES ? -EINVAL : vault_entry_seal_in(entry, sealed.data, sealed.len);
}

static int read_entry(struct vault_entry *entry, const json_t *json, const char **ret_fault)
{
    static const char *const names[] = { "value", "metadata" };
    json_t *members[ARRAY_LEN(names)] = { NULL, NULL };
    int r = 0;

    *ret_fault = "it is damaged";
    if (!json_is_object(json))
        return -EINVAL;
    r = pick(json, names, ARRAY_LEN(names), members, &entry->more_keys);
    if (r == 0)
        r = read_value(entry, members[0], ret_fault);
    return r < 0 ? r : read_metadata(entry, members[1], ret_fault);
}

static int add_entry(struct vault_tree *tree, const char *path, json_t *json)
{
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = vault_entry_new(path, "", 0);
    const char *fault = vault_path_refusal(path) ? "its path cannot be one of the vault" : NULL;
    int r = fault ? -EINVAL : 0;

    if (!entry)
        return -ENOMEM;
    if (r == 0)
        r = read_entry(entry, json, &fault);
    if (r == -EINVAL) {
        vault_entry_unref(entry);
        entry = vault_entry_new(path, "", 0);
        if (!entry)
            return -ENOMEM;
        entry->fault = fault;
        entry->raw = json_incref(json);
        r = 0;
    }
    return r < 0 ? r : vault_tree_set(tree, entry);
}

static int read_secrets(struct vault_tree *tree, json_t *secrets, struct err *err)
{
    const char *path = NULL;
    json_t *json = NULL;
    int r = 0;

    if (secrets && !json_is_object(secrets))
        return err_set(err, EBADMSG, "\"secrets\" is not an object");
    if (json_object_size(secrets) > VAULT_ENTRIES_MAX)
        return err_set(err, E2BIG, "more than %d entries", VAULT_ENTRIES_MAX);
    json_object_foreach(secrets, path, json)
    {
        r = add_entry(tree, path, json);
        if (r < 0)
            return err_errno(err, -r, "cannot read an entry");
    }
    return 0;
}

static int read_salt(uint8_t out[KDF_SALT_BYTES], const json_t *text, struct err *err)
{
    CLEANUP(buf_free) struct buf salt = BUF_INIT(KDF_SALT_BYTES);

    if (!json_is_string(text) || base64_decode(json_string_value(text), json_string_length(text), &salt) < 0 ||
        salt.len != KDF_SALT_BYTES)
        return err_set(err, EBADMSG, "\"salt\" is not 16 bytes in base64");
    memcpy(out, salt.data, KDF_SALT_BYTES);
    return 0;
}

static int read_verification(struct vault_tree *tree, const json_t *text, struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = BUF_INIT(SEALED_MAX);

    if (!text || (json_is_string(text) && json_string_length(text) == 0))
        return 0;
    if (!json_is_string(text) || base64_decode(json_string_value(text), json_string_length(text), &sealed) < 0 ||
        sealed.len < AEAD_OVERHEAD_BYTES)
        return err_set(err, EBADMSG, "\"verification\" is no sealed value");
    return vault_tree_set_verification(tree, sealed.data, sealed.len) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int vault_file_parse(const char *text, size_t len, struct vault_tree **ret_tree, struct err *err)
{
    static const char *const names[] = { "version", "salt", "verification", "secrets" };
    const struct json_limits limits = { VAULT_FILE_MAX, DEPTH_MAX, NODES_MAX };
    CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;
    CLEANUP_JSON json_t *json = NULL, *more = NULL;
    json_t *members[ARRAY_LEN(names)] = { NULL, NULL, NULL, NULL };
    uint8_t salt[KDF_SALT_BYTES];
    int r = json_parse(text, len, limits, &json, err);

    if (r < 0)
        return r == -EINVAL ? -EBADMSG : r;
    if (!json_is_object(json))
        return err_set(err, EBADMSG, "not a vault");
    r = pick(json, names, ARRAY_LEN(names), members, &more);
    if (r < 0)
        return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : err_set(err, EBADMSG, "the same key stands there twice");
    if (!json_is_integer(members[0]) || json_integer_value(members[0]) != VERSION)
        return err_set(err, EBADMSG, "not a vault of version %d, the only one that this program knows", VERSION);
    r = read_salt(salt, members[1], err);
    if (r < 0)
        return r;
    tree = vault_tree_new(salt);
    if (!tree)
        return err_set(err, ENOMEM, "out of memory");
    tree->more_keys = TAKE_PTR(more);
    r = read_verification(tree, members[2], err);
    if (r == 0)
        r = read_secrets(tree, members[3], err);
    if (r < 0)
        return r;
    *ret_tree = TAKE_PTR(tree);
    return 0;
}

/* ---- writing; every helper gives a new reference, NULL when out of memory ---- */

static json_t *base64_text(const void *data, size_t len)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(2 * SEALED_MAX);

    return base64_encode(data, len, &text) < 0 ? NULL : json_string(buf_str(&text));
}

static json_t *metadata_json(const struct vault_entry *entry)
{
    CLEANUP_JSON json_t *json = json_object();
    json_t *labels = json_object_size(entry->labels) > 0 ? json_incref(entry->labels) : json_null();

    if (!json || json_object_set_new(json, "Type", json_string(entry->type)) < 0 ||
        json_object_set_new(json, "Environment", json_string(entry->environment)) < 0) {
        json_decref(labels);
        return NULL;
    }
    if (json_object_set_new(json, "Labels", labels) < 0 ||
        (entry->more_metadata_keys && json_object_update(json, entry->more_metadata_keys) < 0))
        return NULL;
    return TAKE_PTR(json);
}

static json_t *entry_json(const struct vault_entry *entry)
{
    CLEANUP_JSON json_t *json = NULL;

    if (entry->fault)
        return json_incref(entry->raw);
    json = json_object();
    if (!json || json_object_set_new(json, "value", base64_text(entry->sealed, entry->sealed_len)) < 0 ||
        json_object_set_new(json, "metadata", metadata_json(entry)) < 0 ||
        (entry->more_keys && json_object_update(json, entry->more_keys) < 0))
        return NULL;
    return TAKE_PTR(json);
}

static json_t *secrets_json(const struct vault_tree *tree)
{
    CLEANUP_JSON json_t *json = json_object();

    for (size_t i = 0; json && i < tree->len; i++)
        if (json_object_set_new(json, tree->entries[i]->path, entry_json(tree->entries[i])) < 0)
            return NULL;
    return TAKE_PTR(json);
}

static json_t *tree_json(const struct vault_tree *tree)
{
    CLEANUP_JSON json_t *json = json_object();

    if (!json || json_object_set_new(json, "version", json_integer(VERSION)) < 0 ||
        json_object_set_new(json, "salt", base64_text(tree->salt, sizeof tree->salt)) < 0 ||
        (tree->verification &&
            json_object_set_new(json, "verification", base64_text(tree->verification, tree->verification_len)) < 0) ||
        json_object_set_new(json, "secrets", secrets_json(tree)) < 0 ||
        (tree->more_keys && json_object_update(json, tree->more_keys) < 0))
        return NULL;
    return TAKE_PTR(json);
}

struct writer {
    struct buf *out;
    int failed;
};

static int write_piece(const char *data, size_t len, void *userdata)
{
    struct writer *writer = userdata;

    writer->failed = buf_add(writer->out, data, len);
    return writer->failed;
}

int vault_file_write(const struct vault_tree *tree, struct buf *out)
{
    CLEANUP_JSON json_t *json = tree_json(tree);
    struct writer writer = { out, 0 };

    if (!json)
        return -ENOMEM;
    if (json_dump_callback(json, write_piece, &writer, JSON_INDENT(2)) < 0)
        return writer.failed < 0 ? writer.failed : -ENOMEM;
    return buf_add_char(out, '\n');
}
