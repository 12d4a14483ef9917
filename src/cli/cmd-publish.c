/*
 * aileron publish: for those who write connectors and actions. Works on files in
 * the current folder, without a daemon and without a home.
 */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/publish.h"
#include "cli/rows.h"
#include "cli/term.h"

#include "base/file.h"
#include "crypt/pem.h"
#include "store/fqn.h"
#include "store/semver.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define KEY_FILE    "publisher.key"
#define PUBLIC_DIR  "keys"
#define PUBLIC_FILE PUBLIC_DIR "/publisher.pub"
#define ARCHIVE     "aileron.tar.gz"
#define VALUE_BYTES 4096
#define PUB_BYTES   4096

const struct command COMMAND_PUBLISH = { .name = "publish",
    .operands = "",
    .about = "For publishers: keys, signatures and archives of connectors and actions",
    .details = "docs/publishing-a-connector.md walks through a release." };

/* ---- signals ---- */

/* Files that belong together are written without a Ctrl-C between them: it takes effect right afterwards. */
static sigset_t signals_hold(void)
{
    sigset_t held, before;

    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    return before;
}

static void signals_release(const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
}

/* ---- keygen ---- */

/* Writes a file that must not be there yet; a link counts as being there. */
static int file_create(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    int r = 0;

    if (fd < 0 && errno == EEXIST) {
        err_set(err, EEXIST, "%s is there already, and a key is never overwritten", path);
        err_hint(err, "move it away first; whoever trusts that key goes on trusting it");
        return -EEXIST;
    }
    if (fd < 0)
        return err_errno(err, errno, "cannot create %s", path);
    r = file_write_full(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r < 0) {
        unlink(path);
        return err_errno(err, -r, "cannot write %s", path);
    }
    return 0;
}

/* Both halves or neither. */
static int keys_write(const struct secret *seed, const char *key_path, const char *public_path, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    CLEANUP(buf_free) struct buf public_text = BUF_INIT(PUB_BYTES);
    uint8_t raw[SIGN_PUBLIC_BYTES];
    int r = sign_public(seed, raw);

    if (r == 0)
        r = pem_write_public(raw, &public_text);
    if (r == 0)
        r = pem_write_private(seed, &text);
    if (r < 0)
        return err_errno(err, -r, "cannot make the key");
    CLEANUP(signals_release) sigset_t held = signals_hold();
    r = file_create(key_path, secret_bytes(text), secret_len(text), 0600, err);
    if (r < 0)
        return r;
    r = file_create(public_path, public_text.data, public_text.len, 0644, err);
    if (r < 0)
        unlink(key_path);
    return r;
}

static const char *fingerprint_of(const struct secret *seed, char out[KEYRING_FINGERPRINT_MAX])
{
    struct keyring_key key;

    return sign_public(seed, key.raw) < 0 ? "" : keyring_fingerprint(&key, out);
}

