/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sys/copy_data.h"
#include "sys/copy_meta.h"

/*
 * One object (a directory without what is in it) copied whole: data with its holes, owner, mode, times, xattrs, ACLs
 * (behaviour D5), but for marks of layers. What copy-up and flattening are made of.
 */
enum copy_flags {
    COPY_NO_DATA = 1, /* a regular file gets its size, and no data (a metacopy) */
    COPY_SYNC = 2,    /* a regular file's data is on the disk before this returns */
};

struct copy_job {
    int from_fd;           /* open for reading if a regular file or a directory; else O_PATH is enough */
    const struct stat *st; /* what the copy shall have; set-id bits are dropped where they must not be kept */
    unsigned flags;
    copy_progress_fn progress; /* of data; NULL for none */
    void *progress_data;
};

/*
 * Makes the copy as name in dir_fd, where no such entry may be (-EEXIST); what a failure leaves is removed again.
 * *ret_fd, unless ret_fd is NULL, is the copy: open for reading and writing if a regular file, else O_PATH.
 * To be atomic, do it under a passing name and rename it to where it belongs.
 */
int copy_object(const struct copy_job *job, int dir_fd, const char *name, int *ret_fd);

/*
 * The second half of it, for an object that exists: owner, mode, xattrs and times onto fd (O_PATH or open). For a
 * directory that is filled first: its times are those of job->st, and no ACL of it was inherited by what is in it.
 */
int copy_object_meta(const struct copy_job *job, int fd);
