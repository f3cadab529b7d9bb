/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view_options.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static struct view_options *parsed(const char *text)
{
    struct view_options *options = NULL;
    g_autoptr(GError) error = NULL;
    if (view_options_parse(text, &options, &error) < 0)
        fail_msg("%s: %s", text, error->message);
    assert_null(error);
    return options;
}

static void assert_effective(const char *text, const char *effective)
{
    g_autoptr(view_options) options = parsed(text);
    g_autofree char *printed = view_options_to_string(options);
    if (strcmp(printed, effective) != 0)
        fail_msg("%s:\n  got    %s\n  wanted %s", text, printed, effective);
    g_autoptr(view_options) again = parsed(printed);
    g_autofree char *twice = view_options_to_string(again);
    assert_string_equal(twice, printed);
}

#define PLAIN     "uidmap=identity,gidmap=identity,cache=auto,passthrough=auto"
#define FLAGS     "rw,nosuid,nodev,exec"
#define LAYERED   "whiteouts=overlay,xino=auto,redirect_dir=on"
#define GID_VIEW  "gid=50000,policy=shared,chgrp=refuse," PLAIN "," FLAGS
#define WITH(end) PLAIN "," FLAGS "," end

static void test_defaults(void **state)
{
    g_autoptr(view_options) options = parsed(NULL);
    assert_false(options->has_gid);
    assert_int_equal(options->policy, MODE_POLICY_NONE);
    assert_int_equal(options->cache, VIEW_CACHE_AUTO);
    assert_int_equal(options->passthrough, VIEW_PASSTHROUGH_AUTO);
    assert_int_equal(options->flags, VIEW_NOSUID | VIEW_NODEV);
    assert_int_equal(options->flags_given, 0);
    assert_null(options->uid_map);
    assert_null(options->lower_dirs);
    assert_int_equal(options->n_lower_dirs, 0);
    assert_effective("", PLAIN "," FLAGS);
    assert_effective(",,", PLAIN "," FLAGS);
    view_options_free(NULL);
}

