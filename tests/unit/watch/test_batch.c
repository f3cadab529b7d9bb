/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From events to orders, with events as the kernel lays them out. The inode table is real, handles are numbers.
 */
#include "gidfs_test.h"

#include "watch/batch.h"

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <linux/fanotify.h>
#include <string.h>
#include <unistd.h>

#define FOREIGN_PID (getpid() + 1)
#define N_RECORDS   64

struct fixture {
    struct inode_state *records;
    struct inode_table *inodes;
    struct watch_state state;
    struct batch *batch;
    GString *orders; /* as text */
    GArray *covered, *hushed;
    unsigned n_missed;
    uint32_t appears; /* the inode that becomes known at that moment; 0: none */
    _Alignas(8) char events[8192];
    size_t n_event_bytes;
};

static struct inode_key key_of(uint32_t number)
{
    struct inode_key key = {.n_bytes = sizeof(number)};
    memcpy(key.bytes, &number, sizeof(number));
    return key;
}

static uint64_t find(void *data, const struct handle *handle, unsigned *at)
{
    struct fixture *f = data;
    uint32_t number;
    if ((*at)++ > 0 || handle->n_bytes != sizeof(number))
        return 0;
    memcpy(&number, handle->bytes, sizeof(number));
    struct inode_key key = key_of(number);
    return inode_table_find(f->inodes, &key);
}

static uint32_t generation(const struct inode_key *key)
{
    return 0;
}

static int open_key(void *data, const struct inode_key *key)
{
    return -ESTALE;
}

static int open_inode(void *data, const struct inode *inode)
{
    return -ESTALE;
}

static int put(void *data, struct packet *packet)
{
    static const char *const kinds[] = {"entry", "attributes", "data", "wait", "epoch", "touch"};
    struct fixture *f = data;
    for (size_t at = 0; at < packet->n_bytes;) {
        const struct order *order = (const struct order *)(const void *)(packet->bytes + at);
        bool named = order->kind == ORDER_ENTRY || order->kind == ORDER_TOUCH;
        g_string_append_printf(f->orders, "%s %u%s%s;", kinds[order->kind], (unsigned)(order->nodeid & 0xffff),
                               named ? " " : "", named ? order->name : "");
        at += order->n_bytes;
    }
    return 0;
}

static void cover(void *data, uint64_t nodeid)
{
    g_array_append_val(((struct fixture *)data)->covered, nodeid);
}

static void hush(void *data, uint64_t nodeid)
{
    g_array_append_val(((struct fixture *)data)->hushed, nodeid);
}

/* Inodes get the nodeids 1, 2, 3… for the numbers 101, 102, 103… */
static void know(struct fixture *f, uint32_t number, uint8_t type)
{
    struct inode *inode;
    struct inode_key key = key_of(number);
    int fd = -1;
    assert_int_equal(0, inode_table_intern(f->inodes, &key, type, &fd, INODE_KEEP_NO_FD, &inode));
    assert_int_equal(number - 100, inode->nodeid & 0xffff);
}

static void miss(void *data)
{
    struct fixture *f = data;
    f->n_missed++;
    if (f->appears != 0)
        know(f, f->appears, DT_REG);
}

static int set_up(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    f->records = g_malloc0(inode_state_size(N_RECORDS));
    f->records->n_records_max = N_RECORDS;
    struct inode_table_config table = {.state = f->records, .n_fds_max = 8, .n_pinned_max = 8, .open_key = open_inode};
    assert_int_equal(0, inode_table_new(&table, &f->inodes));
    watch_state_begin(&f->state);
    struct watch_config config = {.state = &f->state,
                                  .inodes = f->inodes,
                                  .find = find,
                                  .generation = generation,
                                  .open_key = open_key,
                                  .data = f};
    f->batch = batch_new(&config, &(struct batch_ops){.put = put, .cover = cover, .hush = hush, .miss = miss}, f);
    f->orders = g_string_new(NULL);
    f->covered = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    f->hushed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    know(f, 101, DT_DIR); /* the root */
    know(f, 102, DT_DIR);
    know(f, 103, DT_REG);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    batch_free(f->batch);
    inode_table_free(f->inodes);
    g_free(f->records);
    g_string_free(f->orders, TRUE);
    g_array_unref(f->covered);
    g_array_unref(f->hushed);
    g_free(f);
    return 0;
}

/* A record with a handle, and a name behind it if it has one. */
static size_t add_info(char *at, uint8_t type, uint32_t number, const char *name)
{
    struct fanotify_event_info_fid *info = (void *)at;
    const uint32_t head[2] = {sizeof(number), 1}; /* of struct file_handle: size and type */
    size_t n_name = name ? strlen(name) + 1 : 0;
    size_t n = (sizeof(*info) + sizeof(head) + sizeof(number) + n_name + 3) & ~(size_t)3;
    memset(at, 0, n);
    info->hdr.info_type = type;
    info->hdr.len = (uint16_t)n;
    char *handle = at + sizeof(*info);
    memcpy(handle, head, sizeof(head));
    memcpy(handle + sizeof(head), &number, sizeof(number));
    if (name)
        memcpy(handle + sizeof(head) + sizeof(number), name, n_name);
    return n;
}

