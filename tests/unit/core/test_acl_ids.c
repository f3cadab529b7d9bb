/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acl_ids.h"
#include "gidfs_test.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

/* linux/posix_acl_xattr.h and linux/posix_acl.h, built by hand in little-endian. */
enum {
    USER_OBJ = 0x01,
    USER = 0x02,
    GROUP_OBJ = 0x04,
    GROUP = 0x08,
    MASK = 0x10,
    OTHER = 0x20,
};

struct entry {
    uint16_t tag, perm;
    uint32_t id;
};

#define NO_ID UINT32_MAX

static GByteArray *acl(uint32_t version, const struct entry *entries, size_t n_entries)
{
    GByteArray *bytes = g_byte_array_new();
    version = htole32(version);
    g_byte_array_append(bytes, (const guint8 *)&version, sizeof(version));
    for (size_t i = 0; i < n_entries; i++) {
        struct entry le = {htole16(entries[i].tag), htole16(entries[i].perm), htole32(entries[i].id)};
        g_byte_array_append(bytes, (const guint8 *)&le, sizeof(le));
    }
    return bytes;
}

static const struct entry sample[] = {
    {USER_OBJ, 7, NO_ID}, {USER, 6, 1000},  {USER, 4, 1001},   {GROUP_OBJ, 5, NO_ID},
    {GROUP, 7, 1000},     {MASK, 7, NO_ID}, {OTHER, 0, NO_ID},
};

/* Users move by 100, groups by 200; counts the calls; 666 fails. */
static int shift(enum acl_ids_type type, uint32_t *id, void *data)
{
    (*(unsigned *)data)++;
    if (*id == 666)
        return -EOVERFLOW;
    *id += type == ACL_IDS_USER ? 100 : 200;
    return 0;
}

static void test_named_users_and_groups_are_mapped(void **state)
{
    struct entry mapped[G_N_ELEMENTS(sample)];
    memcpy(mapped, sample, sizeof(sample));
    mapped[1].id = 1100;
    mapped[2].id = 1101;
    mapped[4].id = 1200;
    g_autoptr(GByteArray) value = acl(2, sample, G_N_ELEMENTS(sample));
    g_autoptr(GByteArray) wanted = acl(2, mapped, G_N_ELEMENTS(mapped));
    unsigned n_calls = 0;
    assert_int_equal(acl_ids_map(value->data, value->len, shift, &n_calls), 0);
    assert_int_equal(n_calls, 3);
    assert_memory_equal(value->data, wanted->data, wanted->len);
}

static void test_an_acl_without_entries(void **state)
{
    g_autoptr(GByteArray) value = acl(2, NULL, 0);
    unsigned n_calls = 0;
    assert_int_equal(acl_ids_map(value->data, value->len, shift, &n_calls), 0);
    assert_int_equal(n_calls, 0);
}

static void test_sizes_that_are_no_acl(void **state)
{
    g_autoptr(GByteArray) value = acl(2, sample, 2);
    unsigned n_calls = 0;
    for (guint size = 0; size <= value->len; size++) {
        bool whole = size >= 4 && (size - 4) % 8 == 0;
        /* A copy of its own, so that a read behind the end is one behind an allocation. */
        g_autofree void *copy = g_malloc(size ? size : 1);
        memcpy(copy, value->data, size);
        assert_int_equal(acl_ids_map(copy, size, shift, &n_calls), whole ? 0 : -EINVAL);
    }
}

static void test_versions_that_are_not_read(void **state)
{
    const uint32_t versions[] = {0, 1, 3, 0x02000000};
    unsigned n_calls = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        g_autoptr(GByteArray) value = acl(versions[i], sample, G_N_ELEMENTS(sample));
        assert_int_equal(acl_ids_map(value->data, value->len, shift, &n_calls), -EINVAL);
    }
    assert_int_equal(n_calls, 0);
}

static void test_an_id_that_cannot_be_mapped_ends_it(void **state)
{
    const struct entry entries[] = {{USER, 7, 1}, {GROUP, 7, 666}, {USER, 7, 2}};
    g_autoptr(GByteArray) value = acl(2, entries, G_N_ELEMENTS(entries));
    unsigned n_calls = 0;
    assert_int_equal(acl_ids_map(value->data, value->len, shift, &n_calls), -EOVERFLOW);
    assert_int_equal(n_calls, 2);
}

static void test_a_value_at_an_odd_address(void **state)
{
    g_autoptr(GByteArray) value = acl(2, sample, G_N_ELEMENTS(sample));
    g_autofree char *odd = g_malloc(value->len + 1);
    memcpy(odd + 1, value->data, value->len);
    unsigned n_calls = 0;
    assert_int_equal(acl_ids_map(odd + 1, value->len, shift, &n_calls), 0);
    assert_int_equal(acl_ids_map(value->data, value->len, shift, &n_calls), 0);
    assert_memory_equal(odd + 1, value->data, value->len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_users_and_groups_are_mapped),
        cmocka_unit_test(test_an_acl_without_entries),
        cmocka_unit_test(test_sizes_that_are_no_acl),
        cmocka_unit_test(test_versions_that_are_not_read),
        cmocka_unit_test(test_an_id_that_cannot_be_mapped_ends_it),
        cmocka_unit_test(test_a_value_at_an_odd_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
