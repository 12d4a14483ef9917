/*
 * Wiring: what is started in which order, what happens when the keeper comes and
 * goes, how the daemon ends. Everything is confined before the first byte from
 * outside is read; the doors open last.
 */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/approvals.h"
#include "broker/call.h"
#include "broker/log.h"
#include "broker/plan.h"
#include "confine/sanitized.h"
#include "mcp/mcp.h"
#include "store/store.h"
#include "web/web.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/banned.h"

#define DRAIN_MS         1500
#define SESSIONS_SAVE_MS 30000
#define OPEN_FILES       8192

/* --- receipts of the owner and of the daemon --- */

int broker_receipt_owner(
    struct broker *broker, const char *type, json_t *payload_stolen, char ret_id[ULID_ID_MAX], struct err *err)
{
    CLEANUP_JSON json_t *payload = payload_stolen;
    const struct receipt receipt = { .type = type, .actor = AUDIT_HUMAN, .actor_id = "owner", .payload = payload };

    return receipts_append(broker->receipts, &receipt, ret_id, err);
}

int broker_receipt_service(struct broker *broker, const char *type, json_t *payload_stolen, struct err *err)
{
    CLEANUP_JSON json_t *payload = payload_stolen;
    const struct receipt receipt = { .type = type, .actor = AUDIT_SERVICE, .actor_id = "daemon", .payload = payload };

    return receipts_append(broker->receipts, &receipt, NULL, err);
}

void broker_no_receipt(struct api_reply *reply, const struct err *err)
{
    api_reply_error(reply, 507, "no_receipt", err->message[0] ? err->message : "no receipt could be written",
        "without a receipt nothing is done; aileron status says what is wrong");
}

/* --- changes --- */

void broker_actions_changed(struct broker *broker)
{
    json_decref(broker->tools);
    broker->tools = NULL;
    approvals_look(broker->approvals);
    for (size_t i = 0; i < broker->changed_len; i++)
        broker->changed[i].fn(broker->changed[i].userdata);
}

static void on_catalog_changed(void *userdata)
{
    broker_actions_changed(MAGIC_CAST(struct broker, userdata, BROKER_MAGIC));
}

int broker_on_actions_changed(struct broker *broker, broker_changed_fn *fn, void *userdata)
{
    if (broker->changed_len == BROKER_CHANGED_MAX)
        return -ENOSPC;
    broker->changed[broker->changed_len].fn = fn;
    broker->changed[broker->changed_len++].userdata = userdata;
    return 0;
}

/* --- sessions --- */

int broker_sessions_save(struct broker *broker, struct err *err)
{
    CLEANUP_JSON json_t *saved = session_table_save(broker->sessions);
    CLEANUP_FREE char *text = saved ? json_dumps(saved, JSON_COMPACT) : NULL;

    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    return file_write_atomic(AT_FDCWD, broker->sessions_path, text, strlen(text), 0600, err);
}

static void on_sessions_timer(void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);
    struct err err = ERR_INIT;

    broker->sessions_dirty = false;
    if (broker_sessions_save(broker, &err) < 0)
        log_warn("sessions.json was not written: %s", err.message);
}

void broker_sessions_touched(struct broker *broker)
{
    if (broker->sessions_dirty)
        return;
    broker->sessions_dirty = true;
    loop_timer_set(broker->sessions_timer, SESSIONS_SAVE_MS);
}

static int load_sessions(struct broker *broker, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(16 * MIB);
    CLEANUP_JSON json_t *saved = NULL;
    struct err ours = ERR_INIT;
    int r = session_table_new(&broker->sessions);

    if (r < 0)
        return err_set(err, -r, "out of memory");
    r = file_read(AT_FDCWD, broker->sessions_path, &text, &ours);
    if (r == -ENOENT)
        return 0;
    if (!r)
        r = json_parse(buf_str(&text), text.len, (struct json_limits){ 16 * MIB, 16, 400000 }, &saved, &ours);
    if (!r)
        r = session_table_load(broker->sessions, saved, &ours);
    if (r < 0) {
        err_set(err, -r, "%s: %s", broker->sessions_path, ours.message);
        err_hint(err, "repair it, or remove it to end all agent sessions");
    }
    return r;
}

struct session *broker_session(struct broker *broker, const char *token)
{
    struct session *session = session_by_token(broker->sessions, token);

