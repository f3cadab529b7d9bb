/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges from a configuration: what parses, prints to what parses to the same set. */
#include "core/range_set.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(range_set) set = NULL;
    g_autoptr(GError) error = NULL;
    int r = range_set_parse(text, UINT32_MAX, &set, &error);
    FUZZ_CHECK((r == 0) == (set != NULL) && (r == 0) == (error == NULL));
    if (r < 0)
        return 0;
    g_autofree char *printed = range_set_to_string(set);
    g_autoptr(range_set) again = NULL;
    FUZZ_CHECK(range_set_parse(printed, UINT32_MAX, &again, NULL) == 0);
    FUZZ_CHECK(range_set_equal(set, again));
    FUZZ_CHECK(range_set_count(set) == range_set_count_below(set, UINT64_MAX));
    return 0;
}
