/*
 * `action add --local PATH`: one .md or a folder of them, all or nothing. Every
 * file is read, substituted, parsed and held against what is installed before
 * the first receipt; then receipts, on disk; then files.
 */
#include "broker/install.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/log.h"
#include "broker/trusted.h"
#include "store/store.h"
#include "wire/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define INSTALL_MAGIC     0x69616374u
#define ACTION_FILE_BYTES (256 * KIB)
#define FILES_MAX         256

struct candidate {
    char *text;
    size_t len;
    struct action *action;
    char hash[SHA256_TAGGED_MAX];
    bool updates;    /* one of this name is there */
    bool was_signed; /* and it is a publisher's */
    char warning[ERR_MESSAGE_MAX];
};

struct install {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
    bool force; /* also over a signed one */
    struct candidate items[FILES_MAX];
    size_t len;
};

static void install_free(struct install *install)
{
    if (!install)
        return;
    for (size_t i = 0; i < install->len; i++) {
        free(install->items[i].text);
        action_free(install->items[i].action);
    }
    free(install);
}
DEFINE_CLEANUP_PTR(struct install, install_free)

/* --- whose placeholders --- */

/*
 * How clearly a file is meant for a connector: 2 when its text names it, 1 when a folder on the way to it is called
 * like the connector (connectors/google/actions/x.md → local://google), else 0.
 */
static int kinship(const char *path, const char *text, const char *fqn)
{
    const char *name = strrchr(fqn, '/') + 1;
    size_t len = strlen(name), fqn_len = strlen(fqn);

    for (const char *at = text; (at = strstr(at, fqn)); at++)
        if (at > text && (at[-1] == '"' || at[-1] == '\'') && at[fqn_len] == at[-1])
            return 2;
    for (const char *at = path; (at = strstr(at, name)); at++)
        if (at > path && at[-1] == '/' && at[len] == '/')
            return 1;
    return 0;
}

static time_t installed_at(const char *home, const char *hash)
{
    struct store_connector stored;
    struct stat st;

    if (store_find(home, hash, &stored, NULL) < 0 || stat(stored.dir, &st) < 0)
        return 0;
    return st.st_ctime;
}

/* What the placeholders of a file stand for, and how sure that is. */
struct choice {
    const json_t *connector; /* borrowed from the list; NULL: none fits */
    int kinship;
    time_t when;
    bool ambiguous;
};

static void consider(struct broker *broker, const json_t *item, int kin, struct choice *choice)
{
    const char *name = json_get_str(item, "fqn");
    bool same = choice->connector && !strcmp(json_get_str(choice->connector, "fqn"), name);
    time_t when = installed_at(broker->home->path, json_get_str(item, "hash"));

    if (choice->connector && !same && kin == choice->kinship)
        choice->ambiguous = true;
    if (choice->connector && kin > choice->kinship)
        choice->ambiguous = false;
    if (!choice->connector || kin > choice->kinship || (same && when >= choice->when)) {
        choice->connector = item;
        choice->kinship = kin;
        choice->when = when;
    }
}

static int add_connector_pairs(
    struct broker *broker, const char *path, const char *text, struct install_pairs *pairs, struct err *err)
{
    CLEANUP_JSON json_t *list = NULL;
    const char *fqn = install_pairs_get(pairs, "FQN");
    struct choice choice = { 0 };
    const json_t *item;
    size_t index;
    int r = store_list(broker->home->path, &list, err);

    if (r < 0)
        return r;
    json_array_foreach(list, index, item)
    {
        const char *name = json_get_str(item, "fqn");
        if (name && json_get_str(item, "hash") && trusted_is_local(name) && (!fqn || !strcmp(fqn, name)))
            consider(broker, item, kinship(path, text, name), &choice);
    }
    if (choice.ambiguous) {
        err_set(err, EINVAL, "several local connectors are installed, and %s does not say which one it is for", path);
        err_hint(err, "add --bind FQN=local://NAME");
        return -EINVAL;
    }
    if (!choice.connector) {
        err_set(err, ENOENT, "%s is for a connector that is not installed", path);
        err_hint(err, "install it first: aileron connector install --local DIR");
        return -ENOENT;
    }
    r = install_pairs_add(pairs, "FQN", json_get_str(choice.connector, "fqn"));
    if (!r)
        r = install_pairs_add(pairs, "VERSION", json_get_str(choice.connector, "version"));
    if (!r)
        r = install_pairs_add(pairs, "HASH", json_get_str(choice.connector, "hash"));
    return r < 0 ? err_set(err, -r, "out of memory") : 0;
}

