/* SPDX-License-Identifier: Apache-2.0 */
/* A comma stands before a member or item unless an opening bracket does: the last byte written is all the state. */
#include "base/json_object.h"

#include <errno.h>

#include "base/error.h"

struct json_object json_object_begin(void)
{
    return (struct json_object){.text = g_string_new("{")};
}

static void separate(struct json_object *object)
{
    char last = object->text->str[object->text->len - 1];
    if (last != '{' && last != '[')
        g_string_append_c(object->text, ',');
}

static void add_name(struct json_object *object, const char *name)
{
    separate(object);
    json_append_string(object->text, name);
    g_string_append_c(object->text, ':');
}

static void append_text(struct json_object *object, const char *name, const char *value)
{
    if (g_utf8_validate(value, -1, NULL))
        json_append_string(object->text, value);
    else if (!object->not_utf8)
        object->not_utf8 = name;
}

void json_object_add_string(struct json_object *object, const char *name, const char *value)
{
    if (!value)
        return;
    add_name(object, name);
    append_text(object, name, value);
}

void json_object_add_int(struct json_object *object, const char *name, gint64 value)
{
    add_name(object, name);
    g_string_append_printf(object->text, "%" G_GINT64_FORMAT, value);
}

void json_object_add_true(struct json_object *object, const char *name, gboolean value)
{
    if (!value)
        return;
    add_name(object, name);
    g_string_append(object->text, "true");
}

void json_object_add_strings(struct json_object *object, const char *name, const char *const *values, gsize n_values)
{
    json_object_open_array(object, name);
    for (gsize i = 0; i < n_values; i++) {
        separate(object);
        append_text(object, name, values[i]);
    }
    json_object_close_array(object);
}

void json_object_open_array(struct json_object *object, const char *name)
{
    add_name(object, name);
    g_string_append_c(object->text, '[');
}

void json_object_begin_item(struct json_object *object)
{
    separate(object);
    g_string_append_c(object->text, '{');
}

void json_object_end_item(struct json_object *object)
{
    g_string_append_c(object->text, '}');
}

void json_object_close_array(struct json_object *object)
{
    g_string_append_c(object->text, ']');
}

int json_object_end(struct json_object *object, char **ret_text, GError **error)
{
    if (object->not_utf8) {
        int r = gidfs_error(error, EILSEQ, "the %s is not UTF-8, which is all that JSON can carry", object->not_utf8);
        json_object_clear(object);
        return r;
    }
    g_string_append_c(object->text, '}');
    *ret_text = g_string_free(g_steal_pointer(&object->text), FALSE);
    return 0;
}

void json_object_clear(struct json_object *object)
{
    if (object->text)
        g_string_free(g_steal_pointer(&object->text), TRUE);
}
