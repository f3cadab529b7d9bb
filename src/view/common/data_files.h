/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "inode/inode_table.h"

/*
 * Descriptors for reading and writing data by inode, opened when they are needed and kept for the next use.
 *
 * A file handle (fh) carries nothing but the flags of the open, so that it means the same to a successor worker: the
 * data of an inode is reached by opening it anew. Where the kernel passes data through, this serves the rest: fsync,
 * fallocate, lseek, ioctl. Safe in any thread.
 */
struct data_files;

int data_files_new(struct inode_table *inodes, struct data_files **ret_files);
void data_files_free(struct data_files *files);

struct data_file {
    int fd;
    unsigned slot; /* UINT_MAX: not kept */
};

/* A descriptor of the inode, opened with flags (O_RDONLY, O_WRONLY or O_RDWR; O_DIRECT). Give it back with put(). */
int data_files_get(struct data_files *files, struct inode *inode, int flags, struct data_file *ret_file);
void data_files_put(struct data_files *files, struct data_file *file);

/* Forgets what is kept of an inode: at its last release, and when its data is another file's from now on. */
void data_files_drop(struct data_files *files, const struct inode *inode);
