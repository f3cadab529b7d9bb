/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Origins, in the kernel's form (struct ovl_fh in fs/overlayfs/overlayfs.h): version 0, magic 0xfb, length, flags, type
 * of the file handle, UUID of the file system, the handle.
 *
 * They keep inode numbers the same over copy-up (behaviour D6). Where two file systems of the layers have one UUID,
 * or handles can't be opened, there is no origin and a copied-up object shows its own number: as with the kernel's.
 */
#include "base/fd.h"
#include "sys/fs_uuid.h"
#include "sys/handle.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ORIGIN_MAGIC    0xfb
#define FLAG_BIG_ENDIAN 0x01
#define FLAG_ANY_ENDIAN 0x02
#define FLAG_UPPER      0x04
#define FLAG_CPU        (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? FLAG_BIG_ENDIAN : 0)

struct origin {
    uint8_t version;
    uint8_t magic;
    uint8_t n_bytes; /* of all */
    uint8_t flags;
    uint8_t type;
    uint8_t uuid[FS_UUID_BYTES];
    uint8_t handle[HANDLE_MAX_BYTES];
} __attribute__((packed));

#define HEAD_BYTES offsetof(struct origin, handle)

/* The origin of an object of a lower layer. */
static int make_origin(const struct layers *layers, unsigned lower_layer, int lower_fd, struct origin *ret_origin)
{
    const struct layer_uuid *uuid = &layers->uuids[lower_layer];
    struct handle handle;
    if (!uuid->is_usable || handle_of_fd(lower_fd, &handle) < 0 || handle.type > UINT8_MAX)
        return -EOPNOTSUPP;
    *ret_origin = (struct origin){.magic = ORIGIN_MAGIC, .flags = FLAG_CPU, .type = (uint8_t)handle.type};
    memcpy(ret_origin->uuid, uuid->bytes, sizeof(ret_origin->uuid));
    ret_origin->n_bytes = (uint8_t)(HEAD_BYTES + handle.n_bytes);
    memcpy(ret_origin->handle, handle.bytes, handle.n_bytes);
    return 0;
}

int origin_write(const struct layers *layers, int fd, unsigned lower_layer, int lower_fd)
{
    struct origin origin;
    int r = make_origin(layers, lower_layer, lower_fd, &origin);
    if (r < 0)
        return r;
    return inode_fd_setxattr(fd, overlay_xattr_name(layers->set->form, OVERLAY_XATTR_ORIGIN), &origin, origin.n_bytes,
                             0);
}

/* The kernel's names of the index: an origin in hexadecimal digits. */
static void to_hex(const struct origin *origin, char ret_name[ORIGIN_NAME_SIZE])
{
    const uint8_t *bytes = (const void *)origin;
    for (unsigned i = 0; i < origin->n_bytes; i++)
        snprintf(ret_name + 2 * (size_t)i, 3, "%02x", bytes[i]);
}

int origin_name(const struct layers *layers, unsigned lower_layer, int lower_fd, char ret_name[ORIGIN_NAME_SIZE])
{
    struct origin origin;
    int r = make_origin(layers, lower_layer, lower_fd, &origin);
    if (r == 0 && 2U * origin.n_bytes >= ORIGIN_NAME_SIZE)
        r = -EOPNOTSUPP;
    if (r == 0)
        to_hex(&origin, ret_name);
    return r;
}

static int read_origin(const struct layers *layers, int fd, struct origin *ret_origin, struct handle *ret_handle)
{
    const char *name = overlay_xattr_name(layers->set->form, OVERLAY_XATTR_ORIGIN);
    ssize_t n = inode_fd_getxattr(fd, name, ret_origin, sizeof(*ret_origin));
    if (n < 0)
        return (int)n;
    bool is_ours = (ret_origin->flags & FLAG_ANY_ENDIAN) || (ret_origin->flags & FLAG_BIG_ENDIAN) == FLAG_CPU;
    if (n <= (ssize_t)HEAD_BYTES || ret_origin->version != 0 || ret_origin->magic != ORIGIN_MAGIC ||
        ret_origin->n_bytes != n || !is_ours || (ret_origin->flags & FLAG_UPPER))
        return -ENODATA;
    ret_handle->type = ret_origin->type;
    ret_handle->n_bytes = (uint32_t)n - (uint32_t)HEAD_BYTES;
    memcpy(ret_handle->bytes, ret_origin->handle, ret_handle->n_bytes);
    return 0;
}

int origin_name_of_copy(const struct layers *layers, int fd, char ret_name[ORIGIN_NAME_SIZE])
{
    struct origin origin;
    struct handle handle;
    int r = read_origin(layers, fd, &origin, &handle);
    if (r == 0 && 2U * origin.n_bytes >= ORIGIN_NAME_SIZE)
        r = -EOPNOTSUPP;
    if (r == 0)
        to_hex(&origin, ret_name);
    return r;
}

int origin_open(const struct layers *layers, int fd, unsigned *ret_layer)
{
    struct origin origin;
    struct handle handle;
    int r = read_origin(layers, fd, &origin, &handle);
    if (r < 0)
        return r;
    for (unsigned i = layers->set->has_upper ? 1 : 0; i < layers->set->n_layers; i++) {
        const struct layer *layer = &layers->set->layers[i];
        const struct layer_uuid *uuid = &layers->uuids[i];
        if (i > 1 && layer->fs == layers->set->layers[i - 1].fs)
            continue; /* the same file system: asked already */
        if (!uuid->is_usable || memcmp(uuid->bytes, origin.uuid, sizeof(origin.uuid)) != 0)
            continue;
        int lower = handle_open(layer->root_fd, &handle, O_PATH);
        if (lower < 0)
            continue;
        if (ret_layer)
            *ret_layer = i;
        return lower;
    }
    return -ENODATA;
}

int origin_read_ino(const struct layers *layers, int fd, uint64_t *ret_ino)
{
    struct statx stx;
    unsigned layer;
    auto_fd int lower = origin_open(layers, fd, &layer);
    int r = lower < 0 ? lower : inode_fd_statx(lower, &stx);
    if (r == 0)
        *ret_ino = layers_ino(layers, layer, stx.stx_ino);
    return r;
}
