/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fault points: places between two steps of an operation at which a test ends the process, as a kill or a power cut
 * would, to see what the next start makes of it. Compiled in with -DGIDFS_FAULTS; otherwise FAULT_POINT is nothing.
 *
 * GIDFS_FAULT=[PROGRAM/]NAME[:N] in the environment ends the process with _exit(137) the N-th time (default 1) that a
 * point of that name is reached. A NAME that ends in "*" counts every point that begins so: with N = 1, 2, 3, … a test
 * meets each step once. With a PROGRAM, others that inherit the environment go on. Thread-safe.
 */
#ifdef GIDFS_FAULTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif
