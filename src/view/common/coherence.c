/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel may cache, and how long.
 *
 * Long (cached_s) is what a change behind the view drops, or what has no other way to change: entries of a directory
 * that is watched, absent ones too; attributes of a directory that is watched itself, of a file with one name in a
 * directory that is watched, and of a file that is watched itself. All else is short (unwatched_s). watch/watch.c says
 * why this is enough.
 */
#include "base/log.h"
#include "sys/inode_fd.h"
#include "view/common/view.h"
#include "watch/watch.h"

#include <errno.h>

/*
 * Before protocol 7.44 not all entries can be dropped at once, which is called for when events are lost: so that they
 * never are wrong for long. The queue is unbounded then, and events are lost only when memory runs out.
 */
#define CACHED_WITHOUT_EPOCH_S 30.0

static uint64_t find(void *data, const struct handle *handle, unsigned *at)
{
    struct view *view = data;
    return source_find(view->source, view->inodes, handle, at);
}

static int open_key(void *data, const struct inode_key *key)
{
    struct view *view = data;
    return source_open_key(view->source, key);
}

/* Changes of a layered view's layers are not looked for: as with overlayfs, only the view may change them. */
static bool wants_watch(const struct view *view)
{
    return view->options->cache == VIEW_CACHE_AUTO && !view->options->has_timeout && !view->hook_data;
}

void view_watch(struct view *view, struct watch_state *state)
{
    struct watch_config config = {.state = state,
                                  .inodes = view->inodes,
                                  .transport = view->transport,
                                  .find = find,
                                  .generation = source_generation,
                                  .open_key = open_key,
                                  .data = view};
    if (!wants_watch(view))
        return;
    if (!transport_agreed(view->transport)->notify_inc_epoch)
        view->cached_s = MIN(view->cached_s, CACHED_WITHOUT_EPOCH_S);
    int r = view->source->handles ? watch_new(&config, &view->watch) : -EOPNOTSUPP;
    if (r == 0)
        r = watch_start(view->watch);
    if (r == 0) {
        view->echo = &state->echo;
        return;
    }
    watch_free(view->watch);
    view->watch = NULL;
    log_info("the source can't be watched here (%s): changes behind the view are seen after %g s", g_strerror(-r),
             view->unwatched_s);
}

void view_unwatch(struct view *view)
{
    watch_free(view->watch);
    view->watch = NULL;
}

void view_forget_one(void *data, uint64_t nodeid, uint64_t n_lookups)
{
    struct view *view = data;
    if (view->watch)
        watch_forget(view->watch, nodeid, n_lookups);
    else
        inode_table_forget(view->inodes, nodeid, n_lookups);
}

void view_cover_directory(struct view *view, struct inode *dir, int dir_fd)
{
    if (view->watch)
        watch_cover(view->watch, dir, dir_fd);
}

uint64_t view_changes_missed(const struct view *view)
{
    return view->watch ? watch_n_missed(view->watch) : 0;
}

static bool is_known_now(struct watch *watch, struct inode *inode, int fd)
{
    return true;
}

/* Has the watch do something about an inode (watch_cover, watch_listen), and reads its attributes again if it did. */
static int cover_by(struct view *view, bool (*cover)(struct watch *watch, struct inode *inode, int fd),
                    struct inode *inode, struct statx *stx)
{
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    int r = cover(view->watch, inode, fd) ? inode_fd_statx(fd, stx) : 0;
    inode_table_put_fd(view->inodes, inode);
    return r;
}

/*
 * A change that was missed since may have been one of this inode, before it was in the table: then the attributes may
 * be those from before that change.
 */
int view_cover_inode(struct view *view, const struct inode *dir, struct inode *inode, uint64_t n_missed,
                     struct statx *stx)
{
    int r = 0;
    if (!view->watch)
        return 0;
    uint16_t flags = atomic_load(&inode->flags);
    if (view_changes_missed(view) != n_missed)
        r = cover_by(view, is_known_now, inode, stx);
    bool alone = !S_ISDIR(stx->stx_mode) && stx->stx_nlink == 1;
    if (r == 0 && flags & INODE_FLAG_QUIET)
        r = cover_by(view, watch_listen, inode, stx);
    if (r == 0 && !alone && !(flags & (INODE_FLAG_WATCHED | INODE_FLAG_UNWATCHABLE)))
        r = cover_by(view, watch_cover, inode, stx);
    if (alone && dir && atomic_load(&dir->flags) & INODE_FLAG_WATCHED &&
        !(flags & (INODE_FLAG_COVERED | INODE_FLAG_NO_HANDLE)))
        atomic_fetch_or(&inode->flags, INODE_FLAG_COVERED);
    return r;
}

double view_attr_timeout(const struct view *view, const struct inode *inode, const struct stat *st)
{
    /* What the kernel does to a file by itself is not told: mtime of a mapping, set-id bits that a write clears. */
    if (inode->n_writers > 0 || (S_ISREG(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID)))
        return 0;
    uint16_t flags = atomic_load(&inode->flags);
    bool watched = flags & INODE_FLAG_WATCHED;
    bool covered = flags & INODE_FLAG_COVERED && st->st_nlink == 1 && !S_ISDIR(st->st_mode);
    return view->watch && (watched || covered) ? view->cached_s : view->unwatched_s;
}

double view_entry_timeout(const struct view *view, const struct inode *dir)
{
    bool watched = atomic_load(&dir->flags) & INODE_FLAG_WATCHED;
    return view->watch && watched ? view->cached_s : view->unwatched_s;
}
