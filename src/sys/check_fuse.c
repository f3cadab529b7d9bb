/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE probes mount a connection, shake hands over FUSE_INIT, and unmount it. No path inside the mount is ever
 * touched, so that nothing waits for a server that is not there.
 */
#include "sys/check.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <unistd.h>

#include "base/fd.h"
#include "sys/fuse_dev.h"

#define INIT_WAIT_MS     5000
#define REQUEST_BYTES    (64 * 1024)
#define FLAG_INIT_EXT    (UINT64_C(1) << 30)
#define FLAG_PASSTHROUGH (UINT64_C(1) << 37)

/* fuse_init_out as of protocol 7.40, which has the depth of stacking where 7.38 has padding. */
struct init_reply {
    struct fuse_out_header header;
    uint32_t major, minor, max_readahead, flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write, time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2, max_stack_depth, unused[6];
};

struct connection {
    char *mountpoint;
    int fd;
    uint32_t minor;
    uint64_t flags; /* what the kernel offers */
};

static void connection_end(struct connection *c)
{
    if (c->mountpoint) {
        fuse_dev_unmount(c->mountpoint);
        rmdir(c->mountpoint);
        g_free(c->mountpoint);
    }
    fd_close(c->fd);
}

/* Reads the kernel's FUSE_INIT, for which it does not wait longer than it takes a healthy kernel a thousand times. */
static int read_init(struct connection *c, uint64_t *ret_unique, GError **error)
{
    g_autofree char *buffer = g_malloc(REQUEST_BYTES);
    const struct fuse_in_header *header = (const void *)buffer;
    const struct fuse_init_in *init = (const void *)(buffer + sizeof(*header));
    struct pollfd pollfd = {.fd = c->fd, .events = POLLIN};
    if (poll(&pollfd, 1, INIT_WAIT_MS) <= 0)
        return gidfs_error(error, ETIMEDOUT, "the kernel sent no FUSE_INIT");
    ssize_t n = read(c->fd, buffer, REQUEST_BYTES);
    if (n < 0)
        return gidfs_error_errno(error, errno, "read /dev/fuse");
    if ((size_t)n < sizeof(*header) + offsetof(struct fuse_init_in, unused) || header->opcode != FUSE_INIT)
        return gidfs_error(error, EPROTO, "the kernel did not begin with FUSE_INIT");
    c->minor = init->minor;
    c->flags = init->flags;
    if (init->flags & FLAG_INIT_EXT)
        c->flags |= (uint64_t)init->flags2 << 32;
    *ret_unique = header->unique;
    return 0;
}

static int reply_init(struct connection *c, uint64_t unique, uint64_t wanted, GError **error)
{
    uint64_t flags = wanted & c->flags;
    struct init_reply reply = {
        .header = {.len = sizeof(reply), .unique = unique},
        .major = FUSE_KERNEL_VERSION,
        .minor = c->minor,
        .flags = (uint32_t)flags,
        .flags2 = (uint32_t)(flags >> 32),
        .max_write = 4096,
        .max_background = 1,
        .time_gran = 1,
        .max_stack_depth = 1,
    };
    if (write(c->fd, &reply, sizeof(reply)) < 0)
        return gidfs_error_errno(error, errno, "answer FUSE_INIT");
    return 0;
}

static int connection_begin(const char *dir, uint64_t wanted, struct connection *c, GError **error)
{
    uint64_t unique = 0;
    int r = check_make_dir(dir, "fuse", &c->mountpoint, error);
    if (r < 0)
        return r;
    c->fd = fuse_dev_open(error);
    if (c->fd < 0)
        return c->fd;
    r = fuse_dev_mount(c->fd, &(struct fuse_dev_mount){.source = "gidfs-check", .mountpoint = c->mountpoint}, error);
    if (r == 0)
        r = read_init(c, &unique, error);
    return r == 0 ? reply_init(c, unique, wanted, error) : r;
}

int check_fuse(const char *dir, char **ret_detail, GError **error)
{
    struct connection c = {.fd = -1};
    int r = connection_begin(dir, 0, &c, error);
    if (r == 0)
        *ret_detail = g_strdup_printf("mounted; protocol %d.%u", FUSE_KERNEL_VERSION, c.minor);
    connection_end(&c);
    return r;
}

static int try_backing_file(const struct connection *c, const char *dir, char **ret_detail, GError **error)
{
    g_autofree char *file = NULL;
    int32_t id;
    if (!(c->flags & FLAG_PASSTHROUGH))
        return gidfs_error(error, EOPNOTSUPP, "the kernel (FUSE 7.%u) does not offer passthrough", c->minor);
    int r = check_make_file(dir, "backing", &file, error);
    if (r < 0)
        return r;
    auto_fd int fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    r = fd < 0 ? -errno : fuse_dev_backing_open(c->fd, fd, &id);
    if (r == 0)
        r = fuse_dev_backing_close(c->fd, id);
    unlink(file);
    if (r == -ELOOP)
        return gidfs_error(error, r, "%s lies on a stacked file system, which can't back a view", dir);
    if (r < 0)
        return gidfs_error_errno(error, r, "register a backing file in %s", dir);
    *ret_detail = g_strdup("a backing file was registered");
    return 0;
}

int check_passthrough(const char *dir, char **ret_detail, GError **error)
{
    struct connection c = {.fd = -1};
    int r = connection_begin(dir, FLAG_INIT_EXT | FLAG_PASSTHROUGH, &c, error);
    if (r == 0)
        r = try_backing_file(&c, dir, ret_detail, error);
    connection_end(&c);
    return r;
}
