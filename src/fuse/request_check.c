/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/request_check.h"

#include <errno.h>
#include <string.h>

enum strings {
    NOTHING = 0,
    NAME,          /* of an entry */
    NAME_AND_NAME, /* rename */
    NAME_AND_TEXT, /* symlink: the target is anything */
    TEXT,          /* the name of an extended attribute */
};

struct form {
    uint16_t n_fixed_bytes;
    uint8_t strings; /* enum strings, behind the fixed part */
    bool known;
};

#define FORM(fixed, what)                                                                                              \
    {                                                                                                                  \
        .n_fixed_bytes = (fixed), .strings = (what), .known = true                                                     \
    }

static const struct form forms[] = {
    [FUSE_LOOKUP] = FORM(0, NAME),
    [FUSE_FORGET] = FORM(sizeof(struct fuse_forget_in), NOTHING),
    [FUSE_GETATTR] = FORM(sizeof(struct fuse_getattr_in), NOTHING),
    [FUSE_SETATTR] = FORM(sizeof(struct fuse_setattr_in), NOTHING),
    [FUSE_READLINK] = FORM(0, NOTHING),
    [FUSE_SYMLINK] = FORM(0, NAME_AND_TEXT),
    [FUSE_MKNOD] = FORM(sizeof(struct fuse_mknod_in), NAME),
    [FUSE_MKDIR] = FORM(sizeof(struct fuse_mkdir_in), NAME),
    [FUSE_UNLINK] = FORM(0, NAME),
    [FUSE_RMDIR] = FORM(0, NAME),
    [FUSE_RENAME] = FORM(sizeof(struct fuse_rename_in), NAME_AND_NAME),
    [FUSE_LINK] = FORM(sizeof(struct fuse_link_in), NAME),
    [FUSE_OPEN] = FORM(sizeof(struct fuse_open_in), NOTHING),
    [FUSE_READ] = FORM(sizeof(struct fuse_read_in), NOTHING),
    [FUSE_WRITE] = FORM(sizeof(struct fuse_write_in), NOTHING),
    [FUSE_STATFS] = FORM(0, NOTHING),
    [FUSE_RELEASE] = FORM(sizeof(struct fuse_release_in), NOTHING),
    [FUSE_FSYNC] = FORM(sizeof(struct fuse_fsync_in), NOTHING),
    [FUSE_SETXATTR] = FORM(FUSE_COMPAT_SETXATTR_IN_SIZE, NOTHING), /* its two forms are told apart where it is done */
    [FUSE_GETXATTR] = FORM(sizeof(struct fuse_getxattr_in), TEXT),
    [FUSE_LISTXATTR] = FORM(sizeof(struct fuse_getxattr_in), NOTHING),
    [FUSE_REMOVEXATTR] = FORM(0, TEXT),
    [FUSE_FLUSH] = FORM(sizeof(struct fuse_flush_in), NOTHING),
    [FUSE_OPENDIR] = FORM(sizeof(struct fuse_open_in), NOTHING),
    [FUSE_READDIR] = FORM(sizeof(struct fuse_read_in), NOTHING),
    [FUSE_RELEASEDIR] = FORM(sizeof(struct fuse_release_in), NOTHING),
    [FUSE_FSYNCDIR] = FORM(sizeof(struct fuse_fsync_in), NOTHING),
    [FUSE_GETLK] = FORM(sizeof(struct fuse_lk_in), NOTHING),
    [FUSE_SETLK] = FORM(sizeof(struct fuse_lk_in), NOTHING),
    [FUSE_SETLKW] = FORM(sizeof(struct fuse_lk_in), NOTHING),
    [FUSE_ACCESS] = FORM(sizeof(struct fuse_access_in), NOTHING),
    [FUSE_CREATE] = FORM(sizeof(struct fuse_create_in), NAME),
    [FUSE_INTERRUPT] = FORM(sizeof(struct fuse_interrupt_in), NOTHING),
    [FUSE_BMAP] = FORM(sizeof(struct fuse_bmap_in), NOTHING),
    [FUSE_DESTROY] = FORM(0, NOTHING),
    [FUSE_IOCTL] = FORM(sizeof(struct fuse_ioctl_in), NOTHING),
    [FUSE_POLL] = FORM(sizeof(struct fuse_poll_in), NOTHING),
    [FUSE_BATCH_FORGET] = FORM(sizeof(struct fuse_batch_forget_in), NOTHING),
    [FUSE_FALLOCATE] = FORM(sizeof(struct fuse_fallocate_in), NOTHING),
    [FUSE_READDIRPLUS] = FORM(sizeof(struct fuse_read_in), NOTHING),
    [FUSE_RENAME2] = FORM(sizeof(struct fuse_rename2_in), NAME_AND_NAME),
    [FUSE_LSEEK] = FORM(sizeof(struct fuse_lseek_in), NOTHING),
    [FUSE_COPY_FILE_RANGE] = FORM(sizeof(struct fuse_copy_file_range_in), NOTHING),
    [ABI_OP_TMPFILE] = FORM(sizeof(struct fuse_create_in), NOTHING),
    [ABI_OP_STATX] = FORM(sizeof(struct abi_statx_in), NOTHING),
};

/* A string that ends before `end`; what stands behind it, or NULL. */
static const char *skip_string(const char *text, const char *end)
{
    const char *nul = text ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    return nul ? nul + 1 : NULL;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_component(const char *name, bool dots)
{
    return name[0] != '\0' && !strchr(name, '/') && (dots || !is_dots(name));
}

static bool strings_fit(const char *at, const char *end, enum strings strings, bool dots)
{
    const char *second, *behind;
    switch (strings) {
    case NOTHING:
        return true;
    case TEXT:
        return skip_string(at, end);
    case NAME:
        return skip_string(at, end) && is_component(at, dots);
    case NAME_AND_TEXT:
    case NAME_AND_NAME:
        second = skip_string(at, end);
        behind = skip_string(second, end);
        return behind && is_component(at, dots) && (strings == NAME_AND_TEXT || is_component(second, dots));
    }
    return false;
}

/* What a fixed part says of the bytes behind it. */
static uint64_t n_counted_bytes(uint32_t opcode, const void *fixed)
{
    switch (opcode) {
    case FUSE_WRITE:
        return ((const struct fuse_write_in *)fixed)->size;
    case FUSE_IOCTL:
        return ((const struct fuse_ioctl_in *)fixed)->in_size;
    case FUSE_BATCH_FORGET:
        return (uint64_t)((const struct fuse_batch_forget_in *)fixed)->count * sizeof(struct fuse_forget_one);
    default:
        return 0;
    }
}

bool request_has_answer(uint32_t opcode)
{
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
           opcode != FUSE_NOTIFY_REPLY;
}

int request_check(const struct fuse_in_header *header, size_t n_bytes, bool exported)
{
    uint32_t opcode = header->opcode;
    if (n_bytes < sizeof(*header) || opcode == FUSE_NOTIFY_REPLY) /* nothing was asked for */
        return -EINVAL;
    if (opcode >= sizeof(forms) / sizeof(forms[0]) || !forms[opcode].known)
        return 0;
    const struct form *form = &forms[opcode];
    const char *body = (const char *)(header + 1), *end = (const char *)header + n_bytes;
    if (form->n_fixed_bytes > (size_t)(end - body))
        return -EINVAL;
    const char *rest = body + form->n_fixed_bytes;
    if (n_counted_bytes(opcode, body) > (size_t)(end - rest))
        return -EINVAL;
    return strings_fit(rest, end, form->strings, exported && opcode == FUSE_LOOKUP) ? 0 : -EINVAL;
}
