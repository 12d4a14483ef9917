/*
 * Drives the real aileron-keeper for its tests: starts it as the broker would, with
 * credentials, overrides and four providers on loopback, speaks its frames and
 * looks at what the providers saw. Every failure is an assertion of the test.
 */
#ifndef KEEPER_TEST_DRIVER_H
#define KEEPER_TEST_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "keeper/client.h"
#include "keeper/test-provider.h"
#include "wire/frame.h"

#define TOKEN "token-of-the-person-7b1f"
#define KEY   "key-of-the-other-9c2e"
#define HOSTS "a.test:443\nb.test:443\nclosed.test:443\nuntrusted.test:443\nother-name.test:443\nplain.test:443"

extern const char *driver_program; /* set by main() */
extern char driver_home[], driver_creds[64], driver_ca[64], driver_keylog[64];
/* a.test (in the grant), b.test (in the manifest alone), a server with a certificate of its own making, one without TLS */
extern struct provider granted, elsewhere, untrusted, plain;

/* Group fixtures: files and providers. */
int driver_setup(void **state);
int driver_teardown(void **state);

struct keeper {
    pid_t pid;
    int channel;
    int errors; /* its standard error */
    uint32_t next_id;
    uint8_t state;
    uint8_t overrides;
};

struct answer {
    uint32_t id;
    uint8_t outcome;
    uint8_t may_have_left;
    uint32_t status;
    int64_t retry_after_ms;
    char *body;
    size_t body_len;
    char message[512];
};

/* Starts the program with these arguments and an environment full of overrides. */
struct keeper keeper_exec(const char *const *argv);
/* With credentials, overrides for the names of HOSTS and the test CA; _raw: not configured yet. */
struct keeper keeper_start_raw(void);
struct keeper keeper_start(void);
void keeper_hello(struct keeper *keeper);
void keeper_configure(struct keeper *keeper, const char *allow_private);
/* Takes the frame. */
void keeper_send(struct keeper *keeper, struct wire_frame *frame);
/* 1 = a frame, 0 when the keeper closed, -1 when nothing came in time. */
int keeper_receive(struct keeper *keeper, struct wire_frame *frame, int timeout_ms);
/* What it wrote to standard error. */
void keeper_errors(struct keeper *keeper, char *out, size_t size);
/* Waits for its end; the wait status. */
int keeper_reap(struct keeper *keeper, int timeout_ms);
/* The broker goes away: the keeper must end at once, quietly. */
void keeper_stop(struct keeper *keeper);

/* One request; what is left out is that of an honest broker for local://google. */
struct ask {
    const char *connector, *binding, *method, *url, *headers, *body, *hosts;
    size_t body_len;
    uint32_t deadline_ms;
    bool read_only;
};

uint32_t ask_send(struct keeper *keeper, struct ask ask);
struct answer answer_read(struct keeper *keeper);
void answer_free(struct answer *answer);
struct answer ask(struct keeper *keeper, struct ask what);
/* Asks and compares outcome and "may have left". */
void ask_expect(struct keeper *keeper, struct ask what, enum keeper_http_outcome outcome, bool may_have_left);

/* Over all providers. */
unsigned long bytes_seen(void);
unsigned connections_seen(void);

#endif