static int run_keygen(struct cli *cli)
{
    const char *key_path = args_value(cli->args, "key"), *public_path = args_value(cli->args, "public");
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    struct err err = ERR_INIT;

    key_path = key_path ? key_path : KEY_FILE;
    if (!public_path && mkdir(PUBLIC_DIR, 0755) < 0 && errno != EEXIST)
        return cli_failf(CODE_FAILED, NULL, "cannot create the folder " PUBLIC_DIR ": %s", strerror(errno));
    public_path = public_path ? public_path : PUBLIC_FILE;
    if (sign_seed_new(&seed) < 0)
        return cli_failf(CODE_FAILED, NULL, "cannot make a key");
    if (keys_write(seed, key_path, public_path, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    if (args_has(cli->args, "json")) {
        CLEANUP_JSON json_t *json = json_pack(
            "{s:s, s:s, s:s}", "key", key_path, "public", public_path, "fingerprint", fingerprint_of(seed, fingerprint));

        return print_json(cli->out, json) < 0 ? CODE_FAILED : CODE_DONE;
    }
    print_field(cli->out, "private key", key_path);
    print_field(cli->out, "public key", public_path);
    print_field(cli->out, "fingerprint", fingerprint_of(seed, fingerprint));
    cli_note("Keep %s to yourself and out of the repository: whoever has it can publish in your name.", key_path);
    cli_note("Commit %s to the default branch: people are shown its fingerprint when they are asked to trust you.", public_path);
    return CODE_DONE;
}

const struct command COMMAND_PUBLISH_KEYGEN = {
    .name = "publish keygen",
    .operands = "",
    .about = "make a publisher's key",
    .details = "Writes an Ed25519 key as PEM, as `openssl genpkey -algorithm ed25519` does: the private half to " KEY_FILE
               " (readable by you alone), the public half to " PUBLIC_FILE ". Files that are there are never overwritten.",
    .options = { { "key", 0, "FILE", false, "where the private key goes (default: " KEY_FILE ")" },
        { "public", 0, "FILE", false, "where the public key goes (default: " PUBLIC_FILE ")" }, OPTION_JSON },
    .run = run_keygen,
};

/* ---- values for placeholders ---- */

static int value_read(const char *path, struct buf *value, struct err *err)
{
    int r = file_read(AT_FDCWD, path, value, err);

    if (r < 0)
        return r;
    while (value->len > 0 && strchr("\r\n", value->data[value->len - 1]))
        value->data[--value->len] = '\0';
    if (value->len == 0 || strlen(value->data) != value->len)
        return err_set(err, EINVAL, "%s holds no line of text", path);
    return 0;
}

/* --bind NAME=FILE: from a file, so that a secret is not seen in the list of processes. */
static int binds_add(struct cli *cli, struct publish_pairs *pairs, struct err *err)
{
    const char *text = NULL;
    size_t cursor = 0;

    while ((text = args_next(cli->args, "bind", &cursor))) {
        CLEANUP(buf_free) struct buf value = BUF_INIT(VALUE_BYTES);
        const char *equals = strchr(text, '=');
        CLEANUP_FREE char *name = equals && equals > text ? strndup(text, (size_t) (equals - text)) : NULL;
        int r = 0;

        if (!name)
            return err_set(err, EINVAL, "--bind takes NAME=FILE, not \"%.80s\"", text);
        r = value_read(equals + 1, &value, err);
        if (r == 0)
            r = publish_pairs_add(pairs, name, buf_str(&value), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What actions pin: name, version and hash of the released connector. */
static int connector_add(const char *path, struct publish_pairs *pairs, struct err *err)
{
    CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };
    int r = publish_open(path, &item, err);

    if (r == 0 && item.is_action)
        r = err_set(err, EINVAL, "%s is the archive of an action, not of a connector", path);
    if (r == 0)
        r = publish_pairs_add(pairs, "FQN", item.name, err);
    if (r == 0)
        r = publish_pairs_add(pairs, "VERSION", item.version, err);
    return r < 0 ? r : publish_pairs_add(pairs, "HASH", item.hash, err);
}

static int pairs_make(struct cli *cli, struct publish_pairs *pairs, struct err *err)
{
    const char *fqn = args_value(cli->args, "fqn"), *version = args_value(cli->args, "version");
    const char *connector = args_value(cli->args, "connector");
    struct semver parsed;
    struct fqn name;
    int r = 0;

    if (fqn && (r = fqn_parse(fqn, &name, err)) == 0)
        r = publish_pairs_add(pairs, "FQN", fqn, err);
    if (r == 0 && version && (r = semver_parse(version, &parsed, err)) == 0)
        r = publish_pairs_add(pairs, "VERSION", parsed.text, err);
    if (r == 0 && connector)
        r = connector_add(connector, pairs, err);
    return r < 0 ? r : binds_add(cli, pairs, err);
}

/* ---- pack ---- */

/* OUT/aileron.tar.gz of a connector, OUT/actions/NAME/aileron.tar.gz of an action. malloc'd. */
static int out_path(const char *out, const struct publish_item *item, char **ret_path, struct err *err)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s%s/" ARCHIVE, out, item->is_action ? "/actions/" : "", item->is_action ? item->name : "") < 0)
        return err_set(err, ENOMEM, "out of memory");
    *ret_path = path;
    return 0;
}

/* The tag of the release: of a connector that lies deeper than its repository, and of every action, with its path. */
static char *tag_of(const struct publish_item *item)
{
    const char *path = item->is_action ? NULL : strchr(strchr(item->name + strlen("github://"), '/') + 1, '/');
    char *tag = NULL;
    int n = item->is_action ? asprintf(&tag, "actions/%s/v%s", item->name, item->version)
                            : asprintf(&tag, "%s%sv%s", path ? path + 1 : "", path ? "/" : "", item->version);

    return n < 0 ? NULL : tag;
}

/* Keys by which another implementation of the format refuses the file. */
static json_t *keys_of_ours(const struct publish_item *item)
{
    json_t *list = item->keys_of_ours_len > 0 ? json_array() : NULL;

    for (size_t i = 0; i < item->keys_of_ours_len; i++)
        json_array_append_new(list, json_string(item->keys_of_ours[i]));
    return list;
}

static int item_report(json_t *list, const struct publish_item *item, const char *path)
{
    CLEANUP_FREE char *tag = tag_of(item);
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*, s:o*}", "kind", item->is_action ? "action" : "connector", "name", item->name,
            "version", item->version, "hash", item->hash, "tag", tag, "archive", path, "keys_of_ours", keys_of_ours(item));

    return json_array_append_new(list, row) < 0 ? -ENOMEM : 0;
}

/* Everything is made in memory first: one file that is wrong leaves the folder as it was. */
struct packed {
    char *target;
    struct buf archive;
};

struct packing {
    const struct publish_pairs *pairs;
    const struct secret *seed;
    const char *out;
    json_t *list;
    struct packed *done;
    size_t done_len;
};

static void packing_free(struct packing *packing)
{
    for (size_t i = 0; i < packing->done_len; i++) {
        free(packing->done[i].target);
        buf_free(&packing->done[i].archive);
    }
    free(packing->done);
}

static int target_add(struct packing *packing, const struct publish_item *item, const char *path, struct err *err)
{
    struct packed *packed = &packing->done[packing->done_len];
    int r = out_path(packing->out, item, &packed->target, err);

    for (size_t i = 0; r == 0 && i < packing->done_len; i++)
        if (!strcmp(packing->done[i].target, packed->target)) {
            r = err_set(err, EEXIST, "%s would be written to %s, as what was named before it", path, packed->target);
            err_hint(err, "pack connectors one at a time, each with an --out of its own");
        }
    if (r < 0)
        free(packed->target);
    else
        packing->done_len++;
    return r;
}

/* An archive that an installation would refuse is not handed out: it is unpacked again as there. */
static int archive_check(const struct buf *archive, const struct publish_item *item, const char *path, struct err *err)
{
    CLEANUP(publish_item_free) struct publish_item again = { .name = NULL };
    int r = publish_unpack(archive, path, &again, err);

    if (r == 0 && strcmp(again.hash, item->hash) != 0)
        r = err_set(err, EIO, "%s came out of its archive as something else", path);
    return r;
}

static int pack_one(struct packing *packing, const char *path, struct err *err)
{
    CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };
    struct buf *archive = NULL;
    int r = publish_read(path, packing->pairs, &item, err);

    if (r == 0)
        r = publish_sign(&item, packing->seed, err);
    if (r == 0)
        r = target_add(packing, &item, path, err);
    if (r < 0)
        return r;
    archive = &packing->done[packing->done_len - 1].archive;
    *archive = (struct buf) BUF_INIT(LIMIT_WASM_BYTES);
    r = box_pack(&item.box, archive, err);
    if (r == 0)
        r = archive_check(archive, &item, path, err);
    if (r == 0 && item_report(packing->list, &item, packing->done[packing->done_len - 1].target) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    return r;
}

static int packed_write(const struct packing *packing, struct err *err)
{
    CLEANUP(signals_release) sigset_t held = signals_hold();
    int r = 0;

    for (size_t i = 0; r == 0 && i < packing->done_len; i++) {
        const struct packed *packed = &packing->done[i];
        CLEANUP_FREE char *dir = strdup(packed->target);

        if (!dir)
            return err_set(err, ENOMEM, "out of memory");
        *strrchr(dir, '/') = '\0';
        r = file_make_dirs(dir, 0755, err);
        if (r == 0)
            r = file_write_atomic(AT_FDCWD, packed->target, packed->archive.data, packed->archive.len, 0644, err);
    }
    return r;
}

static void keys_print(struct cli *cli, const json_t *row)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VALUE_BYTES);
    const json_t *keys = json_object_get(row, "keys_of_ours"), *key = NULL;
    size_t i = 0;

    json_array_foreach((json_t *) keys, i, key) buf_printf(&text, "%s%s", i > 0 ? ", " : "", json_string_value(key));
    if (text.len > 0)
        print_fieldf(cli->out, "only Aileron", "%s", buf_str(&text));
}

