/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every statement of the table, by name; the text is in sql.c, in one place. */
enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_VOLUME_INSERT,
    SQL_VOLUME_UPDATE,
    SQL_VOLUME_DELETE,
    SQL_VOLUME_LOAD,
    SQL_ATTACHMENT_INSERT,
    SQL_ATTACHMENT_UPDATE,
    SQL_ATTACHMENT_DELETE,
    SQL_ATTACHMENT_LOAD,
    SQL_CONTAINER_INSERT,
    SQL_CONTAINER_UPDATE,
    SQL_CONTAINER_DELETE,
    SQL_CONTAINER_LOAD,
    SQL_QUARANTINE_INSERT,
    SQL_QUARANTINE_DELETE,
    SQL_QUARANTINE_LOAD,
    SQL_FREED_LOAD,
    SQL_BLOCK_INSERT,
    SQL_BLOCK_DELETE,
    SQL_BLOCK_LOAD,
    SQL_ROOTFS_INSERT,
    SQL_ROOTFS_SET_STATE,
    SQL_ROOTFS_DELETE,
    SQL_ROOTFS_LOAD,
    SQL_LAYER_INSERT,
    SQL_LAYER_LOAD,
    N_SQL,
};

const char *sql_text(enum sql sql);

/* "gidf": what PRAGMA application_id holds, and what file(1) can tell our table by. */
#define SQL_APPLICATION_ID 0x67696466

/*
 * The schema as steps: step i takes a file of version i (PRAGMA user_version; 0 is a new file) to i + 1. A released
 * step never changes; a change of the schema is a new step.
 */
#define SQL_SCHEMA_VERSION 2
const char *sql_schema_step(int version);
