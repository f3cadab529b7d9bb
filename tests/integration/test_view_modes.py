"""B1, B2, B8: what a view reports of owners and modes, and that the disk knows nothing of it."""
import os
import stat

from harness import MountTest, entries, main, make_tree, run_as, snapshot

GID = 5001


class Reported(MountTest):
    def setUp(self):
        super().setUp()
        make_tree(self.source)

    def each(self, view):
        """(path, lstat on disk, lstat in the view) of every entry."""
        for path in entries(self.source):
            shown = view.path / path.relative_to(self.source)
            yield path, os.lstat(path), os.lstat(shown)

    def check_modes(self, options, expected):
        view = self.view(options)
        for path, disk, seen in self.each(view):
            self.assertEqual(oct(expected(disk.st_mode)), oct(seen.st_mode), path)
            self.assertEqual(GID, seen.st_gid, path)
            self.assertEqual(disk.st_uid, seen.st_uid, path)

    def test_without_gid_nothing_differs(self):
        view = self.view("suid,dev")
        for path, disk, seen in self.each(view):
            for field in ("st_mode", "st_uid", "st_gid", "st_nlink", "st_size", "st_ino", "st_mtime_ns", "st_ctime_ns"):
                self.assertEqual(getattr(disk, field), getattr(seen, field), f"{field} of {path}")

    def test_shared_opens_directories_that_grant_their_group_anything(self):
        self.check_modes(f"gid={GID}", _shared)

    def test_shared_is_the_default_and_can_be_named(self):
        self.check_modes(f"gid={GID},policy=shared", _shared)

    def test_shared_keeps_private_what_is_private(self):
        view = self.view(f"gid={GID}")
        self.assertEqual(0o700, stat.S_IMODE(os.stat(view.path / "private").st_mode))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(view.path / "shared" / "secret").st_mode))

    def test_mesos_opens_every_directory(self):
        self.check_modes(f"gid={GID},policy=mesos", lambda mode: mode | 0o2020 if stat.S_ISDIR(mode) else mode)

    def test_fsgroup_is_as_kubernetes_does_it(self):
        self.check_modes(f"gid={GID},policy=fsgroup", lambda mode: _fsgroup(mode, 0o660))

    def test_fsgroup_read_only(self):
        self.check_modes(f"gid={GID},policy=fsgroup,ro", lambda mode: _fsgroup(mode, 0o440))

    def test_readdir_tells_the_types(self):
        view = self.view(f"gid={GID}")
        for directory, names, files in os.walk(self.source):
            shown = view.path / os.path.relpath(directory, self.source)
            with os.scandir(shown) as found:
                self.assertEqual(sorted(names + files), sorted(entry.name for entry in found))
            with os.scandir(shown) as found:
                for entry in found:
                    self.assertEqual(os.lstat(os.path.join(directory, entry.name)).st_ino, entry.inode())

    def test_a_change_of_mode_on_disk_changes_what_is_reported(self):
        view = self.view(f"gid={GID}")
        (self.source / "plain").chmod(0o700)
        self.assertEqual(0o700, stat.S_IMODE(os.stat(view.path / "plain").st_mode))


class DiskIsUntouched(MountTest):
    """B2: the tree is the same, times included, before, while and after."""

    def check(self, options, use):
        make_tree(self.source)
        before = snapshot(self.source)
        view = self.view(options)
        self.assertEqual(before, snapshot(self.source), "mounting changed something")
        use(view.path)
        self.assertEqual(before, snapshot(self.source), "reading changed something")
        view.unmount()
        self.assertEqual(before, snapshot(self.source), "unmounting changed something")

    def test_read_by_root(self):
        for options in ("", f"gid={GID}", f"gid={GID},policy=mesos", f"gid={GID},policy=fsgroup"):
            with self.subTest(options=options):
                self.source = self.new_directory(self.fs.path)
                self.check(options, snapshot)

    def test_read_and_refused_writes_of_a_stranger(self):
        def use(path):
            run_as(4242, _try_to_change, str(path))

        self.check(f"gid={GID}", use)

    def test_chgrp_to_the_gid_changes_nothing(self):
        def use(path):
            run_as(1000, os.chown, path / "shared" / "read", -1, GID, groups=(GID,))
            os.chown(path / "shared" / "read", -1, GID)

        make_tree(self.source)
        before = snapshot(self.source, times=False)
        view = self.view(f"gid={GID}")
        use(view.path)
        self.assertEqual(before, snapshot(self.source, times=False))

    def test_a_member_gives_its_entries_the_reported_modes(self):
        """What tar, rsync and editors do: write back the mode that they read."""
        make_tree(self.source)
        before = snapshot(self.source, times=False)
        for policy in ("shared", "mesos", "fsgroup"):
            view = self.view(f"gid={GID},policy={policy}")
            for path in entries(view.path):
                if not path.is_symlink():
                    path.chmod(stat.S_IMODE(path.lstat().st_mode))
            self.assertEqual(before, snapshot(self.source, times=False), policy)


