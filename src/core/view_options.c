/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option string of a view. One table lists every option with its setter, its place in the struct, the words that it
 * takes and its help; a second lists the words that only set or clear mount flags. Names that mount(8) keeps for itself
 * are in a third. What depends on several options is checked once, at the end (complete()).
 */
#include "core/view_options.h"

#include "core/gid_range.h"
#include "core/number.h"
#include "core/view_options_words.h"

#include <errno.h>
#include <string.h>

/* sizeof(sun_path) is 108, with its NUL. */
#define MAX_SOCKET_PATH 107

/* What a setter gets: the row of the table, and the value as it stands in the string, or with escapes resolved. */
struct option {
    const char *usage; /* "name=VALUE", "name" or "name[=VALUE]": says whether there is a value */
    int (*set)(struct view_options *options, const struct option *option, const char *value, GError **error);
    size_t offset;              /* of the field in view_options, where the setter is generic */
    const char *const *choices; /* set_choice: the words, NULL-terminated; the index of a word is its value */
    const char *help;           /* NULL: taken for the sake of other programs, not advertised */
};

#define FIELD(type, options, option) ((type *)(void *)((char *)(options) + (option)->offset))

static size_t name_length(const struct option *option)
{
    return strcspn(option->usage, "=[");
}

/* Generic setters. */

static int set_choice(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *FIELD(int, options, option) = i;
            return 0;
        }
    }
    g_autofree char *known = g_strjoinv(", ", (char **)option->choices);
    return gidfs_error(error, EINVAL, "%.*s=%s: no such word; known are %s", (int)name_length(option), option->usage,
                       value, known);
}

static int parse_switch(const struct option *option, const char *value, bool *ret_on, GError **error)
{
    if (!value || strcmp(value, "on") == 0 || strcmp(value, "1") == 0)
        *ret_on = true;
    else if (strcmp(value, "off") == 0 || strcmp(value, "0") == 0)
        *ret_on = false;
    else
        return gidfs_error(error, EINVAL, "%.*s=%s: neither on nor off", (int)name_length(option), option->usage,
                           value);
    return 0;
}

static int set_switch(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    return parse_switch(option, value, FIELD(bool, options, option), error);
}

static int set_off_switch(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    bool on = false;
    int r = parse_switch(option, value, &on, error);
    if (r == 0)
        *FIELD(bool, options, option) = !on;
    return r;
}

static int parse_number(const struct option *option, const char *value, uint64_t min, uint64_t max,
                        uint64_t *ret_number, GError **error)
{
    uint64_t number;
    int r = number_parse(value, strlen(value), max, &number);
    if (r < 0 || number < min)
        return gidfs_error(
            error, EINVAL, "%.*s=%s: %s; write a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
            (int)name_length(option), option->usage, value, r == -EINVAL ? "not a number" : "out of bounds", min, max);
    *ret_number = number;
    return 0;
}

static int set_number(struct view_options *options, const struct option *option, const char *value, uint64_t min,
                      uint32_t max, GError **error)
{
    uint64_t number = 0;
    int r = parse_number(option, value, min, max, &number, error);
    if (r == 0)
        *FIELD(uint32_t, options, option) = (uint32_t)number;
    return r;
}

static int set_string(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    char **field = FIELD(char *, options, option);
    g_free(*field);
    *field = g_strdup(value);
    return 0;
}

static int set_path(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    if (!*value)
        return gidfs_error(error, EINVAL, "%.*s=: no path; write %s", (int)name_length(option), option->usage,
                           option->usage);
    return set_string(options, option, value, error);
}

/* uidmap= and gidmap=: VIEW:DISK:COUNT, or the word that is printed for no map. */
static int set_map(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    struct id_map **field = FIELD(struct id_map *, options, option);
    struct id_map *map = NULL;
    g_autoptr(GError) reason = NULL;
    if (strcmp(value, "identity") != 0 && id_map_parse(value, &map, &reason) < 0)
        return gidfs_error(error, EINVAL, "%.*s=: %s", (int)name_length(option), option->usage, reason->message);
    id_map_free(*field);
    *field = map;
    return 0;
}

