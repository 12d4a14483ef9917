/*
 * Drives the real aileron-keeper for its tests: starts it as the broker would, with a development vault,
 * overrides and four providers on loopback, speaks the frames of both its doors, writes its receipts and
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
#define PASSPHRASE "a passphrase of the tests"
#define EVENTS_MAX 64

/* driver_home has the vault of PASSPHRASE with two bindings, driver_bare none. */
extern char driver_home[], driver_bare[], driver_ca[64], driver_keylog[64];
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
    uint8_t state;               /* as it was told last */
    uint8_t overrides;           /* given */
    uint8_t overrides_active;    /* as it was told last */
    char socket[96];             /* keeper.sock of this one */
    char events[EVENTS_MAX][40]; /* types of the receipts that it asked for or told */
    size_t events_len;
    bool refuses_receipts; /* answers that they were not written */
    bool ignores_receipts; /* does not answer */
};

/* An OWNER_DONE or a KEEPER_DONE. */
struct done {
    uint32_t id;
    uint8_t result;
    char message[512], hint[256], detail[16384];
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
/* With overrides for the names of HOSTS and the test CA. _raw: not configured yet; _locked: configured; else unlocked too. */
struct keeper keeper_start_raw(const char *home);
struct keeper keeper_start_locked(void);
struct keeper keeper_start(void);
void keeper_hello(struct keeper *keeper);
void keeper_configure(struct keeper *keeper, const char *allow_private);
void keeper_configure_lock(struct keeper *keeper, uint32_t auto_lock_s);
/* Takes the frame. */
void keeper_send(struct keeper *keeper, struct wire_frame *frame);
/* 1 = a frame, 0 when the keeper closed, -1 when nothing came in time. Receipts and unasked STATEs are taken care of. */
int keeper_receive(struct keeper *keeper, struct wire_frame *frame, int timeout_ms);
/* What it wrote to standard error. */
void keeper_errors(struct keeper *keeper, char *out, size_t size);
/* Waits for its end; the wait status. */
int keeper_reap(struct keeper *keeper, int timeout_ms);
/* The broker goes away: the keeper must end at once, quietly. */
void keeper_stop(struct keeper *keeper);

/* Takes care of them for this long. */
void keeper_pump(struct keeper *keeper, int for_ms);
/* Sends and waits for its KEEPER_DONE. Takes the frame. */
struct done keeper_ask(struct keeper *keeper, struct wire_frame *frame);
/* How often an event of this type came. */
size_t keeper_events(const struct keeper *keeper, const char *type);

/* A connection to keeper.sock; _raw: before OWNER_HELLO was read. */
int door_open_raw(const struct keeper *keeper);
int door_open(struct keeper *keeper);
/* Takes the frame. 0 or a negative errno: the keeper may have closed before. */
int door_send(int door, struct wire_frame *frame);
/* As keeper_receive(), which goes on meanwhile. */
int door_receive(struct keeper *keeper, int door, struct wire_frame *frame, int timeout_ms);
struct done door_read(struct keeper *keeper, int door);
struct done door_ask(struct keeper *keeper, int door, struct wire_frame *frame);
/* OWNER_UNLOCK over a connection of its own. */
struct done door_unlock(struct keeper *keeper, const char *passphrase);
/* A frame with a passphrase in it. */
void door_frame(struct wire_frame *frame, uint16_t type, const char *passphrase);

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
