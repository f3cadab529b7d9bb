/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/process_watch.h"

#include "base/fd.h"
#include "sys/fd_wait.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

struct process_watch {
    int epoll_fd;
    GMutex lock;     /* guards fds */
    GHashTable *fds; /* key → pidfd plus one */
};

static int open_process(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
    return fd < 0 ? -errno : fd;
}

static bool has_ended(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

static void close_kept(void *fd)
{
    fd_close(GPOINTER_TO_INT(fd) - 1);
}

int process_watch_new(struct process_watch **ret_watch, GError **error)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return gidfs_error_errno(error, errno, "watch processes: epoll");
    struct process_watch *watch = g_new0(struct process_watch, 1);
    watch->epoll_fd = epoll_fd;
    watch->fds = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, close_kept);
    g_mutex_init(&watch->lock);
    *ret_watch = watch;
    return 0;
}

void process_watch_free(struct process_watch *watch)
{
    if (!watch)
        return;
    g_hash_table_unref(watch->fds);
    fd_close(watch->epoll_fd);
    g_mutex_clear(&watch->lock);
    g_free(watch);
}

int process_watch_add(struct process_watch *watch, int64_t key, pid_t pid)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)key};
    auto_fd int fd = open_process(pid);
    if (fd < 0)
        return fd_steal(&fd);
    if (has_ended(fd)) /* nobody has waited for it yet */
        return -ESRCH;
    g_mutex_lock(&watch->lock);
    int r = epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
    if (r == 0) /* closing the one before, if any, takes it out of the epoll */
        g_hash_table_replace(watch->fds, g_memdup2(&key, sizeof(key)), GINT_TO_POINTER(fd_steal(&fd) + 1));
    g_mutex_unlock(&watch->lock);
    return r;
}

void process_watch_remove(struct process_watch *watch, int64_t key)
{
    g_mutex_lock(&watch->lock);
    g_hash_table_remove(watch->fds, &key);
    g_mutex_unlock(&watch->lock);
}

int process_watch_fd(const struct process_watch *watch)
{
    return watch->epoll_fd;
}

GArray *process_watch_read(struct process_watch *watch)
{
    GArray *keys = g_array_new(FALSE, FALSE, sizeof(int64_t));
    struct epoll_event events[64];

    g_mutex_lock(&watch->lock);
    int n = epoll_wait(watch->epoll_fd, events, G_N_ELEMENTS(events), 0);
    for (int i = 0; i < n; i++) {
        int64_t key = (int64_t)events[i].data.u64;
        if (g_hash_table_remove(watch->fds, &key))
            g_array_append_val(keys, key);
    }
    g_mutex_unlock(&watch->lock);
    return keys;
}

pid_t process_first_child(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
}

int process_wait_end(pid_t pid, unsigned int timeout_ms)
{
    auto_fd int fd = open_process(pid);
    if (fd < 0)
        return fd == -ESRCH ? 0 : fd;
    return fd_wait_readable(fd, g_get_monotonic_time() + (gint64)timeout_ms * 1000);
}