static void items_print(struct cli *cli, const json_t *list)
{
    const json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(list, i, row)
    {
        print_fieldf(cli->out, json_get_str(row, "kind"), "%s@%s", json_get_str(row, "name"), json_get_str(row, "version"));
        print_field(cli->out, "hash", json_get_str(row, "hash"));
        if (json_get_str(row, "archive"))
            print_field(cli->out, "archive", json_get_str(row, "archive"));
        if (json_get_str(row, "tag"))
            print_field(cli->out, "release tag", json_get_str(row, "tag"));
        keys_print(cli, row);
    }
}

/* A signature by another key than the one that people are shown is of no use to them. */
static void key_compare(const struct secret *seed)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PUB_BYTES);
    struct keyring_key shown, used;
    struct err err = ERR_INIT;

    if (file_read(AT_FDCWD, PUBLIC_FILE, &text, &err) < 0 || keyring_key_read(buf_str(&text), text.len, &shown, &err) < 0)
        return;
    if (sign_public(seed, used.raw) == 0 && memcmp(used.raw, shown.raw, sizeof used.raw) != 0)
        cli_note("Signed with another key than the one in " PUBLIC_FILE ": who trusts only that one cannot install this.");
}

static int pack_all(struct cli *cli, struct packing *packing, struct err *err)
{
    int r = 0;

    packing->done = calloc(args_words(cli->args), sizeof *packing->done);
    if (!packing->done)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < args_words(cli->args); i++)
        r = pack_one(packing, args_word(cli->args, i), err);
    return r < 0 ? r : packed_write(packing, err);
}

