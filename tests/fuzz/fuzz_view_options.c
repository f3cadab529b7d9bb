/* SPDX-License-Identifier: Apache-2.0 */
/* Option strings of a view: what parses, prints to what parses and prints to the same. */
#include "core/view_options.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(view_options) options = NULL;
    g_autoptr(GError) error = NULL;
    int r = view_options_parse(text, &options, &error);
    FUZZ_CHECK((r == 0) == (options != NULL) && (r == 0) == (error == NULL));
    if (r < 0)
        return 0;
    FUZZ_CHECK(options->has_gid == (options->policy != MODE_POLICY_NONE));
    g_autofree char *printed = view_options_to_string(options);
    g_autoptr(view_options) again = NULL;
    FUZZ_CHECK(view_options_parse(printed, &again, NULL) == 0);
    g_autofree char *twice = view_options_to_string(again);
    FUZZ_CHECK(strcmp(printed, twice) == 0);
    return 0;
}
