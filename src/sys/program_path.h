/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where one program of gidfs finds another, like "gidfs-nsmount": what the environment says (GIDFS_NSMOUNT_PROGRAM), or
 * the place beside this program (a build directory), or the place where it is installed. The caller frees it. There is
 * always an answer; whether the program is there shows when it is run.
 */
char *program_path(const char *name);