/*
 * uidmapping= and gidmapping= of fuse-overlayfs name the disk's id first. Empty fields count for nothing there:
 * containers/storage writes ":0:100000:65536".
 */
static int set_reversed_map(struct view_options *options, const struct option *option, const char *value,
                            GError **error)
{
    g_auto(GStrv) fields = g_strsplit(value, ":", -1);
    g_autoptr(GPtrArray) given = g_ptr_array_new();
    for (char **field = fields; *field; field++)
        if (**field)
            g_ptr_array_add(given, *field);
    for (guint i = 0; i + 1 < given->len; i += 3) {
        void *disk_id = given->pdata[i];
        given->pdata[i] = given->pdata[i + 1];
        given->pdata[i + 1] = disk_id;
    }
    g_ptr_array_add(given, NULL);
    g_autofree char *forward = g_strjoinv(":", (char **)given->pdata);
    return set_map(options, option, forward, error);
}

/* Checked, and without effect here: threads, writeback and the like are the view's own business. */
static int take_number(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    uint64_t number;
    return parse_number(option, value, 0, UINT32_MAX, &number, error);
}

static int take_switch(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    bool on;
    return parse_switch(option, value, &on, error);
}

static int take_any(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    return 0;
}

/* Setters of one option. */

static int set_gid(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    g_autofree char *what = g_strdup_printf("gid=%s", value);
    int r = gid_parse(what, value, &options->view_gid, error);
    if (r < 0)
        return r;
    options->has_gid = true;
    return 0;
}

static int set_policy(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    return mode_policy_from_string(value, &options->policy, error);
}

static int set_max_inodes(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    return set_number(options, option, value, 1, UINT32_MAX, error);
}

static int set_control(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    if (value[0] != '/')
        return gidfs_error(error, EINVAL, "control=%s: not an absolute path; start it with /", value);
    if (strlen(value) > MAX_SOCKET_PATH)
        return gidfs_error(error, EINVAL, "control=%s: longer than the %d bytes of a socket's path; take a shorter one",
                           value, MAX_SOCKET_PATH);
    return set_string(options, option, value, error);
}

static int set_lower_dirs(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    return view_options_split_layers(value, &options->lower_dirs, &options->n_lower_dirs, error);
}

static int add_lower_dir(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    if (!*value)
        return gidfs_error(error, EINVAL, "lowerdir+=: no path; write %s", option->usage);
    options->lower_dirs = g_renew(char *, options->lower_dirs, options->n_lower_dirs + 2);
    options->lower_dirs[options->n_lower_dirs++] = g_strdup(value);
    options->lower_dirs[options->n_lower_dirs] = NULL;
    return 0;
}

static int set_xattr_permissions(struct view_options *options, const struct option *option, const char *value,
                                 GError **error)
{
    return set_number(options, option, value, 0, 2, error);
}

static int set_squash_uid(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    options->has_squash_uid = true;
    return set_number(options, option, value, 0, GID_MAX, error);
}

static int set_squash_gid(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    options->has_squash_gid = true;
    return set_number(options, option, value, 0, GID_MAX, error);
}

/* squash_to_uid= and squash_to_gid= take precedence in either order: root is what they leave. */
static int set_squash_root(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    options->has_squash_uid = true;
    options->has_squash_gid = true;
    return 0;
}

/* Seconds, with a fraction: what fuse-overlayfs gives to the kernel for entries and attributes. */
static int set_timeout(struct view_options *options, const struct option *option, const char *value, GError **error)
{
    const double max_s = 1e12;
    char *end;
    double seconds = g_ascii_strtod(value, &end);
    if (end == value || *end || !(seconds >= 0 && seconds <= max_s))
        return gidfs_error(error, EINVAL, "timeout=%s: not a number of seconds; write one from 0 to %.0f", value,
                           max_s);
    options->has_timeout = true;
    options->timeout_ms = (uint64_t)(seconds * 1000 + 0.5);
    return 0;
}

