/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

#include "base/json.h"

/*
 * Writing one JSON object member by member, for requests. What has no value is left out, so that the defaults of the
 * service are the only ones. Ownership: json_object_end() or json_object_clear() ends the life of what
 * json_object_begin() made.
 */
struct json_object {
    GString *text;
    const char *not_utf8; /* the first member whose text can't be sent in JSON, or NULL */
};

struct json_object json_object_begin(void);

void json_object_add_string(struct json_object *object, const char *name, const char *value); /* not for NULL */
void json_object_add_int(struct json_object *object, const char *name, gint64 value);
void json_object_add_true(struct json_object *object, const char *name, gboolean value); /* not for FALSE */
void json_object_add_strings(struct json_object *object, const char *name, const char *const *values, gsize n_values);

/* An array of objects: open it, begin and end each of its objects, close it. */
void json_object_open_array(struct json_object *object, const char *name);
void json_object_begin_item(struct json_object *object);
void json_object_end_item(struct json_object *object);
void json_object_close_array(struct json_object *object);

/* The text, owned by the caller; -EILSEQ (naming the member, nothing left to free) if some text was not UTF-8. */
int json_object_end(struct json_object *object, char **ret_text, GError **error);
void json_object_clear(struct json_object *object);
