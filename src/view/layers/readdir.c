/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a merged directory.
 *
 * There is no open directory: a READDIR names its directory and an offset. The names of a listing stand in the order of
 * a hash of them, and an entry's offset is its hash, so a listing goes on at the right place whatever was added or
 * removed meanwhile, whoever else reads the directory, and whichever worker is asked. What was merged is kept between
 * one request and the next, and merged anew at offset 0.
 */
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_KEPT    32 /* snapshots */
#define N_AT_ONCE 64 /* entries */

/* Offsets of "." and ".."; those of entries are greater. */
#define OFFSET_DOT     1
#define OFFSET_DOT_DOT 2

struct entry {
    int64_t offset; /* where the listing goes on behind it */
    const struct layer_listing_entry *listed;
};

/* One merged directory, as it was when a reader began. */
struct snapshot {
    struct layer_listing *listing; /* owns the names */
    struct entry *entries;         /* by offset, ascending */
    size_t n_entries;
};

struct listings {
    pthread_mutex_t lock;
    unsigned next;
    struct {
        uint64_t nodeid;
        struct snapshot *snapshot;
    } kept[N_KEPT];
};

static void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    layer_listing_free(snapshot->listing);
    g_free(snapshot->entries);
    g_free(snapshot);
}

struct listings *listings_new(void)
{
    struct listings *listings = g_new0(struct listings, 1);
    pthread_mutex_init(&listings->lock, NULL);
    return listings;
}

void listings_free(struct listings *listings)
{
    if (!listings)
        return;
    for (unsigned i = 0; i < N_KEPT; i++)
        snapshot_free(listings->kept[i].snapshot);
    pthread_mutex_destroy(&listings->lock);
    g_free(listings);
}

static struct snapshot *take(struct listings *listings, uint64_t nodeid)
{
    struct snapshot *snapshot = NULL;
    pthread_mutex_lock(&listings->lock);
    for (unsigned i = 0; i < N_KEPT && !snapshot; i++)
        if (listings->kept[i].nodeid == nodeid)
            snapshot = g_steal_pointer(&listings->kept[i].snapshot);
    pthread_mutex_unlock(&listings->lock);
    return snapshot;
}

static void give(struct listings *listings, uint64_t nodeid, struct snapshot *snapshot)
{
    pthread_mutex_lock(&listings->lock);
    unsigned i = listings->next++ % N_KEPT;
    struct snapshot *replaced = listings->kept[i].snapshot;
    listings->kept[i].nodeid = nodeid;
    listings->kept[i].snapshot = snapshot;
    pthread_mutex_unlock(&listings->lock);
    snapshot_free(replaced);
}

static int64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3U;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15U;
    return (int64_t)(h >> 2) + OFFSET_DOT_DOT + 1;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return strcmp(x->listed->name, y->listed->name);
}

static int make_snapshot(const struct layers *layers, const struct layers_dir *dir, struct snapshot **ret_snapshot)
{
    struct layer_listing *listing;
    bool wants_names = dir->merged->object.n_members > 1 && !merged_names(dir->merged);
    g_autoptr(layer_names) names = wants_names ? layers_names_new(layers) : NULL;
    int r = layer_object_list(&dir->merged->object, names, &listing);
    if (r < 0)
        return r;
    if (names)
        merged_set_names(dir->merged, g_steal_pointer(&names));
    struct snapshot *snapshot = g_new0(struct snapshot, 1);
    snapshot->listing = listing;
    const struct layer_listing_entry *listed = layer_listing_entries(listing, &snapshot->n_entries);
    snapshot->entries = g_new(struct entry, snapshot->n_entries + 1);
    for (size_t i = 0; i < snapshot->n_entries; i++)
        snapshot->entries[i] = (struct entry){.offset = hash_name(listed[i].name), .listed = &listed[i]};
    qsort(snapshot->entries, snapshot->n_entries, sizeof(struct entry), compare_entries);
    /* Two names of one hash: the second stands right behind. */
    for (size_t i = 1; i < snapshot->n_entries; i++)
        snapshot->entries[i].offset = MAX(snapshot->entries[i].offset, snapshot->entries[i - 1].offset + 1);
    *ret_snapshot = snapshot;
    return 0;
}

