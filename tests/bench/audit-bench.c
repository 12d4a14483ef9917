/*
 * What the audit log costs: appending an event, listing the newest 20 and
 * verifying the whole of 1,000,000 events over four days with a signed head each 256 (--quick: of 20,000).
 * One JSON object a line; the references beside the figures are the bare write(2), read
 * of a file's end and SHA-256 over the same bytes that the work cannot do without.
 */
#include "audit/audit.h"
#include "audit/heads.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "crypt/digest.h"
#include "crypt/head.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/banned.h"

#define DAYS        4
#define FIRST_MS    INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */
#define DAY_MS      INT64_C(86400000)
#define ROUNDS      5
#define FIND_ROUNDS 41
#define APPENDS     20000
#define HEAD_EVENTS 256
#define TAIL_BYTES  (128 * 1024)

struct figure {
    const char *what, *unit, *budget, *reference;
    double *values, *reference_values;
    size_t len;
};

static char dir[64], log_dir[80];
static size_t line_bytes; /* of one line, on average */

static void leave(void)
{
    file_remove_tree(AT_FDCWD, dir);
}

static void require(bool truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "audit-bench: %s\n", what);
    exit(1);
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static double percentile(double *values, size_t len, unsigned percent)
{
    qsort(values, len, sizeof *values, compare);
    return values[(len - 1) * percent / 100];
}

/* Low and high leave out a tenth on either side: the machine does other things too. */
static void print(const struct figure *figure)
{
    printf("{\"what\": \"%s\", \"median\": %.4g, \"low\": %.4g, \"high\": %.4g, \"unit\": \"%s\", \"budget\": \"%s\", "
           "\"reference\": \"%s\", \"reference_median\": %.4g}\n",
        figure->what, percentile(figure->values, figure->len, 50), percentile(figure->values, figure->len, 10),
        percentile(figure->values, figure->len, 90), figure->unit, figure->budget, figure->reference,
        percentile(figure->reference_values, figure->len, 50));
    fflush(stdout);
}

/* What a call leaves: the longest of the frequent events. */
static json_t *payload_new(void)
{
    static const char hash[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "aileron.action.name", "list-recent-emails",
        "aileron.action.version", "1.0.0", "aileron.action.hash", hash, "aileron.connector.fqn", "github://acme/aileron-google",
        "aileron.connector.version", "1.0.0", "aileron.connector.hash", hash, "aileron.connector.op", "list_recent_emails",
        "aileron.execution.disposition", "unattended", "aileron.binding.name", "oauth2/google/me", "aileron.execution.step",
        "list", "aileron.execution.duration_ms", 212, "aileron.execution.retried", 0);
}

/* What the broker has signed while the vault is open. */
static void sign_newest(const struct audit_log *log, struct audit_heads *heads, const struct secret *seed)
{
    struct audit_head head = { .seq = audit_last_seq(log), .timestamp = "2026-11-23T12:00:00.000Z" };
    uint8_t hash[SHA256_BYTES], message[AUDIT_HEAD_BYTES];

    memcpy(head.hash, audit_last_hash(log), AUDIT_PREV_LEN);
    require(hex_decode(head.hash, hash, sizeof hash) == 0, "no hash");
    audit_head_message(head.seq, hash, message);
    require(sign_public(seed, head.key) == 0 && sign_message(seed, message, sizeof message, head.signature) == 0 &&
                audit_heads_append(heads, &head, NULL) == 0,
        "cannot sign");
}

static void fill(size_t count, double *append_us)
{
    CLEANUP_PTR(audit_close) struct audit_log *log = NULL;
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = NULL;
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    CLEANUP_JSON json_t *payload = payload_new();
    struct audit_event event = { "execution.succeeded", "ses_01KB0000000000000000000000", AUDIT_AGENT, "claude-code", payload };
    char id[ULID_ID_MAX];
    bool torn = false;

    require(audit_open(log_dir, &log, &torn, NULL) == 0 && audit_heads_open(log_dir, &heads, &torn, NULL) == 0 &&
                sign_seed_new(&seed) == 0,
        "cannot open the log");
    for (size_t i = 0; i < count; i++) {
        int64_t at = FIRST_MS + (int64_t) (i * DAYS / count) * DAY_MS + (int64_t) (i % 1000);
        double start = now_us();

        require(audit_append(log, &event, at, id, NULL) == 0, "cannot append");
        if (i >= count - APPENDS)
            append_us[i - (count - APPENDS)] = now_us() - start;
        if (i % HEAD_EVENTS == HEAD_EVENTS - 1)
            sign_newest(log, heads, seed);
    }
}

