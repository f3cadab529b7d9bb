/* SPDX-License-Identifier: Apache-2.0 */
#include "core/recovery_plan.h"

#include "gidfs_test.h"

#include <string.h>

#define VIEW_DIR   "/run/gidfs/views"
#define ROOTFS_DIR "/run/gidfs/rootfs"

/* A world of one of everything; tests change what they are about. */
struct world {
    struct recovery_volume volume;
    struct recovery_attachment attachment;
    struct recovery_container container;
    struct recovery_rootfs rootfs;
    struct recovery_mount mounts[4];
    size_t n_volumes, n_attachments, n_containers, n_rootfs, n_mounts;
    const char *const *live;
};

static struct world usual(void)
{
    return (struct world){
        .volume = {.id = 1,
                   .name = "a",
                   .source = "/srv/a",
                   .view = VIEW_DIR "/a",
                   .state = RECOVERY_MOUNTED,
                   .same_boot = true},
        .attachment = {.id = 7,
                       .volume_id = 1,
                       .target = "/c/data",
                       .state = RECOVERY_MOUNTED,
                       .mount_id = 32,
                       .same_boot = true},
        .container = {.id = "web", .state = RECOVERY_MOUNTED, .same_boot = true},
        .rootfs = {.id = "r", .path = ROOTFS_DIR "/r", .state = RECOVERY_MOUNTED},
        .mounts = {{.id = 31, .dev = 51, .target = VIEW_DIR "/a", .source = "/srv/a", .fstype = "fuse.gidfs"},
                   {.id = 32, .dev = 51, .target = "/c/data", .source = "/srv/a", .fstype = "fuse.gidfs"}},
        .n_volumes = 1,
        .n_attachments = 1,
        .n_mounts = 2,
    };
}

/* The plan as text: one "ACTION WHAT NAME TARGET [MOUNT]" a line, for whole comparison. */
static void expect(const struct world *w, const char *expected)
{
    const struct recovery_facts facts = {
        .view_dir = VIEW_DIR,
        .rootfs_dir = ROOTFS_DIR,
        .volumes = &w->volume,
        .n_volumes = w->n_volumes,
        .attachments = &w->attachment,
        .n_attachments = w->n_attachments,
        .containers = &w->container,
        .n_containers = w->n_containers,
        .rootfs = &w->rootfs,
        .n_rootfs = w->n_rootfs,
        .mounts = w->mounts,
        .n_mounts = w->n_mounts,
        .live = w->live,
    };
    g_autoptr(GPtrArray) steps = recovery_plan(&facts);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < steps->len; i++) {
        const struct recovery_step *step = g_ptr_array_index(steps, i);
        assert_true(step->reason && *step->reason);
        g_string_append_printf(text, "%s %s %s %s %d\n", recovery_action_to_string(step->action),
                               recovery_what_to_string(step->what), step->name, step->target ? step->target : "-",
                               step->mount_id);
    }
    assert_string_equal(text->str, expected);
}

static void test_what_agrees_is_adopted(void **state)
{
    struct world w = usual();
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
}

static void test_nothing_is_nothing(void **state)
{
    struct world w = {0};
    expect(&w, "");
}

/* After a reboot nothing is mounted: persistent volumes come back, sandboxes and containers go. */
static void test_reboot(void **state)
{
    struct world w = usual();
    w.n_mounts = 0;
    w.volume.same_boot = w.attachment.same_boot = false;
    expect(&w, "mount view a /run/gidfs/views/a 0\n"
               "mount attachment a /c/data 0\n");
    w.volume.sandbox = true;
    expect(&w, "release volume a /run/gidfs/views/a 0\n");
    w = usual();
    w.n_mounts = 0;
    w.n_containers = 1;
    w.attachment.container = "web";
    w.volume.same_boot = w.attachment.same_boot = w.container.same_boot = false;
    expect(&w, "cleanup container web - 0\n"
               "mount view a /run/gidfs/views/a 0\n");
}

