/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirects: where the lower part of a renamed directory is. The lower layers are looked up by the name that a
 * directory had before it was renamed; going down from the root of the upper, that is its redirect where it has one,
 * and its name otherwise.
 */
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* The redirect of an upper directory: "" if it has none. */
static int read_redirect(const struct layers *layers, int fd, char ret_redirect[PATH_MAX])
{
    const char *name = overlay_xattr_name(layers->set->form, OVERLAY_XATTR_REDIRECT);
    ssize_t n = inode_fd_getxattr(fd, name, ret_redirect, PATH_MAX - 1);
    if (n < 0 && n != -ENODATA && n != -EOPNOTSUPP)
        return (int)n;
    ret_redirect[n < 0 ? 0 : n] = '\0';
    return 0;
}

static int write_redirect(const struct layers *layers, int fd, const char *redirect)
{
    const char *name = overlay_xattr_name(layers->set->form, OVERLAY_XATTR_REDIRECT);
    int r = inode_fd_setxattr(fd, name, redirect, strlen(redirect), 0);
    return r == -ENOSPC || r == -ERANGE || r == -E2BIG || r == -EOPNOTSUPP ? -EXDEV : r;
}

/* The path of an upper directory from the upper's root: "/a/b". Caller frees. */
static char *path_in_upper(const struct layers *layers, int fd)
{
    char root[PATH_MAX], path[PATH_MAX];
    if (inode_fd_path(layers->set->layers[0].root_fd, root, sizeof(root)) < 0 ||
        inode_fd_path(fd, path, sizeof(path)) < 0)
        return NULL;
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, length) != 0 || path[length] != '/')
        return NULL;
    return g_strdup(path + length);
}

/* The path by which the layers below the upper know the directory at path in the upper. Caller frees. */
static int path_below(const struct layers *layers, const char *path, char **ret_path)
{
    g_autoptr(GString) below = g_string_new(NULL);
    g_auto(GStrv) parts = g_strsplit(path + 1, "/", -1);
    auto_fd int current = openat(layers->set->layers[0].root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (char **part = parts; *part && **part; part++) {
        char redirect[PATH_MAX];
        auto_fd int next = openat(current, *part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return -errno;
        int r = read_redirect(layers, next, redirect);
        if (r < 0)
            return r;
        if (redirect[0] == '/')
            g_string_assign(below, redirect);
        else
            g_string_append_printf(below, "/%s", redirect[0] ? redirect : *part);
        fd_close(current);
        current = fd_steal(&next);
    }
    *ret_path = g_string_free(g_steal_pointer(&below), FALSE);
    return 0;
}

int redirect_write(const struct layers *layers, int dir_fd, const char *name, bool same_parent)
{
    char known[PATH_MAX];
    int r = read_redirect(layers, dir_fd, known);
    if (r < 0 || known[0] == '/' || (known[0] && same_parent))
        return r; /* it leads there from anywhere, or from the same parent */
    if (same_parent)
        return write_redirect(layers, dir_fd, name);
    g_autofree char *path = path_in_upper(layers, dir_fd), *below = NULL;
    if (!path)
        return -EXDEV;
    r = path_below(layers, path, &below);
    return r < 0 ? r : write_redirect(layers, dir_fd, below);
}
