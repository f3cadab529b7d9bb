/* SPDX-License-Identifier: Apache-2.0 */
/* Id maps: what parses, prints to itself and maps both ways without loss. */
#include "core/id_map.h"
#include "fuzz.h"

#include <string.h>

static void check_id(const struct id_map *map, uint32_t id)
{
    uint32_t disk_id;
    if (id_map_to_disk(map, id, &disk_id) == 0)
        FUZZ_CHECK(id_map_to_view(map, disk_id) == id);
    uint32_t view_id = id_map_to_view(map, id);
    if (view_id != ID_MAP_OVERFLOW)
        FUZZ_CHECK(id_map_to_disk(map, view_id, &disk_id) == 0 && disk_id == id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(id_map) map = NULL;
    g_autoptr(GError) error = NULL;
    int r = id_map_parse(text, &map, &error);
    FUZZ_CHECK((r == 0) == (map != NULL) && (r == 0) == (error == NULL));
    if (r < 0)
        return 0;
    g_autofree char *printed = id_map_to_string(map);
    g_autoptr(id_map) again = NULL;
    FUZZ_CHECK(id_map_parse(printed, &again, NULL) == 0);
    g_autofree char *twice = id_map_to_string(again);
    FUZZ_CHECK(strcmp(printed, twice) == 0);
    g_auto(GStrv) fields = g_strsplit(printed, ":", -1);
    for (size_t i = 0; fields[i]; i++) {
        uint32_t edge = (uint32_t)g_ascii_strtoull(fields[i], NULL, 10);
        check_id(map, edge - 1);
        check_id(map, edge);
        check_id(map, edge + 1);
    }
    return 0;
}
