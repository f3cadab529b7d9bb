/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sys/handle.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A fanotify group that reports changes of marked directories (and of what is directly in them) and of marked files, by
 * file handle and name. A mark keeps its inode in the kernel's memory until it is removed or the inode is deleted.
 */

/*
 * Makes a group, non-blocking. With a bounded queue (fs.fanotify.max_queued_events) events may be lost, and are
 * reported as such; an unbounded one loses none but when memory runs out. Returns an fd; -EPERM without CAP_SYS_ADMIN
 * in the initial user namespace, -EINVAL before Linux 5.17, -ENOSYS where the kernel has no fanotify.
 */
int fanotify_group_open(bool bounded_queue);

/*
 * Marks the inode behind fd (O_PATH is enough). A directory: its entries, and attributes and data of it and of what is
 * in it. Anything else: its attributes and data. -EOPNOTSUPP or -ENODEV when its file system can't be watched.
 */
int fanotify_group_mark(int group_fd, int fd, bool is_dir);
int fanotify_group_unmark(int group_fd, int fd, bool is_dir);

/*
 * Stops, and begins again, to report data changes of a file that is in a marked directory. This one does not keep the
 * inode in memory: if the kernel drops it, changes are reported again.
 */
int fanotify_group_ignore_data(int group_fd, int fd, bool ignored);

/*
 * Whether all changes on the file system of fd are made by this kernel. Those that another machine makes raise no
 * events: network and cluster file systems, and what another FUSE server serves.
 */
bool fanotify_sees_all(int fd);

enum fanotify_what {
    FANOTIFY_CAME = 1 << 0,       /* `name` in `dir` was made, or moved there */
    FANOTIFY_GONE = 1 << 1,       /* `name` in `dir` was removed, or moved away */
    FANOTIFY_MOVED = 1 << 2,      /* one of these two was by a rename */
    FANOTIFY_ATTRIBUTES = 1 << 3, /* of `object` */
    FANOTIFY_DATA = 1 << 4,       /* of `object`, and its size */
    FANOTIFY_IS_DIR = 1 << 5,     /* `object` is a directory */
    FANOTIFY_LOST = 1 << 6,       /* the queue overflowed: anything may have changed */
};

struct fanotify_change {
    unsigned what;        /* enum fanotify_what */
    pid_t pid;            /* process that made the change, in the reader's pid namespace; 0: not visible there */
    struct handle dir;    /* n_bytes 0: not told */
    struct handle object; /* what was changed, created, moved or removed; n_bytes 0: not told */
    const char *name;     /* in the buffer that was read into; "" if not told */
};

#define FANOTIFY_BUFFER_BYTES 65536

/* Reads what there is into a buffer of that size, aligned to 8 bytes. Bytes read, 0 if there is nothing, -errno. */
ssize_t fanotify_group_read(int group_fd, void *buffer);

/* The change at *at, which moves on. False at the end. */
bool fanotify_next_change(const void *buffer, size_t n_bytes, size_t *at, struct fanotify_change *ret_change);