class IdMaps(MountTest):
    def test_ranges_map_both_ways(self):
        make_tree(self.source, owner=(101000, 201000))
        view = self.view("uidmap=0:100000:65536,gidmap=0:200000:65536")
        seen = os.stat(view.path / "shared" / "data")
        self.assertEqual((1000, 1000), (seen.st_uid, seen.st_gid))
        os.chown(view.path / "shared" / "data", 7, 8)
        disk = os.stat(self.source / "shared" / "data")
        self.assertEqual((100007, 200008), (disk.st_uid, disk.st_gid))

    def test_what_is_created_belongs_to_the_mapped_caller(self):
        os.chown(self.source, 100000, 200000)
        self.source.chmod(0o777)
        view = self.view("uidmap=0:100000:65536,gidmap=0:200000:65536")
        run_as(33, _touch, str(view.path / "new"), gid=44)
        disk = os.stat(self.source / "new")
        self.assertEqual((100033, 200044), (disk.st_uid, disk.st_gid))

    def test_several_ranges(self):
        for number, (uid, gid) in enumerate(((10, 20), (500, 600))):
            (self.source / str(number)).touch()
            os.chown(self.source / str(number), uid, gid)
        view = self.view("uidmap=0:10:1:1:500:1,gidmap=0:20:1:1:600:1")
        for number in (0, 1):
            seen = os.stat(view.path / str(number))
            self.assertEqual((number, number), (seen.st_uid, seen.st_gid))

    def test_an_id_outside_the_map_is_shown_as_overflow_and_cannot_be_given(self):
        (self.source / "file").touch()
        os.chown(self.source / "file", 99, 99)
        view = self.view("uidmap=0:100000:10,gidmap=0:100000:10")
        seen = os.stat(view.path / "file")
        self.assertEqual((65534, 65534), (seen.st_uid, seen.st_gid))
        with self.assertRaises(OSError):
            os.chown(view.path / "file", 11, -1)
        self.assertEqual(99, os.stat(self.source / "file").st_uid)

    def test_maps_and_gid_together(self):
        os.chown(self.source, 101000, 300000)
        self.source.chmod(0o775)
        view = self.view(f"gid={GID},uidmap=0:100000:65536")
        run_as(1001, _touch, str(view.path / "new"), groups=(GID,))
        seen, disk = os.stat(view.path / "new"), os.stat(self.source / "new")
        self.assertEqual((1001, GID), (seen.st_uid, seen.st_gid))
        self.assertEqual((101001, 300000), (disk.st_uid, disk.st_gid))


def _shared(mode):
    return mode | 0o2020 if stat.S_ISDIR(mode) and mode & 0o070 else mode


def _fsgroup(mode, read_write):
    """SetVolumeOwnership: mode | 0660 (or 0440), directories | 0110 and setgid too; links are left alone."""
    if stat.S_ISLNK(mode):
        return mode
    return mode | read_write | (0o2110 if stat.S_ISDIR(mode) else 0)


def _touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _try_to_change(root):
    for path in (f"{root}/plain/data", f"{root}/plain"):
        for change in (lambda p=path: os.chmod(p, 0o777), lambda p=path: os.chown(p, 4242, 4242),
                       lambda p=path: os.utime(p, (5, 5)), lambda p=path: os.rename(p, p + "x"),
                       lambda p=path: os.setxattr(p, "user.x", b"x")):
            try:
                change()
            except PermissionError:
                continue
            raise AssertionError(f"a stranger changed {path}")


if __name__ == "__main__":
    main()
