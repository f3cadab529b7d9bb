/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox of keeper and worker.
 *
 * Order in a worker: what needs paths or privileges first (the directory of descriptors, the empty root), then the
 * capabilities, and last the filter, which allows none of it again.
 */
#include "sys/sandbox.h"

#include "base/log.h"
#include "sys/inode_fd.h"
#include "sys/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap) (1ULL << (cap))

void sandbox_clean_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
}

void sandbox_clean_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGCHLD, SIG_DFL); /* ignored, it makes waitpid() forget how a child ended */
    signal(SIGTERM, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Notes a step that was refused. */
static void report(const char *step, int r)
{
    if (r == -EOPNOTSUPP)
        log_debug("sandbox: %s: not in this build", step);
    else if (r < 0)
        log_info("sandbox: %s is not possible here: %s", step, g_strerror(-r));
}

/*
 * What a worker's work needs: to read, write and own files as anybody (CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER,
 * SETUID, SETGID), to open file handles (DAC_READ_SEARCH), to register backing files, watch file systems and reach
 * trusted attributes (SYS_ADMIN), to pass on chattr +i of a client that the kernel has found to be entitled
 * (LINUX_IMMUTABLE), to take a file's capabilities away when it is written (SETFCAP), and to keep the setgid bit at an
 * owner's chmod (FSETID: permitted, raised for that call alone).
 */
static uint64_t worker_caps(const struct sandbox_needs *needs)
{
    uint64_t caps = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) |
                    BIT(CAP_FSETID) | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETFCAP) | BIT(CAP_LINUX_IMMUTABLE) |
                    BIT(CAP_SYS_ADMIN);
    if (needs->device_nodes)
        caps |= BIT(CAP_MKNOD);
    return caps;
}

/* Nothing but these capabilities, now and after any exec. `effective` of them are in force. */
static int limit_caps(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    int r = 0;
    for (int cap = 0; cap <= CAP_LAST_CAP && r == 0; cap++) {
        if (!(permitted & BIT(cap)) && prctl(PR_CAPBSET_READ, cap) == 1)
            r = prctl(PR_CAPBSET_DROP, cap) < 0 ? -errno : 0;
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(permitted >> (32 * i));
        data[i].effective &= data[i].permitted & (uint32_t)(effective >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : r;
}

static int no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* A core would hold what clients wrote. */
static int no_core(void)
{
    const struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

void sandbox_keeper(const struct sandbox_needs *needs)
{
    /*
     * SETPCAP for what a worker does to itself; the others of a worker may be raised again by a new program.
     * SYS_PTRACE to see whose inotify descriptors watch the view (viewd/listeners.c): no more than SYS_ADMIN can do.
     */
    uint64_t caps = worker_caps(needs) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_PTRACE);
    report("dropping core dumps", no_core());
    report("dropping new privileges", no_new_privileges());
    report("dropping capabilities", limit_caps(caps, caps));
}

#ifdef GIDFS_NO_SANDBOX

/* A run time that reports or counts opens files and runs programs by their paths. */
static int enter_empty_root(void)
{
    return -EOPNOTSUPP;
}

#else

/*
 * An empty, read-only directory as the root, in a mount namespace of which nobody else has a part. /proc is only where
 * the new root is mounted before it becomes the root: a directory that is there.
 */
static int enter_empty_root(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("gidfs", "/proc", "tmpfs", flags, "size=4k,nr_inodes=1,mode=0") < 0 || chdir("/proc") < 0 ||
        mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY | flags, NULL) < 0)
        return -errno;
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
        return -errno;
    return chdir("/") < 0 ? -errno : 0;
}

#endif

/* Another worker of the same user could look into this one otherwise, and open what it has open. */
static int hide_memory(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

void sandbox_worker(const struct sandbox_needs *needs)
{
    uint64_t caps = worker_caps(needs);
    report("an own directory of descriptors", inode_fd_pin());
    report("an empty root directory", enter_empty_root());
    report("going to the descriptors", inode_fd_enter());
    report("hiding memory", hide_memory());
    report("dropping capabilities", limit_caps(caps, caps & ~BIT(CAP_FSETID)));
    report("dropping new privileges", no_new_privileges());
    report("a filter on system calls", sandbox_filter_load());
}
