/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tries whether the kernel passes data through to files of the tree behind root_fd, on the connection dev_fd: with one
 * regular file of its top directory, or, if there is none, with one in memory (which tells of privileges, not of the
 * file system). Changes nothing. 0, or the negative errno that data of clients would have met.
 */
int passthrough_check(int dev_fd, int root_fd);
