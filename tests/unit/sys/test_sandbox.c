/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter on system calls, each attempt in a process of its own. What the rest of the sandbox does is seen on real
 * workers: tests/integration/test_security.py.
 */
#include "gidfs_test.h"
#include "sys/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT_FILTER 250

/* The errno of attempt() under the filter, 0 if it succeeds. */
static int try_filtered(long (*attempt)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_filter_load() < 0)
            _exit(CANNOT_FILTER);
        errno = 0;
        _exit(attempt() < 0 ? errno : 0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static long run_program(void)
{
    char *argv[] = {"true", NULL};
    return execv("/bin/true", argv);
}

static long make_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long mount_something(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static long clone_a_mount(void)
{
    return syscall(SYS_open_tree, AT_FDCWD, "/", 1);
}

static long enter_namespace(void)
{
    return setns(0, 0);
}

static long make_namespace(void)
{
    return unshare(CLONE_FS | CLONE_NEWUSER);
}

static long start_in_a_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long signal_another(void)
{
    return kill(getppid(), 0);
}

static long be_signalled_for_another(void)
{
    return fcntl(STDIN_FILENO, F_SETOWN, getppid());
}

static long limit_another(void)
{
    struct rlimit limit;
    return prlimit(getppid(), RLIMIT_CORE, NULL, &limit);
}

static long map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                                                  : 0;
}

static long make_code(void)
{
    static char page[8192] __attribute__((aligned(4096)));
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long type_into_a_terminal(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long freeze_a_file_system(void)
{
    return ioctl(STDIN_FILENO, FIFREEZE, 0);
}

static long use_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long load_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long become_another_user(void)
{
    return syscall(SYS_setresuid, -1, -1, -1);
}

static void test_what_a_server_has_no_use_for_is_refused(void **state)
{
    static long (*const attempts[])(void) = {
        run_program,
        make_socket,
        mount_something,
        clone_a_mount,
        enter_namespace,
        make_namespace,
        start_in_a_namespace,
        trace,
        signal_another,
        be_signalled_for_another,
        limit_another,
        map_code,
        make_code,
        type_into_a_terminal,
        freeze_a_file_system,
        use_io_uring,
        load_bpf,
        become_another_user,
    };
    if (try_filtered(make_socket) == CANNOT_FILTER)
        skip(); /* a build without the sandbox, or a kernel without seccomp */
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        int errnum = try_filtered(attempts[i]);
        if (errnum != EPERM)
            fail_msg("attempt %zu: %s", i, g_strerror(errnum));
    }
}

static void *idle(void *data)
{
    return data;
}

static long start_a_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, idle, NULL);
    return errno == 0 && pthread_join(thread, NULL) == 0 ? 0 : -1;
}

static long open_and_stat(void)
{
    struct statx stx;
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
}

static long own_umask(void)
{
    return unshare(CLONE_FS);
}

static long duplicate(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? -1 : close(fd);
}

static long allocate(void)
{
    return malloc(1 << 24) ? 0 : -1;
}

static long signal_oneself(void)
{
    return kill(getpid(), 0);
}

static void test_what_serving_needs_is_allowed(void **state)
{
    static long (*const attempts[])(void) = {start_a_thread, open_and_stat, own_umask,
                                             duplicate,      allocate,      signal_oneself};
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        int errnum = try_filtered(attempts[i]);
        if (errnum == CANNOT_FILTER)
            skip();
        if (errnum != 0)
            fail_msg("attempt %zu: %s", i, g_strerror(errnum));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_server_has_no_use_for_is_refused),
        cmocka_unit_test(test_what_serving_needs_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
