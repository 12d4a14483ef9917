/* The log as the broker uses it, in a temporary folder, for the tests of this module. */
#ifndef AUDIT_TEST_FIXTURE_H
#define AUDIT_TEST_FIXTURE_H

#include "audit/audit.h"

#define NOON      INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */
#define DAY       INT64_C(86400000)
#define DAY_FILE  "audit-2026-11-23.jsonl"
#define NEXT_FILE "audit-2026-11-24.jsonl"

struct log_fixture {
    char dir[64], log_dir[80];
    struct audit_log *log;
};

int log_setup(void **state);
int log_teardown(void **state);
/* (Re)opens; true when a torn line was moved away. */
bool log_open_again(struct log_fixture *f);
int log_append_event(struct log_fixture *f, const char *type, const char *session, const char *payload, int64_t now,
    char id[ULID_ID_MAX], struct err *err);
void log_append(struct log_fixture *f, int64_t now);
void log_append_many(struct log_fixture *f, int64_t now, int count);
void log_file_path(const struct log_fixture *f, const char *name, char out[256]);
char *log_read(const struct log_fixture *f, const char *name, size_t *ret_len);
/* Without fsync: thousands of these are written. */
void log_write(const struct log_fixture *f, const char *name, const char *data, size_t len);
struct audit_verdict log_verify(const struct log_fixture *f);
void log_assert_intact(const struct log_fixture *f, uint64_t events);
void log_assert_fault(const struct log_fixture *f, const char *where, const char *what);
/* Lines of the file, each with its newline; the text must outlive them. */
size_t log_split(char *text, size_t len, char *lines[], size_t max);

#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, log_setup, log_teardown)

#endif
