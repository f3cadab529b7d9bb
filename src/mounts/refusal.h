/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Refusals: failures that are the caller's to understand, with a code that programs look at (the table in docs/api.md)
 * and details. They travel as a GError of a domain of their own; an error of GIDFS_ERROR is a failure of the system
 * underneath, "internal" to the caller.
 */
enum refusal {
    REFUSAL_BAD_REQUEST,
    REFUSAL_FORBIDDEN,
    REFUSAL_NOT_FOUND,
    REFUSAL_NOT_ALLOWED,
    REFUSAL_EXISTS,
    REFUSAL_NOT_EMPTY,
    REFUSAL_BUSY,
    REFUSAL_TOO_LARGE,
    REFUSAL_TOO_MANY,
    REFUSAL_EXHAUSTED,
    REFUSAL_UNSUPPORTED,
    REFUSAL_UNAVAILABLE,
    REFUSAL_TIMEOUT,
    REFUSAL_INTERNAL, /* what refusal_of gives for any other error */
};

#define REFUSAL_ERROR (refusal_error_quark())
GQuark refusal_error_quark(void);

/* Sets *error (unless error is NULL) and returns the negative errno of the code. */
int refuse(GError **error, enum refusal code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * Turns a failure of a lower layer into a refusal with the same message, or makes one if *error is NULL. Returns what
 * refuse returns.
 */
int refuse_as(GError **error, enum refusal code);

/* Adds details (a floating or full reference to an a{sv}) to a refusal; ignored for NULL and errors of other domains.
 */
void refusal_set_details(GError *error, GVariant *details);

/* The code of any error, its name as in docs/api.md, its errno and HTTP status, its details (NULL: none; borrowed). */
enum refusal refusal_of(const GError *error);
const char *refusal_name(enum refusal code);
int refusal_errno(const GError *error);
unsigned int refusal_http_status(enum refusal code);
GVariant *refusal_details(const GError *error);