static bool has_placeholder(const char *text)
{
    return strstr(text, "@@FQN@@") || strstr(text, "@@VERSION@@") || strstr(text, "@@HASH@@");
}

/* --- checks against what is installed --- */

static int check_connectors(struct broker *broker, const struct action *action, const char *path, struct err *err)
{
    for (size_t i = 0; i < action->requires_len; i++) {
        const struct action_require *require = &action->requires_[i];
        CLEANUP_PTR(connector_unref) struct connector *connector = NULL;

        if (!trusted_is_local(require->name))
            return err_set(
                err, EINVAL, "%s requires %s, but an unsigned action may use local:// connectors only", path, require->name);
        int r = connectors_get(broker->connectors, require->hash, &connector, err);
        if (r == -ENOENT) {
            err_set(err, ENOENT, "%s requires %s@%s with the hash %s, which is not installed", path, require->name,
                require->version, require->hash);
            err_hint(err, "install the connector first, or write @@HASH@@ for the installed one");
            return -ENOENT;
        }
        if (r < 0)
            return r;
        if (strcmp(connector->manifest->name, require->name) || strcmp(connector->manifest->version, require->version))
            return err_set(err, EINVAL, "%s requires %s@%s, but the hash it pins belongs to %s@%s", path, require->name,
                require->version, connector->manifest->name, connector->manifest->version);
    }
    if (action->source && !trusted_is_local(action->source))
        return err_set(
            err, EINVAL, "%s names the source %s, but an unsigned action comes from local:// only", path, action->source);
    return 0;
}

/* Calls `fn` with every action as it will be after the install of `with`. */
typedef void visit_fn(const struct action *action, void *userdata);
static int visit_all(const struct install_actions *with, visit_fn *fn, void *userdata, struct err *err)
{
    CLEANUP(catalog_list_free) struct catalog_list list = { 0 };
    int r = catalog_list(with->broker->catalog, &list, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < list.len; i++) {
        bool replaced = false;
        for (size_t k = 0; k < with->len; k++)
            replaced |= !strcmp(with->items[k]->name, list.entries[i]->action->name);
        if (!replaced)
            fn(list.entries[i]->action, userdata);
    }
    for (size_t k = 0; k < with->len; k++)
        fn(with->items[k], userdata);
    return 0;
}

struct preview_check {
    const struct action *subject;
    const char *connector;
    bool declared, gated;
};

static void look_at_preview(const struct action *action, void *userdata)
{
    struct preview_check *check = userdata;

    for (size_t i = 0; i < action->steps_len; i++) {
        const struct action_step *step = &action->steps[i];

        if (strcmp(step->connector, check->connector) || strcmp(step->op, check->subject->preview->op))
            continue;
        check->declared |= step->has_idempotent && step->idempotent;
        check->gated |= action->gated;
    }
}

/*
 * A preview runs before anybody consented: its operation must be known to be harmless. An operation that nobody
 * declares idempotent yet is a warning, since its action may be installed next; without it the preview stays away.
 */
int install_check_preview(
    const struct install_actions *with, const struct action *action, char warning[ERR_MESSAGE_MAX], struct err *err)
{
    struct preview_check check = { .subject = action };

    warning[0] = '\0';
    if (!action->preview)
        return 0;
    check.connector = action->steps[0].connector;
    int r = visit_all(with, look_at_preview, &check, err);
    if (r < 0)
        return r;
    if (check.gated)
        return err_set(err, EINVAL, "%s: the preview's operation %s belongs to an action that itself needs approval",
            action->name, action->preview->op);
    if (!check.declared)
        snprintf(warning, ERR_MESSAGE_MAX,
            "%s: no installed action declares the preview's operation %s with idempotent = true; until one does there is no "
            "preview",
            action->name, action->preview->op);
    return 0;
}

