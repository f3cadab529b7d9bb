/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_spawn, because a fork of a threaded process of any size is slow and what may be done behind it is little.
 */
#include "sys/spawn.h"

#include "base/fd.h"
#include "sys/fd_wait.h"
#include "sys/spawn_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>

#define MAX_OUTPUT   (64 * 1024)
#define FIRST_FD     3
#define MAX_FDS      8
#define ABOVE_ALL_FD 64 /* where copies are out of the way of the child's numbers */

extern char **environ;

static void close_all(int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++)
        fd_close(fds[i]);
}

/*
 * dup2 onto 3, 4, … could overwrite a source that is still to be copied, so all of them go through copies with numbers
 * above. The copies are close-on-exec; the dup2 in the child is not.
 */
static int add_fds(posix_spawn_file_actions_t *actions, const struct spawn_options *options, int output, int *copies)
{
    posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (options->detached)
        posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    for (size_t i = 0; i < options->n_fds; i++) {
        copies[i] = fcntl(options->fds[i], F_DUPFD_CLOEXEC, ABOVE_ALL_FD);
        if (copies[i] < 0) {
            int r = -errno;
            close_all(copies, i);
            return r;
        }
        posix_spawn_file_actions_adddup2(actions, copies[i], FIRST_FD + (int)i);
    }
    posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FD + (int)options->n_fds);
    return 0;
}

static void set_attributes(posix_spawnattr_t *attributes, bool detached)
{
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, detached ? flags | POSIX_SPAWN_SETSID : flags);
}

int spawn_start(const struct spawn_options *options, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int copies[MAX_FDS];

    g_assert(options->n_fds <= MAX_FDS);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    set_attributes(&attributes, options->detached);
    int r = add_fds(&actions, options, output, copies);
    if (r == 0) {
        spawn_lock_for_child();
        r = -posix_spawn(ret_pid, options->argv[0], &actions, &attributes, (char **)options->argv, environ);
        spawn_unlock_for_child();
        close_all(copies, options->n_fds);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Reads until the other end is closed. */
static int read_output(int fd, int timeout_ms, GString *output)
{
    gint64 end_us = timeout_ms ? g_get_monotonic_time() + (gint64)timeout_ms * 1000 : FD_WAIT_FOREVER;
    char buffer[4096];
    for (;;) {
        int r = fd_wait_readable(fd, end_us);
        ssize_t n = r < 0 ? r : read(fd, buffer, sizeof(buffer));
        if (n <= 0)
            return r < 0 ? r : n < 0 ? -errno : 0;
        if (output->len + (size_t)n > MAX_OUTPUT)
            return -EMSGSIZE;
        g_string_append_len(output, buffer, n);
    }
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int spawn_run(const struct spawn_options *options, char **ret_output, int *ret_status, GError **error)
{
    g_autoptr(GString) output = g_string_new(NULL);
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return gidfs_error_errno(error, errno, "run %s", options->argv[0]);
    auto_fd int read_end = ends[0];
    int r = spawn_start(options, ends[1], &pid);
    fd_close(ends[1]);
    if (r < 0)
        return gidfs_error_errno(error, r, "run %s", options->argv[0]);
    r = read_output(read_end, options->timeout_ms, output);
    if (r < 0)
        kill(pid, SIGKILL);
    int status = wait_for(pid);
    if (r == 0 && status < 0)
        r = status;
    if (r < 0)
        return gidfs_error_errno(error, r, "run %s", options->argv[0]);
    *ret_output = g_string_free(g_steal_pointer(&output), FALSE);
    *ret_status = status;
    return 0;
}
