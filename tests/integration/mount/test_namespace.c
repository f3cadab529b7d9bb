/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gidfs-nsmount and its client: mounts in the namespace of a process that lives in another one, with its own root.
 */
#include "base/fd.h"
#include "mount_fixture.h"
#include "sys/mount_table.h"
#include "sys/ns_enter.h"
#include "sys/ns_mount.h"
#include "sys/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * A process with mount, pid and (if asked) user namespaces of its own, and a tmpfs as its root: /old holds nothing of
 * ours, there is no /proc in it, /data exists, /out is a link to the host's directory "other".
 */
struct container {
    pid_t pid;
    int to_child;
};

static int write_file(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0;
}

static int map_root(void)
{
    return write_file("/proc/self/setgroups", "deny") || write_file("/proc/self/uid_map", "0 0 1") ||
           write_file("/proc/self/gid_map", "0 0 1");
}

static int enter_own_root(const char *outside)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("root", "target", "tmpfs", 0, NULL) < 0 ||
        chdir("target") < 0 || mkdir("data", 0755) < 0 || symlink(outside, "out") < 0 || symlink("/data", "link") < 0)
        return -1;
    return syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ? -1 : chdir("/");
}

static int close_to_child(struct container *container)
{
    close(container->to_child);
    int status;
    waitpid(container->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct container start_container(int extra_namespaces)
{
    int to_child[2], from_child[2];
    char byte = 1;
    g_autofree char *outside = in_base("other");
    assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(to_child[1]);
        close(from_child[0]);
        byte = unshare(CLONE_NEWNS | extra_namespaces) < 0 || (extra_namespaces & CLONE_NEWUSER && map_root() != 0) ||
               enter_own_root(outside) < 0;
        if (write(from_child[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 0)
            _exit(access("/data/mark", F_OK) == 0 ? 10 : 11);
        _exit(1);
    }
    close(to_child[0]);
    close(from_child[1]);
    struct container container = {.pid = pid, .to_child = to_child[1]};
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    close(from_child[0]);
    if (byte) {
        close_to_child(&container);
        skip(); /* user namespaces may be switched off */
    }
    return container;
}

static int clone_source(const struct mount_attributes *attributes)
{
    g_autofree char *source = in_base("source"), *mark = in_base("source/mark");
    int fd = -1;
    assert_true(g_file_set_contents(mark, "", 0, NULL));
    assert_int_equal(mount_clone_detached(source, attributes, &fd, NULL), 0);
    return fd;
}

static void check_attach(int extra_namespaces, const char *target, const char *expected_path)
{
    struct container container = start_container(extra_namespaces);
    auto_fd int mount_fd = clone_source(&(struct mount_attributes){.read_only = true, .nosuid = true});
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    int id = 0;
    if (ns_mount_attach(container.pid, mount_fd, target, MOUNT_RESOLVE_MAKE_DIRECTORY, &path, &id, &error) < 0)
        fail_msg("%s", error->message);
    assert_string_equal(path, expected_path);
    mount_fd = fd_close(mount_fd); /* it would keep the mount busy */

    g_autoptr(mount_table) theirs = NULL, ours = NULL;
    assert_int_equal(mount_table_read(container.pid, &theirs, NULL), 0);
    const struct mount_entry *e = mount_table_find_target(theirs, expected_path);
    assert_non_null(e);
    assert_int_equal(e->id, id);
    assert_true(mount_entry_has_option(e, "ro") && mount_entry_has_option(e, "nosuid"));
    assert_int_equal(mount_table_read(0, &ours, NULL), 0);
    assert_null(mount_table_find_id(ours, id));

    bool seen = strcmp(expected_path, "/data") == 0;
    if (!seen)
        assert_int_equal(ns_mount_unmount(container.pid, expected_path, id, MOUNT_UNMOUNT_PLAIN, NULL), 0);
    assert_int_equal(close_to_child(&container), seen ? 10 : 11);
}

static void test_a_mount_is_attached_in_another_namespace(void **state)
{
    check_attach(0, "/data", "/data");
}

static void test_links_count_as_the_process_sees_them(void **state)
{
    check_attach(0, "/link", "/data");
    /* what "out" names does not exist in there; the host's directory of that name is not touched */
}

static void test_a_missing_target_is_made(void **state)
{
    check_attach(0, "a/b", "/a/b");
}

static void test_user_namespaces(void **state)
{
    check_attach(CLONE_NEWUSER, "/data", "/data");
}

static void test_outside_is_out_of_reach(void **state)
{
    struct container container = start_container(0);
    auto_fd int mount_fd = clone_source(&(struct mount_attributes){0});
    g_autofree char *path = NULL, *other = in_base("other/x");
    g_autoptr(GError) error = NULL;
    int id = 0;
    assert_int_equal(
        ns_mount_attach(container.pid, mount_fd, "/out/x", MOUNT_RESOLVE_MAKE_DIRECTORY, &path, &id, &error), -EEXIST);
    assert_non_null(strstr(error->message, "/out/x"));
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(ns_mount_unmount(container.pid, "/data", 0, MOUNT_UNMOUNT_DETACH, NULL), -EINVAL);
    assert_int_equal(close_to_child(&container), 11);
}

static void test_a_process_that_is_gone(void **state)
{
    struct container container = start_container(0);
    auto_fd int mount_fd = clone_source(&(struct mount_attributes){0});
    auto_fd int pidfd = -1;
    assert_int_equal(ns_pidfd_open(container.pid, &pidfd, NULL), 0);
    assert_int_equal(close_to_child(&container), 11);
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    int id = 0;
    assert_int_equal(ns_mount_attach(container.pid, mount_fd, "/data", MOUNT_RESOLVE_MUST_EXIST, &path, &id, &error),
                     -ESRCH);
    assert_null(path);
}

/* Lists the descriptors of a child: 3 and 4 are what it was given, and it has nothing else beside its own. */
static void test_no_descriptor_leaks(void **state)
{
    int leaky = open("/dev/null", O_RDONLY); /* not close-on-exec, as a library might do it */
    auto_fd int a = open("source", O_PATH | O_CLOEXEC), b = open("other", O_PATH | O_CLOEXEC);
    const char *argv[] = {"/bin/sh", "-c", "for f in /proc/$$/fd/*; do readlink $f || true; done", NULL};
    const int fds[] = {a, b};
    const struct spawn_options options = {.argv = argv, .fds = fds, .n_fds = 2, .timeout_ms = 20000};
    g_autofree char *output = NULL;
    int status = -1;
    assert_int_equal(spawn_run(&options, &output, &status, NULL), 0);
    assert_int_equal(status, 0);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(output), "\n", -1);
    assert_int_equal(g_strv_length(lines), 5);
    assert_string_equal(lines[0], "/dev/null");
    assert_true(g_str_has_suffix(lines[3], "/source"));
    assert_true(g_str_has_suffix(lines[4], "/other"));
    close(leaky);
}

static void test_a_child_that_hangs_is_killed(void **state)
{
    const char *argv[] = {"/bin/sleep", "1000", NULL};
    const struct spawn_options options = {.argv = argv, .timeout_ms = 1};
    g_autofree char *output = NULL;
    int status = -1;
    assert_int_equal(spawn_run(&options, &output, &status, NULL), -ETIMEDOUT);
    const char *none[] = {"/nonexistent/program", NULL};
    assert_int_equal(spawn_run(&(struct spawn_options){.argv = none}, &output, &status, NULL), -ENOENT);
    assert_null(output);
}

static void test_a_wrong_call_is_refused(void **state)
{
    const char *program = g_getenv("GIDFS_NSMOUNT_PROGRAM");
    const char *const calls[][6] = {
        {program, NULL},
        {program, "attach", "/data", "perhaps", NULL},
        {program, "attach", "/data", NULL},
        {program, "unmount", "/data", "-1", "plain", NULL},
        {program, "unmount", "/data", "7x", "plain", NULL},
        {program, "unmount", "/data", "7", "often", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree char *output = NULL;
        int status = -1;
        assert_int_equal(spawn_run(&(struct spawn_options){.argv = calls[i]}, &output, &status, NULL), 0);
        assert_int_equal(status, 2);
        assert_string_equal(output, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_mounts(test_a_mount_is_attached_in_another_namespace),
        with_mounts(test_links_count_as_the_process_sees_them),
        with_mounts(test_a_missing_target_is_made),
        with_mounts(test_user_namespaces),
        with_mounts(test_outside_is_out_of_reach),
        with_mounts(test_a_process_that_is_gone),
        with_mounts(test_no_descriptor_leaks),
        with_mounts(test_a_child_that_hangs_is_killed),
        with_mounts(test_a_wrong_call_is_refused),
    };
    run_with_mounts(tests);
}
