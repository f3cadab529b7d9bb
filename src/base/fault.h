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

/*
 * An order in memory that other processes share: n_times times, whichever of them comes to the point sends itself the
 * signal there.
 */
struct fault_order {
    char name[60];
    int signal;
    unsigned n_times; /* written last, atomically */
};

/* From now on this process, and those that it forks, obey the order too. NULL: none. */
void fault_obey(struct fault_order *order);
void fault_give_order(struct fault_order *order, const char *name, int signal, unsigned n_times);

void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)

#else
#define FAULT_POINT(name) ((void)0)
#endif
