/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/negotiate.h"

#include "gidfs_test.h"

#include <errno.h>

static struct fuse_init_in everything(void)
{
    return (struct fuse_init_in){
        .major = 7, .minor = 45, .max_readahead = 131072, .flags = 0xffffffff, .flags2 = 0xffffffff};
}

static void test_old_kernels_are_refused(void **state)
{
    struct fuse_wants wants = {0};
    struct abi_init_out out;
    struct fuse_agreed agreed;
    struct fuse_init_in in = everything();
    in.minor = 30;
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), -EPROTO);
    in.minor = 31;
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    in.major = 8;
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), -EPROTO);
}

static void test_nothing_is_agreed_that_is_not_offered(void **state)
{
    struct fuse_wants wants = {.passthrough = true, .max_stack_depth = 1, .cache = true, .posix_acl = true};
    struct abi_init_out out;
    struct fuse_agreed agreed;
    struct fuse_init_in in = everything();
    in.flags = FUSE_ASYNC_READ;
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    assert_int_equal(out.flags, FUSE_ASYNC_READ);
    assert_int_equal(out.flags2, 0); /* without INIT_EXT the upper flags are noise */
    assert_false(agreed.passthrough);
    assert_int_equal(out.max_stack_depth, 0);
}

static void test_what_breaks_passthrough_is_never_asked_for(void **state)
{
    struct fuse_wants wants = {.passthrough = true, .max_stack_depth = 2, .cache = true, .posix_acl = true};
    struct abi_init_out out;
    struct fuse_agreed agreed;
    struct fuse_init_in in = everything();
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    assert_false(out.flags & FUSE_WRITEBACK_CACHE);
    assert_false(out.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
    assert_true(out.flags & FUSE_HANDLE_KILLPRIV_V2);
    assert_true(agreed.passthrough);
    assert_true(agreed.resend);
    assert_true(agreed.notify_inc_epoch);
    assert_int_equal(out.max_stack_depth, 2);
    assert_int_equal(agreed.flags, out.flags | (uint64_t)out.flags2 << 32);
}

static void test_requests_are_small_where_data_does_not_come_by_them(void **state)
{
    struct fuse_wants wants = {.passthrough = true, .max_stack_depth = 1};
    struct abi_init_out out;
    struct fuse_agreed agreed;
    struct fuse_init_in in = everything();
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    assert_int_equal(out.max_write, FUSE_MAX_WRITE_PASSTHROUGH_BYTES);
    assert_int_equal(agreed.max_write_bytes, out.max_write);
    wants.passthrough = false;
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    assert_int_equal(out.max_write, FUSE_MAX_WRITE_BYTES);
    assert_int_equal(agreed.max_write_bytes, out.max_write);
}

static void test_wishes_are_heard(void **state)
{
    struct fuse_wants wants = {0};
    struct abi_init_out out;
    struct fuse_agreed agreed;
    struct fuse_init_in in = everything();
    assert_int_equal(fuse_negotiate(&in, &wants, &out, &agreed), 0);
    assert_false(out.flags & (FUSE_NO_OPENDIR_SUPPORT | FUSE_CACHE_SYMLINKS | FUSE_POSIX_ACL));
    assert_false(agreed.passthrough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_kernels_are_refused),
        cmocka_unit_test(test_nothing_is_agreed_that_is_not_offered),
        cmocka_unit_test(test_what_breaks_passthrough_is_never_asked_for),
        cmocka_unit_test(test_requests_are_small_where_data_does_not_come_by_them),
        cmocka_unit_test(test_wishes_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
