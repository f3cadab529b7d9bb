/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view_options_words.h"

#include <errno.h>
#include <string.h>

const char *const view_chgrp_words[] = {[VIEW_CHGRP_REFUSE] = "refuse", [VIEW_CHGRP_IGNORE] = "ignore", NULL};
const char *const view_cache_words[] = {
    [VIEW_CACHE_AUTO] = "auto", [VIEW_CACHE_ALWAYS] = "always", [VIEW_CACHE_NONE] = "none", NULL};
const char *const view_passthrough_words[] = {
    [VIEW_PASSTHROUGH_AUTO] = "auto", [VIEW_PASSTHROUGH_ON] = "on", [VIEW_PASSTHROUGH_OFF] = "off", NULL};
const char *const view_whiteouts_words[] = {[VIEW_WHITEOUTS_OVERLAY] = "overlay", [VIEW_WHITEOUTS_AUFS] = "aufs", NULL};
const char *const view_xino_words[] = {[VIEW_XINO_AUTO] = "auto", [VIEW_XINO_ON] = "on", [VIEW_XINO_OFF] = "off", NULL};
const char *const view_redirect_words[] = {[VIEW_REDIRECT_ON] = "on",
                                           [VIEW_REDIRECT_FOLLOW] = "follow",
                                           [VIEW_REDIRECT_NOFOLLOW] = "nofollow",
                                           [VIEW_REDIRECT_OFF] = "off",
                                           NULL};

/* mount(8) gives user, owner and the like the flags of those whom it lets mount. */
static const struct {
    const char *name;
    uint32_t set, clear;
} flag_words[] = {
    {"ro", VIEW_READ_ONLY, 0},
    {"rw", 0, VIEW_READ_ONLY},
    {"nosuid", VIEW_NOSUID, 0},
    {"suid", 0, VIEW_NOSUID},
    {"allow_suid", 0, VIEW_NOSUID}, /* mount(8) keeps "suid" and "dev", its own defaults, to itself */
    {"nodev", VIEW_NODEV, 0},
    {"dev", 0, VIEW_NODEV},
    {"allow_dev", 0, VIEW_NODEV},
    {"noexec", VIEW_NOEXEC, 0},
    {"exec", 0, VIEW_NOEXEC},
    {"noatime", VIEW_NOATIME, VIEW_STRICTATIME},
    {"atime", 0, VIEW_NOATIME},
    {"relatime", 0, VIEW_NOATIME | VIEW_STRICTATIME},
    {"norelatime", 0, 0},
    {"strictatime", VIEW_STRICTATIME, VIEW_NOATIME},
    {"nostrictatime", 0, VIEW_STRICTATIME},
    {"nodiratime", VIEW_NODIRATIME, 0},
    {"diratime", 0, VIEW_NODIRATIME},
    {"lazytime", VIEW_LAZYTIME, 0},
    {"nolazytime", 0, VIEW_LAZYTIME},
    {"sync", VIEW_SYNC, 0},
    {"async", 0, VIEW_SYNC},
    {"dirsync", VIEW_DIRSYNC, 0},
    {"nosymfollow", VIEW_NOSYMFOLLOW, 0},
    {"symfollow", 0, VIEW_NOSYMFOLLOW},
    {"user", VIEW_NOSUID | VIEW_NODEV | VIEW_NOEXEC, 0},
    {"users", VIEW_NOSUID | VIEW_NODEV | VIEW_NOEXEC, 0},
    {"owner", VIEW_NOSUID | VIEW_NODEV, 0},
    {"group", VIEW_NOSUID | VIEW_NODEV, 0},
};

static const char *const words_for_mount[] = {
    "_netdev",    "auto",    "noauto", "defaults", "nofail",     "nouser",  "nousers",
    "noowner",    "nogroup", "user",   "comment",  "seclabel",   "uhelper", "helper",
    "pamconsole", "mand",    "nomand", "iversion", "noiversion", "silent",  "loud",
};

