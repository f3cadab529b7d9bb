/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/*
 * One way to carry errors, everywhere in gidfs:
 *
 *  - A function that can fail returns int: 0 is success, a negative errno is failure, and a positive value means
 *    something only where the header names it.
 *  - A function whose failure an operator reads takes a last parameter GError **error. It sets it exactly when it
 *    fails, to a message that names the thing, the reason and, where there is one, the remedy.
 *  - FUSE operations carry no GError: ENOENT on a lookup is normal.
 *  - Outputs are named ret_x and untouched on failure.
 */

/* The domain of every GError made here; its code is the positive errno. */
#define GIDFS_ERROR (gidfs_error_quark())
GQuark gidfs_error_quark(void);

/*
 * Sets *error (unless error is NULL) to the printf-formatted message and returns -errnum, so that a caller can write
 * "return gidfs_error(error, ENOENT, …)". errnum may be given positive or negative; 0 counts as EIO.
 */
int gidfs_error(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same, with ": " and the text of errnum behind the message. */
int gidfs_error_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The negative errno that a GError of this domain carries; -EIO for another domain or NULL. */
int gidfs_error_to_errno(const GError *error);
