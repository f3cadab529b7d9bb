/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where one program of gidfs finds another, like "gidfs-nsmount": what the environment says (GIDFS_NSMOUNT_PROGRAM), or
 * the place near this program, or the place where it was configured to be. The caller frees it. There is always an
 * answer; whether the program is there shows when it is run.
 */
char *program_path(const char *name);

/*
 * Near a program that lies in dir: beside it (a build directory), or in another folder of the same tree, so that an
 * installation works wherever it was put. NULL where there is none; the caller frees it.
 */
char *program_path_near(const char *dir, const char *name);