static void event(struct fixture *f, uint64_t mask, pid_t pid, uint32_t dir, const char *name, uint32_t object)
{
    char *at = f->events + f->n_event_bytes;
    size_t n = sizeof(struct fanotify_event_metadata);
    if (dir)
        n += add_info(at + n, FAN_EVENT_INFO_TYPE_DFID_NAME, dir, name);
    if (object)
        n += add_info(at + n, FAN_EVENT_INFO_TYPE_FID, object, NULL);
    const struct fanotify_event_metadata metadata = {.event_len = (uint32_t)n,
                                                     .vers = FANOTIFY_METADATA_VERSION,
                                                     .metadata_len = sizeof(metadata),
                                                     .mask = mask,
                                                     .fd = FAN_NOFD,
                                                     .pid = pid};
    memcpy(at, &metadata, sizeof(metadata));
    f->n_event_bytes += n;
}

static void expect(struct fixture *f, const char *orders)
{
    assert_int_equal(0, batch_take(f->batch, f->events, f->n_event_bytes));
    assert_string_equal(orders, f->orders->str);
}

static void a_name_drops_the_entry_and_the_list(void **state)
{
    event(*state, FAN_CREATE, FOREIGN_PID, 102, "new", 150);
    expect(*state, "entry 2 new;data 2;");
}

static void a_removed_file_that_is_known_has_new_attributes(void **state)
{
    event(*state, FAN_DELETE, FOREIGN_PID, 102, "old", 103);
    expect(*state, "entry 2 old;data 2;attributes 3;");
}

static void many_changes_of_one_inode_are_one_order(void **state)
{
    for (int i = 0; i < 20; i++)
        event(*state, FAN_ATTRIB, FOREIGN_PID, 102, "file", 103);
    expect(*state, "attributes 3;");
}

static void own_changes_are_ignored(void **state)
{
    event(*state, FAN_CREATE, getpid(), 102, "new", 150);
    event(*state, FAN_MODIFY, getpid(), 102, "file", 103);
    expect(*state, "");
    assert_int_equal(2, ((struct fixture *)*state)->state.n_changes);
    assert_int_equal(0, ((struct fixture *)*state)->state.n_foreign);
}

static void what_nobody_knows_is_nothing(void **state)
{
    event(*state, FAN_CREATE, FOREIGN_PID, 160, "new", 161);
    event(*state, FAN_MODIFY, FOREIGN_PID, 102, "other", 161);
    expect(*state, "");
    assert_int_equal(1, ((struct fixture *)*state)->n_missed);
}

static void what_becomes_known_while_it_is_looked_for_is_found(void **state)
{
    struct fixture *f = *state;
    f->appears = 104;
    event(f, FAN_ATTRIB, FOREIGN_PID, 102, "file", 104);
    expect(f, "attributes 4;");
}

static void writing_drops_pages_only_where_there_may_be_some(void **state)
{
    struct fixture *f = *state;
    event(f, FAN_MODIFY, FOREIGN_PID, 102, "file", 103);
    expect(f, "data 3;");
    assert_int_equal(0, f->hushed->len);
}

static void with_passthrough_there_are_no_pages(void **state)
{
    struct fixture *f = *state;
    struct inode_key key = key_of(103);
    struct inode *inode = inode_table_get(f->inodes, inode_table_find(f->inodes, &key));
    atomic_fetch_or(&inode->flags, INODE_FLAG_PASSTHROUGH);
    event(f, FAN_MODIFY, FOREIGN_PID, 102, "file", 103);
    expect(f, "attributes 3;");
    assert_int_equal(1, f->hushed->len);
    assert_int_equal(inode->nodeid, g_array_index(f->hushed, uint64_t, 0));
}

static void what_moves_is_watched_where_it_goes(void **state)
{
    struct fixture *f = *state;
    event(f, FAN_MOVED_FROM, FOREIGN_PID, 102, "file", 103);
    expect(f, "entry 2 file;data 2;attributes 3;");
    assert_int_equal(1, f->covered->len);
}

static void a_loss_drops_everything(void **state)
{
    event(*state, FAN_Q_OVERFLOW, 0, 0, NULL, 0);
    expect(*state, "epoch 0;wait 1;wait 2;data 1;data 2;data 3;");
    assert_int_equal(1, ((struct fixture *)*state)->state.n_overflows);
}

static void listeners_are_told_if_there_may_be_any(void **state)
{
    struct fixture *f = *state;
    f->state.echo.ask_fd = 0;
    event(f, FAN_MODIFY, FOREIGN_PID, 102, "file", 103);
    expect(f, "touch 2 file;data 3;");
}

static void a_broken_record_is_passed_over(void **state)
{
    struct fixture *f = *state;
    event(f, FAN_CREATE, FOREIGN_PID, 102, "new", 150);
    struct fanotify_event_info_fid *info = (void *)(f->events + sizeof(struct fanotify_event_metadata));
    uint32_t huge = 4096;
    memcpy((char *)info + sizeof(*info), &huge, sizeof(huge)); /* a handle that is longer than its record */
    expect(f, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_drops_the_entry_and_the_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_file_that_is_known_has_new_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_changes_of_one_inode_are_one_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_changes_are_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_knows_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_becomes_known_while_it_is_looked_for_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writing_drops_pages_only_where_there_may_be_some, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_passthrough_there_are_no_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_moves_is_watched_where_it_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loss_drops_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listeners_are_told_if_there_may_be_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_record_is_passed_over, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
