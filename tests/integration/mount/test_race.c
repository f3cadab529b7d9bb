/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that swaps parts of its root for links while mounts are made in it. The racer exchanges a directory of
 * the root with a link to outside as fast as it can (rename-exchange: there is never a moment without either). Nothing
 * may ever be opened, made or mounted outside.
 *
 * GIDFS_RACE_ROUNDS in the environment says how often: a few thousand by default, so that CI stays short.
 */
#include "base/fd.h"
#include "mount_fixture.h"
#include "sys/mount_api.h"
#include "sys/mount_resolve.h"
#include "sys/mount_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>

struct racer {
    const char *a, *b;
    atomic_bool stop;
    atomic_uint n_swaps;
};

static void *swap_for_ever(void *data)
{
    struct racer *racer = data;
    while (!atomic_load(&racer->stop)) {
        if (renameat2(AT_FDCWD, racer->a, AT_FDCWD, racer->b, RENAME_EXCHANGE) == 0)
            atomic_fetch_add(&racer->n_swaps, 1);
    }
    return NULL;
}

static unsigned int rounds(void)
{
    const char *asked = g_getenv("GIDFS_RACE_ROUNDS");
    return asked ? (unsigned int)g_ascii_strtoull(asked, NULL, 10) : 4000;
}

/* root/way is a directory, root/link leads outside; in both there is "in", and the root and outside look alike. */
static void make_stage(void)
{
    g_autofree char *outside = in_base("other");
    assert_int_equal(mkdir("root", 0755), 0);
    assert_int_equal(mkdir("root/way", 0755), 0);
    assert_int_equal(mkdir("root/way/in", 0755), 0);
    assert_int_equal(mkdir("other/in", 0755), 0);
    assert_int_equal(symlink(outside, "root/link"), 0);
}

static bool is_outside(int fd)
{
    g_autofree char *path = mount_resolve_path_of_fd(fd), *outside = in_base("other");
    return !path || g_str_has_prefix(path, outside);
}

static void check_nothing_outside(void)
{
    g_autoptr(mount_table) table = NULL;
    g_autofree char *outside = in_base("other/");
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    for (size_t i = 0; i < mount_table_size(table); i++)
        assert_false(g_str_has_prefix(mount_table_get(table, i)->target, outside));
    GDir *dir = g_dir_open("other", 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)))
        assert_string_equal(name, "in");
    g_dir_close(dir);
    assert_int_equal(rmdir("other/in"), 0); /* still empty, and not in use */
}

/* Opens, makes and sometimes mounts, until the rounds are over and the racer has had its share of them. */
static void race(enum mount_resolve_missing missing, const char *target)
{
    g_autofree char *source = in_base("source");
    auto_fd int root_fd = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct racer racer = {.a = "root/way", .b = "root/link"};
    unsigned int n_opened = 0, n_rounds = rounds();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &racer), 0);
    for (unsigned int i = 0; i < n_rounds || atomic_load(&racer.n_swaps) < n_rounds; i++) {
        auto_fd int fd = -1;
        if (mount_resolve(root_fd, target, missing, &fd, NULL) < 0)
            continue;
        n_opened++;
        if (is_outside(fd))
            fail_msg("round %u: a target outside was opened", i);
        if (i % 16 == 0 && mount_bind(source, fd, target, &(struct mount_attributes){.read_only = true}, NULL) == 0) {
            g_autofree char *path = mount_resolve_path_of_fd(fd);
            fd = fd_close(fd);
            mount_unmount(path, 0, MOUNT_UNMOUNT_DETACH, NULL);
        }
    }
    atomic_store(&racer.stop, true);
    pthread_join(thread, NULL);
    print_message("%u swaps, %u opened\n", atomic_load(&racer.n_swaps), n_opened);
}

