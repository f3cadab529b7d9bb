/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acl_format.h"
#include "core/acl_policy.h"
#include "gidfs_test.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define N_ROUNDS 40000
#define NO_ID    UINT32_MAX
#define RWX      7U

/* An ACL in the words of acl(5), and its value. The i-th named user has id 1000 + i, the groups 2000 + i. */
struct acl {
    unsigned user_obj, group_obj, mask, other;
    unsigned users[3], groups[3];
    size_t n_users, n_groups;
    bool has_mask;
    char value[4 + 12 * 8];
    size_t size;
};

static void append(struct acl *acl, uint16_t tag, unsigned perm, uint32_t id)
{
    size_t index = (acl->size - 4) / 8;
    acl_format_set(acl->value, index, (struct acl_entry){.tag = tag, .perm = (uint16_t)perm, .id = id});
    acl->size += 8;
}

static void encode(struct acl *acl)
{
    memset(acl->value, 0, sizeof(acl->value));
    acl->value[0] = 2;
    acl->size = 4;
    append(acl, ACL_TAG_USER_OBJ, acl->user_obj, NO_ID);
    for (size_t i = 0; i < acl->n_users; i++)
        append(acl, ACL_TAG_USER, acl->users[i], 1000 + (uint32_t)i);
    append(acl, ACL_TAG_GROUP_OBJ, acl->group_obj, NO_ID);
    for (size_t i = 0; i < acl->n_groups; i++)
        append(acl, ACL_TAG_GROUP, acl->groups[i], 2000 + (uint32_t)i);
    if (acl->has_mask)
        append(acl, ACL_TAG_MASK, acl->mask, NO_ID);
    append(acl, ACL_TAG_OTHER, acl->other, NO_ID);
}

/* Reads value back into the words; the entries are those of before. */
static void decode(struct acl *acl)
{
    size_t n, user = 0, group = 0;
    assert_int_equal(acl_format_check(acl->value, acl->size, &n), 0);
    for (size_t i = 0; i < n; i++) {
        struct acl_entry entry = acl_format_get(acl->value, i);
        unsigned *slot = entry.tag == ACL_TAG_USER_OBJ    ? &acl->user_obj
                         : entry.tag == ACL_TAG_USER      ? &acl->users[user++]
                         : entry.tag == ACL_TAG_GROUP_OBJ ? &acl->group_obj
                         : entry.tag == ACL_TAG_GROUP     ? &acl->groups[group++]
                         : entry.tag == ACL_TAG_MASK      ? &acl->mask
                                                          : &acl->other;
        *slot = entry.perm;
    }
    assert_int_equal(user, acl->n_users);
    assert_int_equal(group, acl->n_groups);
}

static unsigned effective(const struct acl *acl, unsigned perm)
{
    return acl->has_mask ? perm & acl->mask : perm;
}

static unsigned rwx(GRand *rand)
{
    return (unsigned)g_rand_int_range(rand, 0, 8);
}

static struct acl random_acl(GRand *rand)
{
    struct acl acl = {.user_obj = rwx(rand), .group_obj = rwx(rand), .mask = rwx(rand), .other = rwx(rand)};
    acl.n_users = (size_t)g_rand_int_range(rand, 0, 4);
    acl.n_groups = (size_t)g_rand_int_range(rand, 0, 4);
    acl.has_mask = acl.n_users + acl.n_groups > 0 || g_rand_boolean(rand);
    for (size_t i = 0; i < 3; i++) {
        acl.users[i] = rwx(rand);
        acl.groups[i] = rwx(rand);
    }
    encode(&acl);
    return acl;
}

struct setting {
    enum mode_policy policy;
    bool read_only;
    mode_t type;
};

static struct setting random_setting(GRand *rand)
{
    static const mode_t types[] = {S_IFDIR, S_IFREG, S_IFIFO};
    return (struct setting){.policy = (enum mode_policy)g_rand_int_range(rand, 0, MODE_POLICY_FSGROUP + 1),
                            .read_only = g_rand_boolean(rand),
                            .type = types[g_rand_int_range(rand, 0, G_N_ELEMENTS(types))]};
}

