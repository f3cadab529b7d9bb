/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "inode/inode_table.h"

#include <stdint.h>

/*
 * Opened directories between one READDIR and the next. The kernel sends no OPENDIR, so a listing is known by its
 * directory and the offset that it has come to: a stream that stands there is taken up again; otherwise the directory
 * is opened and set to the offset, which file systems keep stable. Safe in any thread.
 */
struct dir_streams;

int dir_streams_new(struct inode_table *inodes, struct dir_streams **ret_streams);
void dir_streams_free(struct dir_streams *streams);

/* A descriptor of the directory that stands at offset. It is the caller's until it gives it back. Returns an fd. */
int dir_streams_take(struct dir_streams *streams, struct inode *dir, int64_t offset);

/* Gives a descriptor back that stands at offset now; closes it when nothing more is to be read (at_end). */
void dir_streams_give(struct dir_streams *streams, const struct inode *dir, int64_t offset, int fd, bool at_end);