static void detach_all(void)
{
    g_autoptr(mount_table) table = NULL;
    g_autofree char *root = in_base("root/");
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    for (size_t i = mount_table_size(table); i-- > 0;) {
        if (g_str_has_prefix(mount_table_get(table, i)->target, root))
            umount2(mount_table_get(table, i)->target, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
}

static void test_an_existing_target(void **state)
{
    make_stage();
    race(MOUNT_RESOLVE_MUST_EXIST, "/way/in");
    check_nothing_outside();
    detach_all();
}

/* "link" is what a missing directory is made below: it must be made in the root, or not at all. */
static void test_a_target_that_is_made(void **state)
{
    make_stage();
    race(MOUNT_RESOLVE_MAKE_DIRECTORY, "/way/new/er");
    check_nothing_outside();
    detach_all();
}

/* The path of a mount that is to go is swapped for a link to another mount: that one must stay. */
static void test_unmounting(void **state)
{
    g_autofree char *source = in_base("source"), *path = in_base("root/way/in"), *canary = in_base("other/in");
    struct racer racer = {.a = "root/way", .b = "root/link"};
    pthread_t thread;
    make_stage();
    assert_int_equal(mount("canary", canary, "tmpfs", 0, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &racer), 0);
    auto_fd int root_fd = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (unsigned int i = 0; i < rounds() / 4 || atomic_load(&racer.n_swaps) < rounds(); i++) {
        auto_fd int fd = -1;
        if (mount_resolve(root_fd, "/way/in", MOUNT_RESOLVE_MUST_EXIST, &fd, NULL) == 0)
            mount_bind(source, fd, "/way/in", &(struct mount_attributes){0}, NULL);
        mount_unmount(path, 0, MOUNT_UNMOUNT_DETACH, NULL);
        mount_unmount_beneath(root_fd, "/way/in", 0, MOUNT_UNMOUNT_DETACH, NULL);
    }
    atomic_store(&racer.stop, true);
    pthread_join(thread, NULL);
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    const struct mount_entry *entry = mount_table_find_target(table, canary);
    assert_non_null(entry);
    assert_string_equal(entry->source, "canary");
    assert_int_equal(umount2(canary, MNT_DETACH), 0);
    detach_all();
}

struct writer {
    atomic_bool stop;
    atomic_uint n_tries, n_written;
};

/* The file is in the source alone: it can be opened only while the source is mounted, and written if it is writable. */
static void *write_for_ever(void *data)
{
    struct writer *writer = data;
    while (!atomic_load(&writer->stop)) {
        auto_fd int fd = open("target/file", O_WRONLY | O_CLOEXEC);
        atomic_fetch_add(&writer->n_written, fd >= 0);
        atomic_fetch_add(&writer->n_tries, 1);
    }
    return NULL;
}

typedef int (*bind_function)(const char *source, int target_fd, const char *target,
                             const struct mount_attributes *attributes, GError **error);

static void bind_against_a_writer(bind_function bind)
{
    g_autofree char *source = in_base("source"), *target = in_base("target");
    const struct mount_attributes attributes = {.read_only = true};
    struct writer writer = {0};
    pthread_t thread;
    close(open("source/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    assert_int_equal(pthread_create(&thread, NULL, write_for_ever, &writer), 0);
    for (unsigned int i = 0; i < rounds() / 4 || atomic_load(&writer.n_tries) < rounds(); i++) {
        auto_fd int fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(bind(source, fd, target, &attributes, NULL), 0);
        assert_int_equal(access("target/file", F_OK), 0);
        assert_int_equal(mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL), 0);
    }
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&writer.n_written), 0);
}

/* C5: between two system calls of ours nobody may write. */
static void test_read_only_from_the_first_moment(void **state)
{
    bind_against_a_writer(mount_bind);
}

static void test_read_only_from_the_first_moment_without_the_new_api(void **state)
{
    bind_against_a_writer(mount_bind_staged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_mounts(test_an_existing_target),
        with_mounts(test_a_target_that_is_made),
        with_mounts(test_unmounting),
        with_mounts(test_read_only_from_the_first_moment),
        with_mounts(test_read_only_from_the_first_moment_without_the_new_api),
    };
    run_with_mounts(tests);
}
