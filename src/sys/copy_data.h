/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Hears of n_bytes more copied; a negative errno ends the copy with it. May be NULL where it is asked for. */
typedef int (*copy_progress_fn)(uint64_t n_bytes, void *data);

/* Shares all data of from_fd with the regular file to_fd. -EOPNOTSUPP where the file system can't: nothing is done. */
int copy_data_by_sharing(int from_fd, int to_fd);

/*
 * Copies the data of the regular file from_fd (open for reading) into the empty regular file to_fd (open for writing):
 * by sharing its extents where the file system can (FICLONE), else range by range inside the kernel, else by reading
 * and writing. Holes stay holes. Moves the offset of from_fd, which must be the caller's alone.
 * A source that shrinks meanwhile gives a copy that is as long as what was there; no error.
 */
int copy_data(int from_fd, int to_fd, copy_progress_fn progress, void *data);
