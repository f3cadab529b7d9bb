/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy's bits in ACLs. The rights that count are effective ones: the owning group has its own bits and the
 * mask's, so a mode policy is asked about a mode of those, and what it adds goes to group and mask alike.
 *
 * The mask on disk is also the group bits of the mode on disk (and so is what stat shows): the mode that a view reports
 * may show more group bits than the owning group has, as it does on any file system with ACLs.
 */
#include "core/acl_policy.h"

#include "core/acl_format.h"

#include <string.h>
#include <sys/stat.h>

#define RWX 7U

struct rights {
    unsigned owner, group, mask, other;
};

/* What the policy adds to an entry. */
struct added {
    unsigned owner, group;
    unsigned uncovered; /* of group: bits that the mask on disk takes from everybody */
};

static struct rights rights_of_mode(mode_t mode)
{
    unsigned group = (mode >> 3) & RWX;
    return (struct rights){.owner = (mode >> 6) & RWX, .group = group, .mask = group, .other = mode & RWX};
}

static struct rights rights_of_acl(const void *value, size_t n_entries)
{
    struct rights rights = {0};
    bool has_mask = false;
    for (size_t i = 0; i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag == ACL_TAG_USER_OBJ)
            rights.owner = entry.perm & RWX;
        else if (entry.tag == ACL_TAG_GROUP_OBJ)
            rights.group = entry.perm & RWX;
        else if (entry.tag == ACL_TAG_OTHER)
            rights.other = entry.perm & RWX;
        else if (entry.tag == ACL_TAG_MASK)
            rights.mask = entry.perm & RWX;
        has_mask = has_mask || entry.tag == ACL_TAG_MASK;
    }
    if (!has_mask) /* then nobody but owner, group and others is named, and the group has its bits whole */
        rights.mask = rights.group;
    return rights;
}

static struct added added_by_policy(enum mode_policy policy, bool read_only, mode_t type, struct rights rights)
{
    mode_t mode = (type & S_IFMT) | rights.owner << 6 | (rights.group & rights.mask) << 3 | rights.other;
    mode_t added = mode_policy_to_view(policy, read_only, mode) & ~mode;
    unsigned group = (added >> 3) & RWX;
    return (struct added){.owner = (added >> 6) & RWX, .group = group, .uncovered = group & ~rights.mask};
}

static void widen(void *value, size_t n_entries, struct added added)
{
    for (size_t i = 0; i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        switch (entry.tag) {
        case ACL_TAG_USER_OBJ:
            entry.perm |= added.owner;
            break;
        case ACL_TAG_USER:
        case ACL_TAG_GROUP:
            entry.perm &= ~added.uncovered;
            break;
        case ACL_TAG_GROUP_OBJ:
            entry.perm = (entry.perm & ~added.uncovered) | added.group;
            break;
        case ACL_TAG_MASK:
            entry.perm |= added.group;
            break;
        }
        acl_format_set(value, i, entry);
    }
}

int acl_policy_to_view(enum mode_policy policy, bool read_only, mode_t type, void *value, size_t size)
{
    size_t n_entries;
    int r = acl_format_check(value, size, &n_entries);
    if (r == 0)
        widen(value, n_entries, added_by_policy(policy, read_only, type, rights_of_acl(value, n_entries)));
    return r;
}

/* Everything that named users and groups have before the mask. */
static unsigned rights_of_named(const void *value, size_t n_entries)
{
    unsigned named = 0;
    for (size_t i = 0; i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag == ACL_TAG_USER || entry.tag == ACL_TAG_GROUP)
            named |= entry.perm;
    }
    return named;
}

static void take_back(void *value, size_t n_entries, struct added added)
{
    unsigned idle = added.uncovered & ~rights_of_named(value, n_entries);
    for (size_t i = 0; i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag == ACL_TAG_USER_OBJ)
            entry.perm &= ~added.owner;
        else if (entry.tag == ACL_TAG_GROUP_OBJ)
            entry.perm &= ~added.group;
        else if (entry.tag == ACL_TAG_MASK)
            entry.perm &= ~idle;
        acl_format_set(value, i, entry);
    }
}

/* Whether the client hands back what it was shown. */
static bool is_as_shown(const struct acl_policy_disk *disk, const void *value, size_t size, size_t n_entries,
                        struct added added)
{
    if (disk->size != size)
        return false;
    for (size_t i = 0; i < n_entries; i++) {
        /* An entry at a time: the value has any size, and nothing here is allocated. */
        char shown[sizeof(uint32_t) + sizeof(struct acl_entry)];
        acl_format_set(shown, 0, acl_format_get(disk->value, i));
        widen(shown, 1, added);
        struct acl_entry a = acl_format_get(shown, 0), b = acl_format_get(value, i);
        if (a.tag != b.tag || a.perm != b.perm || a.id != b.id)
            return false;
    }
    return true;
}

int acl_policy_to_disk(enum mode_policy policy, bool read_only, const struct acl_policy_disk *disk, void *value,
                       size_t size)
{
    size_t n_entries, n_disk_entries;
    int r = acl_format_check(value, size, &n_entries);
    if (r == 0 && disk->size > 0)
        r = acl_format_check(disk->value, disk->size, &n_disk_entries);
    if (r < 0)
        return r;
    struct rights rights = disk->size > 0 ? rights_of_acl(disk->value, n_disk_entries) : rights_of_mode(disk->mode);
    struct added added = added_by_policy(policy, read_only, disk->mode, rights);
    if (is_as_shown(disk, value, size, n_entries, added))
        memcpy(value, disk->value, size);
    else
        take_back(value, n_entries, added);
    return 0;
}

int acl_policy_fold_group(gid_t view_gid, void *value, size_t *size)
{
    size_t n_entries, n_kept = 0;
    unsigned granted = 0;
    int r = acl_format_check(value, *size, &n_entries);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag == ACL_TAG_GROUP && entry.id == view_gid)
            granted |= entry.perm;
        else
            acl_format_set(value, n_kept++, entry);
    }
    for (size_t i = 0; i < n_kept; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag == ACL_TAG_GROUP_OBJ)
            entry.perm |= granted;
        acl_format_set(value, i, entry);
    }
    *size -= (n_entries - n_kept) * sizeof(struct acl_entry);
    return 0;
}