struct name_check {
    const char *name, *mcp_name;
    char other[ACTION_NAME_MAX + 1];
};

static void look_at_name(const struct action *action, void *userdata)
{
    struct name_check *check = userdata;
    CLEANUP_FREE char *mcp_name = action_mcp_name(action->name);

    if (mcp_name && !strcmp(mcp_name, check->mcp_name) && strcmp(action->name, check->name))
        snprintf(check->other, sizeof check->other, "%s", action->name);
}

int install_check_name(const struct install_actions *with, const struct action *action, struct err *err)
{
    CLEANUP_FREE char *mcp_name = action_mcp_name(action->name);
    struct name_check check = { action->name, mcp_name, "" };
    int r = mcp_name ? visit_all(with, look_at_name, &check, err) : err_set(err, ENOMEM, "out of memory");

    if (!r && !strcmp(mcp_name, BROKER_STATUS_TOOL))
        return err_set(err, EEXIST, "agents know a tool of Aileron's own by the name %s", mcp_name);
    if (!r && check.other[0])
        return err_set(err, EEXIST, "agents would see %s and %s under the same name %s", action->name, check.other, mcp_name);
    return r;
}

/* --- reading --- */

static int substitute(struct install *install, const char *path, const struct buf *raw, const json_t *bind,
    struct candidate *candidate, struct err *err)
{
    CLEANUP(install_pairs_free) struct install_pairs pairs = { .len = 0 };
    int r = install_pairs_from_json(&pairs, bind, err);

    if (!r && has_placeholder(buf_str(raw)))
        r = add_connector_pairs(install->broker, path, buf_str(raw), &pairs, err);
    if (r < 0)
        return r;
    return action_substitute(buf_str(raw), raw->len, path, pairs.items, pairs.len, &candidate->text, &candidate->len, err);
}

/* `<name>.md` must hold the action of that name. */
static int parse(struct candidate *candidate, const char *path, struct err *err)
{
    const char *base = strrchr(path, '/') + 1;
    size_t len = strlen(base);
    CLEANUP_FREE char *name = NULL;

    if (len <= 3 || strcmp(base + len - 3, ".md"))
        return err_set(err, EINVAL, "%s: an action's file is called <name>.md", path);
    name = strndup(base, len - 3);
    return name ? action_parse(candidate->text, candidate->len, path, name, &candidate->action, err)
                : err_set(err, ENOMEM, "out of memory");
}

static int add_file(struct install *install, const char *path, const json_t *bind, struct err *err)
{
    CLEANUP(buf_free) struct buf raw = BUF_INIT(ACTION_FILE_BYTES);
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *before = NULL;
    struct candidate *candidate = &install->items[install->len];
    uint8_t hash[SHA256_BYTES];

    if (install->len == FILES_MAX)
        return err_set(err, E2BIG, "more than %d actions at once", FILES_MAX);
    int r = file_read(AT_FDCWD, path, &raw, err);
    if (!r) {
        install->len++;
        r = substitute(install, path, &raw, bind, candidate, err);
    }
    if (!r)
        r = parse(candidate, path, err);
    if (!r)
        r = check_connectors(install->broker, candidate->action, path, err);
    if (r < 0) {
        if (install->len)
            install->len -= candidate == &install->items[install->len - 1];
        free(TAKE_PTR(candidate->text));
        action_free(TAKE_PTR(candidate->action));
        return r;
    }
    sha256(candidate->text, candidate->len, hash);
    sha256_tag(hash, candidate->hash);
    candidate->updates = catalog_get(install->broker->catalog, candidate->action->name, &before, NULL) != -ENOENT;
    candidate->was_signed = catalog_is_signed(install->broker->catalog, candidate->action->name);
    if (candidate->was_signed && !install->force) {
        err_set(
            err, EEXIST, "%s is a signed action of a publisher; an unsigned one would take its place", candidate->action->name);
        err_hint(err, "add --force to do that all the same");
        return -EEXIST;
    }
    return 0;
}

static int is_action_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 3 && entry->d_name[0] != '.' && !strcmp(entry->d_name + len - 3, ".md");
}

