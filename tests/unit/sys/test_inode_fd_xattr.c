/* SPDX-License-Identifier: Apache-2.0 */
/* Xattrs by O_PATH descriptor: which the kernel's own calls with AT_EMPTY_PATH refuse. */
#include "base/fd.h"
#include "gidfs_test.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

static void test_all_calls_take_an_o_path_descriptor(void **state)
{
    g_autofree char *path = g_strdup_printf("%s/gidfs-xattr-XXXXXX", g_get_tmp_dir());
    auto_fd int file = g_mkstemp(path);
    auto_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    unlink(path);
    assert_true(fd >= 0);
    int r = inode_fd_setxattr(fd, "user.x", "value", 5, 0);
    if (r == -EOPNOTSUPP) {
        print_message("no user xattrs here\n");
        skip();
    }
    assert_return_code(r, -r);
    char value[16] = {0}, list[256];
    assert_int_equal(inode_fd_getxattr(fd, "user.x", NULL, 0), 5);
    assert_int_equal(inode_fd_getxattr(fd, "user.x", value, sizeof(value)), 5);
    assert_string_equal(value, "value");
    assert_int_equal(inode_fd_getxattr(fd, "user.x", value, 2), -ERANGE);
    ssize_t size = inode_fd_listxattr(fd, list, sizeof(list));
    assert_true(size > 0 && memmem(list, size, "user.x", sizeof("user.x")));
    assert_int_equal(inode_fd_setxattr(fd, "user.x", "again", 5, 1 /* XATTR_CREATE */), -EEXIST);
    assert_return_code(inode_fd_removexattr(fd, "user.x"), 0);
    assert_int_equal(inode_fd_getxattr(fd, "user.x", value, sizeof(value)), -ENODATA);
}

static void test_a_name_lists_as_its_descriptor(void **state)
{
    g_autofree char *path = g_dir_make_tmp("gidfs-xattr-XXXXXX", NULL);
    auto_fd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int file = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char by_fd[256], by_name[256];
    assert_true(file >= 0);
    assert_return_code(symlinkat("file", dir, "link"), 0);
    int set = inode_fd_setxattr(file, "user.x", "value", 5, 0);
    ssize_t size = inode_fd_listxattr(file, by_fd, sizeof(by_fd));
    ssize_t named = inode_fd_listxattr_at(dir, "file", by_name, sizeof(by_name));
    ssize_t linked = inode_fd_listxattr_at(dir, "link", by_name + 128, 128);
    unlinkat(dir, "link", 0);
    unlinkat(dir, "file", 0);
    rmdir(path);
    if (set == -EOPNOTSUPP || named == -EOPNOTSUPP) {
        print_message("no user xattrs here, or none by name\n");
        skip();
    }
    assert_int_equal(named, size);
    assert_memory_equal(by_name, by_fd, size);
    assert_null(linked > 0 ? memmem(by_name + 128, linked, "user.x", sizeof("user.x")) : NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_calls_take_an_o_path_descriptor),
        cmocka_unit_test(test_a_name_lists_as_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
