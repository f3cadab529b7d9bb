/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is read and written again reads the same. */
#include "base/json.h"
#include "fuzz.h"

#include <string.h>

static GString *write_all(const json_doc *doc)
{
    GString *out = g_string_new(NULL);
    json_doc_write(doc, 0, out);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(json_doc) doc = NULL;
    g_autoptr(json_doc) again = NULL;
    if (json_doc_parse((const char *)data, size, &doc, NULL) < 0)
        return 0;
    g_autoptr(GString) first = write_all(doc);
    FUZZ_CHECK(json_doc_parse(first->str, first->len, &again, NULL) == 0);
    g_autoptr(GString) second = write_all(again);
    FUZZ_CHECK(g_string_equal(first, second));
    FUZZ_CHECK(json_doc_count(doc, 0) == json_doc_count(again, 0));
    FUZZ_CHECK(json_doc_type(doc, json_doc_find(doc, "a.0.b")) == json_doc_type(again, json_doc_find(again, "a.0.b")));
    return 0;
}
