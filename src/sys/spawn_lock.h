/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A child of a threaded process has copies of all descriptors between fork and exec, close-on-exec or not. A copy of
 * one that lies in a mount keeps the mount busy although its owner has closed it. So whoever starts a child holds this
 * lock from before the fork until the exec (posix_spawn returns after it), beside others that do; and whoever unmounts
 * what must not be busy holds it alone: no such child exists meanwhile.
 *
 * Neither side waits for anything but the kernel while it holds the lock.
 */
void spawn_lock_for_child(void);
void spawn_unlock_for_child(void);
void spawn_lock_for_unmount(void);
void spawn_unlock_for_unmount(void);