static void measure_writes(double *us)
{
    CLEANUP_FREE char *line = malloc(line_bytes);
    CLEANUP_CLOSE int fd = -1;
    char path[128];

    snprintf(path, sizeof path, "%s/reference", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    require(fd >= 0 && line, "cannot make the reference file");
    memset(line, 'x', line_bytes);
    for (size_t i = 0; i < APPENDS; i++) {
        double start = now_us();

        require(write(fd, line, line_bytes) == (ssize_t) line_bytes, "cannot write");
        us[i] = now_us() - start;
    }
}

static int open_day(int64_t day)
{
    char path[160], text[CLOCK_TEXT_MAX];

    snprintf(path, sizeof path, "%s/audit-%s.jsonl", log_dir, clock_format_day(FIRST_MS + day * DAY_MS, text));
    return open(path, O_RDONLY | O_CLOEXEC);
}

static double read_tail_ms(void)
{
    static char tail[TAIL_BYTES];
    double start = now_us();
    CLEANUP_CLOSE int fd = open_day(DAYS - 1);
    struct stat st;

    require(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > TAIL_BYTES &&
                pread(fd, tail, TAIL_BYTES, st.st_size - TAIL_BYTES) == TAIL_BYTES,
        "cannot read a file's end");
    return (now_us() - start) / 1e3;
}

static double find_ms(void)
{
    struct audit_query query = { .limit = 20 };
    CLEANUP_JSON json_t *events = NULL;
    double start = now_us();

    require(audit_find(log_dir, &query, &events, NULL) == 0 && json_array_size(events) == 20, "cannot find");
    return (now_us() - start) / 1e3;
}

/* What nothing matches is the hard case: all is read. */
static double filter_ms(const struct audit_query *query)
{
    CLEANUP_JSON json_t *events = NULL;
    double start = now_us();

    require(audit_find(log_dir, query, &events, NULL) == 0 && json_array_size(events) == 0, "cannot find nothing");
    return (now_us() - start) / 1e3;
}

static double verify_s(size_t count)
{
    struct audit_verdict verdict;
    double start = now_us();

    require(audit_verify(log_dir, &verdict, NULL) == 0 && verdict.intact && verdict.events == count && verdict.files == DAYS &&
                verdict.anchor.seq == count - count % HEAD_EVENTS,
        "not intact");
    return (now_us() - start) / 1e6;
}

static double hash_s(void)
{
    static char chunk[128 * 1024];
    struct digest *digest = digest_new();
    uint8_t hash[SHA256_BYTES];
    double start = now_us();

    for (int64_t day = 0; day < DAYS; day++) {
        CLEANUP_CLOSE int fd = open_day(day);
        ssize_t n = 0;

        while ((n = read(fd, chunk, sizeof chunk)) > 0)
            digest_add(digest, chunk, (size_t) n);
    }
    digest_end(digest, hash);
    return (now_us() - start) / 1e6;
}

static void measure_appends(size_t count)
{
    static double append_us[APPENDS], write_us[APPENDS];
    struct stat st;

    fill(count, append_us);
    CLEANUP_CLOSE int fd = open_day(DAYS - 1);
    require(fd >= 0 && fstat(fd, &st) == 0, "cannot look at the log");
    line_bytes = (size_t) st.st_size / (count / DAYS);
    measure_writes(write_us);
    print(&(struct figure){
        "audit: append one event, not synced", "us", "", "write(2) of as many bytes", append_us, write_us, APPENDS });
}

static void measure_reads(size_t count, const char *shown)
{
    double find[FIND_ROUNDS], tail[FIND_ROUNDS], verify[ROUNDS], hash[ROUNDS];
    char what[64];

    for (size_t i = 0; i < FIND_ROUNDS; i++) {
        find[i] = find_ms();
        tail[i] = read_tail_ms();
    }
    snprintf(what, sizeof what, "audit: newest 20 of %s", shown);
    print(&(struct figure){ what, "ms", "< 20 ms", "read(2) of the last 128 KiB", find, tail, FIND_ROUNDS });
    for (size_t i = 0; i < ROUNDS; i++) {
        verify[i] = verify_s(count);
        hash[i] = hash_s();
    }
    snprintf(what, sizeof what, "audit: verify all of %s", shown);
    print(&(struct figure){ what, "s", "< 3 s", "SHA-256 of the same bytes in one piece", verify, hash, ROUNDS });
}

static double read_all_ms(void)
{
    static char chunk[128 * 1024];
    double start = now_us();

    for (int64_t day = 0; day < DAYS; day++) {
        CLEANUP_CLOSE int fd = open_day(day);

        while (read(fd, chunk, sizeof chunk) > 0)
            continue;
    }
    return (now_us() - start) / 1e3;
}

static void measure_filters(const char *shown, const char *budget)
{
    static const struct {
        const char *name;
        struct audit_query query;
    } filters[] = {
        { "type", { .type = "approval.denied", .limit = 100 } },
        { "session", { .session = "ses_01KB0000000000000000000001", .limit = 100 } },
        { "class", { .class = "network_error", .limit = 100 } },
        { "text", { .text = "nothing holds this", .limit = 100 } },
    };
    double filter[ROUNDS], reading[ROUNDS];
    char what[80];

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        for (size_t k = 0; k < ROUNDS; k++) {
            filter[k] = filter_ms(&filters[i].query);
            reading[k] = read_all_ms();
        }
        snprintf(what, sizeof what, "audit: by a %s that none of %s has", filters[i].name, shown);
        print(&(struct figure){ what, "ms", budget, "read(2) of all", filter, reading, ROUNDS });
    }
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && !strcmp(argv[1], "--quick");
    size_t count = quick ? 20000 : 1000000;

    json_init();
    snprintf(dir, sizeof dir, "/tmp/audit-bench-XXXXXX");
    require(mkdtemp(dir) != NULL, "cannot make a temporary folder");
    atexit(leave);
    snprintf(log_dir, sizeof log_dir, "%s/audit", dir);
    measure_appends(count);
    measure_reads(count, quick ? "20,000" : "1,000,000");
    measure_filters(quick ? "20,000" : "1,000,000", "");
    require(quick || file_remove_tree(AT_FDCWD, log_dir) == 0, "cannot remove the log");
    if (quick)
        return 0;
    /* What a page filters in. */
    measure_appends(100000);
    measure_filters("100,000", "< 200 ms");
    return 0;
}
