/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/share_fds.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void share_fds_end_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

int share_fds_fork(int *ret_pidfd)
{
    int pidfd = -1;
    pid_t parent = getpid();
    long pid = syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        share_fds_end_with_parent(parent);
        return 0;
    }
    *ret_pidfd = pidfd;
    return (int)pid;
}

void share_fds_reserve(unsigned n, int any_fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        fd_close(fcntl(any_fd, F_DUPFD_CLOEXEC, (int)MIN(n, limit.rlim_cur) - 1));
}
