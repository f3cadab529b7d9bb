/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer in a normal build: runs the target on every file of the directories that it is given, in the
 * order of their names. No input at all is a failure, so that a corpus cannot get lost unnoticed.
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

static gboolean run_file(const char *path)
{
    g_autofree char *text = NULL;
    gsize size;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &text, &size, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return FALSE;
    }
    /* A copy of just this size, so that a sanitizer sees a read behind its end; glib's has a NUL there. */
    g_autofree uint8_t *data = g_malloc(MAX(size, 1));
    memcpy(data, text, size);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout); /* names the culprit of a crash */
    LLVMFuzzerTestOneInput(data, size);
    return TRUE;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *list(const char *directory)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir)) != NULL;)
        g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
    g_ptr_array_sort(paths, compare_names);
    return paths;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        g_autoptr(GPtrArray) paths = list(argv[i]);
        if (paths->len == 0) {
            fprintf(stderr, "%s: no inputs there\n", argv[i]);
            return 1;
        }
        for (guint j = 0; j < paths->len; j++)
            if (!run_file(paths->pdata[j]))
                return 1;
    }
    return argc > 1 ? 0 : 2;
}