/* A number that the kernel has given to another mount since is no proof. */
static void test_a_reused_mount_id_is_not_ours(void **state)
{
    struct world w = usual();
    w.mounts[1].dev = 99;
    w.mounts[1].fstype = "ext4";
    w.mounts[1].source = "/dev/vda";
    expect(&w, "adopt view a /run/gidfs/views/a 31\nforget attachment a /c/data 0\n");
    w.mounts[1].target = "/elsewhere";
    expect(&w, "adopt view a /run/gidfs/views/a 31\nforget attachment a /c/data 0\n");
}

/* Two mounts confused in a restore: what is mounted at a volume's place shows another source. */
static void test_a_view_of_another_source_is_replaced(void **state)
{
    struct world w = usual();
    w.mounts[0].source = w.mounts[1].source = "/srv/other";
    expect(&w, "unmount view a /run/gidfs/views/a 31\n"
               "mount view a /run/gidfs/views/a 0\n"
               "unmount mount a /c/data 32\n"
               "mount attachment a /c/data 0\n");
}

/* The directory was renamed while its view was up: the mount table has its old path for as long as the view lives. */
static void test_a_view_of_a_renamed_source_is_adopted(void **state)
{
    struct world w = usual();
    w.mounts[0].source = w.mounts[1].source = "/srv/old-name";
    w.volume.source_shown = true;
    expect(&w, "adopt view a /run/gidfs/views/a 31\nadopt attachment a /c/data 32\n");
}

static void test_a_dead_view_is_replaced_with_its_attachments(void **state)
{
    struct world w = usual();
    w.volume.view_dead = true;
    expect(&w, "unmount view a /run/gidfs/views/a 31\n"
               "mount view a /run/gidfs/views/a 0\n"
               "unmount mount a /c/data 32\n"
               "mount attachment a /c/data 0\n");
    /* the view was unmounted by hand; the attachment still shows the old one */
    w = usual();
    w.mounts[0] = w.mounts[1];
    w.n_mounts = 1;
    expect(&w, "mount view a /run/gidfs/views/a 0\n"
               "unmount mount a /c/data 32\n"
               "mount attachment a /c/data 0\n");
}

/* Killed between row and mount, and between mount and row. */
static void test_an_attach_that_was_killed(void **state)
{
    struct world w = usual();
    w.attachment.state = RECOVERY_PREPARED;
    w.attachment.mount_id = 0;
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
    w.n_mounts = 1;
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "forget attachment a /c/data 0\n");
    /* the same in an update of a container: the rest of it is made */
    w.n_containers = 1;
    w.attachment.container = "web";
    expect(&w, "leave container web - 0\n"
               "adopt view a /run/gidfs/views/a 31\n"
               "mount attachment a /c/data 0\n");
    w.attachment.namespace = 5;
    w.attachment.namespace_gone = true;
    expect(&w, "leave container web - 0\n"
               "adopt view a /run/gidfs/views/a 31\n"
               "forget attachment a /c/data 0\n");
}

static void test_a_detach_that_was_killed(void **state)
{
    struct world w = usual();
    w.attachment.state = RECOVERY_RELEASING;
    expect(&w, "unmount attachment a /c/data 32\n"
               "adopt view a /run/gidfs/views/a 31\n");
    w.n_mounts = 1;
    expect(&w, "forget attachment a /c/data 0\n"
               "adopt view a /run/gidfs/views/a 31\n");
}

/* Another mount of the same view on top of ours: ours is still there, and it is the one that is kept or taken. */
static void test_a_covered_attachment(void **state)
{
    struct world w = usual();
    w.mounts[1].covered = true;
    w.mounts[2] = (struct recovery_mount){.id = 40, .dev = 3, .target = "/c/data", .source = "none", .fstype = "tmpfs"};
    w.n_mounts = 3;
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
}

