/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount primitives on a real kernel, each test in a mount namespace of its own with a shared tmpfs to work in.
 */
#include "base/fd.h"
#include "mount_fixture.h"
#include "sys/mount_api.h"
#include "sys/mount_resolve.h"
#include "sys/mount_run_dir.h"
#include "sys/mount_table.h"
#include "sys/userns.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

static void bind_it(const char *source_name, const char *target_name, const struct mount_attributes *attributes,
                    bool staged)
{
    g_autofree char *source = in_base(source_name), *target = in_base(target_name);
    auto_fd int fd = open(target, O_PATH | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    int r = (staged ? mount_bind_staged : mount_bind)(source, fd, target, attributes, &error);
    if (r < 0)
        fail_msg("%s", error->message);
}

static const struct mount_entry *entry_at(const struct mount_table *table, const char *name)
{
    g_autofree char *path = in_base(name);
    return mount_table_find_target(table, path);
}

static void check_attributes(bool staged)
{
    const struct mount_attributes attributes = {
        .read_only = true, .nosuid = true, .nodev = true, .propagation = {MOUNT_PROPAGATION_SHARED, false}};
    bind_it("source", "target", &attributes, staged);
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    const struct mount_entry *e = entry_at(table, "target"), *parent = entry_at(table, "");
    assert_non_null(e);
    assert_true(mount_entry_has_option(e, "ro") && mount_entry_has_option(e, "nosuid"));
    assert_true(mount_entry_has_option(e, "nodev"));
    assert_false(mount_entry_has_option(e, "noexec"));
    assert_int_not_equal(e->peer_group, 0);
    assert_true(parent == NULL || e->peer_group != parent->peer_group);
    assert_int_equal(open("target/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, EROFS);
}

static void test_attributes_are_set(void **state)
{
    check_attributes(false);
}

static void test_attributes_are_set_without_the_new_api(void **state)
{
    check_attributes(true);
    assert_int_equal(access("/tmp/gidfs-stage", F_OK), -1);
}

static void test_a_file_on_a_file(void **state)
{
    close(open("source/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    for (int staged = 0; staged < 2; staged++) {
        g_autofree char *target = in_base("file");
        close(open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        bind_it("source/file", "file", &(struct mount_attributes){0}, staged);
        assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_PLAIN, NULL), 0);
    }
}

static void test_a_failing_step_names_itself_and_the_path(void **state)
{
    g_autofree char *source = in_base("none"), *target = in_base("target");
    auto_fd int fd = open(target, O_PATH | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    assert_int_equal(mount_bind(source, fd, target, &(struct mount_attributes){0}, &error), -ENOENT);
    assert_non_null(strstr(error->message, "open_tree"));
    assert_non_null(strstr(error->message, source));
}

struct writer {
    atomic_bool stop, running;
    atomic_uint n_written;
};

static void *write_for_ever(void *data)
{
    struct writer *w = data;
    while (!atomic_load(&w->stop)) {
        int fd = open("target/mark/written", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            atomic_fetch_add(&w->n_written, 1);
        }
        atomic_store(&w->running, true);
    }
    return NULL;
}

/* mark exists in the source only, so that a write can only ever succeed through the mount. */
static void test_read_only_is_never_writable(void **state)
{
    const struct mount_attributes read_only = {.read_only = true};
    struct writer w = {0};
    pthread_t thread;
    g_autofree char *target = in_base("target");
    assert_int_equal(mkdir("source/mark", 0777), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_for_ever, &w), 0);
    while (!atomic_load(&w.running))
        sched_yield();
    for (int i = 0; i < 300; i++) {
        bind_it("source", "target", &read_only, i % 10 == 9);
        assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL), 0);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&w.n_written), 0);
    assert_int_equal(access("source/mark/written", F_OK), -1);
}

static void test_busy_is_typed_and_detach_goes_through(void **state)
{
    g_autofree char *target = in_base("target");
    bind_it("source", "target", &(struct mount_attributes){0}, false);
    auto_fd int user = open("target/used", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    g_autoptr(GError) error = NULL;
    assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_PLAIN, &error), -EBUSY);
    assert_non_null(strstr(error->message, "in use"));
    assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL), 0);
    assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL), -EINVAL);
}

/* A mount that somebody else put on top is not ours to take down. */
static void test_another_mount_is_left_alone(void **state)
{
    g_autofree char *target = in_base("target");
    bind_it("source", "target", &(struct mount_attributes){0}, false);
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    int id = entry_at(table, "target")->id;
    bind_it("other", "target", &(struct mount_attributes){0}, false);
    assert_int_equal(mount_unmount(target, id, MOUNT_UNMOUNT_DETACH, NULL), -ESTALE);
    assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL), 0);
    assert_int_equal(mount_unmount(target, id, MOUNT_UNMOUNT_DETACH, NULL), 0);
}

static void test_unmount_follows_no_link(void **state)
{
    bind_it("source", "target", &(struct mount_attributes){0}, false);
    assert_int_equal(mkdir("a", 0755), 0);
    assert_int_equal(symlink("../target", "a/last"), 0);
    assert_int_equal(symlink(fixture_base, "way"), 0);
    g_autofree char *last = in_base("a/last"), *way = in_base("way/target");
    assert_int_equal(mount_unmount(last, 0, MOUNT_UNMOUNT_DETACH, NULL), -EINVAL);
    assert_int_equal(mount_unmount(way, 0, MOUNT_UNMOUNT_DETACH, NULL), -ELOOP);
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    assert_non_null(entry_at(table, "target"));
}