    if (session) {
        session->last_seen_unix_ms = clock_unix_ms();
        broker_sessions_touched(broker);
    }
    return session;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    struct session *session = session_by_id(broker->sessions, id);

    return session && !session->ended_unix_ms && !strcmp(session->id, id) ? session : NULL;
}

bool broker_owner_token(struct broker *broker, const char *token)
{
    return discovery_is_token(broker->discovery, token);
}

struct loop *broker_loop(struct broker *broker)
{
    return broker->loop;
}

/* --- start --- */

static int open_program(const char *dir, const char *name, int *ret_fd, struct err *err)
{
    CLEANUP_FREE char *path = NULL;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return err_set(err, ENOMEM, "out of memory");
    *ret_fd = open(path, O_PATH | O_CLOEXEC);
    if (*ret_fd < 0) {
        err_errno(err, errno, "cannot open the program %s", path);
        err_hint(err, "the installation is not complete");
        return -err->code;
    }
    return 0;
}

static int open_programs(struct broker *broker, struct err *err)
{
    int r = open_program(broker->flags->libexec, "aileron-keeper", &broker->keeper_program, err);

    if (!r)
        r = open_program(broker->flags->libexec, "aileron-worker", &broker->worker_program, err);
    broker->self_program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (!r && broker->self_program < 0)
        r = err_errno(err, errno, "cannot open /proc/self/exe");
    return r;
}

/* A thousand clients and their workers need more descriptors than the usual soft limit. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OPEN_FILES)
        return;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Reads anywhere the user may (the owner names folders to install from), writes below home and socket folder only. */
static int confine(struct broker *broker, struct err *err)
{
    const char *const readable[] = { "/", NULL };
    const char *const writable[] = { broker->home->path, broker->home->socket_dir, "/dev/null", NULL };
    const struct confine_paths paths = { readable, writable };

    return confine_begin(CONFINE_BROKER, &paths, 0, &broker->confined, err);
}

static int start_paths(struct broker *broker, struct err *err)
{
    CLEANUP_FREE char *log_file = NULL;
    int r = home_from_path(broker->flags->home, &broker->home, err);

    if (!r)
        r = home_create(broker->home, err);
    if (!r)
        r = file_make_dirs(broker->home->socket_dir, 0700, err);
    if (r < 0)
        return r;
    log_file = home_file(broker->home, "log/daemon.log");
    broker->settings_path = home_file(broker->home, "config.toml");
    broker->sessions_path = home_file(broker->home, "sessions.json");
    if (!log_file || !broker->settings_path || !broker->sessions_path)
        return err_set(err, ENOMEM, "out of memory");
    r = open_programs(broker, err);
    if (!r)
        r = discovery_open(broker->home, &broker->discovery, err);
    if (!r)
        r = log_open(log_file, err);
    if (!r) /* it has to be outside of what follows */
        r = notify_start(broker->self_program, broker->home, &broker->notify, err);
    if (!r)
        r = confine(broker, err);
    if (!r)
        r = settings_load(broker->settings_path, &broker->settings, err);
    if (!r) {
        log_set_level(broker->settings.log_level);
        notify_set_command(broker->notify, broker->settings.notify_command);
    }
    return r;
}

static int start_receipts(struct broker *broker, struct err *err)
{
    CLEANUP_FREE char *dir = home_file(broker->home, "audit");
    bool torn;
    int r = dir ? receipts_open(broker->loop, dir, &broker->receipts, &torn, err) : err_set(err, ENOMEM, "out of memory");

    if (!r && torn) {
        log_warn("the end of the audit log was torn by a crash; it was moved to audit/torn");
        r = broker_receipt_service(broker, "audit.recovered", json_object(), err);
    }
    if (!r)
        r = broker_receipt_service(broker, "daemon.started",
            json_pack("{s:s, s:i}", "aileron.daemon.version", AILERON_VERSION, "aileron.daemon.pid", (int) getpid()), err);
    if (r < 0)
        err_hint(err, "no receipt, no effect: the daemon does not run without its audit log");
    return r;
}

static int ask_for_head(void *userdata, uint64_t seq, const uint8_t hash[SHA256_BYTES], keeper_reply_fn *fn, void *fn_userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);

    return keeper_sign_head(broker->keeper, seq, hash, fn, fn_userdata, NULL);
}

