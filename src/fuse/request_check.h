/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/abi.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a request has the form of its opcode: the fixed part is whole, what it counts is there, strings end, and what
 * names an entry is one component of a path (for exported views, a lookup of "." or ".." too). The kernel sends no
 * other; libfuse takes the form for granted. n_bytes: of the whole request. 0, or -EINVAL. Opcodes
 * that are not known here are left to whoever answers them. Pure.
 */
int request_check(const struct fuse_in_header *header, size_t n_bytes, bool exported);

/* Whether the kernel awaits an answer to requests with this opcode. */
bool request_has_answer(uint32_t opcode);
