/* SPDX-License-Identifier: Apache-2.0 */
#include "core/whiteout.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX          ".wh."
#define PREFIX_LENGTH   (sizeof(PREFIX) - 1)
#define RESERVED_PREFIX ".wh..wh."

enum whiteout_name whiteout_parse_name(const char *name, const char **ret_hidden)
{
    if (strncmp(name, PREFIX, PREFIX_LENGTH) != 0)
        return WHITEOUT_NAME_NONE;
    if (strcmp(name, WHITEOUT_OPAQUE_NAME) == 0)
        return WHITEOUT_NAME_OPAQUE;
    if (strncmp(name, RESERVED_PREFIX, sizeof(RESERVED_PREFIX) - 1) == 0)
        return WHITEOUT_NAME_REFUSED;

    const char *hidden = name + PREFIX_LENGTH;
    if (*hidden == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0 || strchr(hidden, '/'))
        return WHITEOUT_NAME_REFUSED;
    *ret_hidden = hidden;
    return WHITEOUT_NAME_HIDES;
}

bool whiteout_is_mark(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_LENGTH) == 0;
}

int whiteout_make_name(const char *hidden, char ret_name[NAME_MAX + 1])
{
    size_t length = strlen(hidden);
    if (length + PREFIX_LENGTH > NAME_MAX)
        return -ENAMETOOLONG;
    char name[NAME_MAX + 1] = PREFIX;
    memcpy(name + PREFIX_LENGTH, hidden, length + 1);
    const char *read_back;
    if (whiteout_parse_name(name, &read_back) != WHITEOUT_NAME_HIDES)
        return -EINVAL;
    memcpy(ret_name, name, length + PREFIX_LENGTH + 1);
    return 0;
}

bool whiteout_is_device(mode_t mode, dev_t rdev)
{
    return S_ISCHR(mode) && rdev == 0;
}
