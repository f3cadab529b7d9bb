/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tells the service manager about our state, as sd_notify(3) does, when NOTIFY_SOCKET is in the environment: "READY=1",
 * "RELOADING=1", "STOPPING=1", "STATUS=…". 0 when told or when nobody wants to know, else a negative errno.
 */
int notify_manager(const char *state);
