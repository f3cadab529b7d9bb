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

/*
 * ThreadSanitizer's run time has locks that another thread may hold at this moment: the child would wait for them for
 * ever. It is told of the fork, as its interceptor of fork() would tell it. (gcc installs no header for these hooks.)
 */
#ifdef __SANITIZE_THREAD__
void __sanitizer_syscall_pre_impl_fork(void);
void __sanitizer_syscall_post_impl_fork(long pid);
#define BEFORE_FORK()   __sanitizer_syscall_pre_impl_fork()
#define AFTER_FORK(pid) __sanitizer_syscall_post_impl_fork(pid)
#else
#define BEFORE_FORK()   ((void)0)
#define AFTER_FORK(pid) ((void)(pid))
#endif

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
    BEFORE_FORK();
    long pid = syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
    AFTER_FORK(pid);
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
