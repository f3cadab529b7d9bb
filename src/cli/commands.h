/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* The commands themselves, a file for each group of them (cmd_*.c). main.c has the table. */
#define COMMAND(name) enum cli_status name(struct cli *cli, const struct command *command, int argc, char **argv)

COMMAND(cmd_volume_create);
COMMAND(cmd_volume_ls);
COMMAND(cmd_volume_show);
COMMAND(cmd_volume_rm);
COMMAND(cmd_volume_abort);
COMMAND(cmd_attach);
COMMAND(cmd_detach);
COMMAND(cmd_ls);
COMMAND(cmd_gids);
COMMAND(cmd_container_prepare);
COMMAND(cmd_container_update);
COMMAND(cmd_container_restart);
COMMAND(cmd_container_cleanup);
COMMAND(cmd_container_ls);
COMMAND(cmd_container_oci);
COMMAND(cmd_rootfs_create);
COMMAND(cmd_rootfs_ls);
COMMAND(cmd_rootfs_rm);
COMMAND(cmd_rootfs_flatten);
COMMAND(cmd_block_create);
COMMAND(cmd_block_ls);
COMMAND(cmd_block_rm);
COMMAND(cmd_recover);
COMMAND(cmd_check);
COMMAND(cmd_stats);
COMMAND(cmd_top);
COMMAND(cmd_status);
COMMAND(cmd_drain);
COMMAND(cmd_upgrade);
