/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/ns_enter.h"

#include "base/fd.h"
#include "sys/proc_self.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int ns_pidfd_open(pid_t pid, int *ret_pidfd, GError **error)
{
    long fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 && errno == ESRCH)
        return gidfs_error(error, ESRCH, "process %d: no such process", (int)pid);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "open a pidfd of process %d", (int)pid);
    *ret_pidfd = (int)fd;
    return 0;
}

static bool is_in_namespace(pid_t pid, uint64_t inode)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/mnt", (int)pid);
    struct stat st;
    return stat(path, &st) == 0 && st.st_ino == inode;
}

int ns_find_process(uint64_t inode, pid_t hint, pid_t *ret_pid)
{
    g_autoptr(GDir) proc = NULL;
    const char *name;
    pid_t found = hint > 0 && is_in_namespace(hint, inode) ? hint : 0;
    if (!found)
        proc = g_dir_open("/proc", 0, NULL);
    while (!found && proc && (name = g_dir_read_name(proc))) {
        guint64 pid;
        if (g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT, &pid, NULL) && is_in_namespace((pid_t)pid, inode))
            found = (pid_t)pid;
    }
    if (!found)
        return -ESRCH;
    *ret_pid = found;
    return 0;
}

/* The number of the process behind pidfd, -ESRCH if it has ended. */
static int pid_of_pidfd(int pidfd, int *ret_pid)
{
    char path[64], line[128];
    int pid = -1;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    FILE *info = fopen(path, "re");
    if (!info)
        return -errno;
    while (fgets(line, sizeof(line), info) && sscanf(line, "Pid: %d", &pid) != 1)
        ;
    fclose(info);
    if (pid <= 0)
        return -ESRCH;
    *ret_pid = pid;
    return 0;
}

/* Opens NAME below /proc/PID. The signal afterwards proves that PID was not handed to another process meanwhile. */
static int open_of_process(int pidfd, const char *name, int flags, int *ret_fd)
{
    int pid = 0;
    int r = pid_of_pidfd(pidfd, &pid);
    if (r < 0)
        return r;
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);
    auto_fd int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0)
        return -errno;
    *ret_fd = fd_steal(&fd);
    return 0;
}

static int enter(int pidfd)
{
    if (setns(pidfd, CLONE_NEWNS) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    /* Before Linux 5.8 setns takes no pidfd and answers EINVAL, as it does to threads: let the second call tell. */
    auto_fd int ns_fd = -1;
    int r = open_of_process(pidfd, "ns/mnt", O_RDONLY, &ns_fd);
    if (r < 0)
        return r;
    return setns(ns_fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

int ns_enter_mount_namespace(int pidfd, int *ret_root_fd, GError **error)
{
    auto_fd int self_fd = -1, root_fd = -1;
    int r = proc_self_pin(&self_fd, error);
    if (r < 0)
        return r;
    r = open_of_process(pidfd, "root", O_PATH | O_DIRECTORY, &root_fd);
    if (r < 0)
        return gidfs_error_errno(error, r, "open the root directory of the process");
    r = enter(pidfd);
    if (r < 0)
        return gidfs_error_errno(error, r, "enter the mount namespace of the process");
    if (fchdir(root_fd) < 0 || chroot(".") < 0)
        return gidfs_error_errno(error, errno, "enter the root directory of the process");
    r = proc_self_enter(self_fd, error);
    if (r < 0)
        return r;
    *ret_root_fd = fd_steal(&root_fd);
    return 0;
}