static void test_effective_options(void **state)
{
    static const struct {
        const char *text, *effective;
    } cases[] = {
        {"gid=50000", GID_VIEW},
        {"gid=50001,gid=50000", GID_VIEW},
        {"gid=1,policy=mesos,chgrp=ignore", "gid=1,policy=mesos,chgrp=ignore," PLAIN "," FLAGS},
        {"policy=fsgroup,gid=4294967294", "gid=4294967294,policy=fsgroup,chgrp=refuse," PLAIN "," FLAGS},
        {"policy=none", PLAIN "," FLAGS},
        {"cache=always,passthrough=on", "uidmap=identity,gidmap=identity,cache=always,passthrough=on," FLAGS},
        {"cache=none,passthrough=off,max_inodes=100000",
         "uidmap=identity,gidmap=identity,cache=none,passthrough=off,max_inodes=100000," FLAGS},
        {"uidmap=0:100000:65536,gidmap=5:7:1:0:9:1",
         "uidmap=0:100000:65536,gidmap=0:9:1:5:7:1,cache=auto,passthrough=auto," FLAGS},
        {"uidmap=0:1:1,uidmap=identity", PLAIN "," FLAGS},
        {"uidmapping=:0:100000:65536,gidmapping=:5:6:7:",
         "uidmap=100000:0:65536,gidmap=6:5:7,cache=auto,passthrough=auto," FLAGS},
        {"uidmapping=0:1000:1:1:110000:65536,gidmapping=5:6:7",
         "uidmap=1000:0:1:110000:1:65536,gidmap=6:5:7,cache=auto,passthrough=auto," FLAGS},
        {"control=/run/gidfs/a\\,b.sock",
         "uidmap=identity,gidmap=identity,cache=auto,passthrough=auto,control=/run/gidfs/a\\,b.sock," FLAGS},
        {"ro,suid,dev,noexec", PLAIN ",ro,suid,dev,noexec"},
        {"ro,rw,suid,nosuid,noexec,exec", PLAIN "," FLAGS},
        {"noatime,nodiratime,lazytime,sync,dirsync,nosymfollow",
         WITH("noatime,nodiratime,lazytime,sync,dirsync,nosymfollow")},
        {"noatime,strictatime", WITH("strictatime")},
        {"strictatime,relatime,nodiratime,diratime,sync,async,lazytime,nolazytime", PLAIN "," FLAGS},
        {"suid,dev,user", PLAIN ",rw,nosuid,nodev,noexec"},
        {"users,exec,suid,dev", PLAIN ",rw,suid,dev,exec"},
        {"suid,dev,owner", PLAIN "," FLAGS},
        {"user=alice,group,nouser", PLAIN "," FLAGS},
        {"_netdev,nofail,defaults,auto,noauto,comment=x,x-systemd.automount,x-gvfs-name=a,X-mount.mkdir,uhelper=h",
         PLAIN "," FLAGS},
        {"remount,user_id=0,group_id=0,default_permissions,allow_other,max_read=131072,blksize=4096", WITH("remount")},
        {"source_nofollow", WITH("source_nofollow")},
        {"fsname=/srv/data,subtype=gidfs,nonempty,auto_unmount,debug", WITH("debug,fsname=/srv/data")},
        {"context=\"system_u:object_r:container_file_t:s0:c1,c2\",ro",
         PLAIN ",ro,nosuid,nodev,exec,context=system_u:object_r:container_file_t:s0:c1\\,c2"},
        {"fsname=\"a", WITH("fsname=\\\"a")},
        {"fsname=a\\\\b\\,c\\", WITH("fsname=a\\\\b\\,c\\\\")},
        {"lowerdir=/top:/mid:/bottom", PLAIN "," FLAGS ",lowerdir=/top:/mid:/bottom," LAYERED},
        {"lowerdir=/a,lowerdir+=/b:c,lowerdir+=/d", PLAIN "," FLAGS ",lowerdir=/a:/b\\:c:/d," LAYERED},
        {"lowerdir=/a\\:b\\,c\\\\:d,upperdir=u,workdir=w",
         PLAIN "," FLAGS ",lowerdir=/a\\:b\\,c\\\\:d,upperdir=u,workdir=w," LAYERED},
        {"lowerdir=/x,lowerdir=/a,workdir=w", PLAIN "," FLAGS ",lowerdir=/a," LAYERED},
        {"lowerdir=/a,whiteouts=aufs,xino=on,redirect_dir=off",
         PLAIN "," FLAGS ",lowerdir=/a,whiteouts=aufs,xino=on,redirect_dir=off"},
        {"userxattr,volatile,noacl,noxattrs=1,static_nlink,xattr_permissions=2",
         WITH("userxattr,volatile,noacl,noxattrs=1,static_nlink,xattr_permissions=2")},
        {"metacopy=off,index=off", WITH("index=off,metacopy=off")},
        {"fsync=0", WITH("volatile")},
        {"volatile,fsync=1,noxattrs=0", PLAIN "," FLAGS},
        {"squash_to_root", WITH("squash_to_uid=0,squash_to_gid=0")},
        {"squash_to_uid=5,squash_to_root", WITH("squash_to_uid=5,squash_to_gid=0")},
        {"squash_to_root,squash_to_gid=5", WITH("squash_to_uid=0,squash_to_gid=5")},
        {"gid=50000,squash_to_uid=5", GID_VIEW ",squash_to_uid=5"},
        {"timeout=1.5", WITH("timeout=1.500")},
        {"timeout=0", WITH("timeout=0.000")},
        {"timeout=1000000000.0", WITH("timeout=1000000000.000")},
        {"threaded=0,writeback=1,fast_ino=1,plugins=a:b,uid=0,index=on,metacopy=on,nfs_export=on,uuid=null",
         PLAIN "," FLAGS},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_effective(cases[i].text, cases[i].effective);
}

static void test_errors_name_the_option_and_the_remedy(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"gids=5", "gids: no such option; gidfs-view --help"},
        {"readonly", "readonly: no such option"},
        {"ro=1", "ro: no such option"},
        {"=5", ": no such option"},
        {"gid", "gid=N: no value; write gid=N"},
        {"gid=", "gid=: \"\" is not a gid; write a number"},
        {"gid=staff", "gid=staff: \"staff\" is not a gid; write a number"},
        {"gid=-1", "\"-1\" is not a gid"},
        {"gid=0", "gid=0: gid 0 is root's group; take"},
        {"gid=65534", "gid=65534: gid 65534 is nogroup"},
        {"gid=4294967295", "gid=4294967295: gid 4294967295 is out of bounds; the largest is 4294967294"},
        {"gid=99999999999999999999", "out of bounds"},
        {"policy=shared", "policy=shared: has no effect without a gid; add gid=N"},
        {"policy=loose,gid=5", "policy=loose: no such policy; known are shared, mesos and fsgroup"},
        {"policy=none,gid=5", "policy=none: not with gid=5; take shared"},
        {"noacl,gid=5", "noacl: not with gid=5, whose members"},
        {"chgrp=ignore", "chgrp=ignore: has no effect without a gid; add gid=N"},
        {"gid=5,chgrp=allow", "chgrp=allow: no such word; known are refuse, ignore"},
        {"cache=yes", "cache=yes: no such word; known are auto, always, none"},
        {"passthrough=1", "passthrough=1: no such word; known are auto, on, off"},
        {"whiteouts=oci", "whiteouts=oci: no such word; known are overlay, aufs"},
        {"max_inodes=0", "max_inodes=0: out of bounds; write a number from 1 to 4294967295"},
        {"max_inodes=many", "max_inodes=many: not a number"},
        {"control=run.sock", "control=run.sock: not an absolute path"},
        {"uidmap=0:0", "uidmap=: map 0:0: 2 numbers"},
        {"gidmap=0:0:0", "gidmap=: map 0:0:0: 0:0:0 maps no id"},
        {"gidmapping=0:1:1:0:2:1", "gidmapping=: map 1:0:1:2:0:1: the ranges"},
        {"uidmapping=0", "uidmapping=: map 0: 1 numbers"},
        {"lowerdir=", "lowerdir=: layer 1 from the top has no path"},
        {"lowerdir=/a::/b", "lowerdir=/a::/b: layer 2 from the top has no path"},
        {"lowerdir=/a:", "layer 2 from the top has no path"},
        {"lowerdir+=", "lowerdir+=: no path"},
        {"upperdir=/u,workdir=/w", "upperdir=/u: no layers below it; add lowerdir="},
        {"lowerdir=/a,upperdir=/u", "upperdir=/u: needs workdir="},
        {"lowerdir=/a,upperdir=", "upperdir=: no path; write upperdir=DIR"},
        {"gid=5,squash_to_gid=6", "gid=5: squash_to_gid= or squash_to_root names another group"},
        {"squash_to_root,gid=5", "gid=5: squash_to_gid= or squash_to_root"},
        {"squash_to_uid=4294967295", "squash_to_uid=4294967295: out of bounds"},
        {"xattr_permissions=3", "xattr_permissions=3: out of bounds"},
        {"timeout=-1", "timeout=-1: not a number of seconds"},
        {"timeout=soon", "timeout=soon: not a number of seconds"},
        {"timeout=nan", "timeout=nan: not a number of seconds"},
        {"threaded=x", "threaded=x: not a number"},
        {"metacopy=x", "metacopy=x: neither on nor off"},
        {"volatile=1", "volatile=1: takes no value; write volatile"},
        {"allow_root", "allow_root: a view is open to everybody"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct view_options *options = (struct view_options *)&cases;
        g_autoptr(GError) error = NULL;
        int r = view_options_parse(cases[i].text, &options, &error);
        if (r != -EINVAL)
            fail_msg("%s: got %d", cases[i].text, r);
        assert_ptr_equal(options, &cases);
        if (!strstr(error->message, cases[i].message))
            fail_msg("%s:\n  got    %s\n  wanted %s", cases[i].text, error->message, cases[i].message);
    }
    struct view_options *options = NULL;
    assert_int_equal(view_options_parse("gid=0", &options, NULL), -EINVAL);
}

