/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A second pair of hands: a thread that takes a share of a loop while its caller works on the rest.
 *
 * For work that is made of many system calls while the processor next door would idle, such as that of the client who
 * waits for the answer. The thread is made when it is first of use, and sleeps while there is nothing to share.
 */
struct helper;

/* *ret_helper is NULL where there is one processor: then nothing is shared. 0 or -ENOMEM. */
int helper_new(struct helper **ret_helper);
void helper_free(struct helper *helper);

/*
 * Calls fn(data, i) once for each i below n, in any order, and returns when all calls have. Any thread may share at any
 * time; there is one helper, so whoever finds it taken does all by itself.
 */
void helper_share(struct helper *helper, unsigned n, void (*fn)(void *data, unsigned i), void *data);