static int add_folder(struct install *install, const char *path, const json_t *bind, struct err *err)
{
    struct dirent **names = NULL;
    int len = scandir(path, &names, is_action_file, alphasort);
    int r = len < 0 ? err_errno(err, errno, "cannot list %s", path) : 0;

    if (!r && !len)
        r = err_set(err, ENOENT, "there is no .md file in %s", path);
    for (int i = 0; i < len; i++) {
        CLEANUP_FREE char *file = NULL;

        if (!r)
            r = asprintf(&file, "%s/%s", path, names[i]->d_name) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
        if (!r)
            r = add_file(install, file, bind, err);
        free(names[i]);
    }
    free(names);
    return r;
}

static int install_read(struct install *install, const char *path, const json_t *bind, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, errno, "cannot read %s", path);
    int r = S_ISDIR(st.st_mode) ? add_folder(install, path, bind, err) : add_file(install, path, bind, err);
    const struct action *actions[FILES_MAX];
    const struct install_actions with = { install->broker, actions, install->len };
    for (size_t i = 0; i < install->len; i++)
        actions[i] = install->items[i].action;
    for (size_t i = 0; !r && i < install->len; i++) {
        r = install_check_name(&with, actions[i], err);
        if (!r)
            r = install_check_preview(&with, actions[i], install->items[i].warning, err);
    }
    return r;
}

/* --- writing --- */

static int write_files(struct install *install, json_t *installed, struct err *err)
{
    for (size_t i = 0; i < install->len; i++) {
        const struct candidate *item = &install->items[i];
        int r = catalog_put(install->broker->catalog, item->action->name, item->text, item->len, err);

        if (r < 0)
            return r;
        log_info(
            "%s the unsigned action %s@%s", item->updates ? "updated" : "installed", item->action->name, item->action->version);
        json_array_append_new(
            installed, json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:s*}", "name", item->action->name, "version",
                           item->action->version, "hash", item->hash, "signed", 0, "unsigned", 1, "updated", item->updates,
                           "gated", item->action->gated, "warning", item->warning[0] ? item->warning : NULL));
    }
    return 0;
}

static void on_durable(int result, void *userdata)
{
    CLEANUP_PTR(install_free) struct install *install = MAGIC_CAST(struct install, userdata, INSTALL_MAGIC);
    json_t *installed = json_array();
    struct err err = ERR_INIT;

    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else
        result = write_files(install, installed, &err);
    if (result < 0) {
        json_decref(installed);
        api_reply_error(install->reply, 500, "not_stored", err.message, err.hint);
    } else {
        api_reply_send(install->reply, 200, json_pack("{s:o}", "installed", installed));
    }
}

static int receipts_of(struct install *install, struct err *err)
{
    for (size_t i = 0; i < install->len; i++) {
        const struct candidate *item = &install->items[i];
        int r = broker_receipt_owner(install->broker, item->updates ? "action.updated" : "action.installed",
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "aileron.action.name", item->action->name, "aileron.action.version",
                item->action->version, "aileron.action.hash", item->hash, "aileron.signature.status", "unsigned",
                "aileron.consent.decision", "accepted"),
            NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void api_action_install(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *path = install_by_plan(broker, request, reply) ? NULL : install_path(request, reply);
    CLEANUP_PTR(install_free) struct install *install = path ? calloc(1, sizeof *install) : NULL;
    struct err err = ERR_INIT;

    if (!path)
        return;
    if (!install) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
        return;
    }
    install->magic = INSTALL_MAGIC;
    install->broker = broker;
    install->reply = reply;
    install->force = json_is_true(json_object_get(request->body, "force"));
    int r = install_read(install, path, json_object_get(request->body, "bind"), &err);
    if (r < 0) {
        api_reply_error(reply, r == -ENOENT ? 404 : r == -EEXIST ? 409 : 422, "invalid_action", err.message, err.hint);
        return;
    }
    if (receipts_of(install, &err) < 0 || receipts_durable(broker->receipts, on_durable, install, NULL) < 0) {
        broker_no_receipt(reply, &err);
        return;
    }
    TAKE_PTR(install);
}