static int run_pack(struct cli *cli)
{
    CLEANUP(publish_pairs_free) struct publish_pairs pairs = { .len = 0 };
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    CLEANUP_JSON json_t *list = json_array();
    const char *key = args_value(cli->args, "key"), *out = args_value(cli->args, "out");
    struct err err = ERR_INIT;
    int r = pairs_make(cli, &pairs, &err);

    if (r == 0)
        r = publish_key_read(key ? key : KEY_FILE, &seed, &err);
    CLEANUP(packing_free) struct packing packing = { &pairs, seed, out ? out : "dist", list, NULL, 0 };
    if (r == 0)
        r = pack_all(cli, &packing, &err);
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    key_compare(seed);
    if (args_has(cli->args, "json"))
        return print_json(cli->out, list) < 0 ? CODE_FAILED : CODE_DONE;
    items_print(cli, list);
    return CODE_DONE;
}

const struct command COMMAND_PUBLISH_PACK = {
    .name = "publish pack",
    .operands = "PATH…",
    .about = "fill in, check, sign and pack for a release",
    .details =
        "PATH is the folder of a connector (connector.wasm, manifest.toml) or an action's .md file. Placeholders "
        "@@NAME@@ are filled in before anything is hashed; one that is left over is an error. @@FQN@@ and @@VERSION@@ come "
        "from --fqn and --version; for actions, these and @@HASH@@ come from --connector, the archive of the connector "
        "that they pin. Nothing is written unless all of them are right.\n"
        "\n"
        "\"only Aileron\" names the keys of an action that other programs with the same format do not know, and refuse it for.\n"
        "\n"
        "Each archive is what `aileron connector install` and `aileron action add` expect: attach it to the release with the tag "
        "that is printed, as " ARCHIVE ".",
    .words_min = 1,
    .words_max = COMMAND_ANY_WORDS,
    .options = { { "key", 0, "FILE", false, "the private key (default: " KEY_FILE ")" },
        { "fqn", 0, "FQN", false, "value of @@FQN@@, such as github://OWNER/REPO" },
        { "version", 0, "VERSION", false, "value of @@VERSION@@" },
        { "connector", 0, "ARCHIVE", false, "the packed connector that the actions pin" },
        { "bind", 0, "NAME=FILE", true, "value of @@NAME@@, read from a file" },
        { "out", 0, "DIR", false, "where archives go (default: dist)" }, OPTION_JSON },
    .run = run_pack,
};

