/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * Makes a copy of this process, as fork(2) does, that shares its table of descriptors. Nobody hears of the child's end
 * by a signal (waitpid() needs __WALL). The child is ended when the calling thread is. Returns 0 in the child, its pid
 * in the parent (and a descriptor for it in *ret_pidfd), or -errno. The child makes plain system calls only.
 */
int share_fds_fork(int *ret_pidfd);

/*
 * Makes room for n descriptors, or as many as may be, by help of any that is open. To be called while nobody shares the
 * table yet: a shared one that grows has to wait until no processor looks at the old one, 10 to 20 ms each time that it
 * doubles. Best effort.
 */
void share_fds_reserve(unsigned n, int any_fd);

/*
 * For such a child, whose parent was `parent`: after a change of ids, at which the kernel forgets that the child is to
 * end with its parent. Does not return if the parent has ended.
 */
void share_fds_end_with_parent(pid_t parent);
