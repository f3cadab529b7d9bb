/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name in one directory of one layer. The number of system calls here times the number of layers is what a cold
 * lookup costs, so each is asked for only where its answer can matter: marks matter to the layers below only, and the
 * xattrs of a directory are read one by one only if a listing of them shows that there are any.
 */
#include "layer/layer_probe.h"

#include "base/fd.h"
#include "core/whiteout.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define XATTR_LIST_BYTES 4096

void layer_probe_clear(struct layer_probe *probe)
{
    probe->fd = fd_close(probe->fd);
    g_clear_pointer(&probe->redirect, g_free);
}

static bool exists(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS) == 0;
}

/* The overlay xattrs that fd has, as bits of enum overlay_xattr for each form. */
struct overlay_marks {
    unsigned of_form[2];
};

static struct overlay_marks find_marks(const char *list, ssize_t size)
{
    struct overlay_marks marks = {{0, 0}};
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1) {
        enum overlay_xattr_form form;
        enum overlay_xattr attr;
        if (overlay_xattr_parse(list + at, &form, &attr))
            marks.of_form[form] |= 1U << attr;
    }
    return marks;
}

static struct overlay_marks read_marks(int fd)
{
    char small[XATTR_LIST_BYTES];
    g_autofree char *large = NULL;
    char *list = small;
    ssize_t size = inode_fd_listxattr(fd, small, sizeof(small));
    if (size == -ERANGE)
        size = inode_fd_listxattr(fd, list = large = g_malloc(XATTR_LIST_MAX), XATTR_LIST_MAX);
    return find_marks(list, size);
}

bool layer_probe_has_no_marks(int dir_fd, const char *name)
{
    char list[XATTR_LIST_BYTES];
    ssize_t size = inode_fd_listxattr_at(dir_fd, name, list, sizeof(list));
    struct overlay_marks marks = find_marks(list, size);
    return size >= 0 && marks.of_form[OVERLAY_XATTR_TRUSTED] == 0 && marks.of_form[OVERLAY_XATTR_USER] == 0;
}

static bool has_mark(const struct overlay_marks *marks, enum overlay_xattr_form form, enum overlay_xattr attr)
{
    return marks->of_form[form] & (1U << attr);
}

/* The one-letter value of overlay.opaque, in either form; 0 for none. */
static char opaque_value(int fd, const struct overlay_marks *marks)
{
    for (int form = 0; form < 2; form++) {
        char value;
        if (has_mark(marks, form, OVERLAY_XATTR_OPAQUE) &&
            inode_fd_getxattr(fd, overlay_xattr_name(form, OVERLAY_XATTR_OPAQUE), &value, 1) == 1)
            return value;
    }
    return 0;
}

bool layer_probe_holds_xattr_whiteouts(int dir_fd)
{
    struct overlay_marks marks = read_marks(dir_fd);
    return opaque_value(dir_fd, &marks) == 'x';
}

bool layer_probe_is_xattr_whiteout(int fd, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) || st->st_size != 0)
        return false;
    struct overlay_marks marks = read_marks(fd);
    return has_mark(&marks, OVERLAY_XATTR_TRUSTED, OVERLAY_XATTR_WHITEOUT) ||
           has_mark(&marks, OVERLAY_XATTR_USER, OVERLAY_XATTR_WHITEOUT);
}

static char *read_redirect(const struct layer_set *set, int fd, const struct overlay_marks *marks)
{
    char value[PATH_MAX];
    if (!set->follow_redirects || !has_mark(marks, set->form, OVERLAY_XATTR_REDIRECT))
        return NULL;
    ssize_t size = inode_fd_getxattr(fd, overlay_xattr_name(set->form, OVERLAY_XATTR_REDIRECT), value, sizeof(value));
    return size <= 0 ? NULL : g_strndup(value, size);
}

/* What a directory or a regular file says about the layers below it. */
static void read_steering(const struct layer_set *set, const struct layer_question *question, struct layer_probe *probe)
{
    bool is_dir = S_ISDIR(probe->st.st_mode);
    struct overlay_marks marks = read_marks(probe->fd);
    probe->no_origin = !has_mark(&marks, set->form, OVERLAY_XATTR_ORIGIN);
    probe->answer.metacopy = !is_dir && has_mark(&marks, set->form, OVERLAY_XATTR_METACOPY);
    if (is_dir || probe->answer.metacopy)
        probe->redirect = read_redirect(set, probe->fd, &marks);
    if (is_dir)
        probe->answer.opaque = opaque_value(probe->fd, &marks) == 'y' ||
                               ((!question->is_final || probe->redirect) && exists(probe->fd, WHITEOUT_OPAQUE_NAME));
}

static void judge(const struct layer_set *set, int dir_fd, const struct layer_question *question,
                  struct layer_probe *probe)
{
    if (whiteout_is_device(probe->st.st_mode, probe->st.st_rdev)) {
        probe->answer.found = LAYER_FOUND_WHITEOUT;
    } else if (S_ISREG(probe->st.st_mode) && probe->st.st_size == 0 && layer_probe_holds_xattr_whiteouts(dir_fd) &&
               layer_probe_is_xattr_whiteout(probe->fd, &probe->st)) {
        probe->answer.found = LAYER_FOUND_WHITEOUT;
    } else {
        probe->answer.found = S_ISDIR(probe->st.st_mode) ? LAYER_FOUND_DIR : LAYER_FOUND_OTHER;
        if (!question->is_last && (S_ISDIR(probe->st.st_mode) || S_ISREG(probe->st.st_mode)))
            read_steering(set, question, probe);
    }
    if (probe->answer.found == LAYER_FOUND_WHITEOUT)
        probe->fd = fd_close(probe->fd);
}

/* Whether an AUFS mark beside the entry hides what is below. */
static bool has_aufs_mark(int dir_fd, const struct layer_question *question, const struct layer_probe *probe)
{
    char mark[NAME_MAX + 1];
    bool matters = !question->is_last && (!question->is_final || probe->redirect);
    if (!matters || !(question->has & LAYER_HAS_MARK) || probe->answer.found == LAYER_FOUND_WHITEOUT)
        return false;
    return whiteout_make_name(question->name, mark) == 0 && exists(dir_fd, mark);
}

int layer_probe_name(const struct layer_set *set, int dir_fd, const struct layer_question *question,
                     struct layer_probe *ret_probe)
{
    g_auto(layer_probe) probe = {.fd = -1};
    if (question->has & LAYER_HAS_ENTRY) {
        probe.fd = openat(dir_fd, question->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (probe.fd < 0 && errno != ENOENT)
            return -errno;
    }
    if (probe.fd >= 0) {
        int r = inode_fd_statx(probe.fd, &probe.stx);
        if (r < 0)
            return r;
        statx_to_stat(&probe.stx, &probe.st);
        judge(set, dir_fd, question, &probe);
    }
    probe.answer.hides = has_aufs_mark(dir_fd, question, &probe);
    *ret_probe = probe;
    probe = (struct layer_probe){.fd = -1};
    return 0;
}
