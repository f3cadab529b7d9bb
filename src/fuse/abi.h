/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The FUSE protocol: linux/fuse.h, and what is newer than Debian 12's headers (protocol 7.38), under the kernel's
 * names.
 */
#include <linux/fuse.h>

#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34)
#endif
#ifndef FUSE_PASSTHROUGH
#define FUSE_PASSTHROUGH (1ULL << 37)
#endif
#ifndef FUSE_HAS_RESEND
#define FUSE_HAS_RESEND (1ULL << 39)
#endif
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
#ifndef FOPEN_PASSTHROUGH
#define FOPEN_PASSTHROUGH (1 << 7)
#endif
/* enum fuse_opcode and fuse_notify_code, as numbers: an enum can't be tested for with #ifdef. */
#define ABI_EXT_GROUPS       32
#define ABI_OP_TMPFILE       51
#define ABI_OP_STATX         52
#define ABI_NOTIFY_RESEND    7
#define ABI_NOTIFY_INC_EPOCH 8
#define ABI_NOTIFY_PRUNE     9
#define ABI_UNIQUE_RESEND    (1ULL << 63)

/* fuse_init_out since 7.40: max_stack_depth stands behind flags2. */
struct abi_init_out {
    uint32_t major;
    uint32_t minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint16_t max_background;
    uint16_t congestion_threshold;
    uint32_t max_write;
    uint32_t time_gran;
    uint16_t max_pages;
    uint16_t map_alignment;
    uint32_t flags2;
    uint32_t max_stack_depth;
    uint32_t unused[6];
};

/* fuse_open_out since 7.40. */
struct abi_open_out {
    uint64_t fh;
    uint32_t open_flags;
    int32_t backing_id;
};

/* FUSE_NOTIFY_PRUNE, since 7.45; behind it count nodeids. */
struct abi_notify_prune_out {
    uint32_t count;
    uint32_t padding;
    uint64_t spare;
};

/* FUSE_STATX, since 7.39. */
struct abi_statx_in {
    uint32_t getattr_flags;
    uint32_t reserved;
    uint64_t fh;
    uint32_t sx_flags;
    uint32_t sx_mask;
};

struct abi_sx_time {
    int64_t tv_sec;
    uint32_t tv_nsec;
    int32_t reserved;
};

struct abi_statx {
    uint32_t mask;
    uint32_t blksize;
    uint64_t attributes;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint16_t mode;
    uint16_t spare0[1];
    uint64_t ino;
    uint64_t size;
    uint64_t blocks;
    uint64_t attributes_mask;
    struct abi_sx_time atime;
    struct abi_sx_time btime;
    struct abi_sx_time ctime;
    struct abi_sx_time mtime;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    uint32_t dev_major;
    uint32_t dev_minor;
    uint64_t spare2[14];
};

struct abi_statx_out {
    uint64_t attr_valid;
    uint32_t attr_valid_nsec;
    uint32_t flags;
    uint64_t spare[2];
    struct abi_statx stat;
};
