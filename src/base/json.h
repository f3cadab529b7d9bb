/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/*
 * Reading JSON (RFC 8259), fast: a list of ten thousand rows is read in a few milliseconds, where a tree of boxed
 * values takes a hundred. A document is one array of nodes over one copy of the text; a node is its index, 0 is the
 * root, and a child follows its parent.
 *
 * Strict: UTF-8, no trailing commas, nothing behind the value, no NUL inside strings, at most 64 levels. Safe for
 * bytes from anywhere. A document never changes after it is made and may be read by several threads.
 */
typedef struct json_doc json_doc;

#define JSON_DOC_NONE G_MAXUINT32 /* no such node; every function here accepts it */

enum json_doc_type {
    JSON_DOC_ABSENT, /* the type of JSON_DOC_NONE */
    JSON_DOC_NULL,
    JSON_DOC_BOOLEAN,
    JSON_DOC_NUMBER,
    JSON_DOC_STRING,
    JSON_DOC_ARRAY,
    JSON_DOC_OBJECT,
};

/* Reads length bytes of text, which need no NUL behind them. -EBADMSG (with the offset in the message) or -E2BIG. */
int json_doc_parse(const char *text, gsize length, json_doc **ret_doc, GError **error);
void json_doc_free(json_doc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_doc, json_doc_free)

enum json_doc_type json_doc_type(const json_doc *doc, guint32 node);

/*
 * The children of an array, or the keys of an object, one by one: first, then next until JSON_DOC_NONE. The value of a
 * key is the node behind it (key + 1).
 */
guint32 json_doc_first(const json_doc *doc, guint32 container);
guint32 json_doc_next(const json_doc *doc, guint32 container, guint32 child);
guint32 json_doc_count(const json_doc *doc, guint32 container);

/* The value of the first member with that name; JSON_DOC_NONE for none and for what is no object. */
guint32 json_doc_member(const json_doc *doc, guint32 object, const char *name);

/* From the root along a dotted path of member names and array indexes ("mounts.0.target"); "" is the root. */
guint32 json_doc_find(const json_doc *doc, const char *path);

/* The text of a string (owned by the document), NULL for another type. */
const char *json_doc_string(const json_doc *doc, guint32 node);
/* -EINVAL for what is no number or has a fraction or exponent, -ERANGE for one beyond 64 bits. */
int json_doc_int64(const json_doc *doc, guint32 node, gint64 *ret_value);
/* TRUE for true; FALSE for everything else. */
gboolean json_doc_true(const json_doc *doc, guint32 node);

/* Appends a node as compact JSON. */
void json_doc_write(const json_doc *doc, guint32 node, GString *out);
/* Appends text (UTF-8) as a JSON string with its quotes; NULL as null. */
void json_append_string(GString *out, const char *text);
