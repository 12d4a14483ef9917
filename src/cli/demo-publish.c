/*
 * The publisher of the tour: a key, two runs of `publish pack`, and instead of an upload the files' way into the folder that the stand-in's
 * forge serves.
 */
#include "cli/demo.h"

#include "base/file.h"
#include "cli/programs.h"
#include "cli/term.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define REPOSITORY_DIR "acme/google" /* of DEMO_REPOSITORY, below the forge's folder */
#define VERSION        "1.0.0"
#define PATH_SIZE      4096
#define SUITE_MAX      65536
#define ACTIONS_MAX    32

struct publisher {
    struct demo *demo;
    char *connector_dir;
    char key[PATH_SIZE];
};

__attribute__((format(printf, 3, 4))) static int path_make(char path[PATH_SIZE], struct err *err, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(path, PATH_SIZE, format, args);
    va_end(args);
    return n < 0 || n >= PATH_SIZE ? err_set(err, ENAMETOOLONG, "the folder of the demo has too long a name") : 0;
}

static int write_file(const char *folder, const char *name, const void *data, size_t len, struct err *err)
{
    char path[PATH_SIZE];
    int r = path_make(path, err, "%s/%s", folder, name);

    if (r >= 0)
        r = file_make_dirs(folder, 0700, err);
    return r < 0 ? r : file_write_atomic(AT_FDCWD, path, data, len, 0600, err);
}

static int make_key(const struct publisher *publisher, struct err *err)
{
    CLEANUP_JSON json_t *made = NULL;
    char public[PATH_SIZE], folder[PATH_SIZE];
    int r = path_make(folder, err, "%s/" REPOSITORY_DIR "/tree/keys", publisher->demo->forge_dir);

    if (r >= 0)
        r = path_make(public, err, "%s/publisher.pub", folder);
    if (r >= 0)
        r = file_make_dirs(folder, 0700, err);
    if (r < 0)
        return r;
    char *const argv[] = { (char *) "publish", (char *) "keygen", (char *) "--key", (char *) publisher->key, (char *) "--public",
        public, (char *) "--json", NULL };

    r = demo_ask(publisher->demo, argv, "publish keygen", &made, err);
    if (r >= 0)
        fprintf(publisher->demo->out, DEMO_INDENT "%s\n", json_get_str(made, "fingerprint"));
    return r;
}

/* Where the release with this tag has its asset. */
static int upload(const struct publisher *publisher, const json_t *packed, struct err *err)
{
    char folder[PATH_SIZE] = "", to[PATH_SIZE] = "";
    int r = path_make(folder, err, "%s/" REPOSITORY_DIR "/assets/%s", publisher->demo->forge_dir, json_get_str(packed, "tag"));

    if (r >= 0)
        r = path_make(to, err, "%s/aileron.tar.gz", folder);
    if (r >= 0)
        r = file_make_dirs(folder, 0700, err);
    if (r >= 0 && rename(json_get_str(packed, "archive"), to) < 0)
        r = err_errno(err, errno, "cannot move an archive to %s", to);
    return r;
}

