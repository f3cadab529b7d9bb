/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a worker. The list is that of a file server over open descriptors: no way to run a program, to
 * make a socket to anybody, to mount, to enter a namespace, to signal or look into another process, to load code.
 *
 * Refused calls fail with EPERM instead of ending the process: a C library that tries something new costs an error,
 * not the view. Calls without conditions cost next to nothing: the kernel keeps a bitmap of them.
 */
#include "sys/sandbox_filter.h"

#include "sys/ioctls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* By name; what this machine or libseccomp doesn't know is left out. */
static const char *const allowed[] = {
    /* descriptors and data */
    "close", "close_range", "dup", "dup2", "dup3", "pipe2", "read", "readv", "pread64", "preadv", "preadv2", "write",
    "writev", "pwrite64", "pwritev", "pwritev2", "lseek", "_llseek", "copy_file_range", "sendfile", "sendfile64",
    "splice", "fallocate", "ftruncate", "ftruncate64", "truncate", "truncate64", "fsync", "fdatasync",
    "sync_file_range", "syncfs", "fadvise64", "fadvise64_64", "readahead", "flock", "memfd_create",
    /* inodes and names, by descriptors */
    "open", "openat", "openat2", "open_by_handle_at", "name_to_handle_at", "fstat", "fstat64", "stat", "lstat",
    "newfstatat", "fstatat64", "statx", "fstatfs", "fstatfs64", "statfs", "statfs64", "getdents64", "readlinkat",
    "readlink", "faccessat", "faccessat2", "access", "utimensat", "utimensat_time64", "fchmod", "fchmodat", "chmod",
    "fchown", "fchownat", "mkdirat", "mknodat", "symlinkat", "linkat", "unlinkat", "renameat", "renameat2", "getcwd",
    "umask", "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr",
    "flistxattr", "removexattr", "lremovexattr", "fremovexattr", "fanotify_init", "fanotify_mark",
    /* waiting */
    "poll", "ppoll", "ppoll_time64", "select", "pselect6", "pselect6_time64", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_settime64",
    "timerfd_gettime", "timerfd_gettime64", "signalfd4",
    /* memory and threads */
    "brk", "munmap", "mremap", "madvise", "msync", "mincore", "membarrier", "futex", "futex_time64", "set_robust_list",
    "get_robust_list", "rseq", "set_tid_address", "arch_prctl", "sched_yield", "waitid", "sched_getaffinity", "exit",
    "exit_group", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "sigaltstack", "sigreturn", "clone3",
    /* time and the process itself */
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
    "gettimeofday", "time", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
    "getresgid", "getgroups", "getrusage", "getrlimit", "ugetrlimit", "getcpu", "getrandom", "uname", "sysinfo",
    "times",
    /* acting for a client: these change this thread alone */
    "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "setgroups", "setgroups32", "capget", "capset",
    /* sockets that are connected already, or listening: the log and the control socket */
    "accept4", "connect", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "getsockopt", "getpeername"};

/* Newer than the libseccomp of Debian 12; numbers from 424 on are the same everywhere. */
static const int allowed_by_number[] = {
    449, /* futex_waitv */
    452, /* fchmodat2 */
    454, /* futex_wake */
    455, /* futex_wait */
    463, /* setxattrat */
    464, /* getxattrat */
    465, /* listxattrat */
    466, /* removexattrat */
    468, /* file_getattr */
    469, /* file_setattr */
};

/* Allowed when an argument, or what mask leaves of it, has a value. */
struct condition {
    const char *name;
    unsigned argument;
    scmp_datum_t mask, value;
};

#define ALL_BITS (~(scmp_datum_t)0)
#define WORD     ((scmp_datum_t)0xffffffff) /* of an int, whatever stands above it */
#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define IOCTL_TYPE  0xff00
#define IOCTL_FUSE  0xe500 /* of /dev/fuse: clones and backing files */
#define GET_FS_UUID _IOR(0x15, 0, char[17])

static const struct condition conditions[] = {
    {"socketpair", 0, WORD, AF_UNIX},
    {"unshare", 0, ALL_BITS, CLONE_FS}, /* a umask for each thread */
    {"clone", 0, NAMESPACES, 0},        /* threads, and the notifier of a watch */
    {"mmap", 2, PROT_EXEC, 0},
    {"mmap2", 2, PROT_EXEC, 0},
    {"mprotect", 2, PROT_EXEC, 0},
    {"prctl", 0, WORD, PR_SET_NAME},
    {"prctl", 0, WORD, PR_GET_NAME},
    {"prctl", 0, WORD, PR_SET_PDEATHSIG}, /* of the notifier */
    {"prctl", 0, WORD, PR_SET_VMA},       /* malloc names its memory */
    {"prlimit64", 0, WORD, 0},
    /* F_SETOWN and F_SETSIG would send signals to other processes */
    {"fcntl", 1, WORD, F_DUPFD},
    {"fcntl", 1, WORD, F_DUPFD_CLOEXEC},
    {"fcntl", 1, WORD, F_GETFD},
    {"fcntl", 1, WORD, F_SETFD},
    {"fcntl", 1, WORD, F_GETFL},
    {"fcntl", 1, WORD, F_SETFL},
    {"fcntl", 1, WORD, F_ADD_SEALS},
    {"fcntl", 1, WORD, F_GET_SEALS},
    {"ioctl", 1, IOCTL_TYPE, IOCTL_FUSE},
    {"ioctl", 1, WORD, TCGETS}, /* isatty() of what prints a last message */
    {"ioctl", 1, WORD, FICLONE},
    {"ioctl", 1, WORD, FICLONERANGE},
    {"ioctl", 1, WORD, GET_FS_UUID},
};

static int add(scmp_filter_ctx filter, const struct condition *c)
{
    int number = seccomp_syscall_resolve_name(c->name);
    if (number < 0)
        return 0;
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                            SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value));
}

static int add_unconditional(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        if (number >= 0)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    for (size_t i = 0; r == 0 && i < sizeof(allowed_by_number) / sizeof(allowed_by_number[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_by_number[i], 0);
    return r;
}

static int add_conditional(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(conditions) / sizeof(conditions[0]); i++)
        r = add(filter, &conditions[i]);
    for (size_t i = 0; r == 0 && ioctl_at(i) != 0; i++)
        r = add(filter, &(struct condition){"ioctl", 1, WORD, ioctl_at(i)});
    /* abort() and raise(), and nobody but ourselves */
    scmp_datum_t self = (scmp_datum_t)getpid();
    if (r == 0)
        r = add(filter, &(struct condition){"tgkill", 0, WORD, self});
    if (r == 0)
        r = add(filter, &(struct condition){"kill", 0, WORD, self});
    return r;
}

/*
 * What is refused in the course of things goes into a filter of its own, without the log. clone3: the flags behind its
 * pointer cannot be looked at, and without it the C library takes clone. connect: the log tries it when it loses its
 * daemon, and in an empty root there is no way back to it.
 */
static int load_unlogged(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int r = filter ? 0 : -ENOMEM;
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(connect), 0);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

static int load_list(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? 0 : -ENOMEM;
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1); /* no cure for interpreters' Spectre at every switch */
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0) /* not before Linux 4.14 */
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    if (r == 0)
        r = add_unconditional(filter);
    if (r == 0)
        r = add_conditional(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

int sandbox_filter_load(void)
{
#ifdef GIDFS_NO_SANDBOX
    bool wanted = false;
#else
    bool wanted = true;
#endif
    int r = wanted ? load_unlogged() : -EOPNOTSUPP;
    return r == 0 ? load_list() : r;
}
