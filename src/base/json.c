/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recursive descent over one private copy of the text. Strings are decoded in place (a decoded string is never longer
 * than its escaped form) and end in a NUL that overwrites their closing quote; numbers stay as they were written and
 * end at the delimiter behind them. Not a library's, because of gidfs ls with ten thousand volumes, which has 50 ms for
 * everything: of its 2 MB of JSON jansson makes a tree in 49 ms, an object and a hash table for each row; this takes 4.
 *
 * Invariant of the nodes: node i's subtree is [i, nodes[i].end), so that skipping a value is one step. The members of
 * an object are key, value, key, value: a key's own end is its value.
 */
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#define MAX_DEPTH   64
#define MAX_NODES   (G_MAXUINT32 / 2)
#define MAX_LENGTH  G_MAXUINT32
#define ESCAPE_SIZE 6 /* \uXXXX */

struct node {
    guint32 text; /* where it is in the document's text */
    guint32 end;
    guint8 type;
};

struct json_doc {
    char *text;
    struct node *nodes;
    guint32 n_nodes;
    guint32 capacity;
};

struct parser {
    json_doc *doc;
    char *at;
    const char *what; /* the first thing that was wrong */
    guint depth;
};

static int fail(struct parser *p, const char *what)
{
    p->what = what;
    return -EBADMSG;
}

static void skip_space(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')
        p->at++;
}

static const char *text_of(const json_doc *doc, guint32 node)
{
    return doc->text + doc->nodes[node].text;
}

static int add_node(struct parser *p, enum json_doc_type type, const char *text, guint32 *ret_index)
{
    json_doc *doc = p->doc;
    if (doc->n_nodes == doc->capacity) {
        if (doc->capacity >= MAX_NODES)
            return -E2BIG;
        doc->capacity = MAX(64, doc->capacity * 2);
        doc->nodes = g_renew(struct node, doc->nodes, doc->capacity);
    }
    doc->nodes[doc->n_nodes] =
        (struct node){.text = (guint32)(text - doc->text), .end = doc->n_nodes + 1, .type = (guint8)type};
    *ret_index = doc->n_nodes++;
    return 0;
}

/* Reads the four digits of \uXXXX at "digits" into *ret_unit. */
static int read_unit(const char *digits, guint32 *ret_unit)
{
    guint32 unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(digits[i]);
        if (digit < 0)
            return -EBADMSG;
        unit = unit << 4 | (guint32)digit;
    }
    *ret_unit = unit;
    return 0;
}

/* Decodes one or, for a surrogate pair, two \uXXXX at p->at, which is moved behind them. */
static int decode_unicode(struct parser *p, char **out)
{
    guint32 unit, low;
    if (read_unit(p->at + 2, &unit) < 0)
        return fail(p, "a \\u without four digits");
    p->at += ESCAPE_SIZE;
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (p->at[0] != '\\' || p->at[1] != 'u' || read_unit(p->at + 2, &low) < 0 || low < 0xdc00 || low > 0xdfff)
            return fail(p, "half of a surrogate pair");
        p->at += ESCAPE_SIZE;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        return fail(p, "half of a surrogate pair");
    }
    if (unit == 0)
        return fail(p, "a NUL inside a string");
    *out += g_unichar_to_utf8(unit, *out);
    return 0;
}

static int decode_escape(struct parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char letter = p->at[1];
    if (letter == 'u')
        return decode_unicode(p, out);
    const char *found = letter ? strchr(from, letter) : NULL;
    if (!found)
        return fail(p, "an unknown escape");
    *(*out)++ = to[found - from];
    p->at += 2;
    return 0;
}

