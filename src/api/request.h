/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api/json_out.h"
#include "mounts/refusal.h"

#include <json-glib/json-glib.h>
#include <sys/types.h>

/*
 * One request, apart from HTTP: what a handler reads, and where it writes its answer. A handler owns it while it runs.
 */
enum api_access {
    API_ACCESS_NONE,
    API_ACCESS_READ, /* members of the configured group */
    API_ACCESS_ROOT,
};

struct api_request {
    char *method;
    char *path;        /* percent-decoded, without the query */
    GHashTable *query; /* name → value, decoded */
    GByteArray *body;  /* as it came */
    JsonNode *json;    /* what was parsed from it, an object */
    const char *name;  /* the part of the path where the route has *, or NULL */
    enum api_access access;

    unsigned int status; /* of the answer; a handler changes it for 201 and the like */
    const char *content_type;
    struct json_out out;
};

struct api_request *api_request_new(const char *method, const char *path);
void api_request_free(struct api_request *request);

typedef struct api_request api_request;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(api_request, api_request_free)

#define API_BODY_MAX (1024 * 1024)

/* Parses the body into request->json; an absent one is {}. A refusal for what is no JSON object. */
int api_request_parse(struct api_request *request, GError **error);

/*
 * Reads members of an object, or the query, each by its name. The first thing wrong is kept; api_reader_end returns it,
 * and refuses what was not read: a name that is not known. null counts as absent.
 */
struct api_reader {
    JsonObject *object; /* or */
    GHashTable *query;
    GHashTable *read; /* names */
    GError *error;
};

void api_reader_body(struct api_reader *reader, const struct api_request *request);
void api_reader_object(struct api_reader *reader, JsonObject *object);
void api_reader_query(struct api_reader *reader, const struct api_request *request);

/* NULL if it is absent; api_read_name and api_read_path_required refuse that. What is returned is the request's. */
const char *api_read_string(struct api_reader *reader, const char *name);
const char *api_read_required(struct api_reader *reader, const char *name);
/* 1, 0, or -1 if it is absent */
int api_read_bool(struct api_reader *reader, const char *name);
/* absent, or a number from 0 to max */
int64_t api_read_number(struct api_reader *reader, const char *name, int64_t max, int64_t absent);
JsonArray *api_read_array(struct api_reader *reader, const char *name);
/* The strings of an array, none if it is absent. The array is the caller's, the strings are the request's. */
GPtrArray *api_read_strings(struct api_reader *reader, const char *name);

/* Takes over a failure to understand a value that was read. */
void api_reader_fail(struct api_reader *reader, GError *error);

int api_reader_end(struct api_reader *reader, GError **error);

/* A word of an enum by its _from_string function, or -1. */
#define api_read_word(reader, name, from_string, type)                                                                 \
    ({                                                                                                                 \
        const char *word_ = api_read_string(reader, name);                                                             \
        GError *problem_ = NULL;                                                                                       \
        type value_ = 0;                                                                                               \
        bool is_word_ = word_ && from_string(word_, &value_, &problem_) == 0;                                          \
        if (problem_)                                                                                                  \
            api_reader_fail(reader, problem_);                                                                         \
        is_word_ ? (int)value_ : -1;                                                                                   \
    })

/* {"code", "errno", "message", "details"} */
void api_write_error_as(struct json_out *out, const char *key, const GError *error);

/* Makes the answer to a failure. */
void api_request_fail(struct api_request *request, const GError *error);