static void test_given_flags_are_told_apart_from_defaults(void **state)
{
    g_autoptr(view_options) options = parsed("remount,ro,suid");
    assert_true(options->remount);
    assert_int_equal(options->flags, VIEW_READ_ONLY | VIEW_NODEV);
    assert_int_equal(options->flags_given, VIEW_READ_ONLY | VIEW_NOSUID);
}

static void test_paths_are_cut_out_whole(void **state)
{
    g_autoptr(view_options) options = parsed("lowerdir=/a\\:b:/c\\,d:\\\"e,upperdir=/u\\\\v:w,workdir=\"x,y\"");
    assert_int_equal(options->n_lower_dirs, 3);
    assert_string_equal(options->lower_dirs[0], "/a:b");
    assert_string_equal(options->lower_dirs[1], "/c,d");
    assert_string_equal(options->lower_dirs[2], "\"e");
    assert_null(options->lower_dirs[3]);
    assert_string_equal(options->upper_dir, "/u\\v:w");
    assert_string_equal(options->work_dir, "x,y");
}

static char *n_layers(unsigned n)
{
    GString *text = g_string_new("lowerdir=/0");
    for (unsigned i = 1; i < n; i++)
        g_string_append_printf(text, ":/%u", i);
    return g_string_free(text, FALSE);
}