static void check_run_dir(const char *name)
{
    g_autofree char *path = in_base(name), *real = NULL;
    g_autoptr(mount_table) table = NULL;
    g_autoptr(GError) error = NULL;
    if (mount_run_dir_prepare(path, &real, &error) < 0)
        fail_msg("%s", error->message);
    g_autofree char *expected = in_base("run");
    assert_string_equal(real, expected);
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    const struct mount_entry *e = mount_table_find_target(table, real);
    assert_int_not_equal(e->peer_group, 0);
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *other = mount_table_get(table, i);
        assert_true(other->id == e->id || other->peer_group != e->peer_group);
        assert_true(other->id == e->id || strcmp(other->target, real) != 0); /* mounted once */
    }
}

/* Again and again, through a link, and after what a crash or an operator may have left: a plain bind mount. */
static void test_run_dir_is_shared_on_its_own(void **state)
{
    assert_int_equal(symlink("run", "link"), 0);
    check_run_dir("run");
    check_run_dir("run");
    check_run_dir("link");
    assert_int_equal(umount2("run", MNT_DETACH), 0);
    assert_int_equal(mount("run", "run", NULL, MS_BIND, NULL), 0); /* a peer of base */
    check_run_dir("run");
    assert_int_equal(mount(NULL, "run", NULL, MS_PRIVATE, NULL), 0);
    check_run_dir("run");
}

/* MESOS-3483: a namespace that was cloned earlier holds a copy; the unmount must reach it. */
static void test_unmounts_reach_cloned_namespaces(void **state)
{
    check_run_dir("run");
    assert_int_equal(mkdir("run/view", 0755), 0);
    g_autofree char *view = in_base("run/view");
    bind_it("source", "run/view", &(struct mount_attributes){0}, false);
    int to_child[2], from_child[2];
    char byte = 0;
    assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        byte = unshare(CLONE_NEWNS) < 0;
        if (write(from_child[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1)
            _exit(0);
        _exit(1);
    }
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    assert_int_equal(byte, 0);
    assert_int_equal(mount_unmount(view, 0, MOUNT_UNMOUNT_PLAIN, NULL), 0);
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(pid, &table, NULL), 0);
    assert_null(mount_table_find_target(table, view));
    assert_int_equal(write(to_child[1], "", 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
}

static void test_the_monitor_hears_of_a_mount(void **state)
{
    g_autoptr(mount_monitor) monitor = NULL;
    assert_int_equal(mount_monitor_new(&monitor, NULL), 0);
    while (mount_monitor_drain(monitor))
        ;
    bind_it("source", "target", &(struct mount_attributes){0}, false);
    assert_int_equal(mount_monitor_drain(monitor), 1);
    assert_int_equal(mount_monitor_drain(monitor), 0);
}

/* Ids on disk are shifted by the mount: 1000 on disk is 101000 through it, and back on creation. */
static void test_an_idmapped_bind(void **state)
{
    auto_fd int userns = -1;
    g_autoptr(GError) error = NULL;
    int r = userns_for_maps("0 100000 65536", "0 200000 65536", &userns, &error);
    if (r == -EPERM || r == -ENOSYS || r == -ENOSPC)
        skip(); /* user namespaces are switched off */
    assert_int_equal(r, 0);
    assert_int_equal(chown("source", 1000, 1001), 0);
    g_autofree char *source = in_base("source");
    auto_fd int target = open("target", O_PATH | O_CLOEXEC);
    r = mount_bind(source, target, "target", &(struct mount_attributes){.userns_fd = userns}, &error);
    if (r == -EINVAL || r == -EOPNOTSUPP)
        skip(); /* the file system under the test, or the kernel, has no idmapped mounts */
    assert_int_equal(r, 0);
    struct stat st;
    assert_int_equal(stat("target", &st), 0);
    assert_int_equal(st.st_uid, 101000);
    assert_int_equal(st.st_gid, 201001);
    assert_int_equal(stat("source", &st), 0);
    assert_int_equal(st.st_uid, 1000);
}

/* Two maps that overlap are refused by the kernel, and the helper process is gone either way. */
static void test_wrong_maps_are_refused(void **state)
{
    int userns = -1;
    g_autoptr(GError) error = NULL;
    int r = userns_for_maps("0 100000 10\n5 200000 10", "0 0 1", &userns, &error);
    assert_true(r == -EINVAL || r == -EPERM || r == -ENOSPC);
    assert_int_equal(userns, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_mounts(test_attributes_are_set),
        with_mounts(test_attributes_are_set_without_the_new_api),
        with_mounts(test_a_file_on_a_file),
        with_mounts(test_a_failing_step_names_itself_and_the_path),
        with_mounts(test_read_only_is_never_writable),
        with_mounts(test_busy_is_typed_and_detach_goes_through),
        with_mounts(test_another_mount_is_left_alone),
        with_mounts(test_unmount_follows_no_link),
        with_mounts(test_run_dir_is_shared_on_its_own),
        with_mounts(test_unmounts_reach_cloned_namespaces),
        with_mounts(test_the_monitor_hears_of_a_mount),
        with_mounts(test_an_idmapped_bind),
        with_mounts(test_wrong_maps_are_refused),
    };
    run_with_mounts(tests);
}
