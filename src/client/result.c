/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service answered: its text, and the document read from it, neither of which ever changes. The text is read
 * when it is first asked for a member: gidfs ls, with its megabytes, only wants the text.
 */
#include "client/client.h"

#include <errno.h>

struct gidfs_result {
    GString *text;
    json_doc *doc; /* once somebody has asked for a member */
};

int result_new(GString *text, gidfs_result **ret_result)
{
    if (text->len < 2 || text->str[0] != '{' || text->str[text->len - 1] != '}') {
        g_string_free(text, TRUE);
        return -EBADMSG;
    }
    gidfs_result *result = g_new(gidfs_result, 1);
    *result = (gidfs_result){.text = text};
    *ret_result = result;
    return 0;
}

void gidfs_result_free(gidfs_result *result)
{
    if (!result)
        return;
    g_string_free(result->text, TRUE);
    json_doc_free(result->doc);
    g_free(result);
}

const json_doc *result_doc(const gidfs_result *result)
{
    json_doc **place = (json_doc **)&result->doc; /* results are constant to callers, who may share them */
    if (g_once_init_enter(place)) {
        json_doc *doc = NULL;
        if (json_doc_parse(result->text->str, result->text->len, &doc, NULL) < 0)
            json_doc_parse("{}", 2, &doc, NULL);
        g_once_init_leave(place, doc);
    }
    return result->doc;
}

const char *gidfs_result_json(const gidfs_result *result)
{
    return result->text->str;
}

const char *gidfs_result_string(const gidfs_result *result, const char *path)
{
    return json_doc_string(result_doc(result), json_doc_find(result_doc(result), path));
}

int gidfs_result_number(const gidfs_result *result, const char *path, int64_t *ret_number)
{
    const json_doc *doc = result_doc(result);
    guint32 node = json_doc_find(doc, path);
    gint64 number = 0;
    int r = 0;
    switch (json_doc_type(doc, node)) {
    case JSON_DOC_ABSENT:
    case JSON_DOC_NULL:
        return -ENOENT;
    case JSON_DOC_BOOLEAN:
        number = json_doc_true(doc, node);
        break;
    default:
        r = json_doc_int64(doc, node, &number);
    }
    if (r < 0)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

size_t gidfs_result_length(const gidfs_result *result, const char *path)
{
    return json_doc_count(result_doc(result), json_doc_find(result_doc(result), path));
}

static uint32_t id_of(const json_doc *doc, guint32 node)
{
    gint64 number;
    return json_doc_int64(doc, node, &number) == 0 && number >= 0 && number < G_MAXUINT32 ? (uint32_t)number
                                                                                          : G_MAXUINT32;
}

size_t gidfs_result_gids(const gidfs_result *result, uint32_t *gids, size_t n_gids)
{
    const json_doc *doc = result_doc(result);
    guint32 array = json_doc_find(doc, "supplementary_gids");
    size_t n = 0;
    for (guint32 at = json_doc_first(doc, array); at != JSON_DOC_NONE; at = json_doc_next(doc, array, at), n++) {
        if (n < n_gids)
            gids[n] = id_of(doc, at);
    }
    return n;
}

int gidfs_result_mount(const gidfs_result *result, size_t index, struct gidfs_mount *ret_mount)
{
    const json_doc *doc = result_doc(result);
    guint32 array = json_doc_find(doc, "mounts");
    guint32 mount = json_doc_first(doc, array);
    while (mount != JSON_DOC_NONE && index-- > 0)
        mount = json_doc_next(doc, array, mount);
    if (mount == JSON_DOC_NONE)
        return -ENOENT;
    *ret_mount = (struct gidfs_mount){
        .volume = json_doc_string(doc, json_doc_member(doc, mount, "volume")),
        .source = json_doc_string(doc, json_doc_member(doc, mount, "source")),
        .target = json_doc_string(doc, json_doc_member(doc, mount, "target")),
        .propagation = json_doc_string(doc, json_doc_member(doc, mount, "propagation")),
        .gid = id_of(doc, json_doc_member(doc, mount, "gid")),
        .read_only = json_doc_true(doc, json_doc_member(doc, mount, "read_only")),
        .made = json_doc_true(doc, json_doc_member(doc, mount, "made")),
    };
    return 0;
}
