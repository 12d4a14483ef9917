/*
 * Which version a reference stands for: @latest by the forge's newest release, a commit by the tag that points at it
 * (SPEC §3). Asks the forge's API, page by page where it must.
 */
#ifndef BROKER_VERSION_H
#define BROKER_VERSION_H

#include "broker/forge.h"
#include "store/release.h"

struct version_search;

/* Once, from the loop, unless cancelled. */
typedef void version_fn(int result, const struct semver *version, const struct err *err, void *userdata);

/* 1: it says so itself (*ret_version), `fn` is not called. 0: `fn` runs later. */
int version_find(struct forge *forge, const struct release_ref *ref, version_fn *fn, void *userdata, struct semver *ret_version,
    struct version_search **ret_search, struct err *err);
/* NULL allowed. */
void version_cancel(struct version_search *search);

#endif
