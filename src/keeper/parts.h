/* The parts of a running keeper, as they know each other. main.c owns them all; every member is set before the loop runs. */
#ifndef KEEPER_PARTS_H
#define KEEPER_PARTS_H

struct attempts;
struct derive;
struct http;
struct lock;
struct loop;
struct oauth;
struct owner;
struct receipts;
struct session;
struct tickets;
struct vault;

struct parts {
    struct loop *loop;
    struct vault *vault;
    struct derive *derive;
    struct session *session;
    struct receipts *receipts;
    struct http *http;
    struct oauth *oauth;
    struct lock *lock;
    struct attempts *attempts;
    struct tickets *tickets;
    struct owner *owner; /* NULL: there is no such door */
};

#endif
