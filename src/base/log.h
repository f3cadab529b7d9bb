/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/*
 * Logging to standard error, with priorities (<3>…) where JOURNAL_STREAM says that the journal reads it. An error is
 * logged once, where it stops. Thread-safe: one write(2) a line.
 */
enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

/* Sets the name before each line (a static string) and the highest level that is printed. Call it before threads. */
void log_setup(const char *program, enum log_level level);
void log_set_level(enum log_level level);

/* From now on to the system's log instead: for a process that has left its terminal. */
void log_to_syslog(void);

/* Reads "error", "warning", "info" or "debug" into *ret_level; -EINVAL otherwise. */
int log_level_from_string(const char *text, enum log_level *ret_level);

void log_message(enum log_level level, const char *format, ...) G_GNUC_PRINTF(2, 3);

#define log_error(...)   log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* For the data plane, where a client could provoke a line for each request: at most one a second for each place. */
#define log_warning_limited(...)                                                                                       \
    do {                                                                                                               \
        static gint64 last_us;                                                                                         \
        if (log_limit_allows(&last_us))                                                                                \
            log_warning(__VA_ARGS__);                                                                                  \
    } while (0)

gboolean log_limit_allows(gint64 *last_us);