/* The first entry behind offset. */
static size_t find_entry(const struct snapshot *snapshot, int64_t offset)
{
    size_t low = 0, high = snapshot->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->entries[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct answer {
    fuse_req_t req;
    struct view *view;
    struct layers_dir *dir;
    bool plus;
    bool is_impure; /* entries of the upper may show numbers that aren't their own */
    char *out;
    size_t n_out_bytes, size_bytes;
};

/* Whether names of the upper in this directory have to be looked up for their numbers (behaviour D6). */
static bool read_impure(const struct layers *layers, const struct layers_dir *dir)
{
    char value;
    const struct layer_member *top = &dir->merged->object.members[0];
    if (!layers->set->has_upper || top->layer != 0)
        return false;
    if (dir->merged->object.n_members > 1)
        return true;
    return inode_fd_getxattr(top->fd, overlay_xattr_name(layers->set->form, OVERLAY_XATTR_IMPURE), &value, 1) == 1;
}

static uint64_t number_of(struct answer *a, const struct layer_listing_entry *listed)
{
    struct layers *layers = layers_of(a->view);
    uint64_t own = layers_ino(layers, listed->layer, listed->ino), ino;
    if (!a->is_impure || listed->layer != 0)
        return own;
    g_auto(layer_object) object = {0};
    if (layers_find(a->view, a->dir, listed->name, &object) < 0)
        return own;
    ino = layers_number_from_below(layers, &object);
    return ino ? ino : own;
}

static void plain_entry(struct answer *a, const struct layer_listing_entry *listed, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.attr = {.st_ino = number_of(a, listed), .st_mode = DTTOIF(listed->type)}};
}

static bool add_dot(struct answer *a, const char *name, off_t offset)
{
    struct fuse_entry_param entry = {.attr = {.st_ino = 1, .st_mode = S_IFDIR}};
    char *at = a->out + a->n_out_bytes;
    size_t n_left = a->size_bytes - a->n_out_bytes;
    size_t n_needed = a->plus ? fuse_add_direntry_plus(a->req, at, n_left, name, &entry, offset)
                              : fuse_add_direntry(a->req, at, n_left, name, &entry.attr, offset);
    if (n_needed > n_left)
        return false;
    a->n_out_bytes += n_needed;
    return true;
}

static size_t needed_bytes(const struct answer *a, const struct entry *entry)
{
    const char *name = entry->listed->name;
    return a->plus ? fuse_add_direntry_plus(a->req, NULL, 0, name, NULL, 0)
                   : fuse_add_direntry(a->req, NULL, 0, name, NULL, 0);
}

/* How many of the entries there is room for, at most N_AT_ONCE. */
static unsigned count_fitting(const struct answer *a, const struct entry *entries, size_t n_entries)
{
    size_t n_left = a->size_bytes - a->n_out_bytes, n_needed;
    unsigned n = 0;
    for (; n < MIN(n_entries, N_AT_ONCE) && (n_needed = needed_bytes(a, &entries[n])) <= n_left; n++)
        n_left -= n_needed;
    return n;
}

static void add_plus(struct answer *a, const struct entry *entries, unsigned n)
{
    struct fuse_entry_param params[N_AT_ONCE];
    const struct layer_listing_entry *listed[N_AT_ONCE] = {NULL};
    for (unsigned i = 0; i < n; i++)
        listed[i] = entries[i].listed;
    layers_lookup_many(a->view, a->dir, listed, n, params);
    for (unsigned i = 0; i < n; i++)
        a->n_out_bytes += fuse_add_direntry_plus(a->req, a->out + a->n_out_bytes, a->size_bytes - a->n_out_bytes,
                                                 listed[i]->name, &params[i], entries[i].offset);
}

static void add_plain(struct answer *a, const struct entry *entries, unsigned n)
{
    struct fuse_entry_param param;
    for (unsigned i = 0; i < n; i++) {
        plain_entry(a, entries[i].listed, &param);
        a->n_out_bytes += fuse_add_direntry(a->req, a->out + a->n_out_bytes, a->size_bytes - a->n_out_bytes,
                                            entries[i].listed->name, &param.attr, entries[i].offset);
    }
}

static void fill(struct answer *a, const struct snapshot *snapshot, int64_t offset)
{
    unsigned n;
    if (offset < OFFSET_DOT && !add_dot(a, ".", OFFSET_DOT))
        return;
    if (offset < OFFSET_DOT_DOT && !add_dot(a, "..", OFFSET_DOT_DOT))
        return;
    for (size_t i = find_entry(snapshot, offset); i < snapshot->n_entries; i += n) {
        n = count_fitting(a, &snapshot->entries[i], snapshot->n_entries - i);
        if (n == 0)
            return;
        (a->plus ? add_plus : add_plain)(a, &snapshot->entries[i], n);
    }
}

static int fill_answer(struct answer *a, int64_t offset)
{
    struct layers *layers = layers_of(a->view);
    uint64_t nodeid = a->dir->inode->nodeid;
    struct snapshot *snapshot = offset > 0 ? take(layers->listings, nodeid) : NULL;
    int r = snapshot ? 0 : make_snapshot(layers, a->dir, &snapshot);
    if (r < 0)
        return r;
    a->is_impure = read_impure(layers, a->dir);
    fill(a, snapshot, offset);
    if (a->n_out_bytes > 0)
        give(layers->listings, nodeid, snapshot);
    else
        snapshot_free(snapshot);
    return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct view *view = view_of_request(req);
    struct layers_dir dir;
    struct answer a = {
        .req = req, .view = view, .dir = &dir, .plus = plus, .size_bytes = MIN(size, FUSE_MAX_WRITE_BYTES)};
    int r = layers_dir_get(view, ino, &dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    a.out = malloc(a.size_bytes);
    r = a.out ? fill_answer(&a, offset) : -ENOMEM;
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_buf(req, a.out, a.n_out_bytes);
    free(a.out);
    layers_dir_put(view, &dir);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list(req, ino, size, offset, true);
}

void layers_ops_readdir(struct fuse_lowlevel_ops *ops)
{
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
}
