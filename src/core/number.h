/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Reads the length bytes at text as a decimal number: digits only, no sign, no space, no prefix. 0 with *ret_number,
 * -EINVAL if it is anything else (nothing at all included), -ERANGE if the number is greater than max. Pure.
 */
int number_parse(const char *text, size_t length, uint64_t max, uint64_t *ret_number);
