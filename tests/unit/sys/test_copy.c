/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of single objects. Works in TMPDIR, so that the same program is run on several file systems. */
#include "base/fd.h"
#include "gidfs_test.h"
#include "sys/copy_object.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
    char *path;
    int dir_fd;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    f->path = g_dir_make_tmp("gidfs-copy-XXXXXX", NULL);
    assert_non_null(f->path);
    f->dir_fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"from", "to"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        unlinkat(f->dir_fd, names[i], 0);
        unlinkat(f->dir_fd, names[i], AT_REMOVEDIR);
    }
    close(f->dir_fd);
    rmdir(f->path);
    g_free(f->path);
    g_free(f);
    return 0;
}

static int create(struct fixture *f, mode_t mode)
{
    int fd = openat(f->dir_fd, "from", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_return_code(fchmod(fd, mode), errno);
    return fd;
}

static struct copy_job job_for(int fd, struct stat *st)
{
    assert_return_code(fstatat(fd, "", st, AT_EMPTY_PATH), errno);
    return (struct copy_job){.from_fd = fd, .st = st};
}

static void assert_same_meta(const struct stat *from, int dir_fd)
{
    struct stat to;
    assert_return_code(fstatat(dir_fd, "to", &to, AT_SYMLINK_NOFOLLOW), errno);
    assert_int_equal(from->st_mode, to.st_mode);
    assert_int_equal(from->st_uid, to.st_uid);
    assert_int_equal(from->st_gid, to.st_gid);
    assert_int_equal(from->st_rdev, to.st_rdev);
    assert_memory_equal(&from->st_mtim, &to.st_mtim, sizeof(to.st_mtim));
    if (!S_ISDIR(to.st_mode))
        assert_int_equal(from->st_size, to.st_size);
}

static bool have_same_data(int a, int b)
{
    struct stat st_a, st_b;
    fstat(a, &st_a);
    fstat(b, &st_b);
    if (st_a.st_size != st_b.st_size)
        return false;
    char *map_a = mmap(NULL, st_a.st_size, PROT_READ, MAP_SHARED, a, 0);
    char *map_b = mmap(NULL, st_b.st_size, PROT_READ, MAP_SHARED, b, 0);
    bool same = memcmp(map_a, map_b, st_a.st_size) == 0;
    munmap(map_a, st_a.st_size);
    munmap(map_b, st_b.st_size);
    return same;
}

static void test_file_keeps_data_holes_and_meta(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0640);
    g_autofree char *block = g_malloc(100000);
    for (int i = 0; i < 100000; i++)
        block[i] = (char)(i * 7);
    assert_int_equal(pwrite(from, block, 100000, 0), 100000);
    assert_int_equal(pwrite(from, block, 100000, 32 << 20), 100000);
    assert_return_code(ftruncate(from, (64 << 20) + 13), errno);
    if (geteuid() == 0)
        assert_return_code(fchown(from, 1234, 5678), errno);
    struct timespec times[2] = {{1000000001, 5}, {1000000002, 123456789}};
    assert_return_code(futimens(from, times), errno);

    struct stat st;
    struct copy_job job = job_for(from, &st);
    job.flags = COPY_SYNC;
    auto_fd int to = -1;
    assert_return_code(copy_object(&job, f->dir_fd, "to", &to), 0);
    assert_same_meta(&st, f->dir_fd);
    struct stat copy;
    fstat(to, &copy);
    assert_true(copy.st_blocks <= st.st_blocks + 64);
    assert_true(have_same_data(from, to)); /* last: to read a hole through a mapping fills it on tmpfs */
}

static void test_xattrs(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0600);
    if (fsetxattr(from, "user.kept", "one", 3, 0) < 0) {
        print_message("no user xattrs here\n");
        skip();
    }
    char large[700];
    memset(large, 'x', sizeof(large));
    assert_return_code(fsetxattr(from, "user.large", large, sizeof(large), 0), errno);
    assert_return_code(fsetxattr(from, "user.empty", "", 0, 0), errno);

    struct stat st;
    struct copy_job job = job_for(from, &st);
    auto_fd int to = -1;
    assert_return_code(copy_object(&job, f->dir_fd, "to", &to), 0);
    char value[4000];
    assert_int_equal(fgetxattr(to, "user.kept", value, sizeof(value)), 3);
    assert_int_equal(fgetxattr(to, "user.large", value, sizeof(value)), 700);
    assert_int_equal(fgetxattr(to, "user.empty", value, sizeof(value)), 0);
}

static void test_marks_of_layers_are_left_out(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0600);
    if (fsetxattr(from, "user.kept", "one", 3, 0) < 0)
        skip();
    fsetxattr(from, "user.overlay.dropped", "two", 3, 0);
    struct stat st;
    struct copy_job job = job_for(from, &st);
    auto_fd int to = -1;
    assert_return_code(copy_object(&job, f->dir_fd, "to", &to), 0);
    char value[8];
    assert_int_equal(fgetxattr(to, "user.kept", value, sizeof(value)), 3);
    assert_int_equal(fgetxattr(to, "user.overlay.dropped", value, sizeof(value)), -1);
}

/* u::rw-,u:1001:r--,g::---,m::r--,o::--- */
static const unsigned char acl[] = {2, 0,    0,   0,   1,   0,   6,    0, 255, 255, 255, 255, 2,   0,    4,
                                    0, 0xe9, 3,   0,   0,   4,   0,    0, 0,   255, 255, 255, 255, 0x10, 0,
                                    4, 0,    255, 255, 255, 255, 0x20, 0, 0,   0,   255, 255, 255, 255};

