/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/recovery.h"
#include "mounts/registry_private.h"

/* recovery_facts.c: what core/recovery_plan looks at, with all that it points to. */
struct recovery_findings {
    struct recovery_facts facts;
    GArray *volumes; /* the arrays behind the facts */
    GArray *attachments;
    GArray *containers;
    GArray *rootfs;
    GArray *mounts;
    GPtrArray *tables; /* of struct mount_table: of the service's namespace, and of those of attachments */
};

/* With the lock held, and without letting go of it; what is collected is good for as long as it is held. */
int recovery_collect(struct registry *registry, const char *const *live, struct recovery_findings *ret_findings,
                     GError **error);
void recovery_findings_clear(struct recovery_findings *findings);

/*
 * Looks at the source and the processes of every idle volume, and at the rootfs of containers, several at a time, for
 * at most patience_ms. A volume whose file system hangs stays busy after that, and a plan leaves it alone. With the
 * lock held before and after.
 */
void recovery_probe(struct registry *registry, unsigned int patience_ms);

/* recovery_apply.c: takes one step; with the lock held before and after. What has become so meanwhile is a success. */
int recovery_apply(struct registry *registry, const struct recovery_step *step, GError **error);
