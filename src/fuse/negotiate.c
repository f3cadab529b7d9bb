/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/negotiate.h"

#include <errno.h>

#define MINOR_OLDEST        31
#define MINOR_INC_EPOCH     44
#define MINOR_PRUNE         45
#define MAX_READAHEAD_BYTES (1024U * 1024U)
#define MAX_BACKGROUND      64

/*
 * Not asked for, and why:
 *  FUSE_WRITEBACK_CACHE   silently switches passthrough off
 *  FUSE_POSIX_LOCKS, FUSE_FLOCK_LOCKS   the kernel's own locks survive the server's death; docs/architecture.md
 *  FUSE_SPLICE_*          replies and requests are small; data goes through passthrough
 */
static uint64_t wanted_flags(const struct fuse_wants *wants)
{
    uint64_t flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_HAS_IOCTL_DIR |
                     FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                     FUSE_PARALLEL_DIROPS | FUSE_ABORT_ERROR | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 |
                     FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP | FUSE_HAS_RESEND |
                     FUSE_DIRECT_IO_ALLOW_MMAP;
    if (wants->cache)
        flags |= FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT;
    if (wants->posix_acl)
        flags |= FUSE_POSIX_ACL;
    if (wants->export)
        flags |= FUSE_EXPORT_SUPPORT;
    if (wants->passthrough)
        flags |= FUSE_PASSTHROUGH;
    if (wants->no_resend)
        flags &= ~FUSE_HAS_RESEND;
    return flags;
}

int fuse_negotiate(const struct fuse_init_in *in, const struct fuse_wants *wants, struct abi_init_out *ret_out,
                   struct fuse_agreed *ret_agreed)
{
    if (in->major != FUSE_KERNEL_VERSION || in->minor < MINOR_OLDEST)
        return -EPROTO;

    uint64_t offered = in->flags;
    if (in->flags & FUSE_INIT_EXT)
        offered |= (uint64_t)in->flags2 << 32;
    uint64_t flags = offered & wanted_flags(wants);

    *ret_agreed = (struct fuse_agreed){
        .flags = flags,
        .minor = in->minor,
        .max_write_bytes = flags & FUSE_PASSTHROUGH ? FUSE_MAX_WRITE_PASSTHROUGH_BYTES : FUSE_MAX_WRITE_BYTES,
        .passthrough = flags & FUSE_PASSTHROUGH,
        .resend = flags & FUSE_HAS_RESEND,
        .notify_inc_epoch = in->minor >= MINOR_INC_EPOCH,
        .notify_prune = in->minor >= MINOR_PRUNE,
    };
    *ret_out = (struct abi_init_out){
        .major = FUSE_KERNEL_VERSION,
        .minor = in->minor,
        .max_readahead = in->max_readahead < MAX_READAHEAD_BYTES ? in->max_readahead : MAX_READAHEAD_BYTES,
        .flags = (uint32_t)flags,
        .flags2 = (uint32_t)(flags >> 32),
        .max_background = MAX_BACKGROUND,
        .congestion_threshold = MAX_BACKGROUND * 3 / 4,
        .max_write = ret_agreed->max_write_bytes,
        .max_pages = FUSE_MAX_WRITE_BYTES / 4096,
        .time_gran = 1,
        .max_stack_depth = flags & FUSE_PASSTHROUGH ? wants->max_stack_depth : 0,
    };
    return 0;
}
