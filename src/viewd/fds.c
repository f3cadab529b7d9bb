/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker notes a descriptor in the memory after it has opened it, and takes the note back before it closes it. So
 * what a dead one leaves open without a note is closed here, and a note never stands for another's descriptor.
 */
#include "viewd/fds.h"

#include "base/fd.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

/* NULL when /proc/self/fd cannot be read. */
static GArray *list_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return NULL;
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(dir))
            g_array_append_val(fds, fd);
    }
    closedir(dir);
    return fds;
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Appends what the memory names. It is the worker's to write: nothing but numbers is taken from it, within bounds. */
static void append_noted(const struct memory *memory, GArray *fds)
{
    const struct memory_header *header = memory->header;
    const int watch_fds[] = {header->watch.group_fd, header->watch.queue_fd[0], header->watch.queue_fd[1],
                             atomic_load(&header->watch.echo.tree_fd)};
    g_array_append_vals(fds, header->kept_fds, MIN(header->n_kept_fds, MEMORY_MAX_KEPT_FDS));
    g_array_append_vals(fds, watch_fds, G_N_ELEMENTS(watch_fds));
    uint32_t n_mounts = MIN(atomic_load(&memory->source->n_mounts), SOURCE_MAX_MOUNTS);
    for (uint32_t i = 0; i < n_mounts; i++)
        g_array_append_val(fds, memory->source->mounts[i].fd);
    uint32_t n_records = MIN(atomic_load(&memory->inodes->n_records_used), memory->n_inodes_max);
    for (uint32_t i = 0; i < n_records; i++) {
        const struct inode *inode = &memory->inodes->records[i];
        if (inode->nodeid != 0 && inode->fd >= 0)
            g_array_append_val(fds, inode->fd);
    }
}

static GArray *noted_fds(const struct memory *memory)
{
    GArray *noted = g_array_new(FALSE, FALSE, sizeof(int));
    append_noted(memory, noted);
    g_array_sort(noted, compare);
    return noted;
}

static bool has(const GArray *sorted, int fd)
{
    return bsearch(&fd, sorted->data, sorted->len, sizeof(int), compare);
}

GArray *fds_unnoted(const struct memory *memory)
{
    GArray *open_now = list_open();
    if (!open_now)
        return NULL;
    g_autoptr(GArray) noted = noted_fds(memory);
    for (guint i = open_now->len; i > 0; i--) {
        if (has(noted, g_array_index(open_now, int, i - 1)))
            g_array_remove_index_fast(open_now, i - 1);
    }
    return open_now;
}

void fds_keep_over_exec(const struct memory *memory, const int *more, unsigned n_more, bool keep)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    append_noted(memory, fds);
    g_array_append_vals(fds, more, n_more);
    for (guint i = 0; i < fds->len; i++) {
        if (g_array_index(fds, int, i) >= 0)
            fcntl(g_array_index(fds, int, i), F_SETFD, keep ? 0 : FD_CLOEXEC);
    }
}

void fds_close_unnoted(const struct memory *memory, GArray *own)
{
    g_autoptr(GArray) open_now = list_open();
    if (!open_now) {
        log_warning("cannot see the open descriptors in /proc/self/fd: those of the server that ended stay open");
        return;
    }
    g_autoptr(GArray) noted = noted_fds(memory);
    g_array_sort(own, compare);
    for (guint i = 0; i < open_now->len; i++) {
        int fd = g_array_index(open_now, int, i);
        if (!has(noted, fd) && !has(own, fd))
            fd_close(fd);
    }
}
