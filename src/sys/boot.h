/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* The kernel's id of this boot: of another boot, no mount and no process can be left. The caller frees *ret_id. */
int boot_id_read(char **ret_id, GError **error);
