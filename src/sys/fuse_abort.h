/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Aborts the FUSE connection of the mount at path: whoever waits in it, or uses it later, gets an error. Works whatever
 * the server does, and needs no fusectl. The mount may be gone afterwards, or still be there, dead. 0, or -EINVAL where
 * nothing is mounted.
 */
int fuse_abort(const char *path);
