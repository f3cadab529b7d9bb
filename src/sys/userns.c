/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps belong to a namespace with a process in it when they are written. So a child unshares and waits; the parent
 * writes the maps from outside, opens the namespace, and lets the child end.
 *
 * Until its exit the child of a threaded process may only call what is async-signal-safe: plain system calls. No
 * handler of fork() may run in it either: one that starts a thread (ThreadSanitizer's does) makes
 * unshare(CLONE_NEWUSER) fail.
 */
#include "sys/userns.h"

#include "base/fd.h"
#include "sys/spawn_lock.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(int socket_fd)
{
    /* copies of the parent's descriptors would keep mounts busy that other threads want to unmount */
    dup2(socket_fd, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0);
    char answer = unshare(CLONE_NEWUSER) == 0 ? 0 : (char)errno;
    if (write(STDIN_FILENO, &answer, 1) == 1 && read(STDIN_FILENO, &answer, 1) <= 0)
        _exit(0); /* the parent has closed its end: it is done */
    _exit(1);
}

static int write_map(pid_t pid, const char *name, const char *map)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, map, strlen(map)) < 0 ? -errno : 0;
}

/* With the child waiting in its namespace. */
static int set_up(pid_t pid, const char *uid_map, const char *gid_map, int *ret_fd, GError **error)
{
    char path[64];
    int r = write_map(pid, "uid_map", uid_map);
    if (r == 0)
        r = write_map(pid, "gid_map", gid_map);
    if (r < 0)
        return gidfs_error_errno(error, r, "write the id maps of a user namespace");
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "open a user namespace");
    *ret_fd = fd;
    return 0;
}

int userns_for_maps(const char *uid_map, const char *gid_map, int *ret_fd, GError **error)
{
    int ends[2];
    char answer = EIO;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return gidfs_error_errno(error, errno, "make a user namespace");
    spawn_lock_for_child();
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); /* not fork(): see above */
    if (pid == 0) {
        close(ends[0]);
        run_child(ends[1]);
    }
    fd_close(ends[1]);
    if (pid < 0) {
        int r = -errno;
        spawn_unlock_for_child();
        fd_close(ends[0]);
        return gidfs_error_errno(error, r, "make a user namespace");
    }
    ssize_t got = read(ends[0], &answer, 1); /* then it has closed what it inherited */
    spawn_unlock_for_child();
    int r;
    if (got != 1 || answer != 0)
        r = gidfs_error_errno(error, answer ? answer : EIO, "make a user namespace");
    else
        r = set_up(pid, uid_map, gid_map, ret_fd, error);
    fd_close(ends[0]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}
