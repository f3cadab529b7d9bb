/* SPDX-License-Identifier: Apache-2.0 */
#include "inode/inode_table.h"

#include "base/fd.h"
#include "gidfs_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_RECORDS 256

struct fixture {
    struct inode_state *state;
    struct inode_table *table;
    unsigned n_opened, n_dropped;
    int fail_next;
};

/* Every key opens /dev/null: which inode it is does not matter here. */
static int open_null(void *data, const struct inode *inode)
{
    struct fixture *f = data;
    if (f->fail_next < 0) {
        int r = f->fail_next;
        f->fail_next = 0;
        return r;
    }
    f->n_opened++;
    return open("/dev/null", O_PATH | O_CLOEXEC);
}

static void count_dropped(void *data, int32_t backing_id)
{
    struct fixture *f = data;
    f->n_dropped++;
}

static struct inode_table *new_table(struct fixture *f)
{
    struct inode_table *table;
    struct inode_table_config config = {.state = f->state,
                                        .n_fds_max = 8,
                                        .n_pinned_max = 4,
                                        .open_key = open_null,
                                        .drop_backing = count_dropped,
                                        .data = f};
    assert_int_equal(inode_table_new(&config, &table), 0);
    return table;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->state = calloc(1, inode_state_size(N_RECORDS));
    f->state->n_records_max = N_RECORDS;
    f->table = new_table(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < f->state->n_records_used; i++) {
        if (f->state->records[i].nodeid != 0 && f->state->records[i].fd >= 0)
            close(f->state->records[i].fd);
    }
    inode_table_free(f->table);
    free(f->state);
    free(f);
    return 0;
}

static struct inode_key key_of(unsigned number)
{
    struct inode_key key = {.n_bytes = 20};
    memset(key.bytes, 'k', 20);
    memcpy(key.bytes + 8, &number, sizeof(number));
    return key;
}

static struct inode *intern(struct fixture *f, unsigned number)
{
    struct inode *inode = NULL;
    struct inode_key key = key_of(number);
    int no_fd = -1;
    assert_int_equal(inode_table_intern(f->table, &key, DT_REG, &no_fd, INODE_KEEP_NO_FD, &inode), 0);
    return inode;
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_first_inode_is_the_root(void **state)
{
    struct inode *root = intern(*state, 0);
    struct fixture *f = *state;
    assert_int_equal(root->nodeid, 1);
    assert_ptr_equal(inode_table_get(f->table, 1), root);
    inode_table_forget(f->table, 1, 1); /* never forgotten */
    assert_ptr_equal(inode_table_get(f->table, 1), root);
}

static void test_a_key_has_one_inode_and_counts_lookups(void **state)
{
    struct fixture *f = *state;
    intern(f, 0);
    struct inode *a = intern(f, 7);
    assert_ptr_equal(intern(f, 7), a);
    assert_int_equal(a->n_lookups, 2);
    uint64_t nodeid = a->nodeid;
    inode_table_forget(f->table, nodeid, 1);
    assert_ptr_equal(inode_table_get(f->table, nodeid), a);
    inode_table_forget(f->table, nodeid, 1);
    assert_null(inode_table_get(f->table, nodeid));
}

static void test_a_stale_nodeid_names_nobody(void **state)
{
    struct fixture *f = *state;
    intern(f, 0);
    uint64_t old = intern(f, 1)->nodeid;
    inode_table_forget(f->table, old, 1);
    struct inode *reused = intern(f, 2); /* takes the record */
    assert_int_equal((uint32_t)reused->nodeid, (uint32_t)old);
    assert_true(reused->nodeid != old);
    assert_null(inode_table_get(f->table, old));
    assert_null(inode_table_get(f->table, 0));
    assert_null(inode_table_get(f->table, UINT64_MAX));
}

static void test_lies_about_forgets_are_harmless(void **state)
{
    struct fixture *f = *state;
    intern(f, 0);
    struct inode *a = intern(f, 1);
    inode_table_forget(f->table, a->nodeid, UINT64_MAX); /* more than it has */
    inode_table_forget(f->table, 4711, 1);
    inode_table_forget(f->table, 0, 1);
    struct inode_table_stats stats;
    inode_table_get_stats(f->table, &stats);
    assert_int_equal(stats.n_inodes, 1);
}

static void test_full_table_says_so_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < N_RECORDS; i++)
        intern(f, i);
    struct inode_key key = key_of(N_RECORDS);
    struct inode *inode;
    int no_fd = -1;
    assert_int_equal(inode_table_intern(f->table, &key, DT_REG, &no_fd, INODE_KEEP_NO_FD, &inode), -ENFILE);
    assert_int_equal(inode_table_find(f->table, &key), 0);
    key = key_of(N_RECORDS - 1);
    uint64_t last = inode_table_find(f->table, &key);
    assert_true(last != 0);
    inode_table_forget(f->table, last, 1);
    intern(f, N_RECORDS);
}

