/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"

/*
 * Inside of view_options: how an option string is cut into words, and the words themselves. The lists are
 * NULL-terminated; the index of a word is its enum's value.
 */
extern const char *const view_chgrp_words[];
extern const char *const view_cache_words[];
extern const char *const view_passthrough_words[];
extern const char *const view_whiteouts_words[];
extern const char *const view_xino_words[];
extern const char *const view_redirect_words[];

/*
 * Takes the next option off *at: true with its name and, escapes untouched and quotes removed, its value (NULL without
 * "="); false at the end. Empty options are skipped. Frees what the outputs held before.
 */
bool view_options_next(const char **at, char **ret_name, char **ret_raw_value);

/* A copy of length bytes in which each backslash is gone and the character behind it literal. Caller frees. */
char *view_options_unescape(const char *raw, size_t length);

/* Appends ",name=value" (no comma at the start of out) with what is special in a value escaped. */
void view_options_append(GString *out, const char *name, const char *value);

/* Appends ",lowerdir=TOP:…:BOTTOM" of NULL-terminated dirs, escaped. */
void view_options_append_layers(GString *out, char *const *dirs);

/* Cuts "TOP:…:BOTTOM" at colons without a backslash into *dirs (replaced) and *n_dirs. -EINVAL for an empty one. */
int view_options_split_layers(const char *raw, char ***dirs, size_t *n_dirs, GError **error);

/* The mount flags that a word such as "noexec" sets and clears; false if it is no such word. */
bool view_options_find_flags(const char *name, uint32_t *ret_set, uint32_t *ret_clear);

/* Whether an option is mount(8)'s own or a comment to somebody else, to be dropped. */
bool view_options_is_for_mount(const char *name);