static int start_heads(struct broker *broker, struct err *err)
{
    CLEANUP_FREE char *dir = home_file(broker->home, "audit");
    const struct heads_config config = { broker->loop, broker->receipts, dir, ask_for_head, broker };

    return dir ? heads_new(&config, &broker->heads, err) : err_set(err, ENOMEM, "out of memory");
}

static void note_cache(const char *text)
{
    log_warn("%s", text);
}

static int start_workers(struct broker *broker, struct err *err)
{
    CLEANUP_FREE char *dir = home_file(broker->home, "cache/modules");
    /* A worker's words are not for the log, but for the report of a sanitizer. */
    const struct worker_program program = { broker->worker_program, CONFINE_SANITIZED ? STDERR_FILENO : -1 };
    const struct cache_config cache = { broker->loop, program, dir, LIMIT_MODULE_CACHE_BYTES, 0, note_cache };
    const struct pool_config pool = { broker->loop, program, 0, 0, 0 };
    struct err repair = ERR_INIT;
    int r = dir ? cache_new(&cache, &broker->cache, err) : err_set(err, ENOMEM, "out of memory");

    if (!r)
        r = pool_new(&pool, &broker->pool, err);
    if (!r && store_repair(broker->home->path, &repair) < 0)
        log_warn("the store was not looked through: %s", repair.message);
    if (!r)
        r = connectors_new(broker->home->path, broker->cache, &broker->connectors, err);
    return r;
}

/* --- the keeper --- */

void broker_fetcher_renew(struct broker *broker)
{
    CLEANUP_FREE char *allow_private = settings_allow_private_text(&broker->settings);

    if (broker->fetcher)
        fetch_link_set(broker->fetcher, allow_private ? allow_private : "", keeper_overrides_active(broker->keeper));
}

static void on_keeper_changed(void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);
    uint8_t key[SIGN_PUBLIC_BYTES];

    heads_key(broker->heads, keeper_head_key(broker->keeper, key) ? key : NULL);
    if (keeper_overrides_active(broker->keeper) && !broker->overrides_told)
        log_warn("development overrides are active; aileron status names them");
    broker->overrides_told = keeper_overrides_active(broker->keeper);
    broker_fetcher_renew(broker);
    approvals_look(broker->approvals);
    if (broker->running && keeper_vault_state(broker->keeper) == KEEPER_VAULT_UNLOCKED)
        approvals_unlocked(broker->approvals);
    broker_event(broker, "vault", json_pack("{s:s}", "state", vault_state_name(keeper_vault_state(broker->keeper))));
}

static void on_keeper_lost(bool was_open, void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);
    CLEANUP_FREE char *path = home_file(broker->home, "secrets.json");

    heads_key(broker->heads, NULL);
    /* A keeper that died is a locked vault. */
    if (was_open && path)
        broker_receipt_service(broker, "vault.locked", json_pack("{s:s}", "aileron.vault.path", path), NULL);
}

static int on_keeper_event(uint32_t id, const struct keeper_event *event, void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);

    return keeper_events_take(broker->keeper_events, id, event, broker->locking > 0);
}

static void tell_ready(struct broker *broker, const struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(2048);

    if (broker->flags->ready_fd < 0)
        return;
    if (!err)
        buf_add_str(&text, "ok\n");
    else
        buf_printf(&text, "%s\n%s%s%s", err->message, err->hint[0] ? "hint: " : "", err->hint, err->hint[0] ? "\n" : "");
    file_write_full(broker->flags->ready_fd, text.data, text.len);
    close(broker->flags->ready_fd);
}

static int open_doors(struct broker *broker, struct err *err)
{
    unsigned port = broker->settings.web_port ? broker->settings.web_port : discovery_last_port(broker->discovery);
    int r = web_start(broker, discovery_take_owner_socket(broker->discovery), port, &broker->web, &port, err);

    if (!r)
        r = mcp_start(broker, broker->web, discovery_take_agent_socket(broker->discovery), &broker->mcp, err);
    if (!r)
        r = discovery_publish(broker->discovery, port, broker->started_unix_ms, err);
    return r;
}

