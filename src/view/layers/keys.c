/* SPDX-License-Identifier: Apache-2.0 */
#include "view/layers/layers.h"
#include "view/layers/layers_view.h"

#include <errno.h>
#include <string.h>

/* Above the bits that file systems use for their own numbers, and below the sign. */
#define FS_SHIFT 52
#define FS_BITS  10

static int add_layer(struct inode_key *key, unsigned layer)
{
    uint16_t number = (uint16_t)layer;
    if (key->n_bytes + sizeof(number) > INODE_KEY_MAX_BYTES)
        return -EOVERFLOW;
    memcpy(key->bytes + key->n_bytes, &number, sizeof(number));
    key->n_bytes += sizeof(number);
    return 0;
}

int layers_key_of_fd(struct view *view, unsigned layer, int fd, const struct statx *stx, struct inode_key *ret_key,
                     enum inode_keep *ret_keep)
{
    int r = source_key_of_fd(view->source, fd, stx, ret_key, ret_keep);
    return r < 0 ? r : add_layer(ret_key, layer);
}

bool layers_key_of_name(struct view *view, unsigned layer, int dir_fd, const char *name, struct statx *ret_stx,
                        struct inode_key *ret_key)
{
    return source_key_of_name(view->source, dir_fd, name, ret_stx, ret_key) && add_layer(ret_key, layer) == 0;
}

unsigned layers_layer_of(const struct view *view, const struct inode *inode)
{
    if (layers_is_upper(inode))
        return 0;
    struct inode_key key = inode_table_get_key(view->inodes, inode);
    uint16_t number;
    memcpy(&number, key.bytes + key.n_bytes - sizeof(number), sizeof(number));
    return number;
}

int layers_view_open_key(void *data, const struct inode *inode)
{
    const struct view *view = data;
    struct inode_key key = inode_table_get_key(view->inodes, inode);
    if (key.n_bytes <= sizeof(uint16_t))
        return -ESTALE;
    key.n_bytes -= sizeof(uint16_t);
    return source_open_key(view->source, &key);
}

void layers_unmap_ids(const struct view *view, unsigned layer, struct statx *stx)
{
    uint32_t uid, gid;
    if (!layers_of(view)->is_id_mapped[layer])
        return;
    if (id_map_to_disk(view->options->uid_map, stx->stx_uid, &uid) == 0)
        stx->stx_uid = uid;
    if (id_map_to_disk(view->options->gid_map, stx->stx_gid, &gid) == 0)
        stx->stx_gid = gid;
}

uint64_t layers_ino(const struct layers *layers, unsigned layer, uint64_t ino)
{
    uint32_t fs = layers->set->layers[layer].fs;
    if (fs == 0)
        return ino;
    if (ino >> FS_SHIFT) /* no room: mix the halves, as good as any number */
        ino = (ino ^ (ino * 0x9e3779b97f4a7c15U >> 12)) & ((1ULL << FS_SHIFT) - 1);
    return ino | (uint64_t)(fs & ((1U << FS_BITS) - 1)) << FS_SHIFT;
}
