/*
 * log/daemon.log: one line an event, time first, control characters replaced,
 * rotated at 10 MB into daemon.log.1 to .3. Process-wide. What agents send as
 * arguments, bodies, query strings and any secret never come here; text of a
 * connector only at level debug.
 */
#ifndef BROKER_LOG_H
#define BROKER_LOG_H

#include "base/err.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Creates the folder of `path` (0700) and opens the file (0600), which becomes standard error too. */
int log_open(const char *path, struct err *err);
void log_close(void);
void log_set_level(enum log_level level);
/* "error", "warn", "info", "debug"; false for anything else. */
bool log_level_from_name(const char *name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);
/* The path given to log_open(), "" before. */
const char *log_path(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