static void test_containers_live_and_die(void **state)
{
    struct world w = usual();
    const char *const web_lives[] = {"web", "other", NULL}, *const nobody_lives[] = {NULL};
    w.n_containers = 1;
    w.attachment.container = "web";
    expect(&w, "leave container web - 0\n"
               "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
    w.live = web_lives;
    expect(&w, "leave container web - 0\n"
               "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
    w.live = nobody_lives;
    expect(&w, "cleanup container web - 0\n"
               "adopt view a /run/gidfs/views/a 31\n");
    w.volume.sandbox = true;
    w.volume.container = "web"; /* goes with it, or when it is not used any more */
    w.live = web_lives;
    w.n_attachments = 0;
    w.n_mounts = 1;
    expect(&w, "leave container web - 0\n"
               "release volume a /run/gidfs/views/a 0\n");
    w.n_attachments = 1;
    w.n_mounts = 2;
    w.live = nobody_lives;
    static const char both[] = "cleanup container web - 0\n"
                               "release volume a /run/gidfs/views/a 0\n";
    expect(&w, both);
    w.live = web_lives;
    w.container.rootfs_gone = true;
    expect(&w, both);
    w.container.rootfs_gone = false;
    w.container.state = RECOVERY_PREPARED;
    expect(&w, both);
}

/* A sandbox volume outlives its container while something else shows it. */
static void test_a_shared_sandbox_volume(void **state)
{
    struct world w = usual();
    w.volume.sandbox = true;
    w.volume.container = "gone";
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/data 32\n");
    w.n_attachments = 0;
    w.n_mounts = 1;
    expect(&w, "release volume a /run/gidfs/views/a 0\n");
}

static void test_nested_containers_go_from_the_inside(void **state)
{
    const char *const nobody[] = {NULL}, *const child[] = {"child", NULL};
    const struct recovery_container nest[] = {
        {.id = "top", .state = RECOVERY_MOUNTED, .same_boot = true},
        {.id = "child", .parent = "top", .state = RECOVERY_MOUNTED, .same_boot = true},
    };
    struct recovery_facts facts = {.containers = nest, .n_containers = 2, .live = nobody};
    g_autoptr(GPtrArray) steps = recovery_plan(&facts);
    assert_int_equal(steps->len, 2);
    const struct recovery_step *first = steps->pdata[0], *second = steps->pdata[1];
    assert_string_equal(first->name, "child");
    assert_string_equal(second->name, "top");
    assert_int_equal(second->action, RECOVERY_CLEANUP);

    facts.live = child;
    g_autoptr(GPtrArray) kept = recovery_plan(&facts);
    assert_int_equal(kept->len, 2);
    for (guint i = 0; i < kept->len; i++)
        assert_int_equal(((const struct recovery_step *)kept->pdata[i])->action, RECOVERY_LEAVE);
}

/* One orphan releases itself and nothing else: not the volume beside it, and not /srv/a because of /srv/ab. */
static void test_one_orphan_releases_itself_only(void **state)
{
    const struct recovery_volume volumes[] = {
        {.id = 1, .name = "a", .source = "/srv/a", .view = VIEW_DIR "/a", .state = RECOVERY_MOUNTED, .same_boot = true},
        {.id = 2,
         .name = "ab",
         .source = "/srv/ab",
         .view = VIEW_DIR "/ab",
         .state = RECOVERY_MOUNTED,
         .same_boot = true,
         .source_gone = true},
        {.id = 3,
         .name = "c",
         .source = "/srv/ab/c",
         .view = VIEW_DIR "/c",
         .state = RECOVERY_MOUNTED,
         .same_boot = true},
    };
    const struct recovery_facts facts = {.view_dir = VIEW_DIR, .volumes = volumes, .n_volumes = 3};
    g_autoptr(GPtrArray) steps = recovery_plan(&facts);
    int n_released = 0;
    for (guint i = 0; i < steps->len; i++) {
        const struct recovery_step *step = steps->pdata[i];
        if (step->action == RECOVERY_RELEASE) {
            n_released++;
            assert_int_equal(step->row_id, 2);
            assert_non_null(strstr(step->reason, "source is gone"));
        }
    }
    assert_int_equal(n_released, 1);
}

/* Views in our own directory without a row go; what others mounted stays, of whatever type. */
static void test_mounts_without_a_row(void **state)
{
    struct world w = usual();
    w.n_volumes = w.n_attachments = 0;
    w.mounts[2] =
        (struct recovery_mount){.id = 50, .dev = 9, .target = VIEW_DIR "/a/deep", .source = "none", .fstype = "tmpfs"};
    w.mounts[3] =
        (struct recovery_mount){.id = 51, .dev = 9, .target = "/run/gidfs", .source = "/dev/vda", .fstype = "ext4"};
    w.n_mounts = 4;
    expect(&w, "unmount mount  /run/gidfs/views/a 31\n"
               "leave mount  /c/data 32\n");
}

/* The container renamed a directory above the mount: the mount is still ours, and known by where it is. */
static void test_a_mount_that_was_moved(void **state)
{
    struct world w = usual();
    w.mounts[1].target = "/c/renamed/data";
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "adopt attachment a /c/renamed/data 32\n");
    w.attachment.state = RECOVERY_RELEASING;
    expect(&w, "unmount attachment a /c/renamed/data 32\n"
               "adopt view a /run/gidfs/views/a 31\n");
}

static void test_what_is_under_way_is_left_alone(void **state)
{
    struct world w = usual();
    w.volume.busy = true;
    w.attachment.state = w.volume.state = RECOVERY_RELEASING;
    expect(&w, "leave view a /run/gidfs/views/a 0\n");
}

static void test_rootfs_views(void **state)
{
    struct world w = {.rootfs = usual().rootfs, .n_rootfs = 1};
    expect(&w, "mount rootfs r /run/gidfs/rootfs/r 0\n");
    w.mounts[0] = (struct recovery_mount){.id = 60, .target = ROOTFS_DIR "/r", .source = "r", .fstype = "fuse.gidfs"};
    w.n_mounts = 1;
    expect(&w, "adopt rootfs r /run/gidfs/rootfs/r 60\n");
    w.rootfs.view_dead = true;
    expect(&w, "unmount rootfs r /run/gidfs/rootfs/r 60\n"
               "mount rootfs r /run/gidfs/rootfs/r 0\n");
    w.rootfs.state = RECOVERY_RELEASING;
    expect(&w, "release rootfs r /run/gidfs/rootfs/r 0\n");
    w.rootfs = (struct recovery_rootfs){.id = "f", .path = "/srv/f", .state = RECOVERY_PREPARED, .flat = true};
    w.n_mounts = 0;
    expect(&w, "release rootfs f /srv/f 0\n");
    w.rootfs.state = RECOVERY_MOUNTED;
    expect(&w, "adopt rootfs f /srv/f 0\n");
}

static void test_a_mount_of_the_runtime_is_left(void **state)
{
    struct world w = usual();
    w.attachment.state = RECOVERY_HANDED;
    w.n_mounts = 1;
    expect(&w, "adopt view a /run/gidfs/views/a 31\n"
               "leave attachment a /c/data 0\n");
    w.attachment.same_boot = false;
    expect(&w, "forget attachment a /c/data 0\n"
               "adopt view a /run/gidfs/views/a 31\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_agrees_is_adopted),
        cmocka_unit_test(test_nothing_is_nothing),
        cmocka_unit_test(test_reboot),
        cmocka_unit_test(test_a_reused_mount_id_is_not_ours),
        cmocka_unit_test(test_a_view_of_another_source_is_replaced),
        cmocka_unit_test(test_a_view_of_a_renamed_source_is_adopted),
        cmocka_unit_test(test_a_dead_view_is_replaced_with_its_attachments),
        cmocka_unit_test(test_an_attach_that_was_killed),
        cmocka_unit_test(test_a_detach_that_was_killed),
        cmocka_unit_test(test_a_covered_attachment),
        cmocka_unit_test(test_containers_live_and_die),
        cmocka_unit_test(test_a_shared_sandbox_volume),
        cmocka_unit_test(test_nested_containers_go_from_the_inside),
        cmocka_unit_test(test_one_orphan_releases_itself_only),
        cmocka_unit_test(test_mounts_without_a_row),
        cmocka_unit_test(test_a_mount_that_was_moved),
        cmocka_unit_test(test_what_is_under_way_is_left_alone),
        cmocka_unit_test(test_rootfs_views),
        cmocka_unit_test(test_a_mount_of_the_runtime_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
