"""mount -t gidfs, fstab, umount and remount, through the real mount(8)."""
import os
import pathlib
import shutil

from harness import MountTest, become, binary, is_mount_point, main, mount_entry, run, skip_file

GID = 5001


def install_helpers():
    """mount(8) looks for helpers in /sbin only. This namespace gets a /sbin of its own with ours in it."""
    sbin = os.path.realpath("/sbin")
    parts = pathlib.Path("/run")
    run(["mount", "-t", "tmpfs", "none", parts])
    (parts / "upper").mkdir()
    (parts / "work").mkdir()
    layers = f"lowerdir={sbin},upperdir={parts}/upper,workdir={parts}/work"
    if run(["mount", "-t", "overlay", "-o", layers, "overlay", sbin], check=False).returncode != 0:
        skip_file("no overlay file system to put the helpers into /sbin with")
    for name in ("mount.gidfs", "mount.fuse.gidfs"):
        shutil.copy(binary("mount.gidfs"), f"{sbin}/{name}")


class Mount8(MountTest):
    file_system = "tmpfs"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not is_mount_point(os.path.realpath("/sbin")):
            install_helpers()

    def setUp(self):
        super().setUp()
        (self.source / "file").write_text("x")
        self.path = self.new_directory()
        self.addCleanup(self.unmount_all)

    def unmount_all(self):
        while is_mount_point(self.path):
            run(["umount", "-l", self.path])

    def fstab(self, options):
        """Puts one line into an fstab that only this namespace sees."""
        table = self.directory / "fstab"
        table.write_text(f"{self.source} {self.path} gidfs {options} 0 0\n")
        table.chmod(0o644)
        run(["mount", "--bind", table, "/etc/fstab"])
        self.addCleanup(run, ["umount", "/etc/fstab"])

    def count(self):
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return sum(line.split()[4] == str(self.path) for line in lines)

    def test_mount_and_umount(self):
        run(["mount", "-t", "gidfs", "-o", f"gid={GID}", self.source, self.path])
        self.assertEqual("fuse.gidfs", mount_entry(self.path)["type"])
        self.assertEqual(GID, os.stat(self.path / "file").st_gid)
        run(["umount", self.path])
        self.assertFalse(is_mount_point(self.path))

    def test_words_that_are_for_mount_alone(self):
        words = "defaults,_netdev,nofail,noauto,x-systemd.requires=a,X-mount.mkdir,nouser,comment=hello,relatime"
        run(["mount", "-t", "gidfs", "-o", f"gid={GID},{words}", self.source, self.path])
        self.assertEqual(GID, os.stat(self.path / "file").st_gid)

    def test_flags_reach_the_mount(self):
        run(["mount", "-t", "gidfs", "-o", f"gid={GID},ro,noexec,noatime", self.source, self.path])
        self.assertLessEqual({"ro", "noexec", "noatime", "nosuid", "nodev"}, set(mount_entry(self.path)["options"]))

    def test_suid_and_dev(self):
        """mount(8) passes neither on, since it takes them for the default; a view's own words arrive."""
        run(["mount", "-t", "gidfs", "-o", "allow_suid,allow_dev", self.source, self.path])
        self.assertFalse({"nosuid", "nodev"} & set(mount_entry(self.path)["options"]))

    def test_errors_arrive(self):
        done = run(["mount", "-t", "gidfs", "-o", f"gid={GID},colour=red", self.source, self.path], check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("colour", done.stderr)
        self.assertFalse(is_mount_point(self.path))

    def test_fake(self):
        run(["mount", "-f", "-t", "gidfs", "-o", f"gid={GID}", self.source, self.path])
        self.assertFalse(is_mount_point(self.path))

    def test_fstab_twice_is_once(self):
        self.fstab(f"gid={GID}")
        run(["mount", "-a", "-t", "gidfs"])
        self.assertEqual(1, self.count())
        run(["mount", "-a", "-t", "gidfs"])
        run(["mount", "-a"])
        self.assertEqual(1, self.count())
        run(["umount", self.path])
        self.assertEqual(0, self.count())

    def test_fstab_by_mount_point_and_by_source(self):
        self.fstab(f"gid={GID},noauto")
        for word in (self.path, self.source):
            run(["mount", word])
            self.assertEqual(GID, os.stat(self.path / "file").st_gid)
            run(["umount", self.path])

    def test_remount(self):
        run(["mount", "-t", "gidfs", "-o", f"gid={GID}", self.source, self.path])
        run(["mount", "-o", "remount,ro", self.path])
        self.assertIn("ro", mount_entry(self.path)["options"])
        with self.assertRaises(OSError):
            (self.path / "new").touch()
        run(["mount", "-o", "remount,rw", self.path])
        (self.path / "new").touch()
        self.assertEqual(GID, os.stat(self.path / "new").st_gid)

    def test_a_remount_changes_nothing_else(self):
        run(["mount", "-t", "gidfs", "-o", "suid,dev,noexec", self.source, self.path])
        before = set(mount_entry(self.path)["options"])
        run(["mount", "-o", "remount,ro", self.path])
        run([binary("mount.gidfs"), self.source, self.path, "-o", "remount,rw"])
        self.assertEqual(before, set(mount_entry(self.path)["options"]))
        run([binary("mount.gidfs"), self.source, self.path, "-o", "remount,nosuid"])
        self.assertEqual(before | {"nosuid"}, set(mount_entry(self.path)["options"]))

    def test_remount_of_a_line_in_fstab(self):
        self.fstab(f"gid={GID}")
        run(["mount", self.path])
        run(["mount", "-o", "remount,ro", self.path])
        self.assertIn("ro", mount_entry(self.path)["options"])

    def test_a_user_is_told_why_not(self):
        """With "user", mount(8) drops to the caller before it runs the helper, which then may not mount."""
        self.fstab(f"gid={GID},user,noauto")
        done = run(["mount", self.path], check=False, preexec_fn=lambda: become(1000))
        self.assertNotEqual(0, done.returncode)
        self.assertNotEqual("", done.stderr)
        self.assertFalse(is_mount_point(self.path))


if __name__ == "__main__":
    main()
