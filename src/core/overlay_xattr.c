/* SPDX-License-Identifier: Apache-2.0 */
#include "core/overlay_xattr.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define ESCAPE "overlay."

static const char *const prefixes[] = {
    [OVERLAY_XATTR_TRUSTED] = "trusted.overlay.",
    [OVERLAY_XATTR_USER] = "user.overlay.",
};

static const char *const names[][OVERLAY_XATTR_COUNT] = {
    [OVERLAY_XATTR_TRUSTED] =
        {
            [OVERLAY_XATTR_OPAQUE] = "trusted.overlay.opaque",
            [OVERLAY_XATTR_REDIRECT] = "trusted.overlay.redirect",
            [OVERLAY_XATTR_ORIGIN] = "trusted.overlay.origin",
            [OVERLAY_XATTR_IMPURE] = "trusted.overlay.impure",
            [OVERLAY_XATTR_NLINK] = "trusted.overlay.nlink",
            [OVERLAY_XATTR_METACOPY] = "trusted.overlay.metacopy",
            [OVERLAY_XATTR_WHITEOUT] = "trusted.overlay.whiteout",
            [OVERLAY_XATTR_UPPER] = "trusted.overlay.upper",
        },
    [OVERLAY_XATTR_USER] =
        {
            [OVERLAY_XATTR_OPAQUE] = "user.overlay.opaque",
            [OVERLAY_XATTR_REDIRECT] = "user.overlay.redirect",
            [OVERLAY_XATTR_ORIGIN] = "user.overlay.origin",
            [OVERLAY_XATTR_IMPURE] = "user.overlay.impure",
            [OVERLAY_XATTR_NLINK] = "user.overlay.nlink",
            [OVERLAY_XATTR_METACOPY] = "user.overlay.metacopy",
            [OVERLAY_XATTR_WHITEOUT] = "user.overlay.whiteout",
            [OVERLAY_XATTR_UPPER] = "user.overlay.upper",
        },
};

const char *overlay_xattr_name(enum overlay_xattr_form form, enum overlay_xattr attr)
{
    return names[form][attr];
}

/* The prefix that name begins with, or NULL. */
static const char *prefix_of(const char *name)
{
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return prefixes[i];
    return NULL;
}

bool overlay_xattr_parse(const char *disk_name, enum overlay_xattr_form *ret_form, enum overlay_xattr *ret_attr)
{
    if (!prefix_of(disk_name))
        return false;
    for (int form = OVERLAY_XATTR_TRUSTED; form <= OVERLAY_XATTR_USER; form++)
        for (int attr = 0; attr < OVERLAY_XATTR_COUNT; attr++)
            if (strcmp(disk_name, names[form][attr]) == 0) {
                *ret_form = form;
                *ret_attr = attr;
                return true;
            }
    return false;
}

int overlay_xattr_to_disk(const char *view_name, char ret_disk_name[XATTR_NAME_MAX + 1])
{
    const char *prefix = prefix_of(view_name);
    size_t length = strlen(view_name), inserted = prefix ? sizeof(ESCAPE) - 1 : 0;
    if (length + inserted > XATTR_NAME_MAX)
        return -ERANGE;
    size_t kept = prefix ? strlen(prefix) : 0;
    memcpy(ret_disk_name, view_name, kept);
    memcpy(ret_disk_name + kept, ESCAPE, inserted);
    memcpy(ret_disk_name + kept + inserted, view_name + kept, length - kept + 1);
    return 0;
}

bool overlay_xattr_to_view(const char *disk_name, char ret_view_name[XATTR_NAME_MAX + 1])
{
    const char *prefix = prefix_of(disk_name);
    size_t kept = prefix ? strlen(prefix) : 0, dropped = prefix ? sizeof(ESCAPE) - 1 : 0;
    if (prefix && strncmp(disk_name + kept, ESCAPE, dropped) != 0)
        return false;
    memcpy(ret_view_name, disk_name, kept);
    memcpy(ret_view_name + kept, disk_name + kept + dropped, strlen(disk_name + kept + dropped) + 1);
    return true;
}