/* The mode that an ACL comes to. */
static mode_t mode_of(const struct acl *acl, mode_t type)
{
    return type | acl->user_obj << 6 | effective(acl, acl->group_obj) << 3 | acl->other;
}

static struct acl shown(const struct setting *s, const struct acl *disk)
{
    struct acl view = *disk;
    assert_int_equal(acl_policy_to_view(s->policy, s->read_only, s->type, view.value, view.size), 0);
    decode(&view);
    return view;
}

static void test_group_gets_what_the_policy_adds_and_named_keep_their_rights(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct setting s = random_setting(rand);
        struct acl disk = random_acl(rand), view = shown(&s, &disk);
        mode_t wanted = mode_policy_to_view(s.policy, s.read_only, mode_of(&disk, s.type));
        assert_int_equal(mode_of(&view, s.type), wanted & ~(mode_t)(S_ISUID | S_ISGID | S_ISVTX));
        for (size_t i = 0; i < disk.n_users; i++)
            assert_int_equal(effective(&view, view.users[i]), effective(&disk, disk.users[i]));
        for (size_t i = 0; i < disk.n_groups; i++)
            assert_int_equal(effective(&view, view.groups[i]), effective(&disk, disk.groups[i]));
    }
}

static void test_what_was_read_and_is_written_back_changes_nothing(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct setting s = random_setting(rand);
        struct acl disk = random_acl(rand), view = shown(&s, &disk);
        struct acl_policy_disk now = {.mode = mode_of(&disk, s.type), .value = disk.value, .size = disk.size};
        assert_int_equal(acl_policy_to_disk(s.policy, s.read_only, &now, view.value, view.size), 0);
        assert_memory_equal(view.value, disk.value, disk.size);
    }
}

/* As setfacl(1) does: one more user, and a mask of all that the group class has. */
static unsigned add_user(struct acl *acl, unsigned perm)
{
    acl->users[acl->n_users++] = perm;
    acl->mask = acl->group_obj | perm;
    for (size_t i = 0; i < acl->n_users; i++)
        acl->mask |= acl->users[i];
    for (size_t i = 0; i < acl->n_groups; i++)
        acl->mask |= acl->groups[i];
    acl->has_mask = true;
    encode(acl);
    return perm;
}

static void check_edited(const struct acl *disk, const struct acl *view, const struct acl *result)
{
    assert_int_equal(result->user_obj, disk->user_obj);
    assert_int_equal(effective(result, result->group_obj), effective(disk, disk->group_obj));
    assert_int_equal(result->other, disk->other);
    for (size_t i = 0; i < view->n_users; i++)
        assert_int_equal(effective(result, result->users[i]), effective(view, view->users[i]));
    for (size_t i = 0; i < view->n_groups; i++)
        assert_int_equal(effective(result, result->groups[i]), effective(view, view->groups[i]));
}

static void test_setfacl_of_a_user_gives_rights_to_that_user_alone(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct setting s = random_setting(rand);
        struct acl disk = random_acl(rand);
        if (disk.n_users == 3 || effective(&disk, disk.group_obj) != disk.group_obj)
            continue; /* a mask that hides group bits is uncovered by setfacl on any file system */
        struct acl result = shown(&s, &disk);
        add_user(&result, rwx(rand));
        struct acl view = result;
        struct acl_policy_disk now = {.mode = mode_of(&disk, s.type), .value = disk.value, .size = disk.size};
        assert_int_equal(acl_policy_to_disk(s.policy, s.read_only, &now, result.value, result.size), 0);
        decode(&result);
        check_edited(&disk, &view, &result);
    }
}

