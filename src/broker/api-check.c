/*
 * GET /v1/connectors/check: of each connector whether its files are those that were installed, whether its publisher is
 * still trusted, and whether there is a newer one. Each repository is asked once, a few at a time; a forge that does not answer
 * spoils only that column.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/trusted.h"
#include "broker/version.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CHECK_MAGIC  0x6368636bu
#define AT_ONCE      4
#define REPOSITORIES 256

struct check;

struct repository {
    uint32_t magic;
    struct check *check;
    char authority[KEYRING_AUTHORITY_MAX];
    struct semver latest; /* "" = not known, for the reason in */
    struct err err;
};

struct check {
    struct api_reply *reply;
    struct broker *broker;
    json_t *rows;
    struct repository *repositories;
    size_t len, next, running;
};

static void check_free(struct check *check)
{
    if (!check)
        return;
    json_decref(check->rows);
    free(check->repositories);
    free(check);
}
DEFINE_CLEANUP_PTR(struct check, check_free)

/* ---- what is here ---- */

static const char *signature_state(struct broker *broker, const char *fqn, int r)
{
    if (!fqn)
        return "invalid";
    if (trusted_is_local(fqn))
        return "unsigned";
    if (r == 0)
        return "valid";
    return connectors_has_trust(broker->connectors, fqn) ? "invalid" : "untrusted";
}

static json_t *row_make(
    struct broker *broker, const struct catalog_list *actions, const char *fqn, const char *version, const char *hash)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
    struct err err = ERR_INIT;
    int r = connectors_get(broker->connectors, hash, &connector, &err);
    bool is_local = fqn && trusted_is_local(fqn);

    /* The name is the manifest's own where that can be believed. */
    if (connector) {
        fqn = connector->manifest->name;
        version = connector->manifest->version;
    }
    json_t *row = json_pack("{s:s*, s:s*, s:s, s:s, s:b, s:b, s:b, s:o}", "fqn", fqn, "version", version, "hash", hash,
        "signature", signature_state(broker, fqn, r), "signed", fqn && !is_local, "unsigned", is_local, "newer", 0, "used_by",
        api_connector_used_by(actions, hash));
    if (row)
        api_connector_state(row, fqn, version, r, &err);
    return row;
}

static bool has_row(const json_t *rows, const char *hash)
{
    const json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(rows, i, row)
    {
        if (!strcmp(json_get_str(row, "hash"), hash))
            return true;
    }
    return false;
}

/* What the store lists, then what actions pin and the store does not (any more) show. */
static int rows_make(struct check *check, const json_t *stored, const struct catalog_list *actions)
{
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach(stored, i, item)
    {
        const char *fqn = json_get_str(item, "fqn"), *hash = json_get_str(item, "hash");
        const struct action_require *pin = fqn ? NULL : api_connector_pin(actions, hash);
        json_t *row =
            row_make(check->broker, actions, pin ? pin->name : fqn, pin ? pin->version : json_get_str(item, "version"), hash);

        if (json_array_append_new(check->rows, row) < 0)
            return -ENOMEM;
    }
    for (i = 0; i < actions->len; i++) {
        const struct action *action = actions->entries[i]->action;

        for (size_t k = 0; k < action->requires_len; k++) {
            const struct action_require *require = &action->requires_[k];

            if (!has_row(check->rows, require->hash) &&
                json_array_append_new(
                    check->rows, row_make(check->broker, actions, require->name, require->version, require->hash)) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

/* ---- what the forge has ---- */

static struct repository *repository_of(struct check *check, const char *fqn)
{
    char authority[KEYRING_AUTHORITY_MAX];

    trusted_authority(fqn, authority);
    for (size_t i = 0; i < check->len; i++)
        if (!strcmp(check->repositories[i].authority, authority))
            return &check->repositories[i];
    return NULL;
}

static void repositories_collect(struct check *check)
{
    const json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(check->rows, i, row)
    {
        const char *fqn = json_get_str(row, "fqn");

        if (!fqn || trusted_is_local(fqn) || repository_of(check, fqn) || check->len == REPOSITORIES)
            continue;
        struct repository *repository = &check->repositories[check->len++];
        *repository = (struct repository){ .magic = CHECK_MAGIC, .check = check };
        trusted_authority(fqn, repository->authority);
    }
}

static void row_end(struct check *check, json_t *row)
{
    const char *fqn = json_get_str(row, "fqn");
    const struct repository *repository = !fqn || trusted_is_local(fqn) ? NULL : repository_of(check, fqn);
    struct semver version;

    if (!repository)
        return;
    if (!repository->latest.text[0]) {
        json_object_set_new(row, "latest_error", json_string(repository->err.message));
        return;
    }
    json_object_set_new(row, "latest", json_string(repository->latest.text));
    if (semver_parse(json_get_str(row, "version"), &version, NULL) == 0)
        json_object_set_new(row, "newer", json_boolean(semver_compare(&repository->latest, &version) > 0));
}

static void check_end(struct check *check)
{
    json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(check->rows, i, row) row_end(check, row);
    api_reply_send(check->reply, 200, json_pack("{s:O}", "connectors", check->rows));
    check_free(check);
}

static void on_version(int result, const struct semver *version, const struct err *err, void *userdata);

/* True while an answer is waited for. */
static bool repository_ask(struct repository *repository)
{
    char text[KEYRING_AUTHORITY_MAX + 8];
    struct version_search *search = NULL;
    struct release_ref ref;

    snprintf(text, sizeof text, "%s@latest", repository->authority);
    return release_parse(text, RELEASE_THING, &ref, &repository->err) == 0 &&
           version_find(repository->check->broker->forge, &ref, on_version, repository, &repository->latest, &search,
               &repository->err) == 0;
}

/* The check is gone when this returns with nothing under way. */
static void check_go_on(struct check *check)
{
    while (check->running < AT_ONCE && check->next < check->len)
        check->running += repository_ask(&check->repositories[check->next++]);
    if (check->running == 0)
        check_end(check);
}

static void on_version(int result, const struct semver *version, const struct err *err, void *userdata)
{
    struct repository *repository = MAGIC_CAST(struct repository, userdata, CHECK_MAGIC);

    if (result < 0)
        repository->err = *err;
    else
        repository->latest = *version;
    repository->check->running--;
    check_go_on(repository->check);
}

void api_connectors_check(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(check_free) struct check *check = calloc(1, sizeof *check);
    CLEANUP(catalog_list_free) struct catalog_list actions = { 0 };
    CLEANUP_JSON json_t *stored = NULL;
    struct err err = ERR_INIT;

    if (store_list(broker->home->path, &stored, &err) < 0 || catalog_list(broker->catalog, &actions, &err) < 0) {
        api_reply_error(reply, 500, "store_unreadable", err.message, err.hint);
        return;
    }
    if (check) {
        *check = (struct check){ .reply = reply, .broker = broker, .rows = json_array() };
        check->repositories = calloc(REPOSITORIES, sizeof *check->repositories);
    }
    if (!check || !check->rows || !check->repositories || rows_make(check, stored, &actions) < 0) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
        return;
    }
    repositories_collect(check);
    check_go_on(TAKE_PTR(check));
}
