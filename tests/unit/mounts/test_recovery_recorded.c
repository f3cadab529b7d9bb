/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery plans over mount tables of a real host (tests/data/mountinfo): a service with two volumes, one of them
 * attached to the host; a view that somebody mounted by hand; a podman container that binds both views by itself; and a
 * container of runc's whose root has a volume, and whose own namespace was given another later.
 */
#include "core/recovery_plan.h"

#include "gidfs_test.h"
#include "sys/mount_table.h"

#include <string.h>

#define VIEW_DIR       "/run/gidfs/views"
#define RUNC_NAMESPACE 4026532271U
#define PODMAN_NAME    4026532260U

enum { HOST, RUNC, PODMAN, N_TABLES };

struct recorded {
    struct mount_table *tables[N_TABLES];
    GArray *mounts; /* of struct recovery_mount, which point into the tables */
    struct recovery_volume volumes[2];
    struct recovery_attachment attachments[4];
    struct recovery_container container;
    struct recovery_facts facts;
};

static int read_tables(void **state)
{
    static const char *const names[] = {"containers-host", "runc-job", "podman-web"};
    struct recorded *world = g_new0(struct recorded, 1);
    for (int i = 0; i < N_TABLES; i++) {
        g_autofree char *path = g_strdup_printf(GIDFS_TEST_DATA "/mountinfo/%s.mountinfo", names[i]);
        assert_int_equal(mount_table_read_file(path, &world->tables[i], NULL), 0);
    }
    world->mounts = g_array_new(FALSE, FALSE, sizeof(struct recovery_mount));
    *state = world;
    return 0;
}

static int free_tables(void **state)
{
    struct recorded *world = *state;
    for (int i = 0; i < N_TABLES; i++)
        mount_table_free(world->tables[i]);
    g_array_unref(world->mounts);
    g_free(world);
    return 0;
}

/* The mounts of one table; without ours, as they are after a reboot, if with_ours is false. */
static void add_mounts(struct recorded *world, int which, uint64_t namespace, bool with_ours)
{
    const struct mount_table *table = world->tables[which];
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *entry = mount_table_get(table, i);
        const struct recovery_mount mount = {
            .id = entry->id,
            .namespace = namespace,
            .dev = entry->dev,
            .target = entry->target,
            .source = entry->source,
            .fstype = entry->fstype,
            .covered = entry->covered,
        };
        if (with_ours || strcmp(entry->fstype, "fuse.gidfs") != 0)
            g_array_append_val(world->mounts, mount);
    }
}

/* The rows that the service had when the tables were recorded. */
static void add_rows(struct recorded *world, bool same_boot)
{
    static const struct {
        int64_t id, volume_id;
        const char *target;
        uint64_t namespace;
        const char *container;
        int mount_id;
    } attachments[] = {
        {1, 1, "/mnt/data", 0, NULL, 169},
        {2, 2, "/srv/bundle/rootfs/data", 0, "job", 190},
        {4, 1, "/logs", RUNC_NAMESPACE, "job", 179},
    };
    world->volumes[0] = (struct recovery_volume){.id = 1, .name = "data", .source = "/srv/data"};
    world->volumes[1] = (struct recovery_volume){.id = 2, .name = "logs", .source = "/srv/logs"};
    world->volumes[0].view = VIEW_DIR "/data";
    world->volumes[1].view = VIEW_DIR "/logs";
    for (int i = 0; i < 2; i++) {
        world->volumes[i].state = RECOVERY_MOUNTED;
        world->volumes[i].same_boot = same_boot;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(attachments); i++)
        world->attachments[i] = (struct recovery_attachment){
            .id = attachments[i].id,
            .volume_id = attachments[i].volume_id,
            .target = attachments[i].target,
            .namespace = attachments[i].namespace,
            .container = attachments[i].container,
            .state = RECOVERY_MOUNTED,
            .mount_id = attachments[i].mount_id,
            .same_boot = same_boot,
        };
    world->container = (struct recovery_container){.id = "job", .state = RECOVERY_MOUNTED, .same_boot = same_boot};
    world->facts.n_volumes = 2;
    world->facts.n_attachments = G_N_ELEMENTS(attachments);
    world->facts.n_containers = 1;
}

/* Nothing is unmounted but what a row is about, or what lies directly in the service's own directory. */
static void check_unmount(const struct recorded *world, const struct recovery_step *step)
{
    if (step->action != RECOVERY_UNMOUNT || g_str_has_prefix(step->target, VIEW_DIR "/"))
        return;
    for (size_t i = 0; i < world->facts.n_attachments; i++) {
        if (world->attachments[i].mount_id == step->mount_id)
            return;
    }
    fail_msg("%s is unmounted", step->target);
}

static void expect(struct recorded *world, const char *expected)
{
    world->facts.view_dir = VIEW_DIR;
    world->facts.rootfs_dir = "/run/gidfs/rootfs";
    world->facts.volumes = world->volumes;
    world->facts.attachments = world->attachments;
    world->facts.containers = &world->container;
    world->facts.mounts = (const struct recovery_mount *)(const void *)world->mounts->data;
    world->facts.n_mounts = world->mounts->len;
    g_autoptr(GPtrArray) steps = recovery_plan(&world->facts);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < steps->len; i++) {
        const struct recovery_step *step = g_ptr_array_index(steps, i);
        check_unmount(world, step);
        g_string_append_printf(text, "%s %s %s %s\n", recovery_action_to_string(step->action),
                               recovery_what_to_string(step->what), step->name, step->target ? step->target : "-");
    }
    assert_string_equal(text->str, expected);
}

