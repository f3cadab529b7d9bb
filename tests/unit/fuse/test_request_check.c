/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/request_check.h"
#include "gidfs_test.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define N_BYTES_MAX 512

/* A request in an allocation of exactly its size, so that a sanitizer sees a read behind its end. */
static int check(uint32_t opcode, const void *body, size_t n_body, bool exported)
{
    size_t n_bytes = sizeof(struct fuse_in_header) + n_body;
    g_autofree struct fuse_in_header *request = g_malloc(n_bytes);
    *request = (struct fuse_in_header){.opcode = opcode, .len = (uint32_t)n_bytes};
    if (n_body > 0)
        memcpy(request + 1, body, n_body);
    return request_check(request, n_bytes, exported);
}

static void check_name(uint32_t opcode, const char *name, int wanted)
{
    assert_int_equal(check(opcode, name, strlen(name) + 1, false), wanted);
}

static void test_names_are_single_components(void **state)
{
    static const uint32_t opcodes[] = {FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR};
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        check_name(opcodes[i], "name", 0);
        check_name(opcodes[i], "...", 0);
        check_name(opcodes[i], ".hidden", 0);
        check_name(opcodes[i], "", -EINVAL);
        check_name(opcodes[i], ".", -EINVAL);
        check_name(opcodes[i], "..", -EINVAL);
        check_name(opcodes[i], "/", -EINVAL);
        check_name(opcodes[i], "../up", -EINVAL);
        check_name(opcodes[i], "down/", -EINVAL);
    }
    assert_int_equal(check(FUSE_LOOKUP, "..", 3, true), 0);
    assert_int_equal(check(FUSE_LOOKUP, "../x", 5, true), -EINVAL);
    assert_int_equal(check(FUSE_UNLINK, "..", 3, true), -EINVAL);
}

static void test_strings_end(void **state)
{
    assert_int_equal(check(FUSE_LOOKUP, "name", 4, false), -EINVAL);
    assert_int_equal(check(FUSE_LOOKUP, "", 0, false), -EINVAL);
    assert_int_equal(check(FUSE_REMOVEXATTR, "user.a/b", 9, false), 0);
    assert_int_equal(check(FUSE_REMOVEXATTR, "user.a/b", 8, false), -EINVAL);
    assert_int_equal(check(FUSE_SYMLINK, "name\0../target", 15, false), 0);
    assert_int_equal(check(FUSE_SYMLINK, "name\0../target", 14, false), -EINVAL);
    assert_int_equal(check(FUSE_SYMLINK, "na/me\0target", 13, false), -EINVAL);
}

static void test_both_names_of_a_rename(void **state)
{
    char body[64] = {0};
    size_t at = sizeof(struct fuse_rename2_in);
    memcpy(body + at, "old\0new", 8);
    assert_int_equal(check(FUSE_RENAME2, body, at + 8, false), 0);
    assert_int_equal(check(FUSE_RENAME2, body, at + 7, false), -EINVAL);
    assert_int_equal(check(FUSE_RENAME2, body, at + 4, false), -EINVAL);
    memcpy(body + at, "old\0.\0", 6);
    assert_int_equal(check(FUSE_RENAME2, body, at + 6, false), -EINVAL);
}

/* Every opcode with a body of zeros of every size: what passes at one size passes at every larger one, if it is all. */
static void test_fixed_parts_are_whole(void **state)
{
    static const struct {
        uint32_t opcode;
        size_t n_fixed_bytes;
    } cases[] = {
        {FUSE_FORGET, 8},
        {FUSE_GETATTR, 16},
        {FUSE_SETATTR, 88},
        {FUSE_OPEN, 8},
        {FUSE_READ, 40},
        {FUSE_WRITE, 40},
        {FUSE_RELEASE, 24},
        {FUSE_FSYNC, 16},
        {FUSE_LISTXATTR, 8},
        {FUSE_FLUSH, 24},
        {FUSE_READDIR, 40},
        {FUSE_READDIRPLUS, 40},
        {FUSE_GETLK, 48},
        {FUSE_ACCESS, 8},
        {FUSE_INTERRUPT, 8},
        {FUSE_IOCTL, 32},
        {FUSE_BATCH_FORGET, 8},
        {FUSE_FALLOCATE, 32},
        {FUSE_COPY_FILE_RANGE, 56},
        {FUSE_LSEEK, 24},
        {FUSE_SETXATTR, 8},
        {FUSE_POLL, 24},
        {FUSE_BMAP, 16},
        {FUSE_OPENDIR, 8},
        {FUSE_RELEASEDIR, 24},
        {FUSE_FSYNCDIR, 16},
    };
    static const char zeros[N_BYTES_MAX];
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_int_equal(check(cases[i].opcode, zeros, cases[i].n_fixed_bytes - 1, false), -EINVAL);
        assert_int_equal(check(cases[i].opcode, zeros, cases[i].n_fixed_bytes, false), 0);
    }
}

static void test_what_is_counted_is_there(void **state)
{
    struct fuse_write_in write = {.size = 100};
    struct fuse_ioctl_in ioctl = {.in_size = 100};
    struct fuse_batch_forget_in forget = {.count = 4};
    char body[N_BYTES_MAX] = {0};
    memcpy(body, &write, sizeof(write));
    assert_int_equal(check(FUSE_WRITE, body, sizeof(write) + 100, false), 0);
    assert_int_equal(check(FUSE_WRITE, body, sizeof(write) + 99, false), -EINVAL);
    memcpy(body, &ioctl, sizeof(ioctl));
    assert_int_equal(check(FUSE_IOCTL, body, sizeof(ioctl) + 100, false), 0);
    assert_int_equal(check(FUSE_IOCTL, body, sizeof(ioctl) + 99, false), -EINVAL);
    memcpy(body, &forget, sizeof(forget));
    assert_int_equal(check(FUSE_BATCH_FORGET, body, sizeof(forget) + 64, false), 0);
    assert_int_equal(check(FUSE_BATCH_FORGET, body, sizeof(forget) + 63, false), -EINVAL);
    forget.count = 0x10000000; /* times 16 it is nothing in 32 bits */
    memcpy(body, &forget, sizeof(forget));
    assert_int_equal(check(FUSE_BATCH_FORGET, body, sizeof(body), false), -EINVAL);
}

static void test_requests_that_are_none(void **state)
{
    struct fuse_in_header header = {.opcode = FUSE_STATFS};
    assert_int_equal(request_check(&header, sizeof(header) - 1, false), -EINVAL);
    assert_int_equal(request_check(&header, sizeof(header), false), 0);
    assert_int_equal(check(FUSE_NOTIFY_REPLY, "0123456789012345678901234567890123456789", 40, false), -EINVAL);
    assert_int_equal(check(4000000000U, NULL, 0, false), 0); /* whoever answers it says ENOSYS */
}

static void test_forgets_have_no_answer(void **state)
{
    assert_false(request_has_answer(FUSE_FORGET));
    assert_false(request_has_answer(FUSE_BATCH_FORGET));
    assert_true(request_has_answer(FUSE_LOOKUP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_single_components), cmocka_unit_test(test_strings_end),
        cmocka_unit_test(test_both_names_of_a_rename),      cmocka_unit_test(test_fixed_parts_are_whole),
        cmocka_unit_test(test_what_is_counted_is_there),    cmocka_unit_test(test_requests_that_are_none),
        cmocka_unit_test(test_forgets_have_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
