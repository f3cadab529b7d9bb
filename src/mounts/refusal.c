/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts/refusal.h"

#include <errno.h>
#include <stdarg.h>

/* The private part that GLib keeps beside a GError of this domain. */
typedef struct {
    GVariant *details;
} RefusalErrorPrivate;

static void refusal_error_private_init(RefusalErrorPrivate *private)
{
    private->details = NULL;
}

static void refusal_error_private_copy(const RefusalErrorPrivate *from, RefusalErrorPrivate *to)
{
    to->details = from->details ? g_variant_ref(from->details) : NULL;
}

static void refusal_error_private_clear(RefusalErrorPrivate *private)
{
    g_clear_pointer(&private->details, g_variant_unref);
}

G_DEFINE_EXTENDED_ERROR(RefusalError, refusal_error)

/* The table of docs/api.md. */
static const struct {
    const char *name;
    unsigned int http_status;
    int errnum;
} refusals[] = {
    [REFUSAL_BAD_REQUEST] = {"bad-request", 400, EINVAL},
    [REFUSAL_FORBIDDEN] = {"forbidden", 403, EACCES},
    [REFUSAL_NOT_FOUND] = {"not-found", 404, ENOENT},
    [REFUSAL_NOT_ALLOWED] = {"not-allowed", 405, EOPNOTSUPP},
    [REFUSAL_EXISTS] = {"exists", 409, EEXIST},
    [REFUSAL_NOT_EMPTY] = {"not-empty", 409, ENOTEMPTY},
    [REFUSAL_BUSY] = {"busy", 423, EBUSY},
    [REFUSAL_TOO_LARGE] = {"too-large", 413, EMSGSIZE},
    [REFUSAL_TOO_MANY] = {"too-many", 429, EUSERS},
    [REFUSAL_EXHAUSTED] = {"exhausted", 507, ENOSPC},
    [REFUSAL_UNSUPPORTED] = {"unsupported", 501, ENOSYS},
    [REFUSAL_UNAVAILABLE] = {"unavailable", 503, EAGAIN},
    [REFUSAL_TIMEOUT] = {"timeout", 504, ETIMEDOUT},
    [REFUSAL_INTERNAL] = {"internal", 500, EIO},
};

int refuse(GError **error, enum refusal code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error)
        *error = g_error_new_valist(REFUSAL_ERROR, (int)code, format, args);
    va_end(args);
    return -refusals[code].errnum;
}

int refuse_as(GError **error, enum refusal code)
{
    g_autoptr(GError) cause = error ? g_steal_pointer(error) : NULL;
    return refuse(error, code, "%s", cause ? cause->message : refusals[code].name);
}

void refusal_set_details(GError *error, GVariant *details)
{
    g_autoptr(GVariant) kept = g_variant_ref_sink(details);
    if (!error || error->domain != REFUSAL_ERROR)
        return;
    RefusalErrorPrivate *private = refusal_error_get_private(error);
    g_clear_pointer(&private->details, g_variant_unref);
    private->details = g_steal_pointer(&kept);
}

enum refusal refusal_of(const GError *error)
{
    if (error && error->domain == REFUSAL_ERROR)
        return (enum refusal)error->code;
    return error && error->domain == GIDFS_ERROR && error->code == ETIMEDOUT ? REFUSAL_TIMEOUT : REFUSAL_INTERNAL;
}

const char *refusal_name(enum refusal code)
{
    return refusals[code].name;
}

int refusal_errno(const GError *error)
{
    if (error && error->domain == REFUSAL_ERROR)
        return refusals[error->code].errnum;
    return -gidfs_error_to_errno(error);
}

unsigned int refusal_http_status(enum refusal code)
{
    return refusals[code].http_status;
}

GVariant *refusal_details(const GError *error)
{
    if (!error || error->domain != REFUSAL_ERROR)
        return NULL;
    return refusal_error_get_private(error)->details;
}
