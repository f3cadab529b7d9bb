/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The ioctls of inodes that a view passes on: flags (lsattr, chattr), project ids, generation numbers, labels. All
 * others are answered with -ENOTTY, as by a file system that does not know them.
 */
#define IOCTL_VALUE_MAX_BYTES 256

/* 0 with the size of the value and whether the ioctl changes the inode; -ENOTTY for one that is not passed on. */
int ioctl_of_inode(unsigned command, size_t *ret_n_bytes, bool *ret_changes);

/* The commands that are passed on, by number from 0; 0 behind the last. */
unsigned ioctl_at(size_t index);

/* Runs it on fd with a value of IOCTL_VALUE_MAX_BYTES, in and out. The result of the ioctl, or -errno. */
int ioctl_run(int fd, unsigned command, void *value);
