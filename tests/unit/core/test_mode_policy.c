/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mode_policy.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};

static const enum mode_policy policies[] = {MODE_POLICY_NONE, MODE_POLICY_SHARED, MODE_POLICY_MESOS,
                                            MODE_POLICY_FSGROUP};

/* Behaviour B1 once more, in the words of the table: which bits a view adds. */
static mode_t added_by_the_book(enum mode_policy policy, bool read_only, mode_t mode)
{
    bool dir = (mode & S_IFMT) == S_IFDIR, link = (mode & S_IFMT) == S_IFLNK;
    bool group_has_something = (mode & 00040) || (mode & 00020) || (mode & 00010);
    mode_t bits = 0;
    if (policy == MODE_POLICY_SHARED && dir && group_has_something)
        bits = 02020;
    if (policy == MODE_POLICY_MESOS && dir)
        bits = 02020;
    if (policy == MODE_POLICY_FSGROUP && !link) {
        bits = read_only ? 00440 : 00660; /* Kubernetes gives them to the owner too */
        if (dir)
            bits |= 02110;
    }
    return bits & ~mode;
}

static void test_every_mode_is_shown_by_the_book(void **state)
{
    for (size_t p = 0; p < G_N_ELEMENTS(policies); p++)
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
            for (mode_t bits = 0; bits <= 07777; bits++)
                for (int read_only = 0; read_only <= 1; read_only++) {
                    mode_t disk = types[t] | bits;
                    mode_t wanted = disk | added_by_the_book(policies[p], read_only, disk);
                    if (mode_policy_to_view(policies[p], read_only, disk) != wanted)
                        fail_msg("%s, %s: %o", mode_policy_to_string(policies[p]), read_only ? "ro" : "rw", disk);
                }
}

