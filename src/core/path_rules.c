/* SPDX-License-Identifier: Apache-2.0 */
#include "core/path_rules.h"

#include <errno.h>
#include <string.h>

struct component {
    const char *text; /* not terminated */
    size_t length;    /* 0: the path has ended */
};

/* Takes the next component that says something off *at. */
static struct component next_component(const char **at)
{
    struct component component;
    do {
        component.text = *at + strspn(*at, "/");
        component.length = strcspn(component.text, "/");
        *at = component.text + component.length;
    } while (component.length == 1 && component.text[0] == '.');
    return component;
}

int path_normalize(const char *what, const char *path, char **ret_path, GError **error)
{
    if (path[0] != '/')
        return gidfs_error(error, EINVAL, "%s: \"%s\" is not an absolute path; start it with /", what, path);
    g_autoptr(GString) normal = g_string_new(NULL);
    const char *at = path;
    for (struct component c = next_component(&at); c.length > 0; c = next_component(&at)) {
        if (c.length == 2 && memcmp(c.text, "..", 2) == 0)
            return gidfs_error(error, EINVAL, "%s: \"%s\" holds \"..\"; write where it leads", what, path);
        g_string_append_c(normal, '/');
        g_string_append_len(normal, c.text, (gssize)c.length);
    }
    *ret_path = normal->len ? g_string_free(g_steal_pointer(&normal), FALSE) : g_strdup("/");
    return 0;
}

enum path_relation path_relate(const char *a, const char *b)
{
    for (;;) {
        struct component x = next_component(&a), y = next_component(&b);
        if (x.length == 0 && y.length == 0)
            return PATH_SAME;
        if (x.length == 0)
            return PATH_CONTAINS;
        if (y.length == 0)
            return PATH_INSIDE;
        if (x.length != y.length || memcmp(x.text, y.text, x.length) != 0)
            return PATH_APART;
    }
}

bool path_is_within(const char *path, const char *dir)
{
    enum path_relation relation = path_relate(path, dir);
    return relation == PATH_SAME || relation == PATH_INSIDE;
}

const char *path_deepest_container(const char *path, const char *const *dirs)
{
    const char *deepest = NULL;
    for (size_t i = 0; dirs[i]; i++)
        if (path_is_within(path, dirs[i]) && (!deepest || path_is_within(dirs[i], deepest)))
            deepest = dirs[i];
    return deepest;
}

int path_check_view(const char *source, const char *mount_point, const char *const *views, GError **error)
{
    if (path_is_within(mount_point, source))
        return gidfs_error(error, EINVAL,
                           "mount point %s: lies in the source %s, so the view would contain itself; "
                           "take one outside",
                           mount_point, source);
    const char *view = path_deepest_container(source, views);
    if (view)
        return gidfs_error(error, EBUSY, "source %s: lies in the gidfs view at %s; take the directory behind that view",
                           source, view);
    view = path_deepest_container(mount_point, views);
    if (view && path_relate(mount_point, view) == PATH_INSIDE)
        return gidfs_error(error, EBUSY, "mount point %s: lies in the gidfs view at %s; take one outside", mount_point,
                           view);
    return 0;
}

int path_check_upper(const char *upper, const char *work, const char *const *lowers, const char *mount_point,
                     GError **error)
{
    if (path_relate(upper, work) != PATH_APART)
        return gidfs_error(error, EINVAL,
                           "workdir %s: one of it and upperdir %s lies in the other; take an empty directory beside it",
                           work, upper);
    for (size_t i = 0; lowers[i]; i++) {
        if (path_relate(lowers[i], upper) == PATH_SAME)
            return gidfs_error(error, EINVAL, "upperdir %s: is a lower layer as well, which must not change", upper);
    }
    if (path_is_within(mount_point, upper) || path_is_within(mount_point, work))
        return gidfs_error(error, EINVAL,
                           "mount point %s: lies in the upperdir or workdir, so the view would contain itself; "
                           "take one outside",
                           mount_point);
    return 0;
}

static int check_name(const char *what, const char *name, const char *punctuation, size_t max_length, GError **error)
{
    size_t length = strlen(name);
    if (length == 0)
        return gidfs_error(error, EINVAL, "%s: empty; give it a name", what);
    if (length > max_length)
        return gidfs_error(error, EINVAL, "%s %.20s...: %zu bytes long; the most is %zu", what, name, length,
                           max_length);
    if (!g_ascii_isalnum(name[0]))
        return gidfs_error(error, EINVAL, "%s \"%s\": starts with no letter or digit; rename it", what, name);
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isalnum(name[i]) && !strchr(punctuation, name[i]))
            return gidfs_error(error, EINVAL, "%s \"%s\": holds something else than letters, digits and %s; rename it",
                               what, name, punctuation);
    return 0;
}

int volume_name_check(const char *name, GError **error)
{
    return check_name("volume name", name, "_.-", VOLUME_NAME_MAX, error);
}

int container_id_check(const char *id, GError **error)
{
    return check_name("container id", id, "_.-:@", CONTAINER_ID_MAX, error);
}
