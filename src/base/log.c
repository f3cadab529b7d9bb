/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/message.h"

#include <errno.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static const char *log_program = "gidfs";
static enum log_level log_level = LOG_LEVEL_INFO;
static gboolean log_to_journal;
static int syslog_fd = -1;

void log_setup(const char *program, enum log_level level)
{
    log_program = program;
    log_level = level;
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

static int connect_syslog(int fd)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

/*
 * Not by syslog(3): it closes and reopens its socket when it likes, and processes that share their descriptors would
 * close each other's files by that.
 */
void log_to_syslog(void)
{
    syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (syslog_fd >= 0)
        connect_syslog(syslog_fd);
}

static void write_to_syslog(enum log_level level, const char *format, va_list args)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    char line[2048];
    int used = snprintf(line, sizeof(line), "<%d>%s[%d]: ", LOG_DAEMON | priorities[level], log_program, (int)getpid());
    int n = vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
    message_make_one_line(line + used);
    size_t length = MIN((size_t)used + (size_t)MAX(n, 0), sizeof(line) - 1);
    if (send(syslog_fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
        connect_syslog(syslog_fd) == 0) /* the daemon was started again */
        send(syslog_fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void log_set_level(enum log_level level)
{
    log_level = level;
}

int log_level_from_string(const char *text, enum log_level *ret_level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_message(enum log_level level, const char *format, ...)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    char line[2048];

    if (level > log_level)
        return;

    int saved = errno;
    int used = log_to_journal ? snprintf(line, sizeof(line), "%s", priorities[level])
                              : snprintf(line, sizeof(line), "%s: ", log_program);
    va_list args;
    va_start(args, format);
    if (syslog_fd >= 0) {
        write_to_syslog(level, format, args);
        va_end(args);
        errno = saved;
        return;
    }
    int n = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    message_make_one_line(line + used);
    size_t length = MIN((size_t)used + (size_t)n, sizeof(line) - 2);
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* there is nowhere to say that logging failed */
    errno = saved;
}

gboolean log_limit_allows(gint64 *last_us)
{
    gint64 now = g_get_monotonic_time();
    gint64 last = __atomic_load_n(last_us, __ATOMIC_RELAXED);
    if (last && now - last < G_USEC_PER_SEC)
        return FALSE;
    return __atomic_compare_exchange_n(last_us, &last, now, FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