static int upload_all(const struct publisher *publisher, const json_t *packed, struct err *err)
{
    const json_t *row;
    size_t i;
    int r = 0;

    json_array_foreach((json_t *) packed, i, row)
    {
        r = upload(publisher, row, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* The stand-in's client goes into the manifest, as a provider would have given it to the publisher. */
static int pack_connector(const struct publisher *publisher, json_t **ret_packed, struct err *err)
{
    struct demo *demo = publisher->demo;
    const char *const values[] = { demo->workspace.client_id, demo->workspace.client_secret };
    static const char *const NAMES[] = { "client_id", "client_secret" };
    char binds[ARRAY_LEN(NAMES)][PATH_SIZE], out[PATH_SIZE];
    int r = path_make(out, err, "%s/dist", demo->dir);

    for (size_t i = 0; i < ARRAY_LEN(NAMES) && r >= 0; i++) {
        r = write_file(demo->dir, NAMES[i], values[i], strlen(values[i]), err);
        if (r >= 0)
            r = path_make(binds[i], err, "%s=%s/%s", NAMES[i], demo->dir, NAMES[i]);
    }
    if (r < 0)
        return r;
    char *const argv[] = { (char *) "publish", (char *) "pack", publisher->connector_dir, (char *) "--fqn",
        (char *) DEMO_REPOSITORY, (char *) "--version", (char *) VERSION, (char *) "--key", (char *) publisher->key,
        (char *) "--bind", binds[0], (char *) "--bind", binds[1], (char *) "--out", out, (char *) "--json", NULL };

    return demo_ask(demo, argv, "publish pack google --fqn " DEMO_REPOSITORY " --version " VERSION " --bind client_id=FILE …",
        ret_packed, err);
}

static int is_action(const struct dirent *entry)
{
    const char *suffix = strrchr(entry->d_name, '.');

    return suffix && !strcmp(suffix, ".md");
}

/* The paths of the bundled actions, malloc'd each; their number or an error. */
static int list_actions(const struct publisher *publisher, char *paths[ACTIONS_MAX], struct err *err)
{
    struct dirent **entries = NULL;
    char folder[PATH_SIZE];
    int r = path_make(folder, err, "%s/actions", publisher->connector_dir);
    int n = r < 0 ? r : scandir(folder, &entries, is_action, alphasort);
    int len = 0;

    if (r >= 0 && n < 0)
        return err_errno(err, errno, "cannot read %s", folder);
    for (int i = 0; i < n; i++) {
        if (len < ACTIONS_MAX && asprintf(&paths[len], "%s/%s", folder, entries[i]->d_name) >= 0)
            len++;
        free(entries[i]);
    }
    free(entries);
    return n < 0 || len == n ? n < 0 ? n : len : err_set(err, E2BIG, "there are over %d actions in %s", ACTIONS_MAX, folder);
}

static int pack_actions(const struct publisher *publisher, const json_t *connector, json_t **ret_packed, struct err *err)
{
    char *argv[ACTIONS_MAX + 10] = { (char *) "publish", (char *) "pack" };
    char out[PATH_SIZE];
    int len = list_actions(publisher, argv + 2, err), r = len;
    const char *const options[] = { "--connector", json_get_str(connector, "archive"), "--key", publisher->key, "--out", out,
        "--json" };

    if (r >= 0)
        r = path_make(out, err, "%s/dist", publisher->demo->dir);
    if (r >= 0) {
        for (size_t i = 0; i < ARRAY_LEN(options); i++)
            argv[2 + (size_t) len + i] = (char *) options[i];
        r = demo_ask(publisher->demo, argv, "publish pack google/actions/*.md --connector dist/aileron.tar.gz", ret_packed, err);
    }
    for (int i = 0; i < len; i++)
        free(argv[2 + i]);
    return r;
}

/* What is in no archive: the suite, and which release is the newest. */
static int release(const struct publisher *publisher, struct err *err)
{
    static const char LATEST[] = "{\"tag_name\":\"v" VERSION "\"}";
    CLEANUP(buf_free) struct buf suite = BUF_INIT(SUITE_MAX);
    char path[PATH_SIZE], repository[PATH_SIZE], tree[PATH_SIZE];
    int r = path_make(path, err, "%s/suite.toml", publisher->connector_dir);

    if (r >= 0)
        r = path_make(repository, err, "%s/" REPOSITORY_DIR, publisher->demo->forge_dir);
    if (r >= 0)
        r = path_make(tree, err, "%s/tree", repository);
    if (r >= 0)
        r = file_read(AT_FDCWD, path, &suite, err);
    if (r >= 0)
        r = write_file(tree, "suite.toml", suite.data, suite.len, err);
    return r < 0 ? r : write_file(repository, "latest.json", LATEST, strlen(LATEST), err);
}

static int publish(const struct publisher *publisher, struct err *err)
{
    CLEANUP_JSON json_t *connector = NULL;
    CLEANUP_JSON json_t *actions = NULL;
    int r = make_key(publisher, err);

    if (r >= 0)
        r = pack_connector(publisher, &connector, err);
    if (r >= 0)
        r = pack_actions(publisher, json_array_get(connector, 0), &actions, err);
    if (r >= 0)
        r = upload_all(publisher, connector, err);
    if (r >= 0)
        r = upload_all(publisher, actions, err);
    if (r >= 0)
        r = release(publisher, err);
    if (r >= 0)
        fprintf(publisher->demo->out, DEMO_INDENT "released as v" VERSION ": one connector, %zu actions, suite.toml\n",
            json_array_size(actions));
    return r;
}

int demo_publish(struct demo *demo, struct err *err)
{
    struct publisher publisher = { .demo = demo };
    int r = path_make(publisher.key, err, "%s/publisher.key", demo->dir);

    if (r >= 0)
        r = programs_connector("google", &publisher.connector_dir, err);
    if (r >= 0)
        r = publish(&publisher, err);
    free(publisher.connector_dir);
    return r;
}
