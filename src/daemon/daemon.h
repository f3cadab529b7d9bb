/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/config.h"

/* Runs the service until SIGTERM or SIGINT, in the foreground. Returns the exit status of the process. */
int daemon_run(const struct config_flags *flags);
