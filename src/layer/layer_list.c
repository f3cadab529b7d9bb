/* SPDX-License-Identifier: Apache-2.0 */
/* Listing: the entries of each member directory go through the listing rules of core, which know no file system. */
#include "base/fd.h"
#include "core/whiteout.h"
#include "layer/layer_object.h"
#include "layer/layer_probe.h"
#include "sys/dirent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define BUFFER_BYTES 32768

/* Calls back for each entry of an open directory; a callback's negative errno ends it. */
typedef int (*entry_fn)(int dir_fd, const struct dirent_record *record, void *data);

static int for_each_entry(int dir_fd, entry_fn callback, void *data)
{
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);
    ssize_t n;
    while ((n = dirent_read(dir_fd, buffer, BUFFER_BYTES)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(buffer + at);
            at += record->record_size_bytes;
            int r = callback(dir_fd, record, data);
            if (r < 0)
                return r;
        }
    return (int)n;
}

/* Whether an entry is a whiteout in overlayfs form; asks the file system only where the type leaves it open. */
static bool is_whiteout(int dir_fd, const struct dirent_record *record, bool has_xattr_whiteouts)
{
    struct stat st;
    bool may_be =
        record->type == DT_CHR || record->type == DT_UNKNOWN || (record->type == DT_REG && has_xattr_whiteouts);
    if (!may_be || fstatat(dir_fd, record->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (whiteout_is_device(st.st_mode, st.st_rdev))
        return true;
    if (!has_xattr_whiteouts || !S_ISREG(st.st_mode) || st.st_size != 0)
        return false;
    auto_fd int fd = openat(dir_fd, record->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && layer_probe_is_xattr_whiteout(fd, &st);
}

struct listing_context {
    struct layer_listing *listing;
    struct layer_names *names;
    unsigned layer;
    bool has_xattr_whiteouts;
};

static int add_entry(int dir_fd, const struct dirent_record *record, void *data)
{
    struct listing_context *context = data;
    if (context->names)
        layer_names_add(context->names, context->layer, record->name);
    if (is_whiteout(dir_fd, record, context->has_xattr_whiteouts))
        layer_listing_add_whiteout(context->listing, record->name);
    else
        layer_listing_add(context->listing, record->name, record->type, record->ino);
    return 0;
}

int layer_object_list(const struct layer_object *dir, struct layer_names *names, struct layer_listing **ret_listing)
{
    g_autoptr(layer_listing) listing = layer_listing_new();
    for (unsigned i = 0; i < dir->n_members; i++) {
        auto_fd int fd = openat(dir->members[i].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        struct listing_context context = {
            .listing = listing,
            .names = names,
            .layer = dir->members[i].layer,
            .has_xattr_whiteouts = layer_probe_holds_xattr_whiteouts(fd),
        };
        layer_listing_begin(listing, dir->members[i].layer);
        int r = for_each_entry(fd, add_entry, &context);
        if (r < 0)
            return r;
    }
    *ret_listing = g_steal_pointer(&listing);
    return 0;
}
