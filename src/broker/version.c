/* See the header. One get at a time; the reading is the store's. */
#include "broker/version.h"

#include "base/magic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/banned.h"

#define SEARCH_MAGIC 0x76657273u

struct version_search {
    uint32_t magic;
    struct forge *forge;
    struct release_ref ref;
    struct forge_get *get;
    struct release_search tags;
    unsigned page;
    version_fn *fn;
    void *userdata;
};

static int page_ask(struct version_search *search, struct err *err);

void version_cancel(struct version_search *search)
{
    if (!search)
        return;
    forge_cancel(search->get);
    free(search);
}

static void search_end(struct version_search *search, int result, const struct semver *version, const struct err *err)
{
    version_fn *fn = search->fn;
    void *userdata = search->userdata;

    version_cancel(search);
    fn(result, version, err, userdata);
}

static void on_latest(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct version_search *search = MAGIC_CAST(struct version_search, userdata, SEARCH_MAGIC);
    struct err ours = ERR_INIT;
    struct semver version;

    search->get = NULL;
    if (result < 0)
        ours = *err;
    else
        result = release_latest_read(data, len, &search->ref, &version, &ours);
    search_end(search, result, &version, &ours);
}

static void on_page(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct version_search *search = MAGIC_CAST(struct version_search, userdata, SEARCH_MAGIC);
    struct err ours = ERR_INIT;
    struct semver version;
    bool last = false;

    search->get = NULL;
    if (result < 0)
        ours = *err;
    else
        result = release_tags_read(data, len, &search->ref, &search->tags, &last, &ours);
    if (result == 0 && !last && search->page < RELEASE_PAGES_MAX) {
        result = page_ask(search, &ours);
        if (result == 0)
            return;
    }
    if (result == 0 && !search->tags.found)
        result = release_not_tagged(&search->ref, &search->tags, &ours);
    version = search->tags.version;
    search_end(search, result, &version, &ours);
}

static int ask(struct version_search *search, const char *path, const char *what, forge_fn *fn, struct err *err)
{
    const struct forge_request request = { .api = path, .what = what, .bytes_max = RELEASE_API_MAX };

    return forge_get(search->forge, &request, fn, NULL, search, &search->get, err);
}

static int page_ask(struct version_search *search, struct err *err)
{
    char path[RELEASE_URL_MAX], what[RELEASE_URL_MAX];

    if (release_tags_path(&search->ref, ++search->page, path) < 0)
        return err_set(err, ENAMETOOLONG, "the reference is too long");
    snprintf(what, sizeof what, "the list of releases of %s/%s", search->ref.owner, search->ref.repo);
    return ask(search, path, what, on_page, err);
}

static int latest_ask(struct version_search *search, struct err *err)
{
    char path[RELEASE_URL_MAX], what[RELEASE_URL_MAX];

    if (release_latest_path(&search->ref, path) < 0)
        return err_set(err, ENAMETOOLONG, "the reference is too long");
    snprintf(what, sizeof what, "the latest release of %s/%s", search->ref.owner, search->ref.repo);
    return ask(search, path, what, on_latest, err);
}

int version_find(struct forge *forge, const struct release_ref *ref, version_fn *fn, void *userdata, struct semver *ret_version,
    struct version_search **ret_search, struct err *err)
{
    struct version_search *search = NULL;
    int r = 0;

    if (ref->at == RELEASE_VERSION) {
        *ret_version = ref->version;
        return 1;
    }
    search = calloc(1, sizeof *search);
    if (!search)
        return err_set(err, ENOMEM, "out of memory");
    *search = (struct version_search){ .magic = SEARCH_MAGIC, .forge = forge, .ref = *ref, .fn = fn, .userdata = userdata };
    r = ref->at == RELEASE_LATEST ? latest_ask(search, err) : page_ask(search, err);
    if (r < 0) {
        version_cancel(search);
        return r;
    }
    *ret_search = search;
    return 0;
}
