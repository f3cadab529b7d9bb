/* SPDX-License-Identifier: Apache-2.0 */
/* What a program makes of a view's memory that another version of it wrote. */
#include "viewd/memory.h"

#include "base/fd.h"
#include "gidfs_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void write_hex(int fd, off_t offset, const char *hex)
{
    uint8_t bytes[32];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), offset), sizeof(bytes));
}

/* A memfd with what a running view of an earlier version had in its own. */
static int recorded(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s", GIDFS_TEST_DATA, name);
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    int fd = memfd_create(name, MFD_CLOEXEC);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *hex;
        uint64_t number = g_ascii_strtoull(*line, &hex, 10);
        if (hex == *line)
            continue; /* a comment */
        if (*hex == '\0')
            assert_int_equal(ftruncate(fd, (off_t)number), 0);
        else
            write_hex(fd, (off_t)number, hex + 1);
    }
    return fd;
}

static void test_layout_1_is_moved(void **state)
{
    struct memory memory;
    int fd = recorded("memory-layout-1");
    assert_int_equal(memory_check(fd, NULL), 0);
    assert_int_equal(memory_attach(fd, &memory, NULL), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */

    const struct memory_header *header = memory.header;
    assert_int_equal(fcntl(header->memory_fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(header->layout, MEMORY_LAYOUT);
    assert_int_equal(header->dev_fd, 9);
    assert_int_equal(header->root_fd, 8);
    assert_int_equal(header->served, 1);
    assert_int_equal(header->n_workers, 1);
    assert_int_equal(header->watch.group_fd, 18);
    assert_int_equal(header->watch.echo.tree_fd, -1);
    assert_int_equal(memory.transport->n_init_bytes, 104);
    assert_int_equal(memory.transport->init.minor, 45);
    assert_int_equal(memory.transport->n_requests[FUSE_OPEN], 3);
    assert_int_equal(memory.source->n_mounts, 1);
    assert_int_equal(memory.inodes->n_records_used, 4);
    assert_int_equal(memory.inodes->change.begun, 0);
    assert_int_equal(memory.inodes->records[0].nodeid, 1);
    assert_int_equal(memory.inodes->records[1].n_opens, 1); /* behind a head that has grown since */
    assert_int_equal(memory.inodes->records[1].fd, 22);
    assert_int_equal(memory.inodes->records[3].key.n_bytes, 15);
    assert_int_equal(memory.inodes->records[4].nodeid, 0);
    fd_close(header->memory_fd);
}

static void test_requests_in_flight_are_moved(void **state)
{
    struct memory memory;
    int fd = recorded("memory-layout-1");
    const struct fuse_in_header request = {.len = sizeof(request), .opcode = FUSE_MKDIR, .unique = 70};
    const struct request_slot slot = {.unique = 70, .stage = REQUEST_STAGE_BEGUN};
    assert_int_equal(pwrite(fd, &request, sizeof(request), 102400 + 3 * 1056768), sizeof(request));
    assert_int_equal(pwrite(fd, &slot, sizeof(slot), 4096 + 640 + 3 * 384), sizeof(slot));
    assert_int_equal(memory_attach(fd, &memory, NULL), 0);
    assert_memory_equal(memory.buffers + 3 * (size_t)TRANSPORT_BUFFER_BYTES, &request, sizeof(request));
    assert_memory_equal(&memory.transport->slots[3], &slot, sizeof(slot));
    fd_close(memory.header->memory_fd);
}

static void test_its_own_is_mapped_where_it_is(void **state)
{
    struct memory memory, again;
    assert_int_equal(memory_create(100, &memory, NULL), 0);
    memory.inodes->records[99].nodeid = 4711;
    assert_int_equal(memory_attach(memory.header->memory_fd, &again, NULL), 0);
    assert_int_equal(again.header->memory_fd, memory.header->memory_fd);
    assert_int_equal(again.inodes->records[99].nodeid, 4711);
    again.inodes->records[98].nodeid = 1;
    assert_int_equal(memory.inodes->records[98].nodeid, 1);
    fd_close(memory.header->memory_fd);
}

/* As another version would have it, whose structs are shorter, or longer. */
static void test_structs_that_have_grown(void **state)
{
    struct memory memory, moved;
    assert_int_equal(memory_create(100, &memory, NULL), 0);
    struct memory_span *records = &memory.header->parts[MEMORY_RECORDS];
    char *bytes = (char *)memory.inodes->records;
    memory.inodes->n_records_used = 2;
    records->n_bytes -= 8;
    ((struct inode *)(void *)bytes)->nodeid = 1;
    ((struct inode *)(void *)(bytes + records->n_bytes))->nodeid = 2;
    assert_int_equal(memory_attach(memory.header->memory_fd, &moved, NULL), 0);
    assert_int_equal(moved.inodes->records[0].nodeid, 1);
    assert_int_equal(moved.inodes->records[1].nodeid, 2);
    assert_int_equal(moved.header->parts[MEMORY_RECORDS].n_bytes, sizeof(struct inode));
    fd_close(moved.header->memory_fd);
}

static void check_refused(int fd, const char *why)
{
    g_autoptr(GError) error = NULL;
    struct memory memory;
    assert_int_equal(memory_check(fd, &error), -EPROTO);
    assert_non_null(strstr(error->message, why));
    assert_int_equal(memory_attach(fd, &memory, NULL), -EPROTO);
}

static void test_what_it_cannot_read_is_refused(void **state)
{
    struct memory memory;
    assert_int_equal(memory_create(100, &memory, NULL), 0);
    memory.header->layout = MEMORY_LAYOUT + 1;
    check_refused(memory.header->memory_fd, "unmount the view and mount it again");
    memory.header->layout = MEMORY_LAYOUT;
    memory.header->parts[MEMORY_BUFFERS].offset = UINT64_MAX - 4096; /* beyond its end */
    check_refused(memory.header->memory_fd, "memory layout");
    fd_close(memory.header->memory_fd);
    auto_fd int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    check_refused(other, "holds no view's memory");
    auto_fd int broken = recorded("memory-layout-1");
    assert_int_equal(ftruncate(broken, 67735552), 0);
    check_refused(broken, "memory layout 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_1_is_moved),
        cmocka_unit_test(test_requests_in_flight_are_moved),
        cmocka_unit_test(test_its_own_is_mapped_where_it_is),
        cmocka_unit_test(test_structs_that_have_grown),
        cmocka_unit_test(test_what_it_cannot_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