static void test_what_was_recorded_is_left_as_it_is(void **state)
{
    struct recorded *world = *state;
    static const char *const live[] = {"job", NULL};
    add_mounts(world, HOST, 0, true);
    add_mounts(world, RUNC, RUNC_NAMESPACE, true);
    add_rows(world, true);
    world->facts.live = live;
    expect(world, "leave container job -\n"
                  "adopt view data /run/gidfs/views/data\n"
                  "adopt view logs /run/gidfs/views/logs\n"
                  "adopt attachment data /mnt/data\n"
                  "adopt attachment logs /srv/bundle/rootfs/data\n"
                  "adopt attachment data /logs\n"
                  "leave mount  /mnt/own\n"
                  "leave mount  /data\n");
}

static void test_a_container_that_is_gone(void **state)
{
    struct recorded *world = *state;
    static const char *const live[] = {NULL};
    add_mounts(world, HOST, 0, true);
    add_rows(world, true);
    world->attachments[2].namespace_gone = true;
    world->facts.live = live;
    expect(world, "cleanup container job -\n"
                  "adopt view data /run/gidfs/views/data\n"
                  "adopt view logs /run/gidfs/views/logs\n"
                  "adopt attachment data /mnt/data\n"
                  "leave mount  /mnt/own\n");
}

static void test_a_lost_table(void **state)
{
    struct recorded *world = *state;
    add_mounts(world, HOST, 0, true);
    expect(world, "unmount mount  /run/gidfs/views/data\n"
                  "unmount mount  /run/gidfs/views/logs\n"
                  "leave mount  /mnt/data\n"
                  "leave mount  /mnt/own\n"
                  "leave mount  /srv/bundle/rootfs/data\n");
}

static void test_a_reboot(void **state)
{
    struct recorded *world = *state;
    add_mounts(world, HOST, 0, false);
    add_rows(world, false);
    world->attachments[2].namespace_gone = true;
    expect(world, "cleanup container job -\n"
                  "mount view data /run/gidfs/views/data\n"
                  "mount view logs /run/gidfs/views/logs\n"
                  "mount attachment data /mnt/data\n");
}

/* What podman bound in its container is podman's; what the service attached there was unmounted by hand. */
static void test_a_namespace_with_mounts_of_others(void **state)
{
    struct recorded *world = *state;
    add_mounts(world, HOST, 0, true);
    add_mounts(world, PODMAN, PODMAN_NAME, true);
    add_rows(world, true);
    world->facts.n_containers = 0;
    world->facts.n_attachments = 2;
    world->attachments[1] = (struct recovery_attachment){.id = 5,
                                                         .volume_id = 2,
                                                         .target = "/more",
                                                         .namespace = PODMAN_NAME,
                                                         .state = RECOVERY_MOUNTED,
                                                         .mount_id = 999,
                                                         .same_boot = true};
    expect(world, "adopt view data /run/gidfs/views/data\n"
                  "adopt view logs /run/gidfs/views/logs\n"
                  "adopt attachment data /mnt/data\n"
                  "forget attachment logs /more\n"
                  "leave mount  /mnt/own\n"
                  "leave mount  /srv/bundle/rootfs/data\n"
                  "leave mount  /data\n"
                  "leave mount  /logs\n");
}

/* Somebody unmounted a view by hand, and mounted something of his own over an attachment. */
static void test_what_others_did(void **state)
{
    struct recorded *world = *state;
    const struct recovery_mount over = {.id = 500, .target = "/mnt/data", .source = "none", .fstype = "tmpfs"};
    add_mounts(world, HOST, 0, true);
    add_mounts(world, RUNC, RUNC_NAMESPACE, true);
    add_rows(world, true);
    for (guint i = 0; i < world->mounts->len; i++) {
        struct recovery_mount *mount = &g_array_index(world->mounts, struct recovery_mount, i);
        if (strcmp(mount->target, "/mnt/data") == 0)
            mount->covered = true;
        else if (strcmp(mount->target, VIEW_DIR "/logs") == 0)
            g_array_remove_index(world->mounts, i--);
    }
    g_array_append_val(world->mounts, over);
    expect(world, "leave container job -\n"
                  "adopt view data /run/gidfs/views/data\n"
                  "mount view logs /run/gidfs/views/logs\n"
                  "adopt attachment data /mnt/data\n"
                  "unmount mount logs /srv/bundle/rootfs/data\n"
                  "mount attachment logs /srv/bundle/rootfs/data\n"
                  "adopt attachment data /logs\n"
                  "leave mount  /mnt/own\n"
                  "leave mount  /data\n");
}

int main(void)
{
#define with_tables(test) cmocka_unit_test_setup_teardown(test, read_tables, free_tables)
    const struct CMUnitTest tests[] = {
        with_tables(test_what_was_recorded_is_left_as_it_is),
        with_tables(test_a_container_that_is_gone),
        with_tables(test_a_lost_table),
        with_tables(test_a_reboot),
        with_tables(test_a_namespace_with_mounts_of_others),
        with_tables(test_what_others_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
