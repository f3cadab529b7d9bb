/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests come from anybody on the machine: nothing of them is trusted. json-glib's parser calls itself for each level
 * of nesting, so a body that nests deep is refused before it sees it. It also ends a string at a zero character, so a
 * path with one in it would name another file: refused as well.
 */
#include "api/request.h"

#include <errno.h>
#include <string.h>

#define NESTING_MAX 16

struct api_request *api_request_new(const char *method, const char *path)
{
    struct api_request *request = g_new0(struct api_request, 1);
    request->method = g_strdup(method);
    request->path = g_strdup(path);
    request->query = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    request->body = g_byte_array_new();
    request->status = 200;
    request->content_type = "application/json";
    json_out_init(&request->out);
    return request;
}

void api_request_free(struct api_request *request)
{
    if (!request)
        return;
    g_free(request->method);
    g_free(request->path);
    g_hash_table_unref(request->query);
    g_byte_array_unref(request->body);
    g_clear_pointer(&request->json, json_node_unref);
    json_out_clear(&request->out);
    g_free(request);
}

/* How deep arrays and objects nest, brackets in strings aside. */
static unsigned int nesting_of(const char *text, size_t size)
{
    unsigned int depth = 0, deepest = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = MAX(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return deepest;
}

/* A backslash escapes one character; outside of strings it is an error anyway. */
static bool has_zero_character(const char *text, size_t size)
{
    static const char zero[] = "u0000";

    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\\')
            continue;
        i++;
        if (size - i >= strlen(zero) && memcmp(text + i, zero, strlen(zero)) == 0)
            return true;
    }
    return false;
}

static bool is_blank(const GByteArray *body)
{
    for (guint i = 0; i < body->len; i++)
        if (!g_ascii_isspace(body->data[i]))
            return false;
    return true;
}

int api_request_parse(struct api_request *request, GError **error)
{
    const char *text = (const char *)request->body->data;
    size_t size = request->body->len;
    g_autoptr(GError) problem = NULL;

    if (is_blank(request->body)) {
        request->json = json_node_init_object(json_node_alloc(), json_object_new());
        json_object_unref(json_node_get_object(request->json));
        return 0;
    }
    if (!g_utf8_validate(text, (gssize)size, NULL))
        return refuse(error, REFUSAL_BAD_REQUEST, "body: not UTF-8");
    if (nesting_of(text, size) > NESTING_MAX)
        return refuse(error, REFUSAL_BAD_REQUEST, "body: nested deeper than %d levels", NESTING_MAX);
    if (has_zero_character(text, size))
        return refuse(error, REFUSAL_BAD_REQUEST, "body: \\u0000 is in no name or path; leave it out");
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    if (!json_parser_load_from_data(parser, text, (gssize)size, &problem))
        return refuse(error, REFUSAL_BAD_REQUEST, "body: not JSON: %s", problem->message);
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return refuse(error, REFUSAL_BAD_REQUEST, "body: not a JSON object");
    request->json = json_parser_steal_root(parser);
    return 0;
}

static void init_reader(struct api_reader *reader, JsonObject *object, GHashTable *query)
{
    reader->object = object;
    reader->query = query;
    reader->read = g_hash_table_new(g_str_hash, g_str_equal);
    reader->error = NULL;
}

void api_reader_body(struct api_reader *reader, const struct api_request *request)
{
    init_reader(reader, json_node_get_object(request->json), NULL);
}

void api_reader_object(struct api_reader *reader, JsonObject *object)
{
    init_reader(reader, object, NULL);
}

void api_reader_query(struct api_reader *reader, const struct api_request *request)
{
    init_reader(reader, NULL, request->query);
}

void api_reader_fail(struct api_reader *reader, GError *error)
{
    if (reader->error) {
        g_error_free(error);
        return;
    }
    reader->error = error;
    refuse_as(&reader->error, REFUSAL_BAD_REQUEST);
}

static void G_GNUC_PRINTF(2, 3) fail(struct api_reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    api_reader_fail(reader, g_error_new_valist(GIDFS_ERROR, EINVAL, format, args));
    va_end(args);
}

static void note_read(struct api_reader *reader, const char *name)
{
    g_hash_table_add(reader->read, (char *)name);
}