static void test_modes_that_people_know(void **state)
{
    static const struct {
        enum mode_policy policy;
        bool read_only;
        mode_t disk, view;
    } cases[] = {
        {MODE_POLICY_SHARED, false, S_IFDIR | 0755, S_IFDIR | 02775},
        {MODE_POLICY_SHARED, false, S_IFDIR | 0700, S_IFDIR | 0700},
        {MODE_POLICY_SHARED, false, S_IFDIR | 01777, S_IFDIR | 03777},
        {MODE_POLICY_SHARED, false, S_IFREG | 0644, S_IFREG | 0644},
        {MODE_POLICY_SHARED, false, S_IFREG | 0600, S_IFREG | 0600},
        {MODE_POLICY_MESOS, false, S_IFDIR | 0700, S_IFDIR | 02720},
        {MODE_POLICY_MESOS, false, S_IFREG | 0600, S_IFREG | 0600},
        {MODE_POLICY_FSGROUP, false, S_IFREG | 0600, S_IFREG | 0660},
        {MODE_POLICY_FSGROUP, true, S_IFREG | 0600, S_IFREG | 0640},
        {MODE_POLICY_FSGROUP, false, S_IFREG | 0, S_IFREG | 0660},
        {MODE_POLICY_FSGROUP, false, S_IFDIR | 0700, S_IFDIR | 02770},
        {MODE_POLICY_FSGROUP, true, S_IFDIR | 0700, S_IFDIR | 02750},
        {MODE_POLICY_FSGROUP, false, S_IFLNK | 0777, S_IFLNK | 0777},
        {MODE_POLICY_NONE, false, S_IFDIR | 0755, S_IFDIR | 0755},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_int_equal(mode_policy_to_view(cases[i].policy, cases[i].read_only, cases[i].disk), cases[i].view);
}

/* Behaviour B5, bit by bit: what of one bit that a client hands back reaches the disk. */
static bool bit_on_disk(bool on_disk, bool shown, bool handed_back, bool is_setid, bool allow_setid)
{
    if (!handed_back)
        return false;
    if (on_disk)
        return true;
    if (shown)
        return false; /* the policy's, not the client's */
    return !is_setid || allow_setid;
}

static mode_t disk_by_the_book(enum mode_policy policy, bool read_only, mode_t disk, mode_t view, bool allow_setid)
{
    mode_t shown = disk | added_by_the_book(policy, read_only, disk), wanted = 0;
    for (mode_t bit = 1; bit <= 04000; bit <<= 1)
        if (bit_on_disk(disk & bit, shown & bit, view & bit, bit == 04000 || bit == 02000, allow_setid))
            wanted |= bit;
    return wanted;
}

static void check_write_back(enum mode_policy policy, bool read_only, mode_t disk, mode_t view)
{
    for (int allow_setid = 0; allow_setid <= 1; allow_setid++) {
        mode_t got = mode_policy_to_disk(policy, read_only, disk, view, allow_setid);
        if (got != disk_by_the_book(policy, read_only, disk, view, allow_setid))
            fail_msg("%s, %s, setid %d: disk %o, view %o gives %o", mode_policy_to_string(policy),
                     read_only ? "ro" : "rw", allow_setid, disk, view, got);
    }
}

/* Every mode on disk, against the mode as it is shown, each single bit of that flipped, and some at random. */
static void check_disk_mode(GRand *rand, enum mode_policy policy, bool read_only, mode_t disk)
{
    mode_t shown = mode_policy_to_view(policy, read_only, disk);
    assert_int_equal(mode_policy_to_disk(policy, read_only, disk, shown, false), disk & 07777);
    assert_int_equal(mode_policy_to_disk(policy, read_only, disk, shown, true), disk & 07777);
    for (mode_t bit = 1; bit <= 04000; bit <<= 1)
        check_write_back(policy, read_only, disk, shown ^ bit);
    for (int i = 0; i < 8; i++)
        check_write_back(policy, read_only, disk, (disk & S_IFMT) | (mode_t)g_rand_int_range(rand, 0, 010000));
}

static void test_every_mode_is_written_back_by_the_book(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    for (size_t p = 0; p < G_N_ELEMENTS(policies); p++)
        for (mode_t bits = 0; bits <= 07777; bits++)
            for (int read_only = 0; read_only <= 1; read_only++) {
                check_disk_mode(rand, policies[p], read_only, S_IFREG | bits);
                check_disk_mode(rand, policies[p], read_only, S_IFDIR | bits);
            }
}

/* What the client reads after it wrote is what it wrote, but for bits that the policy shows whatever it does. */
static void test_taken_bits_are_gone_from_the_disk(void **state)
{
    mode_t disk = S_IFDIR | 02775;
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_SHARED, false, disk, S_IFDIR | 0700, false), 0700);
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_SHARED, false, S_IFDIR | 0755, S_IFDIR | 0750, false), 0750);
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_FSGROUP, false, S_IFREG | 0644, S_IFREG | 0600, false), 0600);
}

static void test_setid_is_never_added_unless_allowed(void **state)
{
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_NONE, false, S_IFREG | 0755, S_IFREG | 06755, false), 0755);
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_NONE, false, S_IFREG | 0755, S_IFREG | 06755, true), 06755);
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_SHARED, false, S_IFREG | 04755, S_IFREG | 06755, false), 04755);
    assert_int_equal(mode_policy_to_disk(MODE_POLICY_SHARED, false, S_IFDIR | 0755, S_IFDIR | 02775, true), 0755);
}

static void test_names(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
        enum mode_policy policy = (enum mode_policy)99;
        assert_int_equal(mode_policy_from_string(mode_policy_to_string(policies[i]), &policy, NULL), 0);
        assert_int_equal(policy, policies[i]);
    }
    enum mode_policy policy = MODE_POLICY_MESOS;
    g_autoptr(GError) error = NULL;
    assert_int_equal(mode_policy_from_string("Shared", &policy, &error), -EINVAL);
    assert_int_equal(policy, MODE_POLICY_MESOS);
    assert_non_null(strstr(error->message, "known are shared, mesos and fsgroup"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mode_is_shown_by_the_book),
        cmocka_unit_test(test_modes_that_people_know),
        cmocka_unit_test(test_every_mode_is_written_back_by_the_book),
        cmocka_unit_test(test_taken_bits_are_gone_from_the_disk),
        cmocka_unit_test(test_setid_is_never_added_unless_allowed),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
