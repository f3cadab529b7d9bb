/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: hard links of lower layers stay links when one of them is copied up (behaviours D5, D6).
 *
 * The copy lies in workdir/index, under the origin of the lower object as its name, and has a link at each name that
 * was copied up; names that are still below lead to it because a lower object with several links is looked for in the
 * index. How many links the view shows is the number that the copy itself has, plus what the xattr overlay.nlink says
 * ("U+1", "U-2"): all of it in the form of the kernel's overlayfs with index=on. Until its first name is linked, it is
 * the number that the lower object has ("L+0"), which a crash in between leaves right.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "sys/dirent.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VALUE_SIZE 16
#define READ_BYTES 32768

#define OF_UPPER   'U' /* what the number is relative to */
#define OF_LOWER   'L'

bool index_covers(const struct layers *layers, const struct statx *stx)
{
    return layers->index_fd >= 0 && !S_ISDIR(stx->stx_mode) && stx->stx_nlink > 1;
}

int index_open(const struct layers *layers, unsigned lower_layer, int lower_fd)
{
    char name[ORIGIN_NAME_SIZE];
    int r = origin_name(layers, lower_layer, lower_fd, name);
    if (r < 0)
        return -ENOENT;
    int fd = openat(layers->index_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_number(const struct layers *layers, int fd, char base, int difference)
{
    char value[VALUE_SIZE];
    int n = snprintf(value, sizeof(value), "%c%+d", base, difference);
    return inode_fd_setxattr(fd, overlay_xattr_name(layers->set->form, OVERLAY_XATTR_NLINK), value, (size_t)n, 0);
}

/* -ENODATA if there is none relative to that. */
static int read_number(const struct layers *layers, int fd, char base, int *ret_difference)
{
    char value[VALUE_SIZE] = {0};
    const char *name = overlay_xattr_name(layers->set->form, OVERLAY_XATTR_NLINK);
    ssize_t n = inode_fd_getxattr(fd, name, value, sizeof(value) - 1);
    if (n < 0)
        return (int)n;
    char *end;
    long difference = strtol(value + 1, &end, 10);
    if (value[0] != base || end == value + 1 || *end || labs(difference) > INT32_MAX)
        return -ENODATA;
    *ret_difference = (int)difference;
    return 0;
}

int index_add(struct layers *layers, unsigned lower_layer, int lower_fd, const char *temporary, int fd)
{
    char name[ORIGIN_NAME_SIZE];
    int r = origin_name(layers, lower_layer, lower_fd, name);
    if (r == 0)
        r = write_number(layers, fd, OF_LOWER, 0);
    if (r < 0)
        return r;
    FAULT_POINT("layers-index-add");
    return renameat2(layers->work_fd, temporary, layers->index_fd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int index_set_n_links(const struct layers *layers, int fd, uint32_t n_links)
{
    struct statx stx;
    int r = inode_fd_statx(fd, &stx);
    return r < 0 ? r : write_number(layers, fd, OF_UPPER, (int)((int64_t)n_links - stx.stx_nlink));
}

/* Counts the links of an entry which a crash has left at as many as the lower object has. */
static void settle(const struct layers *layers, const char *name)
{
    struct statx lower;
    int difference, r = 0;
    auto_fd int fd = openat(layers->index_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || read_number(layers, fd, OF_LOWER, &difference) < 0)
        return;
    auto_fd int lower_fd = origin_open(layers, fd, NULL);
    r = lower_fd < 0 ? lower_fd : inode_fd_statx(lower_fd, &lower);
    if (r == 0)
        r = index_set_n_links(layers, fd, (uint32_t)((int64_t)lower.stx_nlink + difference));
    if (r < 0)
        log_debug("the links of the index's %s can't be counted: %s", name, g_strerror(-r));
}

void index_recover(const struct layers *layers)
{
    g_autofree char *buffer = g_malloc(READ_BYTES);
    auto_fd int fd = layers->index_fd < 0 ? -1 : openat(layers->index_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = dirent_read(fd, buffer, READ_BYTES)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(buffer + at);
            at += record->record_size_bytes;
            if (record->name[0] != '.')
                settle(layers, record->name);
        }
}

uint32_t index_n_links(const struct layers *layers, int fd, uint32_t n_links)
{
    int difference;
    if (read_number(layers, fd, OF_UPPER, &difference) < 0 || (int64_t)n_links + difference < 1)
        return n_links;
    return (uint32_t)((int64_t)n_links + difference);
}

int index_count_less(struct layers *layers, int fd)
{
    int difference;
    int r = read_number(layers, fd, OF_UPPER, &difference);
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    return write_number(layers, fd, OF_UPPER, difference - 1);
}

void index_tidy(struct layers *layers, int fd)
{
    struct statx stx;
    int difference;
    char name[ORIGIN_NAME_SIZE];
    if (layers->index_fd < 0 || inode_fd_statx(fd, &stx) < 0 || read_number(layers, fd, OF_UPPER, &difference) < 0)
        return;
    if ((int64_t)stx.stx_nlink + difference <= 0 && origin_name_of_copy(layers, fd, name) == 0)
        unlinkat(layers->index_fd, name, 0);
}
