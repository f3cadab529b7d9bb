/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel may cache, and how long.
 */
#include "view/common/view.h"

void view_cover_directory(struct view *view, struct inode *dir, int dir_fd)
{
}

void view_cover_child(struct view *view, const struct inode *dir, struct inode *child)
{
}

double view_attr_timeout(const struct view *view, const struct inode *inode, const struct stat *st)
{
    return view->watch ? view->cached_s : view->unwatched_s;
}

double view_entry_timeout(const struct view *view, const struct inode *dir)
{
    return view->watch ? view->cached_s : view->unwatched_s;
}
