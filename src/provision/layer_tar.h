/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "provision/progress.h"

/*
 * Unpacks an OCI or docker image layer (a tar: plain, gzip, bzip2, xz or zstd) into dir_fd, an empty directory of our
 * own. Whiteouts stay as they are, for the merge to read. The tar is not trusted:
 *
 *  - every name is resolved beneath dir_fd, without following any link: a leading "/" is dropped, ".." is an error
 *    (-EINVAL), a link in the way too (-ELOOP);
 *  - a hard link may only be to what this tar has put there;
 *  - marks that are no whiteouts (".wh...") and xattrs that would steer the merge are left out.
 *
 * Devices are made as devices: mount what comes out nodev. On failure what was unpacked stays: the caller removes it.
 */
int layer_tar_unpack(const char *path, int dir_fd, provision_progress_fn progress, void *data, GError **error);