static void test_descriptors_are_bounded(void **state)
{
    struct fixture *f = *state;
    unsigned before = count_fds();
    for (unsigned i = 0; i < 200; i++) {
        struct inode *inode = intern(f, i);
        assert_true(inode_table_get_fd(f->table, inode) >= 0);
        inode_table_put_fd(f->table, inode);
        assert_true(count_fds() - before <= 8 + 1);
    }
    assert_int_equal(f->n_opened, 200);
}

static void test_a_descriptor_in_use_is_not_closed(void **state)
{
    struct fixture *f = *state;
    struct inode *used = intern(f, 0);
    int fd = inode_table_get_fd(f->table, used);
    for (unsigned i = 1; i < 200; i++) {
        struct inode *inode = intern(f, i);
        inode_table_get_fd(f->table, inode);
        inode_table_put_fd(f->table, inode);
    }
    assert_int_equal(used->fd, fd);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    inode_table_put_fd(f->table, used);
}

static void test_pinned_descriptors_stay_up_to_their_limit(void **state)
{
    struct fixture *f = *state;
    struct inode *pinned = intern(f, 0);
    assert_int_equal(inode_table_pin_fd(f->table, pinned), 0);
    int fd = pinned->fd;
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(inode_table_pin_fd(f->table, intern(f, i)), 0);
    assert_int_equal(inode_table_pin_fd(f->table, intern(f, 4)), -ENFILE);
    for (unsigned i = 5; i < 100; i++) {
        struct inode *inode = intern(f, i);
        inode_table_get_fd(f->table, inode);
        inode_table_put_fd(f->table, inode);
    }
    assert_int_equal(pinned->fd, fd);
    inode_table_unpin_fd(f->table, pinned);
    assert_int_equal(inode_table_pin_fd(f->table, intern(f, 4)), 0);
}

static void use_fd_of(struct fixture *f, struct inode *inode)
{
    assert_true(inode_table_get_fd(f->table, inode) >= 0);
    inode_table_put_fd(f->table, inode);
}

/* Uses others until the descriptor of this one is closed. */
static void need_others_more(struct fixture *f, const struct inode *inode)
{
    for (unsigned i = 0; inode->fd >= 0; i = (i + 1) % 50)
        use_fd_of(f, intern(f, 100 + i));
}

static void test_a_descriptor_is_not_closed_as_it_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct inode *inode = intern(f, 0);
    for (unsigned i = 0; i < 100; i++) {
        use_fd_of(f, inode);
        inode_table_pin_fd(f->table, inode);
        inode_table_unpin_fd(f->table, inode); /* leaves a second entry in the list of cached ones */
        need_others_more(f, inode);
    }
}

static void test_a_kept_backing_id_goes_with_the_descriptor(void **state)
{
    struct fixture *f = *state;
    struct inode *kept = intern(f, 0), *open = intern(f, 1), *forgotten = intern(f, 2), *left = intern(f, 3);
    kept->backing_id = 10;
    use_fd_of(f, kept);
    open->backing_id = 11;
    open->n_opens = 1;
    use_fd_of(f, open);
    need_others_more(f, kept);
    need_others_more(f, open);
    assert_int_equal(kept->backing_id, 0);
    assert_int_equal(open->backing_id, 11);
    assert_int_equal(f->n_dropped, 1);

    forgotten->backing_id = 12;
    inode_table_forget(f->table, forgotten->nodeid, 1);
    assert_int_equal(f->n_dropped, 2);

    left->backing_id = 13;
    inode_table_free(f->table);
    f->table = new_table(f);
    assert_int_equal(left->backing_id, 0);
    assert_int_equal(open->backing_id, 11);
    assert_int_equal(f->n_dropped, 3);
}

static void test_running_out_of_descriptors_evicts_and_tries_again(void **state)
{
    struct fixture *f = *state;
    struct inode *a = intern(f, 0), *b = intern(f, 1);
    use_fd_of(f, a);
    f->fail_next = -EMFILE;
    assert_true(inode_table_get_fd(f->table, b) >= 0);
    inode_table_put_fd(f->table, b);
    assert_true(f->fail_next == 0);
    need_others_more(f, b);
    f->fail_next = -ESTALE;
    assert_int_equal(inode_table_get_fd(f->table, b), -ESTALE);
}

