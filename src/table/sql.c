/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole SQL of the table. docs/table.md explains each column for those who read the file with the sqlite3 shell.
 *
 * Words (kind, state, …) are stored as text so that the shell shows them, and CHECKed so that a hand edit cannot put in
 * what the service does not know. The gid of a volume that the pool chose is unique; a gid that a caller gave may
 * belong to several volumes, because an orchestrator gives one group to all volumes of a pod.
 */
#include "table/sql.h"

static const char *const schema_steps[SQL_SCHEMA_VERSION] = {
    "CREATE TABLE volumes ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " source TEXT NOT NULL,"
    " device INTEGER NOT NULL,"
    " handle BLOB NOT NULL,"
    " kind TEXT NOT NULL CHECK (kind IN ('persistent', 'sandbox')),"
    " policy TEXT NOT NULL CHECK (policy IN ('shared', 'mesos', 'fsgroup')),"
    " chgrp TEXT NOT NULL CHECK (chgrp IN ('refuse', 'ignore')),"
    " cache TEXT NOT NULL CHECK (cache IN ('auto', 'always', 'none')),"
    " read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),"
    " exclusive INTEGER NOT NULL CHECK (exclusive IN (0, 1)),"
    " gid INTEGER NOT NULL CHECK (gid > 0 AND gid < 4294967295),"
    " gid_given INTEGER NOT NULL CHECK (gid_given IN (0, 1)),"
    " state TEXT NOT NULL CHECK (state IN ('prepared', 'mounted', 'releasing')),"
    " generation INTEGER NOT NULL,"
    " container TEXT,"
    " boot_id TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX volumes_identity ON volumes (device, handle, gid * gid_given);"
    "CREATE UNIQUE INDEX volumes_gid ON volumes (gid) WHERE gid_given = 0;"
    "CREATE TABLE containers ("
    " id TEXT PRIMARY KEY,"
    " rootfs TEXT,"
    " pid INTEGER NOT NULL,"
    " user INTEGER NOT NULL,"
    " task_user INTEGER NOT NULL,"
    " root_gids INTEGER NOT NULL CHECK (root_gids IN (0, 1)),"
    " parent TEXT,"
    " state TEXT NOT NULL CHECK (state IN ('prepared', 'mounted', 'releasing')),"
    " generation INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE attachments ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " volume_id INTEGER NOT NULL REFERENCES volumes (id),"
    " target TEXT NOT NULL,"
    " namespace INTEGER NOT NULL,"
    " pid INTEGER NOT NULL,"
    " container TEXT,"
    " inside TEXT,"
    " position INTEGER NOT NULL,"
    " read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),"
    " propagation TEXT,"
    " state TEXT NOT NULL CHECK (state IN ('prepared', 'mounted', 'releasing', 'handed')),"
    " mount_id INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX attachments_volume ON attachments (volume_id);"
    "CREATE TABLE quarantine ("
    " gid INTEGER PRIMARY KEY,"
    " volume_id INTEGER NOT NULL,"
    " volume TEXT NOT NULL,"
    " source TEXT NOT NULL,"
    " since INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE blocks ("
    " owner TEXT PRIMARY KEY,"
    " first INTEGER NOT NULL UNIQUE,"
    " count INTEGER NOT NULL CHECK (count > 0),"
    " boot_id TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE rootfs ("
    " id TEXT PRIMARY KEY,"
    " kind TEXT NOT NULL CHECK (kind IN ('view', 'flat')),"
    " path TEXT NOT NULL,"
    " upper TEXT,"
    " work TEXT,"
    " uid_map TEXT,"
    " gid_map TEXT,"
    " policy TEXT,"
    " whiteouts TEXT,"
    " gid INTEGER NOT NULL,"
    " read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),"
    " state TEXT NOT NULL CHECK (state IN ('prepared', 'mounted', 'releasing')),"
    " boot_id TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE layers ("
    " rootfs_id TEXT NOT NULL REFERENCES rootfs (id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " path TEXT NOT NULL,"
    " PRIMARY KEY (rootfs_id, position)"
    ") STRICT;",

    /* The order in which gids left quarantine. A number is written with the deletion that it tells of, or not at all.
     */
    "CREATE TABLE freed ("
    " gid INTEGER PRIMARY KEY,"
    " number INTEGER NOT NULL UNIQUE"
    ") STRICT;"
    "CREATE TRIGGER quarantine_ends AFTER DELETE ON quarantine BEGIN"
    " INSERT OR REPLACE INTO freed (gid, number) SELECT old.gid, coalesce(max(number), 0) + 1 FROM freed;"
    " END;",
};

