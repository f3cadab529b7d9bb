/* SPDX-License-Identifier: Apache-2.0 */
/* The effective options of a view, in the order of view_options.h. What it prints, view_options_parse reads. */
#include "core/view_options.h"
#include "core/view_options_words.h"

static void append_word(GString *out, const char *word)
{
    g_string_append_printf(out, "%s%s", out->len ? "," : "", word);
}

static void append_number(GString *out, const char *name, uint64_t number)
{
    g_string_append_printf(out, "%s%s=%" G_GUINT64_FORMAT, out->len ? "," : "", name, number);
}

static void append_optional(GString *out, const char *name, const char *value)
{
    if (value)
        view_options_append(out, name, value);
}

static void append_map(GString *out, const char *name, const struct id_map *map)
{
    g_autofree char *text = id_map_to_string(map);
    view_options_append(out, name, text);
}

static void append_view(GString *out, const struct view_options *options)
{
    if (options->has_gid) {
        append_number(out, "gid", options->view_gid);
        view_options_append(out, "policy", mode_policy_to_string(options->policy));
        view_options_append(out, "chgrp", view_chgrp_words[options->chgrp]);
    }
    append_map(out, "uidmap", options->uid_map);
    append_map(out, "gidmap", options->gid_map);
    view_options_append(out, "cache", view_cache_words[options->cache]);
    view_options_append(out, "passthrough", view_passthrough_words[options->passthrough]);
    if (options->max_inodes)
        append_number(out, "max_inodes", options->max_inodes);
    append_optional(out, "control", options->control);
}

static void append_flags(GString *out, const struct view_options *options)
{
    static const struct {
        uint32_t flag;
        const char *on, *off; /* off: NULL where it goes without saying */
    } words[] = {
        {VIEW_READ_ONLY, "ro", "rw"},
        {VIEW_NOSUID, "nosuid", "suid"},
        {VIEW_NODEV, "nodev", "dev"},
        {VIEW_NOEXEC, "noexec", "exec"},
        {VIEW_NOATIME, "noatime", NULL},
        {VIEW_STRICTATIME, "strictatime", NULL},
        {VIEW_NODIRATIME, "nodiratime", NULL},
        {VIEW_LAZYTIME, "lazytime", NULL},
        {VIEW_SYNC, "sync", NULL},
        {VIEW_DIRSYNC, "dirsync", NULL},
        {VIEW_NOSYMFOLLOW, "nosymfollow", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        const char *word = options->flags & words[i].flag ? words[i].on : words[i].off;
        if (word)
            append_word(out, word);
    }
    if (options->remount)
        append_word(out, "remount");
    if (options->source_nofollow)
        append_word(out, "source_nofollow");
    if (options->debug)
        append_word(out, "debug");
    append_optional(out, "fsname", options->fsname);
    append_optional(out, "context", options->context);
}

static void append_layers(GString *out, const struct view_options *options)
{
    view_options_append_layers(out, options->lower_dirs);
    append_optional(out, "upperdir", options->upper_dir);
    append_optional(out, "workdir", options->work_dir);
    view_options_append(out, "whiteouts", view_whiteouts_words[options->whiteouts]);
    view_options_append(out, "xino", view_xino_words[options->xino]);
    view_options_append(out, "redirect_dir", view_redirect_words[options->redirect]);
}

static void append_switches(GString *out, const struct view_options *options)
{
    const struct {
        bool on;
        const char *word;
    } switches[] = {
        {options->no_index, "index=off"},
        {options->no_metacopy, "metacopy=off"},
        {options->user_xattr, "userxattr"},
        {options->volatile_upper, "volatile"},
        {options->no_acl, "noacl"},
        {options->no_xattrs, "noxattrs=1"},
        {options->static_nlink, "static_nlink"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(switches); i++)
        if (switches[i].on)
            append_word(out, switches[i].word);
    if (options->xattr_permissions)
        append_number(out, "xattr_permissions", options->xattr_permissions);
    if (options->has_squash_uid)
        append_number(out, "squash_to_uid", options->squash_uid);
    if (options->has_squash_gid)
        append_number(out, "squash_to_gid", options->squash_gid);
    if (options->has_timeout)
        g_string_append_printf(out, ",timeout=%" G_GUINT64_FORMAT ".%03u", options->timeout_ms / 1000,
                               (unsigned)(options->timeout_ms % 1000));
}

char *view_options_to_string(const struct view_options *options)
{
    GString *out = g_string_new(NULL);
    append_view(out, options);
    append_flags(out, options);
    if (options->n_lower_dirs)
        append_layers(out, options);
    append_switches(out, options);
    return g_string_free(out, FALSE);
}
