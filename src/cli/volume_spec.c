/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/volume_spec.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

void volume_spec_clear(struct volume_spec *spec)
{
    g_free(spec->name);
    g_free(spec->source);
    g_free(spec->target);
    g_free(spec->propagation);
    *spec = (struct volume_spec){0};
}

/* The words behind the target. Which propagations there are is for the service to say. */
static int read_words(const char *words, struct volume_spec *spec, const char *text, GError **error)
{
    if (!*words)
        return gidfs_error(error, EINVAL, "volume \"%s\" ends in a colon", text);
    g_auto(GStrv) list = g_strsplit(words, ",", -1);
    for (char **word = list; *word; word++) {
        if (strcmp(*word, "ro") == 0) {
            spec->read_only = TRUE;
        } else if (strcmp(*word, "rw") == 0) {
            spec->read_only = FALSE;
        } else if (**word && !spec->propagation) {
            spec->propagation = g_strdup(*word);
        } else {
            return gidfs_error(error, EINVAL, "\"%s\" in volume \"%s\" is none of ro, rw and one word of propagation",
                               *word, text);
        }
    }
    return 0;
}

static int parse(const char *text, struct volume_spec *spec, GError **error)
{
    g_autofree char *rest = g_strdup(text);
    char *colon = strrchr(rest, ':');
    if (colon && colon[1] != '/') {
        int r = read_words(colon + 1, spec, text, error);
        if (r < 0)
            return r;
        *colon = '\0';
        colon = strrchr(rest, ':');
    }
    if (!colon || colon == rest || colon[1] != '/')
        return gidfs_error(error, EINVAL, "volume \"%s\" is not NAME:TARGET or SOURCE:TARGET with an absolute target",
                           text);
    *colon = '\0';
    spec->target = g_strdup(colon + 1);
    if (strchr(rest, '/'))
        spec->source = g_strdup(rest);
    else
        spec->name = g_strdup(rest);
    return 0;
}

int volume_spec_parse(const char *text, struct volume_spec *ret_spec, GError **error)
{
    struct volume_spec spec = {0};
    int r = parse(text, &spec, error);
    if (r < 0)
        volume_spec_clear(&spec);
    else
        *ret_spec = spec;
    return r;
}