/* The member, or NULL if it is absent or null. */
static JsonNode *find_member(struct api_reader *reader, const char *name)
{
    note_read(reader, name);
    JsonNode *node = reader->object ? json_object_get_member(reader->object, name) : NULL;
    return node && JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

static bool holds(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

const char *api_read_string(struct api_reader *reader, const char *name)
{
    JsonNode *node = find_member(reader, name);
    if (reader->query)
        return g_hash_table_lookup(reader->query, name);
    if (!node)
        return NULL;
    if (holds(node, G_TYPE_STRING))
        return json_node_get_string(node);
    fail(reader, "%s: not a string", name);
    return NULL;
}

const char *api_read_required(struct api_reader *reader, const char *name)
{
    const char *value = api_read_string(reader, name);
    if (!value)
        fail(reader, "%s: missing", name);
    return value;
}

static int read_query_bool(struct api_reader *reader, const char *name)
{
    const char *value = g_hash_table_lookup(reader->query, name);
    if (!value)
        return -1;
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return value[0] == 't';
    fail(reader, "%s=%s: neither true nor false", name, value);
    return -1;
}

int api_read_bool(struct api_reader *reader, const char *name)
{
    JsonNode *node = find_member(reader, name);
    if (reader->query)
        return read_query_bool(reader, name);
    if (!node)
        return -1;
    if (holds(node, G_TYPE_BOOLEAN))
        return json_node_get_boolean(node);
    fail(reader, "%s: neither true nor false", name);
    return -1;
}

int64_t api_read_number(struct api_reader *reader, const char *name, int64_t max, int64_t absent)
{
    JsonNode *node = find_member(reader, name);
    const char *text = reader->query ? g_hash_table_lookup(reader->query, name) : NULL;
    guint64 number = 0;

    if (reader->query ? !text : !node)
        return absent;
    bool is_number = text ? g_ascii_string_to_unsigned(text, 10, 0, (guint64)max, &number, NULL)
                          : holds(node, G_TYPE_INT64) && json_node_get_int(node) >= 0;
    if (node)
        number = is_number ? (guint64)json_node_get_int(node) : 0;
    if (is_number && number <= (guint64)max)
        return (int64_t)number;
    fail(reader, "%s: not a number from 0 to %" G_GINT64_FORMAT, name, max);
    return absent;
}

JsonArray *api_read_array(struct api_reader *reader, const char *name)
{
    JsonNode *node = find_member(reader, name);
    if (!node)
        return NULL;
    if (JSON_NODE_HOLDS_ARRAY(node))
        return json_node_get_array(node);
    fail(reader, "%s: not an array", name);
    return NULL;
}

GPtrArray *api_read_strings(struct api_reader *reader, const char *name)
{
    GPtrArray *strings = g_ptr_array_new();
    JsonArray *array = api_read_array(reader, name);
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (holds(node, G_TYPE_STRING))
            g_ptr_array_add(strings, (char *)json_node_get_string(node));
        else
            fail(reader, "%s: element %u is not a string", name, i);
    }
    return strings;
}

static void refuse_unknown(struct api_reader *reader)
{
    g_autoptr(GList) names =
        reader->object ? json_object_get_members(reader->object) : g_hash_table_get_keys(reader->query);
    for (GList *name = names; name; name = name->next) {
        if (g_hash_table_contains(reader->read, name->data))
            continue;
        g_clear_error(&reader->error); /* what is missing was misspelt */
        fail(reader, "%s: no such %s", (char *)name->data, reader->object ? "member" : "query parameter");
    }
}

int api_reader_end(struct api_reader *reader, GError **error)
{
    refuse_unknown(reader);
    g_clear_pointer(&reader->read, g_hash_table_unref);
    if (!reader->error)
        return 0;
    g_propagate_error(error, g_steal_pointer(&reader->error));
    return -EINVAL;
}

void api_write_error_as(struct json_out *out, const char *key, const GError *error)
{
    GVariant *details = refusal_details(error);
    g_autofree char *text = details ? json_gvariant_serialize_data(details, NULL) : NULL;

    json_begin_object(out, key);
    json_string(out, "code", refusal_name(refusal_of(error)));
    json_int(out, "errno", refusal_errno(error));
    json_string(out, "message", error ? error->message : "unknown");
    json_raw(out, "details", text ? text : "{}");
    json_end_object(out);
}

void api_request_fail(struct api_request *request, const GError *error)
{
    struct json_out *out = &request->out;

    request->status = refusal_http_status(refusal_of(error));
    request->content_type = "application/json";
    json_out_clear(out);
    json_out_init(out);
    json_begin_object(out, NULL);
    api_write_error_as(out, "error", error);
    json_end_object(out);
}
