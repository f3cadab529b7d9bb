/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/*
 * Operations on the inode behind a descriptor, which may be an O_PATH one (also of a symbolic link or a FIFO): what the
 * plain f*() calls refuse there. Never follow a link, never go by a path of the file system served.
 *
 * Every function returns 0 (or a size where it says so) or a negative errno, and is safe in any thread.
 */

/*
 * Prepares the way through /proc/self/fd that some of these need; they call it themselves while there is a /proc.
 * -errno with /proc missing. inode_fd_finish() closes what it has opened.
 */
int inode_fd_init(void);
void inode_fd_finish(void);

/*
 * For a process about to lose its root directory: takes hold of its own /proc/self/fd and nothing else of /proc, and,
 * once the root has changed, makes that the working directory. Before threads; each process does it for itself, since
 * what a parent took hold of are the parent's descriptors. -errno.
 */
int inode_fd_pin(void);
int inode_fd_enter(void);

/* Opens the inode behind fd anew with flags (O_RDWR, O_DIRECT…; O_NOFOLLOW and O_CREAT make no sense). Returns an fd.
 */
int inode_fd_reopen(int fd, int flags);

/*
 * The path that the kernel gives the inode behind fd now, from the root of its mount or of the process, whichever is
 * met first; terminated. What is meant for comparing with another such path. -ENAMETOOLONG if it does not fit.
 */
int inode_fd_path(int fd, char *buffer, size_t size_bytes);

/* statx with the basic fields and the birth time and mount id where there are any. */
int inode_fd_statx(int fd, struct statx *ret_stx);
/* The same of name in the directory dir_fd, not following a link. */
int inode_fd_statx_at(int dir_fd, const char *name, struct statx *ret_stx);
void statx_to_stat(const struct statx *stx, struct stat *ret_st);

int inode_fd_chmod(int fd, mode_t mode);
int inode_fd_chown(int fd, uid_t uid, gid_t gid); /* (uid_t)-1 and (gid_t)-1 leave as is */
int inode_fd_utimens(int fd, const struct timespec times[2]);
int inode_fd_truncate(int fd, off_t size_bytes);

/* Gives the inode another name; needs CAP_DAC_READ_SEARCH, or a readable /proc. */
int inode_fd_link(int fd, int dir_fd, const char *name);

/* The target of the link behind fd into buffer, terminated; -ENAMETOOLONG if it does not fit. Returns its length. */
int inode_fd_readlink(int fd, char *buffer, size_t size_bytes);

/* As getxattr(2) and friends. get and list return the size of the value; size_bytes 0 asks for it only. */
ssize_t inode_fd_getxattr(int fd, const char *name, void *value, size_t size_bytes);
ssize_t inode_fd_listxattr(int fd, char *list, size_t size_bytes);
/* The same of a name in a directory, not following a link. -EOPNOTSUPP where that takes a descriptor (before
 * Linux 6.13). */
ssize_t inode_fd_listxattr_at(int dir_fd, const char *name, char *list, size_t size_bytes);
int inode_fd_setxattr(int fd, const char *name, const void *value, size_t size_bytes, int flags);
int inode_fd_removexattr(int fd, const char *name);

/* Adds or removes a fanotify mark on the inode (fanotify_mark(2)). */
int inode_fd_mark(int group_fd, unsigned flags, uint64_t mask, int fd, bool is_dir);