static void test_as_many_layers_as_overlayfs(void **state)
{
    g_autofree char *most = n_layers(VIEW_MAX_LAYERS), *more = n_layers(VIEW_MAX_LAYERS + 1);
    g_autoptr(view_options) options = parsed(most);
    assert_int_equal(options->n_lower_dirs, VIEW_MAX_LAYERS);
    assert_string_equal(options->lower_dirs[VIEW_MAX_LAYERS - 1], "/499");
    g_autoptr(GError) error = NULL;
    struct view_options *none = NULL;
    assert_int_equal(view_options_parse(more, &none, &error), -EINVAL);
    assert_non_null(strstr(error->message, "501 layers; the most is 500"));
}

static void test_control_fits_a_socket_address(void **state)
{
    g_autofree char *name = g_strnfill(106, 'x');
    g_autofree char *fits = g_strdup_printf("control=/%s", name), *longer = g_strdup_printf("control=/y%s", name);
    g_autoptr(view_options) options = parsed(fits);
    assert_int_equal(strlen(options->control), 107);
    g_autoptr(GError) error = NULL;
    struct view_options *none = NULL;
    assert_int_equal(view_options_parse(longer, &none, &error), -EINVAL);
    assert_non_null(strstr(error->message, "longer than the 107 bytes"));
}

static void test_help_lists_the_options(void **state)
{
    g_autofree char *help = view_options_help();
    const char *const wanted[] = {"gid=N", "policy=WORD", "lowerdir=TOP", "uidmapping=DISK", "nosuid"};
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
        assert_non_null(strstr(help, wanted[i]));
    assert_null(strstr(help, "threaded"));
}

/* Strings put together at random from pieces that mean something: what parses prints to something that parses alike. */
static void test_random_strings_print_to_themselves(void **state)
{
    static const char *const pieces[] = {
        "gid=",     "5",    "50000",      ",",     ",",        ",",  "policy=shared", "chgrp=ignore", "uidmap=",
        "0:1:2",    ":",    "lowerdir=",  "/a",    "\\",       "\"", "upperdir=/u",   "workdir=/w",   "ro",
        "context=", "=",    "timeout=.5", "0:5:1", "volatile", "x-", "fsname=",       "cache=none",   "lowerdir+=/l",
        "\\,",      "\\:b", "noatime",
    };
    g_autoptr(GRand) rand = g_rand_new_with_seed(8);
    unsigned n_good = 0;
    for (int round = 0; round < 20000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int n = g_rand_int_range(rand, 0, 12); n > 0; n--)
            g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        g_autoptr(view_options) options = NULL;
        g_autoptr(GError) error = NULL;
        int r = view_options_parse(text->str, &options, &error);
        assert_true((r < 0) == (error != NULL));
        if (r < 0)
            continue;
        n_good++;
        g_autofree char *printed = view_options_to_string(options);
        assert_effective(printed, printed);
    }
    assert_true(n_good > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_effective_options),
        cmocka_unit_test(test_errors_name_the_option_and_the_remedy),
        cmocka_unit_test(test_given_flags_are_told_apart_from_defaults),
        cmocka_unit_test(test_paths_are_cut_out_whole),
        cmocka_unit_test(test_as_many_layers_as_overlayfs),
        cmocka_unit_test(test_control_fits_a_socket_address),
        cmocka_unit_test(test_help_lists_the_options),
        cmocka_unit_test(test_random_strings_print_to_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
