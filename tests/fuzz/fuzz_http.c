/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP answer: what is accepted has a status and a length that make sense. */
#include "client/http.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int status = -1;
    gint64 length = -2;
    gsize head = http_head_length((const char *)data, size);
    FUZZ_CHECK(head <= size);
    if (head == 0 || http_parse_head((const char *)data, head, &status, &length) < 0)
        return 0;
    FUZZ_CHECK(status >= 100 && status <= 599 && length >= -1);
    return 0;
}