bool view_options_find_flags(const char *name, uint32_t *ret_set, uint32_t *ret_clear)
{
    for (size_t i = 0; i < G_N_ELEMENTS(flag_words); i++) {
        if (strcmp(flag_words[i].name, name) == 0) {
            *ret_set = flag_words[i].set;
            *ret_clear = flag_words[i].clear;
            return true;
        }
    }
    return false;
}

bool view_options_is_for_mount(const char *name)
{
    if (g_str_has_prefix(name, "x-") || g_str_has_prefix(name, "X-"))
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(words_for_mount); i++)
        if (strcmp(words_for_mount[i], name) == 0)
            return true;
    return false;
}

/*
 * The length of the value at text. A quoted value ends at the last character before the closing quote's comma; a quote
 * that is never closed so is an ordinary character, because paths may hold one.
 */
static size_t value_length(const char *text, bool *ret_quoted)
{
    *ret_quoted = false;
    if (text[0] == '"') {
        for (const char *p = strchr(text + 1, '"'); p; p = strchr(p + 1, '"')) {
            if (p[1] == ',' || !p[1]) {
                *ret_quoted = true;
                return (size_t)(p + 1 - text);
            }
        }
    }
    size_t length = 0;
    while (text[length] && text[length] != ',')
        length += text[length] == '\\' && text[length + 1] ? 2 : 1;
    return length;
}

bool view_options_next(const char **at, char **ret_name, char **ret_raw_value)
{
    g_clear_pointer(ret_name, g_free);
    g_clear_pointer(ret_raw_value, g_free);
    const char *text = *at + strspn(*at, ",");
    if (!*text)
        return false;
    size_t length = strcspn(text, "=,");
    *ret_name = g_strndup(text, length);
    text += length;
    if (*text == '=') {
        bool quoted;
        length = value_length(++text, &quoted);
        *ret_raw_value = quoted ? g_strndup(text + 1, length - 2) : g_strndup(text, length);
        text += length;
    }
    *at = text;
    return true;
}

char *view_options_unescape(const char *raw, size_t length)
{
    GString *out = g_string_sized_new(length);
    for (size_t i = 0; i < length; i++) {
        if (raw[i] == '\\' && i + 1 < length)
            i++;
        g_string_append_c(out, raw[i]);
    }
    return g_string_free(out, FALSE);
}

static void append_escaped(GString *out, const char *value, const char *special)
{
    for (const char *p = value; *p; p++) {
        if (strchr(special, *p))
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
}

void view_options_append(GString *out, const char *name, const char *value)
{
    g_string_append_printf(out, "%s%s=", out->len ? "," : "", name);
    /* A quote is special at the start of a value only; a backslash before it does no harm elsewhere. */
    append_escaped(out, value, "\\,\"");
}

void view_options_append_layers(GString *out, char *const *dirs)
{
    g_string_append_printf(out, "%slowerdir=", out->len ? "," : "");
    for (size_t i = 0; dirs[i]; i++) {
        if (i)
            g_string_append_c(out, ':');
        append_escaped(out, dirs[i], "\\,:\"");
    }
}

int view_options_split_layers(const char *raw, char ***dirs, size_t *n_dirs, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    for (const char *start = raw;; start++) {
        size_t length = 0;
        while (start[length] && start[length] != ':')
            length += start[length] == '\\' && start[length + 1] ? 2 : 1;
        if (length == 0)
            return gidfs_error(error, EINVAL, "lowerdir=%s: layer %u from the top has no path; write %s", raw,
                               found->len + 1, "lowerdir=TOP[:...:BOTTOM]");
        g_ptr_array_add(found, view_options_unescape(start, length));
        start += length;
        if (!*start)
            break;
    }
    g_strfreev(*dirs);
    *n_dirs = found->len;
    g_ptr_array_add(found, NULL);
    *dirs = (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);
    return 0;
}
