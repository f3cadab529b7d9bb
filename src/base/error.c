/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>

G_DEFINE_QUARK(gidfs - error - quark, gidfs_error)

static int set_error(GError **error, int errnum, const char *suffix, const char *format, va_list args)
{
    int code = errnum ? ABS(errnum) : EIO;
    if (error) {
        g_autofree char *message = g_strdup_vprintf(format, args);
        g_set_error(error, GIDFS_ERROR, code, "%s%s%s", message, suffix ? ": " : "", suffix ? suffix : "");
    }
    return -code;
}

int gidfs_error(GError **error, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = set_error(error, errnum, NULL, format, args);
    va_end(args);
    return r;
}

int gidfs_error_errno(GError **error, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = set_error(error, errnum, g_strerror(errnum ? ABS(errnum) : EIO), format, args);
    va_end(args);
    return r;
}

int gidfs_error_to_errno(const GError *error)
{
    if (!error || error->domain != GIDFS_ERROR)
        return -EIO;
    return -error->code;
}