static int refuse_allow_root(struct view_options *options, const struct option *option, const char *value,
                             GError **error)
{
    return gidfs_error(error, EINVAL,
                       "allow_root: a view is open to everybody (allow_other) and the modes it shows decide; leave "
                       "it out, or mount below a directory that others may not enter");
}

#define AT(field) offsetof(struct view_options, field)

static const struct option options_table[] = {
    {"gid=N", set_gid, 0, NULL, "the volume's gid: what every entry shows as its group"},
    {"policy=WORD", set_policy, 0, NULL, "modes shown: shared (default with gid=), mesos or fsgroup"},
    {"chgrp=WORD", set_choice, AT(chgrp), view_chgrp_words, "a change to another group: refuse (default) or ignore"},
    {"cache=WORD", set_choice, AT(cache), view_cache_words,
     "auto (default: invalidated when the source changes), always or none"},
    {"uidmap=VIEW:DISK:COUNT[:...]", set_map, AT(uid_map), NULL, "uids of the view and the disk; identity (default)"},
    {"gidmap=VIEW:DISK:COUNT[:...]", set_map, AT(gid_map), NULL, "the same for gids"},
    {"passthrough=WORD", set_choice, AT(passthrough), view_passthrough_words,
     "data through the kernel: auto (default), on (fail where it can't) or off"},
    {"max_inodes=N", set_max_inodes, AT(max_inodes), NULL, "the most inodes that the view keeps in memory"},
    {"control=PATH", set_control, AT(control), NULL, "unix socket on which the service talks to the view"},
    {"source_nofollow", set_switch, AT(source_nofollow), NULL, "a link anywhere in the source's path is an error"},
    {"lowerdir=TOP[:...:BOTTOM]", set_lower_dirs, 0, NULL, "layers of a layered view, the top first"},
    {"lowerdir+=DIR", add_lower_dir, 0, NULL, "one more layer below the others"},
    {"upperdir=DIR", set_path, AT(upper_dir), NULL, "the layer that takes the changes; needs workdir="},
    {"workdir=DIR", set_path, AT(work_dir), NULL, "an empty directory on the upper's file system"},
    {"whiteouts=WORD", set_choice, AT(whiteouts), view_whiteouts_words,
     "form of deletions in the upper: overlay (default) or aufs"},
    {"xino=WORD", set_choice, AT(xino), view_xino_words, "inode numbers that carry the layer: auto, on or off"},
    {"redirect_dir=WORD", set_choice, AT(redirect), view_redirect_words,
     "renaming directories of lower layers: on (default), follow, nofollow or off"},
    {"index=on|off", set_off_switch, AT(no_index), NULL, "hard links of lower layers stay links (on)"},
    {"metacopy=on|off", set_off_switch, AT(no_metacopy), NULL,
     "big files are not copied for a change of their metadata alone (on)"},
    {"userxattr", set_switch, AT(user_xattr), NULL, "overlay marks in user.overlay.* xattrs"},
    {"volatile", set_switch, AT(volatile_upper), NULL, "fsync does nothing"},
    {"noacl", set_switch, AT(no_acl), NULL, "no POSIX ACLs"},
    {"noxattrs=0|1", set_switch, AT(no_xattrs), NULL, "no extended attributes"},
    {"static_nlink", set_switch, AT(static_nlink), NULL, "directories show one link"},
    {"uidmapping=DISK:VIEW:COUNT[:...]", set_reversed_map, AT(uid_map), NULL, "uidmap= in fuse-overlayfs's order"},
    {"gidmapping=DISK:VIEW:COUNT[:...]", set_reversed_map, AT(gid_map), NULL, "gidmap= in fuse-overlayfs's order"},
    {"squash_to_root", set_squash_root, 0, NULL, "everything belongs to root"},
    {"squash_to_uid=N", set_squash_uid, AT(squash_uid), NULL, "everything belongs to this uid"},
    {"squash_to_gid=N", set_squash_gid, AT(squash_gid), NULL, "everything belongs to this gid"},
    {"xattr_permissions=N", set_xattr_permissions, AT(xattr_permissions), NULL,
     "owner and mode from xattrs, as fuse-overlayfs's 1 and 2"},
    {"timeout=SECONDS", set_timeout, 0, NULL, "how long the kernel may cache, instead of what cache= implies"},
    {"fsync=0|1", set_off_switch, AT(volatile_upper), NULL, "0: the same as volatile"},
    {"context=LABEL", set_path, AT(context), NULL, "SELinux context of everything in the view"},
    {"fsname=NAME", set_path, AT(fsname), NULL, "the source that the mount table shows"},
    {"remount", set_switch, AT(remount), NULL, "change the flags of a mounted view"},
    {"debug", set_switch, AT(debug), NULL, "log every request"},
    {"allow_root", refuse_allow_root, 0, NULL, NULL},
    /* fuse-overlayfs, overlayfs and libfuse: how they do their work, not what is seen */
    {"threaded=0|1", take_number, 0, NULL, NULL},
    {"writeback=0|1", take_number, 0, NULL, NULL},
    {"fast_ino=0|1", take_number, 0, NULL, NULL},
    {"plugins=LIST", take_any, 0, NULL, NULL},
    {"uid=N", take_number, 0, NULL, NULL},
    {"nfs_export=on|off", take_switch, 0, NULL, NULL},
    {"uuid=WORD", take_any, 0, NULL, NULL},
    {"allow_other", take_any, 0, NULL, NULL},
    {"default_permissions", take_any, 0, NULL, NULL},
    {"nonempty", take_any, 0, NULL, NULL},
    {"auto_unmount", take_any, 0, NULL, NULL},
    {"subtype=NAME", take_any, 0, NULL, NULL},
    {"max_read=N", take_number, 0, NULL, NULL},
    {"blksize=N", take_number, 0, NULL, NULL},
    {"user_id=N", take_number, 0, NULL, NULL},
    {"group_id=N", take_number, 0, NULL, NULL},
};

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(options_table); i++) {
        const struct option *option = &options_table[i];
        if (name_length(option) == strlen(name) && strncmp(option->usage, name, strlen(name)) == 0)
            return option;
    }
    return NULL;
}

