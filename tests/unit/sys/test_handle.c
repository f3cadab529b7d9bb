/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "gidfs_test.h"
#include "sys/handle.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct handle handle_made_of(int32_t type, const uint32_t *words, uint32_t n_words)
{
    struct handle handle = {.type = type, .n_bytes = n_words * 4};
    memcpy(handle.bytes, words, n_words * sizeof(*words));
    return handle;
}

static void inode_numbers_are_where_file_systems_put_them(void **state)
{
    const uint32_t words[] = {7, 8, 9};
    struct handle ext4 = handle_made_of(1, words, 2), tmpfs = handle_made_of(1, words, 3),
                  xfs = handle_made_of(0x81, words, 3), other = handle_made_of(0x4d, words, 3),
                  short_one = handle_made_of(1, words, 1);
    assert_int_equal(7, handle_ino(&ext4));
    assert_int_equal(8 | 9ULL << 32, handle_ino(&tmpfs));
    assert_int_equal(7 | 8ULL << 32, handle_ino(&xfs));
    assert_int_equal(0, handle_ino(&other));
    assert_int_equal(0, handle_ino(&short_one));
}

static void a_handle_never_has_the_number_of_another_inode(void **state)
{
    struct handle handle;
    struct stat st;
    g_autofree char *path = g_strdup_printf("%s/gidfs-handle-XXXXXX", g_get_tmp_dir());
    auto_fd int fd = g_mkstemp(path);
    assert_int_equal(0, fstat(fd, &st));
    int r = handle_of_name(AT_FDCWD, path, &handle);
    unlink(path);
    if (r < 0)
        skip(); /* no handles here */
    assert_true(handle_ino(&handle) == 0 || handle_ino(&handle) == st.st_ino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inode_numbers_are_where_file_systems_put_them),
        cmocka_unit_test(a_handle_never_has_the_number_of_another_inode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
