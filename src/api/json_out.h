/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Writes compact JSON straight into text: a listing of ten thousand rows is not built as a tree first. The caller keeps
 * the structure (a key in an object, none in an array); commas and escapes are looked after. Keys are plain names that
 * need no escape.
 */
struct json_out {
    GString *text;
    bool needs_comma;
    int64_t last_time; /* what last_time_text says: rows made together have the same times */
    char last_time_text[24];
};

void json_out_init(struct json_out *out);
void json_out_clear(struct json_out *out);

typedef struct json_out json_out;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(json_out, json_out_clear)

/* key is NULL in an array and for the outermost value. */
void json_begin_object(struct json_out *out, const char *key);
void json_end_object(struct json_out *out);
void json_begin_array(struct json_out *out, const char *key);
void json_end_array(struct json_out *out);
void json_string(struct json_out *out, const char *key, const char *value);          /* NULL becomes null */
void json_strings(struct json_out *out, const char *key, const char *const *values); /* an array; NULL: an empty one */
void json_int(struct json_out *out, const char *key, int64_t value);
void json_uint(struct json_out *out, const char *key, uint64_t value);
void json_id(struct json_out *out, const char *key, int64_t value); /* a number, or null unless it is > 0 */
void json_bool(struct json_out *out, const char *key, bool value);
void json_null(struct json_out *out, const char *key);
void json_time(struct json_out *out, const char *key, int64_t seconds); /* RFC 3339 in UTC */
void json_raw(struct json_out *out, const char *key, const char *json);