static int set_option(struct view_options *options, const struct option *option, const char *raw_value, GError **error)
{
    bool takes_value = strchr(option->usage, '=') != NULL;
    if (takes_value && !raw_value)
        return gidfs_error(error, EINVAL, "%s: no value; write %s", option->usage, option->usage);
    if (!takes_value && raw_value)
        return gidfs_error(error, EINVAL, "%s=%s: takes no value; write %s", option->usage, raw_value, option->usage);
    if (!raw_value || option->set == set_lower_dirs) /* which resolves escapes after it has looked for colons */
        return option->set(options, option, raw_value, error);
    g_autofree char *value = view_options_unescape(raw_value, strlen(raw_value));
    return option->set(options, option, value, error);
}

static int set_by_name(struct view_options *options, const char *name, const char *raw_value, GError **error)
{
    const struct option *option = find_option(name);
    if (option)
        return set_option(options, option, raw_value, error);
    uint32_t set, clear;
    if (!raw_value && view_options_find_flags(name, &set, &clear)) {
        options->flags = (options->flags & ~clear) | set;
        options->flags_given |= set | clear;
        return 0;
    }
    if (view_options_is_for_mount(name))
        return 0;
    return gidfs_error(error, EINVAL, "%s: no such option; gidfs-view --help lists those there are", name);
}