static void test_acl_survives(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0600);
    if (fsetxattr(from, "system.posix_acl_access", acl, sizeof(acl), 0) < 0) {
        print_message("no ACLs here\n");
        skip();
    }
    struct stat st;
    struct copy_job job = job_for(from, &st);
    auto_fd int to = -1;
    assert_return_code(copy_object(&job, f->dir_fd, "to", &to), 0);
    unsigned char copied[100];
    assert_int_equal(fgetxattr(to, "system.posix_acl_access", copied, sizeof(copied)), sizeof(acl));
    assert_memory_equal(copied, acl, sizeof(acl));
    assert_same_meta(&st, f->dir_fd);
}

static void test_setid_and_capability_are_kept_where_they_are_real(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    auto_fd int from = create(f, 0600);
    assert_return_code(fchown(from, 1234, 5678), errno);
    assert_return_code(fchmod(from, 06755), errno);
    static const unsigned char capability[20] = {0, 0, 0, 2, 0, 4};
    bool has_capability = fsetxattr(from, "security.capability", capability, sizeof(capability), 0) == 0;
    struct stat st;
    struct copy_job job = job_for(from, &st);
    bool real = copy_may_keep_setid(from, &st);
    auto_fd int to = -1;
    assert_return_code(copy_object(&job, f->dir_fd, "to", &to), 0);
    struct stat copy;
    fstat(to, &copy);
    unsigned char value[32];
    assert_int_equal(copy.st_mode & 07777, real ? 06755 : 0755);
    assert_int_equal(fgetxattr(to, "security.capability", value, sizeof(value)), real && has_capability ? 20 : -1);
}

static void test_symlink_directory_fifo(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_return_code(symlinkat("/nowhere/at all", f->dir_fd, "from"), errno);
    {
        auto_fd int from = openat(f->dir_fd, "from", O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct copy_job job = job_for(from, &st);
        assert_return_code(copy_object(&job, f->dir_fd, "to", NULL), 0);
        char target[64] = {0};
        assert_int_equal(readlinkat(f->dir_fd, "to", target, sizeof(target)), strlen("/nowhere/at all"));
        assert_string_equal(target, "/nowhere/at all");
        assert_int_equal(copy_object(&job, f->dir_fd, "to", NULL), -EEXIST);
    }
    unlinkat(f->dir_fd, "from", 0);
    unlinkat(f->dir_fd, "to", 0);

    assert_return_code(mkdirat(f->dir_fd, "from", 0700), errno);
    assert_return_code(fchmodat(f->dir_fd, "from", 01751, 0), errno);
    {
        auto_fd int from = openat(f->dir_fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct copy_job job = job_for(from, &st);
        assert_return_code(copy_object(&job, f->dir_fd, "to", NULL), 0);
        assert_same_meta(&st, f->dir_fd);
    }
    unlinkat(f->dir_fd, "from", AT_REMOVEDIR);
    unlinkat(f->dir_fd, "to", AT_REMOVEDIR);

    assert_return_code(mknodat(f->dir_fd, "from", S_IFIFO | 0620, 0), errno);
    auto_fd int from = openat(f->dir_fd, "from", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct copy_job job = job_for(from, &st);
    assert_return_code(copy_object(&job, f->dir_fd, "to", NULL), 0);
    assert_same_meta(&st, f->dir_fd);
}

static int cancel(uint64_t n_bytes, void *data)
{
    return -ECANCELED;
}

static void test_what_is_cancelled_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0600);
    assert_int_equal(pwrite(from, "data", 4, 0), 4);
    struct stat st;
    struct copy_job job = job_for(from, &st);
    job.progress = cancel;
    assert_int_equal(copy_object(&job, f->dir_fd, "to", NULL), -ECANCELED);
    assert_int_equal(faccessat(f->dir_fd, "to", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void test_metacopy_has_the_size_and_no_data(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = create(f, 0644);
    g_autofree char *block = g_malloc0(1 << 20);
    memset(block, 'd', 1 << 20);
    assert_int_equal(pwrite(from, block, 1 << 20, 0), 1 << 20);
    struct stat st, copy;
    struct copy_job job = job_for(from, &st);
    job.flags = COPY_NO_DATA;
    assert_return_code(copy_object(&job, f->dir_fd, "to", NULL), 0);
    assert_same_meta(&st, f->dir_fd);
    assert_return_code(fstatat(f->dir_fd, "to", &copy, 0), errno);
    assert_int_equal(copy.st_blocks, 0);
}

/* From a memfd (tmpfs): where the kernel won't copy between the two file systems, bytes are read and written. */
static void test_data_between_file_systems(void **state)
{
    struct fixture *f = *state;
    auto_fd int from = memfd_create("source", MFD_CLOEXEC);
    assert_int_equal(pwrite(from, "head", 4, 0), 4);
    assert_int_equal(pwrite(from, "tail", 4, 1 << 20), 4);
    auto_fd int to = openat(f->dir_fd, "to", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_return_code(copy_data(from, to, NULL, NULL), 0);
    assert_true(have_same_data(from, to));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_keeps_data_holes_and_meta),
        TEST(test_xattrs),
        TEST(test_marks_of_layers_are_left_out),
        TEST(test_acl_survives),
        TEST(test_setid_and_capability_are_kept_where_they_are_real),
        TEST(test_symlink_directory_fifo),
        TEST(test_what_is_cancelled_leaves_nothing),
        TEST(test_metacopy_has_the_size_and_no_data),
        TEST(test_data_between_file_systems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
