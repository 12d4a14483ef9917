/*
 * A disk for crash tests. Every call that touches it is wrapped by the linker (disk_wraps of base/meson.build), and each in turn is
 *   - the last one of the program (a kill or crash: what the kernel has been told stays),
 *   - the last one before the power goes (only what was synced stays; of the other changes of folders each prefix, and those of
 *     one folder alone; of file contents none, zeros, a hole, or all),
 *   - refused once, twice (so that an undo fails as well), or from then on always, with ENOSPC and EIO.
 * What was acknowledged before is told to the check, which says whether the home holds all of it.
 */
#ifndef BASE_TEST_DISK_H
#define BASE_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>

enum disk_refusal { DISK_REFUSE_ONCE, DISK_REFUSE_TWICE, DISK_REFUSE_FROM, DISK_REFUSALS };

/* The home of the operation under test: a folder, made empty. All paths that are touched must be below it. */
extern char disk_home[64];
void disk_home_make(void);
void disk_home_free(void);

/* From within the operation: what was done so far is promised. */
void disk_acknowledge(void);

/* How the home came to be as it is now. */
struct disk_crash {
    bool power;          /* the power was lost */
    size_t acknowledged; /* times */
};

struct disk_case {
    const char *name;
    void *userdata;
    void (*make)(void *userdata); /* fills the empty home; NULL: nothing */
    int (*run)(void *userdata);   /* 0: done */
    /* After a crash: asserts that the home is whole. */
    void (*check)(const struct disk_crash *crash, void *userdata);
    /* After a refusal, in the same process: `result` of run. NULL: nothing to be looked at before check. */
    void (*refused)(enum disk_refusal how, int result, void *userdata);
    bool twice; /* holds with DISK_REFUSE_TWICE too */
};

/* Each runs the case as often as it takes and fails the test that it is called from; `least` calls must have been met. */
void disk_stop_everywhere(const struct disk_case *what, int least);
void disk_refuse_everywhere(const struct disk_case *what, int least);
void disk_lose_power_everywhere(const struct disk_case *what, size_t least);

/* Runs `fn` in a child that stops at its `at`-th call: true when it did, false when it ended before, well. */
bool disk_stops_at(int (*fn)(void *userdata), void *userdata, int at, size_t *ret_acknowledged);

#endif