/* The end of what stands for itself: a quote, a backslash, or a control character, as the end of the text is. */
static char *skip_plain(char *at)
{
    while ((guchar)*at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static int parse_string(struct parser *p)
{
    guint32 index;
    int r = add_node(p, JSON_DOC_STRING, ++p->at, &index);
    if (r < 0)
        return r;
    char *out = p->at = skip_plain(p->at);
    while (*p->at == '\\') {
        r = decode_escape(p, &out);
        if (r < 0)
            return r;
        char *end = skip_plain(p->at);
        memmove(out, p->at, (gsize)(end - p->at));
        out += end - p->at;
        p->at = end;
    }
    if (*p->at != '"')
        return fail(p, "a control character or the end inside a string");
    p->at++;
    *out = '\0';
    return 0;
}

static gboolean skip_digits(struct parser *p)
{
    const char *start = p->at;
    while (g_ascii_isdigit(*p->at))
        p->at++;
    return p->at != start;
}

static int parse_number(struct parser *p)
{
    guint32 index;
    int r = add_node(p, JSON_DOC_NUMBER, p->at, &index);
    if (r < 0)
        return r;
    if (*p->at == '-')
        p->at++;
    if (*p->at == '0')
        p->at++;
    else if (!skip_digits(p))
        return fail(p, "not a value");
    if (*p->at == '.') {
        p->at++;
        if (!skip_digits(p))
            return fail(p, "a number without digits behind its point");
    }
    if (*p->at == 'e' || *p->at == 'E') {
        p->at++;
        if (*p->at == '+' || *p->at == '-')
            p->at++;
        if (!skip_digits(p))
            return fail(p, "a number without digits in its exponent");
    }
    return 0;
}

static int parse_word(struct parser *p, const char *word, enum json_doc_type type)
{
    guint32 index;
    const char *start = p->at;
    if (strncmp(start, word, strlen(word)) != 0)
        return fail(p, "not a value");
    p->at += strlen(word);
    return add_node(p, type, start, &index);
}

static int parse_value(struct parser *p);

static int parse_member_name(struct parser *p)
{
    skip_space(p);
    if (*p->at != '"')
        return fail(p, "a member without a name in quotes");
    int r = parse_string(p);
    if (r < 0)
        return r;
    skip_space(p);
    if (*p->at != ':')
        return fail(p, "a member without a colon");
    p->at++;
    return 0;
}

/* An array or object: p->at is on its opening bracket. */
static int parse_container(struct parser *p, enum json_doc_type type, char close)
{
    guint32 index;
    if (++p->depth > MAX_DEPTH)
        return fail(p, "too many levels");
    int r = add_node(p, type, p->at, &index);
    if (r < 0)
        return r;
    p->at++;
    skip_space(p);
    while (*p->at != close) {
        r = type == JSON_DOC_OBJECT ? parse_member_name(p) : 0;
        if (r == 0)
            r = parse_value(p);
        if (r < 0)
            return r;
        skip_space(p);
        if (*p->at == close)
            break;
        if (*p->at != ',')
            return fail(p, "no comma between two values");
        p->at++;
        skip_space(p);
        if (*p->at == close)
            return fail(p, "a comma before the end");
    }
    p->at++;
    p->depth--;
    p->doc->nodes[index].end = p->doc->n_nodes;
    return 0;
}

static int parse_value(struct parser *p)
{
    skip_space(p);
    switch (*p->at) {
    case '{':
        return parse_container(p, JSON_DOC_OBJECT, '}');
    case '[':
        return parse_container(p, JSON_DOC_ARRAY, ']');
    case '"':
        return parse_string(p);
    case 't':
        return parse_word(p, "true", JSON_DOC_BOOLEAN);
    case 'f':
        return parse_word(p, "false", JSON_DOC_BOOLEAN);
    case 'n':
        return parse_word(p, "null", JSON_DOC_NULL);
    default:
        return parse_number(p);
    }
}

int json_doc_parse(const char *text, gsize length, json_doc **ret_doc, GError **error)
{
    if (length >= MAX_LENGTH)
        return gidfs_error(error, E2BIG, "JSON of more than %u bytes", MAX_LENGTH);
    if (!g_utf8_validate_len(text, length, NULL))
        return gidfs_error(error, EBADMSG, "not JSON: it is not UTF-8, or holds a NUL");

    g_autoptr(json_doc) doc = g_new0(json_doc, 1);
    doc->text = g_malloc(length + 1);
    memcpy(doc->text, text, length);
    doc->text[length] = '\0';

    struct parser p = {.doc = doc, .at = doc->text};
    int r = parse_value(&p);
    if (r == 0) {
        skip_space(&p);
        if (*p.at)
            r = fail(&p, "more text behind the value");
    }
    if (r == -E2BIG)
        return gidfs_error(error, E2BIG, "JSON with more than %u values", MAX_NODES);
    if (r < 0)
        return gidfs_error(error, EBADMSG, "not JSON: %s at byte %td", p.what, p.at - doc->text);
    *ret_doc = g_steal_pointer(&doc);
    return 0;
}

void json_doc_free(json_doc *doc)
{
    if (!doc)
        return;
    g_free(doc->nodes);
    g_free(doc->text);
    g_free(doc);
}

enum json_doc_type json_doc_type(const json_doc *doc, guint32 node)
{
    return node < doc->n_nodes ? (enum json_doc_type)doc->nodes[node].type : JSON_DOC_ABSENT;
}

static gboolean is_container(const json_doc *doc, guint32 node)
{
    enum json_doc_type type = json_doc_type(doc, node);
    return type == JSON_DOC_ARRAY || type == JSON_DOC_OBJECT;
}

guint32 json_doc_first(const json_doc *doc, guint32 container)
{
    if (!is_container(doc, container) || doc->nodes[container].end == container + 1)
        return JSON_DOC_NONE;
    return container + 1;
}

guint32 json_doc_next(const json_doc *doc, guint32 container, guint32 child)
{
    guint32 value = doc->nodes[container].type == JSON_DOC_OBJECT ? child + 1 : child;
    guint32 next = doc->nodes[value].end;
    return next < doc->nodes[container].end ? next : JSON_DOC_NONE;
}

guint32 json_doc_count(const json_doc *doc, guint32 container)
{
    guint32 n = 0;
    for (guint32 at = json_doc_first(doc, container); at != JSON_DOC_NONE; at = json_doc_next(doc, container, at))
        n++;
    return n;
}

guint32 json_doc_member(const json_doc *doc, guint32 object, const char *name)
{
    if (json_doc_type(doc, object) != JSON_DOC_OBJECT)
        return JSON_DOC_NONE;
    for (guint32 key = json_doc_first(doc, object); key != JSON_DOC_NONE; key = json_doc_next(doc, object, key)) {
        if (strcmp(text_of(doc, key), name) == 0)
            return key + 1;
    }
    return JSON_DOC_NONE;
}

static guint32 array_item(const json_doc *doc, guint32 array, const char *index_text)
{
    guint64 index;
    if (!g_ascii_string_to_unsigned(index_text, 10, 0, G_MAXUINT32, &index, NULL))
        return JSON_DOC_NONE;
    guint32 at = json_doc_first(doc, array);
    while (at != JSON_DOC_NONE && index-- > 0)
        at = json_doc_next(doc, array, at);
    return at;
}

guint32 json_doc_find(const json_doc *doc, const char *path)
{
    g_auto(GStrv) steps = g_strsplit(path, ".", -1);
    guint32 node = 0;
    for (char **step = steps; *step && node != JSON_DOC_NONE; step++) {
        node = json_doc_type(doc, node) == JSON_DOC_ARRAY ? array_item(doc, node, *step)
                                                          : json_doc_member(doc, node, *step);
    }
    return node;
}

const char *json_doc_string(const json_doc *doc, guint32 node)
{
    return json_doc_type(doc, node) == JSON_DOC_STRING ? text_of(doc, node) : NULL;
}

int json_doc_int64(const json_doc *doc, guint32 node, gint64 *ret_value)
{
    if (json_doc_type(doc, node) != JSON_DOC_NUMBER)
        return -EINVAL;
    char *end;
    errno = 0;
    gint64 value = g_ascii_strtoll(text_of(doc, node), &end, 10);
    if (*end == '.' || *end == 'e' || *end == 'E')
        return -EINVAL;
    if (errno == ERANGE)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

gboolean json_doc_true(const json_doc *doc, guint32 node)
{
    return json_doc_type(doc, node) == JSON_DOC_BOOLEAN && *text_of(doc, node) == 't';
}

void json_append_string(GString *out, const char *text)
{
    static const char named[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    if (!text) {
        g_string_append(out, "null");
        return;
    }
    g_string_append_c(out, '"');
    for (const char *at = text; *at; at++) {
        const char *found = strchr(named, *at);
        if (found)
            g_string_append_printf(out, "\\%c", letters[found - named]);
        else if ((guchar)*at < 0x20 || *at == 0x7f)
            g_string_append_printf(out, "\\u%04x", (guint)*at);
        else
            g_string_append_c(out, *at);
    }
    g_string_append_c(out, '"');
}

static void write_container(const json_doc *doc, guint32 node, GString *out)
{
    gboolean object = doc->nodes[node].type == JSON_DOC_OBJECT;
    guint32 first = json_doc_first(doc, node);
    g_string_append_c(out, object ? '{' : '[');
    for (guint32 at = first; at != JSON_DOC_NONE; at = json_doc_next(doc, node, at)) {
        if (at != first)
            g_string_append_c(out, ',');
        if (object) {
            json_append_string(out, text_of(doc, at));
            g_string_append_c(out, ':');
        }
        json_doc_write(doc, object ? at + 1 : at, out);
    }
    g_string_append_c(out, object ? '}' : ']');
}

void json_doc_write(const json_doc *doc, guint32 node, GString *out)
{
    switch (json_doc_type(doc, node)) {
    case JSON_DOC_ABSENT:
    case JSON_DOC_NULL:
        g_string_append(out, "null");
        break;
    case JSON_DOC_BOOLEAN:
        g_string_append(out, json_doc_true(doc, node) ? "true" : "false");
        break;
    case JSON_DOC_NUMBER:
        g_string_append_len(out, text_of(doc, node), (gssize)strspn(text_of(doc, node), "+-.eE0123456789"));
        break;
    case JSON_DOC_STRING:
        json_append_string(out, text_of(doc, node));
        break;
    case JSON_DOC_ARRAY:
    case JSON_DOC_OBJECT:
        write_container(doc, node, out);
        break;
    }
}
