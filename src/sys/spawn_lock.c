/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/spawn_lock.h"

#include <glib.h>

static GRWLock lock;

void spawn_lock_for_child(void)
{
    g_rw_lock_reader_lock(&lock);
}

void spawn_unlock_for_child(void)
{
    g_rw_lock_reader_unlock(&lock);
}

void spawn_lock_for_unmount(void)
{
    g_rw_lock_writer_lock(&lock);
}

void spawn_unlock_for_unmount(void)
{
    g_rw_lock_writer_unlock(&lock);
}
