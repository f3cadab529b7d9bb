/* SPDX-License-Identifier: Apache-2.0 */
#include "core/number.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

int number_parse(const char *text, size_t length, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    bool too_large = false;
    if (length == 0)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isdigit(text[i]))
            return -EINVAL;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (too_large || number > (UINT64_MAX - digit) / 10)
            too_large = true; /* read on: "9…9x" is no number rather than too large a one */
        else
            number = number * 10 + digit;
    }
    if (too_large || number > max)
        return -ERANGE;
    *ret_number = number;
    return 0;
}