static int check_layers(struct view_options *options, GError **error)
{
    if (options->upper_dir && options->n_lower_dirs == 0)
        return gidfs_error(error, EINVAL, "upperdir=%s: no layers below it; add lowerdir=", options->upper_dir);
    if (options->upper_dir && !options->work_dir)
        return gidfs_error(error, EINVAL,
                           "upperdir=%s: needs workdir=, an empty directory on the same file system; add it",
                           options->upper_dir);
    if (options->n_lower_dirs > VIEW_MAX_LAYERS)
        return gidfs_error(error, EINVAL, "lowerdir=: %zu layers; the most is %d, flatten some", options->n_lower_dirs,
                           VIEW_MAX_LAYERS);
    if (!options->upper_dir)
        g_clear_pointer(&options->work_dir, g_free);
    return 0;
}

/* What depends on more than one option. */
static int complete(struct view_options *options, bool policy_given, bool chgrp_given, GError **error)
{
    if (!options->has_gid && policy_given && options->policy != MODE_POLICY_NONE)
        return gidfs_error(error, EINVAL, "policy=%s: has no effect without a gid; add gid=N or leave it out",
                           mode_policy_to_string(options->policy));
    if (!options->has_gid && chgrp_given)
        return gidfs_error(error, EINVAL, "chgrp=%s: has no effect without a gid; add gid=N or leave it out",
                           view_chgrp_words[options->chgrp]);
    if (options->has_gid && options->has_squash_gid)
        return gidfs_error(error, EINVAL, "gid=%u: squash_to_gid= or squash_to_root names another group; give one",
                           options->view_gid);
    if (options->has_gid && policy_given && options->policy == MODE_POLICY_NONE)
        return gidfs_error(error, EINVAL, "policy=none: not with gid=%u; take shared, mesos or fsgroup",
                           options->view_gid);
    if (options->has_gid && options->no_acl) /* a file 0600 with an ACL for one user has the mode 0660 */
        return gidfs_error(error, EINVAL,
                           "noacl: not with gid=%u, whose members could then read what only ACLs give to others; leave "
                           "out one of them",
                           options->view_gid);
    if (options->has_gid && !policy_given)
        options->policy = MODE_POLICY_SHARED;
    return check_layers(options, error);
}

int view_options_parse(const char *text, struct view_options **ret_options, GError **error)
{
    g_autoptr(view_options) options = g_new0(struct view_options, 1);
    options->flags = VIEW_NOSUID | VIEW_NODEV;
    bool policy_given = false, chgrp_given = false;
    const char *at = text ? text : "";
    g_autofree char *name = NULL;
    g_autofree char *raw_value = NULL;

    while (view_options_next(&at, &name, &raw_value)) {
        int r = set_by_name(options, name, raw_value, error);
        if (r < 0)
            return r;
        policy_given = policy_given || strcmp(name, "policy") == 0;
        chgrp_given = chgrp_given || strcmp(name, "chgrp") == 0;
    }
    int r = complete(options, policy_given, chgrp_given, error);
    if (r < 0)
        return r;
    *ret_options = g_steal_pointer(&options);
    return 0;
}

void view_options_free(struct view_options *options)
{
    if (!options)
        return;
    id_map_free(options->uid_map);
    id_map_free(options->gid_map);
    g_free(options->control);
    g_free(options->fsname);
    g_free(options->context);
    g_strfreev(options->lower_dirs);
    g_free(options->upper_dir);
    g_free(options->work_dir);
    g_free(options);
}

char *view_options_help(void)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(options_table); i++)
        if (options_table[i].help)
            g_string_append_printf(out, "  %-34s %s\n", options_table[i].usage, options_table[i].help);
    g_string_append_printf(out, "  %-34s %s\n", "ro rw nosuid suid nodev dev noexec", "as in mount(8), and its other");
    g_string_append_printf(out, "  %-34s %s\n", "", "flags; nosuid,nodev unless said otherwise");
    return g_string_free(out, FALSE);
}