/* ---- sign ---- */

static char *signature_path(const char *path, const struct publish_item *item)
{
    char *out = NULL;

    return asprintf(&out, item->is_action ? "%s.sig" : "%s/signature.sig", path) < 0 ? NULL : out;
}

static int run_sign(struct cli *cli)
{
    static const struct publish_pairs none = { .len = 0 };
    CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    CLEANUP_FREE char *target = NULL;
    const char *path = args_word(cli->args, 0), *key = args_value(cli->args, "key"), *out = args_value(cli->args, "out");
    struct err err = ERR_INIT;
    int r = publish_read(path, &none, &item, &err);

    if (r == 0)
        r = publish_key_read(key ? key : KEY_FILE, &seed, &err);
    if (r == 0)
        r = publish_sign(&item, seed, &err);
    if (r == 0) {
        const struct buf *signature = box_get(&item.box, "signature.sig");

        target = out ? strdup(out) : signature_path(path, &item);
        r = target ? file_write_atomic(AT_FDCWD, target, signature->data, signature->len, 0644, &err)
                   : err_set(&err, ENOMEM, "out of memory");
    }
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    fprintf(cli->out, "%s\n", target);
    return CODE_DONE;
}

const struct command COMMAND_PUBLISH_SIGN = {
    .name = "publish sign",
    .operands = "PATH",
    .about = "sign files that are final, without packing them",
    .details =
        "PATH is a connector's folder or an action's .md file, without placeholders. The 64 bytes of the Ed25519 signature go "
        "to PATH/signature.sig, or for an action to PATH.sig; what is signed is connector.wasm followed by manifest.toml, or the "
        "action's file.",
    .words_min = 1,
    .words_max = 1,
    .options = { { "key", 0, "FILE", false, "the private key (default: " KEY_FILE ")" },
        { "out", 0, "FILE", false, "where the signature goes" } },
    .run = run_sign,
};

/* ---- verify ---- */

static int public_read(const char *path, struct keyring_key *ret_key, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PUB_BYTES);
    int r = file_read(AT_FDCWD, path, &text, err);

    if (r == 0) {
        r = keyring_key_read(buf_str(&text), text.len, ret_key, err);
        if (r < 0)
            err_prefix(err, "%s", path);
    }
    return r;
}

static int run_verify(struct cli *cli)
{
    CLEANUP_JSON json_t *list = json_array();
    const char *path = args_value(cli->args, "key");
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    struct keyring_key key;
    struct err err = ERR_INIT;
    int r = public_read(path ? path : PUBLIC_FILE, &key, &err);

    for (size_t i = 0; r == 0 && i < args_words(cli->args); i++) {
        CLEANUP(publish_item_free) struct publish_item item = { .name = NULL };

        r = publish_open(args_word(cli->args, i), &item, &err);
        if (r == 0)
            r = publish_check(&item, &key, &err);
        if (r == 0 && item_report(list, &item, args_word(cli->args, i)) < 0)
            r = err_set(&err, ENOMEM, "out of memory");
    }
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    if (args_has(cli->args, "json"))
        return print_json(cli->out, list) < 0 ? CODE_FAILED : CODE_DONE;
    items_print(cli, list);
    print_fieldf(cli->out, "signed by", "%s", keyring_fingerprint(&key, fingerprint));
    return CODE_DONE;
}

const struct command COMMAND_PUBLISH_VERIFY = {
    .name = "publish verify",
    .operands = "ARCHIVE…",
    .about = "check archives as an installation would",
    .details = "Unpacks in the same sandbox, checks signature, names and contents. The key is the publisher's public one.",
    .words_min = 1,
    .words_max = COMMAND_ANY_WORDS,
    .options = { { "key", 0, "FILE", false, "the public key, PEM or base64 (default: " PUBLIC_FILE ")" }, OPTION_JSON },
    .run = run_verify,
};
