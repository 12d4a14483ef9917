/*
 * Framed typed messages between our programs, over an AF_UNIX SOCK_SEQPACKET
 * socket: one frame is one packet with its descriptors, so there is nothing to
 * resynchronise. Layout (docs/protocols.md): 16 bytes of header in host order
 *
 *     u16 version (WIRE_VERSION)   u16 type   u32 id   u32 body_len   u32 fds
 *
 * then body_len bytes of fields. A field is written and read in a fixed order
 * known to both sides: u8, u32, u64, i64, text or bytes (u32 length first), blob (u8 0,
 * u32 length, bytes; or u8 1, u64 length, next descriptor: a fully sealed memfd).
 * A blob goes into a memfd when it would not fit into 64 KiB.
 *
 * Reading never fails half-way: wire_get_* on a bad frame give zero values and
 * mark it; wire_end() says whether all was there and nothing is left over. Who
 * gets a frame that wire_end() refuses drops the peer.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION      1
#define WIRE_HEADER_BYTES 16

/* A frame being built or read. Zero-initialised by wire_init() or wire_recv(). */
struct wire_frame {
    uint16_t type;
    uint32_t id;
    struct buf body;
    int fds[LIMIT_FRAME_FDS]; /* owned; -1 when taken */
    size_t fds_len;
    size_t at;    /* next byte to read */
    size_t fd_at; /* next descriptor to read */
    bool bad;
    bool holds_secret;           /* the body is wiped before its memory is given back */
    void *maps[LIMIT_FRAME_FDS]; /* blobs mapped while reading; unmapped by wire_free */
    size_t map_lens[LIMIT_FRAME_FDS];
    size_t maps_len;
    size_t blob_at; /* the largest inline blob written so far: its place, length and number of descriptors before it */
    size_t blob_len;
    size_t blob_fd_at;
};

void wire_init(struct wire_frame *frame, uint16_t type, uint32_t id);
void wire_free(struct wire_frame *frame);

/* Writers mark the frame bad on overflow or lack of memory; wire_send then fails with -EMSGSIZE. */
void wire_put_u8(struct wire_frame *frame, uint8_t value);
void wire_put_u32(struct wire_frame *frame, uint32_t value);
void wire_put_u64(struct wire_frame *frame, uint64_t value);
void wire_put_i64(struct wire_frame *frame, int64_t value);
/* NULL is written as "". */
void wire_put_str(struct wire_frame *frame, const char *text);
void wire_put_bytes(struct wire_frame *frame, const void *data, size_t len);
void wire_put_blob(struct wire_frame *frame, const void *data, size_t len);
/* As wire_put_bytes(). From then on the body neither moves nor is given back without being wiped. */
void wire_put_secret(struct wire_frame *frame, const void *data, size_t len);
/* Puts a descriptor; ownership passes to the frame. */
void wire_put_fd(struct wire_frame *frame, int fd);

uint8_t wire_get_u8(struct wire_frame *frame);
uint32_t wire_get_u32(struct wire_frame *frame);
uint64_t wire_get_u64(struct wire_frame *frame);
int64_t wire_get_i64(struct wire_frame *frame);
/* Text without NUL inside and at most `max` bytes, else the frame is bad. NUL-terminated and valid until wire_free; "" when bad. */
const char *wire_get_str(struct wire_frame *frame, size_t max);
/* Borrowed until wire_free. Longer than `max`: bad. */
const void *wire_get_bytes(struct wire_frame *frame, size_t max, size_t *ret_len);
/* Inline bytes, or the mapping of a memfd after its seals and size were checked. Borrowed until wire_free. */
const void *wire_get_blob(struct wire_frame *frame, size_t max, size_t *ret_len);
/*
 * Bytes of at most `max` as a new secret, owned by the caller; the frame's own copy is wiped at once. *ret_secret is NULL
 * when the frame is bad or memory ran out, which marks it bad.
 */
void wire_get_secret(struct wire_frame *frame, size_t max, struct secret **ret_secret);
/* A received frame that may hold a secret: wire_free() wipes its body. */
void wire_mark_secret(struct wire_frame *frame);
/* The next descriptor, now owned by the caller; -1 and bad when there is none. */
int wire_get_fd(struct wire_frame *frame);
/* 0 when the frame was good and is used up, fields and descriptors; else -EPROTO. */
int wire_end(struct wire_frame *frame);

/* Sends as one packet. 0, -EAGAIN (non-blocking and full), -EMSGSIZE, -EPIPE, ... The frame stays owned by the caller. */
int wire_send(int socket, const struct wire_frame *frame);
/*
 * Receives one packet into an uninitialised frame. 1 = a frame, 0 = the peer closed, -EAGAIN,
 * -EPROTO for a wrong version, a length that does not match, truncation or unexpected descriptors.
 */
int wire_recv(int socket, struct wire_frame *ret_frame);
/* A connected SOCK_SEQPACKET pair, close-on-exec. */
int wire_pair(int ret_sockets[2]);

#endif