static const char *const statements[N_SQL] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",

#define VOLUME_COLUMNS                                                                                                 \
    "name, source, device, handle, kind, policy, chgrp, cache, read_only, exclusive, gid, gid_given, state, "          \
    "generation, container, boot_id, created"
    [SQL_VOLUME_INSERT] = "INSERT INTO volumes (" VOLUME_COLUMNS ") VALUES"
                          " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_VOLUME_UPDATE] = "UPDATE volumes SET (" VOLUME_COLUMNS ") ="
                          " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
    [SQL_VOLUME_DELETE] = "DELETE FROM volumes WHERE id = ?",
    [SQL_VOLUME_LOAD] = "SELECT id, " VOLUME_COLUMNS " FROM volumes ORDER BY id",

#define ATTACHMENT_COLUMNS                                                                                             \
    "volume_id, target, namespace, pid, container, inside, position, read_only, propagation, state, mount_id, "        \
    "boot_id, "                                                                                                        \
    "created"
    [SQL_ATTACHMENT_INSERT] = "INSERT INTO attachments (" ATTACHMENT_COLUMNS ") VALUES"
                              " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_ATTACHMENT_UPDATE] = "UPDATE attachments SET (" ATTACHMENT_COLUMNS ") ="
                              " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
    [SQL_ATTACHMENT_DELETE] = "DELETE FROM attachments WHERE id = ?",
    [SQL_ATTACHMENT_LOAD] = "SELECT id, " ATTACHMENT_COLUMNS " FROM attachments ORDER BY id",

#define CONTAINER_COLUMNS "rootfs, pid, user, task_user, root_gids, parent, state, generation, boot_id, created"
    [SQL_CONTAINER_INSERT] = "INSERT INTO containers (" CONTAINER_COLUMNS ", id) VALUES"
                             " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_CONTAINER_UPDATE] = "UPDATE containers SET (" CONTAINER_COLUMNS ") ="
                             " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
    [SQL_CONTAINER_DELETE] = "DELETE FROM containers WHERE id = ?",
    [SQL_CONTAINER_LOAD] = "SELECT " CONTAINER_COLUMNS ", id FROM containers ORDER BY id",

    [SQL_QUARANTINE_INSERT] = "INSERT INTO quarantine (gid, volume_id, volume, source, since, boot_id)"
                              " VALUES (?, ?, ?, ?, ?, ?)",
    [SQL_QUARANTINE_DELETE] = "DELETE FROM quarantine WHERE gid = ?",
    [SQL_QUARANTINE_LOAD] = "SELECT gid, volume_id, volume, source, since, boot_id FROM quarantine ORDER BY since, gid",
    [SQL_FREED_LOAD] = "SELECT gid FROM freed ORDER BY number",

    [SQL_BLOCK_INSERT] = "INSERT INTO blocks (owner, first, count, boot_id, created) VALUES (?, ?, ?, ?, ?)",
    [SQL_BLOCK_DELETE] = "DELETE FROM blocks WHERE owner = ?",
    [SQL_BLOCK_LOAD] = "SELECT owner, first, count, boot_id, created FROM blocks ORDER BY first",

#define ROOTFS_COLUMNS                                                                                                 \
    "id, kind, path, upper, work, uid_map, gid_map, policy, whiteouts, gid, read_only, state, boot_id, created"
    [SQL_ROOTFS_INSERT] = "INSERT INTO rootfs (" ROOTFS_COLUMNS ") VALUES"
                          " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_ROOTFS_SET_STATE] = "UPDATE rootfs SET (state, boot_id) = (?, ?) WHERE id = ?",
    [SQL_ROOTFS_DELETE] = "DELETE FROM rootfs WHERE id = ?",
    [SQL_ROOTFS_LOAD] = "SELECT " ROOTFS_COLUMNS " FROM rootfs ORDER BY id",
    [SQL_LAYER_INSERT] = "INSERT INTO layers (rootfs_id, position, path) VALUES (?, ?, ?)",
    [SQL_LAYER_LOAD] = "SELECT path FROM layers WHERE rootfs_id = ? ORDER BY position",
};

const char *sql_text(enum sql sql)
{
    return statements[sql];
}

const char *sql_schema_step(int version)
{
    return schema_steps[version];
}