static void test_move_changes_key_and_descriptor(void **state)
{
    struct fixture *f = *state;
    struct inode *a = intern(f, 0);
    struct inode_key old_key = key_of(0), new_key = key_of(99);
    struct stat before, after;
    int in_use = inode_table_get_fd(f->table, a);
    auto_fd int moved_to = open("/dev/zero", O_PATH | O_CLOEXEC);
    assert_return_code(fstat(moved_to, &before), errno);
    inode_table_move(f->table, a, &new_key, &moved_to, INODE_KEEP_CACHED);
    assert_int_equal(inode_table_find(f->table, &old_key), 0);
    assert_int_equal(inode_table_find(f->table, &new_key), a->nodeid);
    assert_return_code(fstat(in_use, &after), errno);
    assert_true(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
    inode_table_put_fd(f->table, a);
}

static void test_a_successor_finds_what_was_there(void **state)
{
    struct fixture *f = *state;
    intern(f, 0);
    struct inode *a = intern(f, 1), *b = intern(f, 2), *half = intern(f, 3);
    uint64_t a_id = a->nodeid, b_id = b->nodeid;
    inode_table_pin_fd(f->table, a);
    inode_table_forget(f->table, b->nodeid, 1);
    half->n_lookups = 0; /* as a worker leaves it that dies while it makes or forgets it */

    inode_table_free(f->table);
    f->table = new_table(f);
    struct inode_key key = key_of(1);
    assert_int_equal(inode_table_find(f->table, &key), a_id);
    assert_null(inode_table_get(f->table, b_id));
    key = key_of(3);
    assert_int_equal(inode_table_find(f->table, &key), 0);
    struct inode_table_stats stats;
    inode_table_get_stats(f->table, &stats);
    assert_int_equal(stats.n_inodes, 2);
    assert_int_equal(stats.n_fds, 1);
}

static uint64_t lasting_id_of(const struct inode_key *key)
{
    unsigned number;
    memcpy(&number, key->bytes + 8, sizeof(number));
    return number < 1000 ? number : 0;
}

static void use_lasting_ids(struct fixture *f)
{
    struct inode_table_config config = {.state = f->state,
                                        .n_fds_max = 8,
                                        .n_pinned_max = 4,
                                        .open_key = open_null,
                                        .lasting_id = lasting_id_of,
                                        .data = f};
    inode_table_free(f->table);
    assert_int_equal(inode_table_new(&config, &f->table), 0);
}

static void test_lasting_nodeids_are_those_of_the_disk(void **state)
{
    struct fixture *f = *state;
    use_lasting_ids(f);
    assert_int_equal(intern(f, 500)->nodeid, 1); /* the root is the root */
    struct inode *lasting = intern(f, 77), *made = intern(f, 1001);
    assert_int_equal(lasting->nodeid, 77);
    assert_true(made->nodeid >= INODE_ID_MADE);
    assert_ptr_equal(inode_table_get(f->table, 77), lasting);
    struct inode_view seen;
    assert_true(inode_table_look(f->table, 77, &seen));
    assert_memory_equal(seen.key.bytes, lasting->key.bytes, seen.key.n_bytes);
    assert_false(inode_table_look(f->table, 78, &seen));
    assert_ptr_equal(inode_table_get(f->table, made->nodeid), made);
    assert_null(inode_table_get(f->table, 78));
    inode_table_forget(f->table, 77, 1);
    assert_null(inode_table_get(f->table, 77));
    assert_int_equal(intern(f, 77)->nodeid, 77); /* the same number when it comes back */
}

static void test_a_number_used_again_goes_over_with_its_lookups(void **state)
{
    struct fixture *f = *state;
    use_lasting_ids(f);
    intern(f, 500);
    struct inode *old = intern(f, 77), *found;
    struct inode_key old_key = key_of(77), new_key = key_of(77);
    new_key.bytes[0] = 'n'; /* another generation of the same number */
    int no_fd = -1;
    assert_int_equal(inode_table_intern(f->table, &new_key, DT_DIR, &no_fd, INODE_KEEP_NO_FD, &found), 0);
    assert_ptr_equal(found, old);
    assert_int_equal(found->n_lookups, 2);
    assert_int_equal(found->type, DT_DIR);
    assert_int_equal(inode_table_find(f->table, &old_key), 0);
    assert_int_equal(inode_table_find(f->table, &new_key), 77);
    inode_table_forget(f->table, 77, 1);
    inode_table_forget(f->table, 77, 1);
    assert_null(inode_table_get(f->table, 77));
}

/* A thousand random steps against a map from key to count, with a successor taking over now and then. */
static void test_against_a_naive_table(void **state)
{
    struct fixture *f = *state;
    unsigned counts[100] = {0};
    g_autoptr(GRand) rand = g_rand_new_with_seed(4711);
    intern(f, 1000);
    for (unsigned step = 0; step < 5000; step++) {
        unsigned number = (unsigned)g_rand_int_range(rand, 0, 100);
        struct inode_key key = key_of(number);
        uint64_t nodeid = inode_table_find(f->table, &key);
        assert_int_equal(nodeid != 0, counts[number] > 0);
        if (g_rand_boolean(rand)) {
            assert_int_equal(intern(f, number)->n_lookups, ++counts[number]);
        } else if (counts[number] > 0) {
            unsigned n = (unsigned)g_rand_int_range(rand, 1, (gint32)counts[number] + 1);
            inode_table_forget(f->table, nodeid, n);
            counts[number] -= n;
        }
        if (step % 500 == 499) {
            inode_table_free(f->table);
            f->table = new_table(f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_inode_is_the_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_has_one_inode_and_counts_lookups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stale_nodeid_names_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lies_about_forgets_are_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_table_says_so_and_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_descriptor_in_use_is_not_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pinned_descriptors_stay_up_to_their_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_descriptor_is_not_closed_as_it_is_adopted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_kept_backing_id_goes_with_the_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_running_out_of_descriptors_evicts_and_tries_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_move_changes_key_and_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_successor_finds_what_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lasting_nodeids_are_those_of_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_number_used_again_goes_over_with_its_lookups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_against_a_naive_table, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
