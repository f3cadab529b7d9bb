/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Starting anew as the program that is installed now, with the same arguments and the same pid.
 */

/* Call it first thing: remembers the arguments. */
void restart_setup(char **argv);

/* Whether the program at our path is another file than the one that runs. */
bool restart_is_needed(void);

/* Becomes that program. Returns only on failure, with a negative errno. */
int restart_now(void);
