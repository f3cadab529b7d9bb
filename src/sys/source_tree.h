/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A private clone of the mounts at a directory, attached nowhere (open_tree(OPEN_TREE_CLONE | AT_RECURSIVE)): what is
 * mounted on the directory later does not show in it, ".." ends at its root, and it follows no links and opens no
 * device nodes. A read-only clone keeps no times of access either. Where cloning is not permitted, the directory
 * itself. Returns a descriptor of its root that is not O_PATH, so that file handles can be opened by it. The clone
 * lasts as long as *ret_tree_fd (-1 where there is none); both are the caller's.
 */
int source_tree_open_read_only(const char *path, int *ret_tree_fd);

/* To be written to as well, of an absolute path, none of whose components may be a link: -ELOOP. */
int source_tree_open_nofollow(const char *path, int *ret_tree_fd);
