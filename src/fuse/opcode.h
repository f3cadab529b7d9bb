/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* The name of a request's opcode as the protocol has it ("LOOKUP"), NULL for one that is not known. Static. */
const char *opcode_name(uint32_t opcode);