static void on_keeper_started(int result, const struct err *err, void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);
    struct err ours = ERR_INIT;

    if (result == 0)
        result = open_doors(broker, &ours);
    else
        ours = *err;
    if (result < 0) {
        log_error("the daemon cannot start: %s", ours.message);
        tell_ready(broker, &ours);
        broker->exit_code = 1;
        loop_stop(broker->loop);
        return;
    }
    broker->running = true;
    log_info(
        "aileron %s answers on %s and %s", AILERON_VERSION, broker->home->daemon_sock, discovery_facts(broker->discovery)->url);
    tell_ready(broker, NULL);
}

/* The development overrides behind what is there already. */
static void overrides_append(const struct broker_flags *flags, const char **argv, size_t n)
{
    for (size_t i = 0; i < flags->dev_connect_to_len; i++) {
        argv[n++] = "--dev-connect-to";
        argv[n++] = flags->dev_connect_to[i];
    }
    if (flags->dev_ca) {
        argv[n++] = "--dev-ca";
        argv[n++] = flags->dev_ca;
    }
    argv[n] = NULL;
}

static int start_fetcher(struct broker *broker, struct err *err)
{
    static const char *const plain[] = { "aileron-keeper", "--fetch", NULL };
    CLEANUP_FREE char *allow_private = settings_allow_private_text(&broker->settings);
    const struct fetch_config config = { .loop = broker->loop,
        .program_fd = broker->keeper_program,
        .argv = plain,
        .argv_with_overrides = broker->fetch_argv,
        .allow_private = allow_private ? allow_private : "",
        .stderr_fd = CONFINE_SANITIZED ? STDERR_FILENO : -1 };
    int r = 0;

    broker->fetch_argv[0] = plain[0];
    broker->fetch_argv[1] = plain[1];
    overrides_append(broker->flags, broker->fetch_argv, 2);
    r = fetch_link_new(&config, &broker->fetcher, err);
    if (r == 0)
        r = forge_new(&(struct forge_config){ .loop = broker->loop, .fetcher = broker->fetcher, .keeper = broker->keeper },
            &broker->forge, err);
    broker->acquire = (struct acquire_context){ .loop = broker->loop,
        .forge = broker->forge,
        .unpacker = { broker->worker_program, CONFINE_SANITIZED ? STDERR_FILENO : -1 },
        .home = broker->home->path };
    return r < 0 ? r : plans_new(broker, &broker->plans, err);
}

static int start_keeper(struct broker *broker, struct err *err)
{
    CLEANUP_FREE char *allow_private = settings_allow_private_text(&broker->settings);
    const char **argv = broker->keeper_argv;

    argv[0] = "aileron-keeper";
    argv[1] = "--home";
    argv[2] = broker->home->path;
    overrides_append(broker->flags, argv, 3);
    const struct keeper_config config = {
        .loop = broker->loop,
        .program_fd = broker->keeper_program,
        .argv = argv,
        .owner_fd = discovery_keeper_socket(broker->discovery),
        .allow_private = allow_private ? allow_private : "",
        .auto_lock_s = broker->settings.auto_lock_s,
        .changed = on_keeper_changed,
        .started = on_keeper_started,
        .lost = on_keeper_lost,
        .event = on_keeper_event,
        .userdata = broker,
    };
    return keeper_link_new(&config, &broker->keeper, err);
}

/* --- the end --- */

static void close_doors(struct broker *broker)
{
    if (broker->web)
        web_stop(broker->web);
    broker->changed_len = 0;
    plans_free(TAKE_PTR(broker->plans));
    forge_free(TAKE_PTR(broker->forge));
    fetch_link_free(TAKE_PTR(broker->fetcher));
    mcp_free(TAKE_PTR(broker->mcp));
    web_free(TAKE_PTR(broker->web));
}

/* The last receipt; nobody can ask for anything any more. */
static void note_stopped(struct broker *broker)
{
    int64_t uptime_s = (clock_boot_ms() - broker->started_boot_ms) / 1000;

    if (!broker->running)
        return;
    broker->running = false;
    broker_receipt_service(broker, "daemon.stopped", json_pack("{s:I}", "aileron.daemon.uptime_s", (json_int_t) uptime_s), NULL);
    broker_sessions_save(broker, NULL);
    log_info("stopped");
}

static void on_heads_finished(void *userdata)
{
    loop_stop(MAGIC_CAST(struct broker, userdata, BROKER_MAGIC)->loop);
}

static void on_stop_timer(void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);

    if (!LIST_EMPTY(&broker->calls)) {
        log_info("%u calls still run and are ended", broker->calls_len);
        call_stop_all(broker);
        return; /* the last one's end calls broker_drained() */
    }
    close_doors(broker);
    note_stopped(broker);
    heads_finish(broker->heads, on_heads_finished, broker);
}

