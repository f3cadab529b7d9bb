/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_out.h"

#include <string.h>
#include <time.h>

void json_out_init(struct json_out *out)
{
    out->text = g_string_sized_new(512);
    out->needs_comma = false;
    out->last_time = -1;
}

void json_out_clear(struct json_out *out)
{
    if (out->text)
        g_string_free(out->text, TRUE);
    out->text = NULL;
}

/* The length of the UTF-8 sequence at at, which ends before end; 0 if it is none. */
static size_t sequence_length(const char *at, const char *end)
{
    gunichar c = g_utf8_get_char_validated(at, end - at);
    return c == (gunichar)-1 || c == (gunichar)-2 ? 0 : (size_t)(g_utf8_next_char(at) - at);
}

static void append_escaped(GString *text, unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        g_string_append_c(text, '\\');
        g_string_append_c(text, (char)c);
        break;
    case '\n':
        g_string_append(text, "\\n");
        break;
    case '\t':
        g_string_append(text, "\\t");
        break;
    default:
        g_string_append_printf(text, "\\u%04x", c);
    }
}

/* Bytes that are no UTF-8 (paths on disk may hold any) are shown as U+FFFD: the answer must be JSON whatever happens.
 */
static void append_quoted(GString *text, const char *value)
{
    const char *at = value, *end = value + strlen(value), *plain = value;

    g_string_append_c(text, '"');
    while (at < end) {
        unsigned char c = (unsigned char)*at;
        size_t length = c < 0x80 ? 1 : sequence_length(at, end);
        if (length > 1 || (length == 1 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)) {
            at += length;
            continue;
        }
        g_string_append_len(text, plain, at - plain);
        if (length == 0)
            g_string_append(text, "\xef\xbf\xbd");
        else
            append_escaped(text, c);
        plain = ++at;
    }
    g_string_append_len(text, plain, at - plain);
    g_string_append_c(text, '"');
}

static void begin_value(struct json_out *out, const char *key)
{
    if (out->needs_comma)
        g_string_append_c(out->text, ',');
    out->needs_comma = true;
    if (key) {
        g_string_append_c(out->text, '"');
        g_string_append(out->text, key);
        g_string_append_len(out->text, "\":", 2);
    }
}

static void begin_nested(struct json_out *out, const char *key, char bracket)
{
    begin_value(out, key);
    g_string_append_c(out->text, bracket);
    out->needs_comma = false;
}

static void end_nested(struct json_out *out, char bracket)
{
    g_string_append_c(out->text, bracket);
    out->needs_comma = true;
}

void json_begin_object(struct json_out *out, const char *key)
{
    begin_nested(out, key, '{');
}

void json_end_object(struct json_out *out)
{
    end_nested(out, '}');
}

void json_begin_array(struct json_out *out, const char *key)
{
    begin_nested(out, key, '[');
}

void json_end_array(struct json_out *out)
{
    end_nested(out, ']');
}

void json_string(struct json_out *out, const char *key, const char *value)
{
    begin_value(out, key);
    if (value)
        append_quoted(out->text, value);
    else
        g_string_append(out->text, "null");
}

void json_strings(struct json_out *out, const char *key, const char *const *values)
{
    json_begin_array(out, key);
    for (; values && *values; values++)
        json_string(out, NULL, *values);
    json_end_array(out);
}

void json_int(struct json_out *out, const char *key, int64_t value)
{
    if (value >= 0) {
        json_uint(out, key, (uint64_t)value);
        return;
    }
    begin_value(out, key);
    g_string_append_printf(out->text, "%" G_GINT64_FORMAT, value);
}

void json_uint(struct json_out *out, const char *key, uint64_t value)
{
    char digits[20], *at = digits + sizeof(digits);

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    begin_value(out, key);
    g_string_append_len(out->text, at, digits + sizeof(digits) - at);
}

void json_id(struct json_out *out, const char *key, int64_t value)
{
    if (value > 0)
        json_int(out, key, value);
    else
        json_null(out, key);
}

void json_bool(struct json_out *out, const char *key, bool value)
{
    begin_value(out, key);
    g_string_append(out->text, value ? "true" : "false");
}

void json_null(struct json_out *out, const char *key)
{
    json_string(out, key, NULL);
}

void json_time(struct json_out *out, const char *key, int64_t seconds)
{
    time_t time = (time_t)seconds;
    char *text = out->last_time_text;
    struct tm tm;

    if (seconds < 0 ||
        (seconds != out->last_time &&
         (!gmtime_r(&time, &tm) || !strftime(text, sizeof(out->last_time_text), "%Y-%m-%dT%H:%M:%SZ", &tm)))) {
        out->last_time = -1;
        json_null(out, key);
        return;
    }
    out->last_time = seconds;
    json_string(out, key, text);
}

void json_raw(struct json_out *out, const char *key, const char *json)
{
    begin_value(out, key);
    g_string_append(out->text, json);
}
