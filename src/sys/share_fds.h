/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Makes a copy of this process, as fork(2) does, that shares its table of descriptors. Nobody hears of the child's end
 * by a signal (waitpid() needs __WALL). The child is ended when the calling thread is. Returns 0 in the child, its pid
 * in the parent (and a descriptor for it in *ret_pidfd), or -errno. The child makes plain system calls only.
 */
int share_fds_fork(int *ret_pidfd);