void broker_drained(struct broker *broker)
{
    /* One more turn, so that the answers leave. */
    loop_timer_set(broker->stop_timer, 20);
}

void broker_stop(struct broker *broker)
{
    if (broker->stopping)
        return;
    log_info("stopping");
    broker->stopping = true;
    loop_timer_set(broker->stop_timer, LIST_EMPTY(&broker->calls) ? 20 : DRAIN_MS);
}

static void on_signal(int signal, void *userdata)
{
    broker_stop(MAGIC_CAST(struct broker, userdata, BROKER_MAGIC));
}

int broker_new(const struct broker_flags *flags, struct broker **ret_broker, struct err *err)
{
    CLEANUP_PTR(broker_free) struct broker *broker = calloc(1, sizeof *broker);
    int r;

    if (!broker)
        return err_set(err, ENOMEM, "out of memory");
    broker->magic = BROKER_MAGIC;
    broker->flags = flags;
    broker->settings = (struct settings) SETTINGS_INIT;
    broker->keeper_program = broker->worker_program = broker->self_program = -1;
    broker->started_unix_ms = clock_unix_ms();
    broker->started_boot_ms = clock_boot_ms();
    LIST_INIT(&broker->calls);
    raise_file_limit();
    r = start_paths(broker, err);
    if (!r)
        r = loop_new(&broker->loop, err);
    if (!r && (loop_timer_new(broker->loop, on_stop_timer, broker, &broker->stop_timer) < 0 ||
                  loop_timer_new(broker->loop, on_sessions_timer, broker, &broker->sessions_timer) < 0 ||
                  loop_signal(broker->loop, SIGTERM, on_signal, broker) < 0 ||
                  loop_signal(broker->loop, SIGINT, on_signal, broker) < 0))
        r = err_set(err, ENOMEM, "out of memory");
    if (!r)
        r = notify_attach(broker->notify, broker->loop, err);
    if (!r)
        r = start_keeper(broker, err);
    if (!r)
        r = start_fetcher(broker, err);
    if (!r)
        r = start_receipts(broker, err);
    if (!r)
        r = start_heads(broker, err);
    if (!r && (broker_events_start(broker) < 0 || !(broker->web_keys = web_keys_new())))
        r = err_set(err, ENOMEM, "out of memory");
    if (!r)
        r = keeper_events_new(broker->receipts, broker->keeper, &broker->keeper_events, err);
    if (!r)
        r = start_workers(broker, err);
    if (!r)
        r = catalog_new(broker->loop, broker->home->path, on_catalog_changed, broker, &broker->catalog, err);
    if (!r)
        r = load_sessions(broker, err);
    if (!r)
        r = approvals_new(broker, &broker->approvals, err);
    if (r < 0) {
        log_error("the daemon cannot start: %s", err->message);
        tell_ready(broker, err);
        return r;
    }
    *ret_broker = TAKE_PTR(broker);
    return 0;
}

int broker_run(struct broker *broker)
{
    int r = loop_run(broker->loop);

    note_stopped(broker);
    return r < 0 ? 1 : broker->exit_code;
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    close_doors(broker);
    approvals_free(broker->approvals);
    keeper_link_free(broker->keeper);
    notify_free(broker->notify);
    pool_free(broker->pool);
    cache_free(broker->cache);
    connectors_free(broker->connectors);
    catalog_free(broker->catalog);
    keeper_events_free(broker->keeper_events);
    heads_free(broker->heads);
    receipts_close(broker->receipts);
    session_table_free(broker->sessions);
    loop_timer_free(broker->stop_timer);
    loop_timer_free(broker->sessions_timer);
    loop_timer_free(broker->events.timer);
    web_keys_free(broker->web_keys);
    json_decref(broker->tools);
    loop_free(broker->loop);
    discovery_close(broker->discovery);
    settings_free(&broker->settings);
    home_free(broker->home);
    free(broker->settings_path);
    free(broker->sessions_path);
    if (broker->keeper_program >= 0)
        close(broker->keeper_program);
    if (broker->worker_program >= 0)
        close(broker->worker_program);
    if (broker->self_program >= 0)
        close(broker->self_program);
    free(broker);
}