static void test_first_acl_of_an_entry_takes_no_added_bits_along(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct setting s = random_setting(rand);
        mode_t disk_mode = s.type | (mode_t)g_rand_int_range(rand, 0, 01000);
        mode_t view_mode = mode_policy_to_view(s.policy, s.read_only, disk_mode);
        struct acl result = {
            .user_obj = (view_mode >> 6) & RWX, .group_obj = (view_mode >> 3) & RWX, .other = view_mode & RWX};
        unsigned perm = add_user(&result, rwx(rand));
        struct acl_policy_disk now = {.mode = disk_mode};
        assert_int_equal(acl_policy_to_disk(s.policy, s.read_only, &now, result.value, result.size), 0);
        decode(&result);
        assert_int_equal(mode_of(&result, s.type), disk_mode & ~(mode_t)07000);
        assert_int_equal(effective(&result, result.users[0]), perm);
        assert_int_equal(result.mask, ((disk_mode >> 3) & RWX) | perm);
    }
}

static void test_private_entries_stay_private_when_shared(void **state)
{
    for (unsigned mask = 0; mask <= RWX; mask++) {
        for (unsigned group = 0; group <= RWX; group++) {
            struct setting s = {.policy = MODE_POLICY_SHARED, .type = S_IFDIR};
            struct acl disk = {.user_obj = 7, .users = {7}, .n_users = 1, .group_obj = group, .mask = mask};
            disk.has_mask = true;
            encode(&disk);
            struct acl view = shown(&s, &disk);
            bool may_write = effective(&view, view.group_obj) & 2;
            assert_int_equal(may_write, (group & mask) != 0);
        }
    }
}

static void test_what_the_views_group_has_by_name_goes_to_the_owning_group(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(6);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct acl given = random_acl(rand), folded = given, wanted = given;
        gid_t view_gid = 2000 + (gid_t)g_rand_int_range(rand, 0, 3);
        size_t named = view_gid - 2000, size = folded.size;
        assert_int_equal(acl_policy_fold_group(view_gid, folded.value, &size), 0);
        if (named >= given.n_groups) {
            assert_int_equal(size, given.size);
            assert_memory_equal(folded.value, given.value, size);
            continue;
        }
        assert_int_equal(size, given.size - 8);
        folded.size = size;
        folded.n_groups--;
        decode(&folded);
        assert_int_equal(folded.group_obj, given.group_obj | given.groups[named]);
        memmove(&wanted.groups[named], &wanted.groups[named + 1], (2 - named) * sizeof(unsigned));
        assert_memory_equal(folded.groups, wanted.groups, folded.n_groups * sizeof(unsigned));
        assert_memory_equal(folded.users, wanted.users, folded.n_users * sizeof(unsigned));
        assert_int_equal(folded.mask, given.mask);
    }
}

static void test_values_that_are_no_acl(void **state)
{
    struct acl good = {.user_obj = 7};
    encode(&good);
    char bad[64] = {2};
    struct acl_policy_disk disk = {.mode = S_IFDIR | 0755}, odd = {.mode = S_IFDIR, .value = bad, .size = 7};
    assert_int_equal(acl_policy_to_view(MODE_POLICY_MESOS, false, S_IFDIR, bad, 5), -EINVAL);
    assert_int_equal(acl_policy_to_disk(MODE_POLICY_MESOS, false, &disk, bad, 5), -EINVAL);
    assert_int_equal(acl_policy_to_disk(MODE_POLICY_MESOS, false, &odd, good.value, good.size), -EINVAL);
    assert_int_equal(acl_policy_to_disk(MODE_POLICY_MESOS, false, &disk, bad, 0), -EINVAL);
    assert_int_equal(acl_policy_to_view(MODE_POLICY_MESOS, false, S_IFDIR, bad, 4), 0);
    assert_int_equal(acl_policy_fold_group(1, bad, &(size_t){5}), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_gets_what_the_policy_adds_and_named_keep_their_rights),
        cmocka_unit_test(test_what_was_read_and_is_written_back_changes_nothing),
        cmocka_unit_test(test_setfacl_of_a_user_gives_rights_to_that_user_alone),
        cmocka_unit_test(test_first_acl_of_an_entry_takes_no_added_bits_along),
        cmocka_unit_test(test_private_entries_stay_private_when_shared),
        cmocka_unit_test(test_what_the_views_group_has_by_name_goes_to_the_owning_group),
        cmocka_unit_test(test_values_that_are_no_acl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
