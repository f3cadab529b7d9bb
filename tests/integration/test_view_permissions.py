"""B3 to B5: who may do what in a gid view, to whom belongs what is made there, and which bits never reach the disk."""
import errno
import os
import stat
import struct

from harness import MountTest, main, run, run_as
from oracle import syscalls

GID = 5001
MEMBER = {"gid": 1001, "groups": (GID,)}
CAPABILITY = struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)


class GidView(MountTest):
    """A directory of 1000:2000 with mode 0755 (group may read: the view lets the gid write), and a view of it."""

    options = f"gid={GID}"

    def setUp(self):
        super().setUp()
        os.chown(self.source, 1000, 2000)
        self.source.chmod(0o755)
        (self.source / "file").write_text("content\n")
        os.chown(self.source / "file", 1000, 2000)
        (self.source / "file").chmod(0o664)
        self.shown = self.view(self.options).path

    def on_disk(self, name):
        status = os.lstat(self.source / name)
        return status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode))

    def seen(self, name):
        status = os.lstat(self.shown / name)
        return status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode))


class Members(GidView):
    def test_a_member_creates_writes_renames_and_deletes(self):
        run_as(1001, _live_here, str(self.shown), **MEMBER)
        self.assertEqual(["file"], sorted(os.listdir(self.source)))

    def test_any_uid_with_the_gid_may(self):
        for uid in (1, 1000, 4000000000, 65534):
            run_as(uid, _live_here, str(self.shown), groups=(GID,))

    def test_a_member_of_the_gid_as_primary_group_may(self):
        run_as(1001, _live_here, str(self.shown), gid=GID)

    def test_one_without_the_gid_may_not(self):
        for call, arguments in ((_write, ("new",)), (_write, ("file",)), (os.mkdir, ("d",)), (os.unlink, ("file",)),
                                (os.rename, ("file", "x")), (os.symlink, ("t", "l")), (os.mkfifo, ("p",))):
            with self.assertRaises(PermissionError, msg=f"{call} {arguments}"):
                run_as(1002, _in_directory, str(self.shown), call, *arguments, groups=(2000, 7))
        self.assertEqual(["file"], os.listdir(self.source))

    def test_the_disks_own_group_counts_for_nothing_in_the_view(self):
        (self.source / "file").chmod(0o660)
        with self.assertRaises(PermissionError):
            run_as(1002, _read, str(self.shown / "file"), gid=2000)
        self.assertEqual(b"content\n", run_as(1001, _read, str(self.shown / "file"), **MEMBER))

    def test_members_see_each_others_files_as_modes_say(self):
        run_as(1001, _write, str(self.shown / "mine"), **MEMBER)
        self.assertEqual(b"x", run_as(1003, _read, str(self.shown / "mine"), groups=(GID,)))
        with self.assertRaises(PermissionError):
            run_as(1003, _write, str(self.shown / "mine"), groups=(GID,))
        run_as(1001, os.chmod, str(self.shown / "mine"), 0o660, **MEMBER)
        run_as(1003, _write, str(self.shown / "mine"), groups=(GID,))

    def test_private_files_stay_private(self):
        (self.source / "secret").write_text("key")
        os.chown(self.source / "secret", 1000, 2000)
        (self.source / "secret").chmod(0o600)
        with self.assertRaises(PermissionError):
            run_as(1001, _read, str(self.shown / "secret"), **MEMBER)
        self.assertEqual(b"key", run_as(1000, _read, str(self.shown / "secret")))

    def test_sticky_directories_protect_owners(self):
        self.source.chmod(0o1777)
        run_as(1001, _write, str(self.shown / "mine"), **MEMBER)
        with self.assertRaises(PermissionError):
            run_as(1003, os.unlink, str(self.shown / "mine"), groups=(GID,))
        run_as(1001, os.unlink, str(self.shown / "mine"), **MEMBER)

    def test_nobody_writes_where_group_has_nothing(self):
        (self.source / "private").mkdir(mode=0o700)
        os.chown(self.source / "private", 1000, 2000)
        with self.assertRaises(PermissionError):
            run_as(1001, os.listdir, str(self.shown / "private"), **MEMBER)

    def test_a_file_of_a_member_through_an_open_descriptor(self):
        self.assertEqual(b"xyz", run_as(1001, _keep_writing, str(self.shown / "log"), **MEMBER))


class Ownership(GidView):
    """B4"""

    def make_all(self, where):
        run_as(1001, _make_all, str(where), **MEMBER)

    def test_created_entries_take_uid_and_the_directorys_group(self):
        self.make_all(self.shown)
        for name, mode in (("reg", "0o640"), ("dir", "0o750"), ("fifo", "0o640"), ("node", "0o640"), ("tmp", "0o640"),
                           ("sock", None), ("link", None)):
            uid, gid, disk_mode = self.on_disk(name)
            self.assertEqual((1001, 2000), (uid, gid), name)
            self.assertEqual(GID, self.seen(name)[1], name)
            if mode:
                self.assertEqual(mode, disk_mode, name)
        self.assertEqual("0o2770", self.seen("dir")[2])

    def test_a_setgid_directory_on_disk_hands_its_bit_on(self):
        self.source.chmod(0o2775)
        run_as(1001, os.mkdir, str(self.shown / "sub"), **MEMBER)
        self.assertEqual(2000, self.on_disk("sub")[1])

    def test_the_allocated_gid_is_never_on_disk_whatever_the_primary_group(self):
        run_as(1001, _make_all, str(self.shown), gid=GID)
        for entry in os.scandir(self.source):
            self.assertEqual(2000, entry.stat(follow_symlinks=False).st_gid, entry.name)

    def test_each_directory_has_its_own_group(self):
        (self.source / "other").mkdir(mode=0o770)
        os.chown(self.source / "other", 0, 3000)
        run_as(1001, _write, str(self.shown / "other" / "new"), **MEMBER)
        self.assertEqual((1001, 3000), self.on_disk("other/new")[:2])

    def test_moving_keeps_the_disks_group(self):
        (self.source / "other").mkdir(mode=0o775)
        os.chown(self.source / "other", 0, 3000)
        run_as(1001, os.rename, str(self.shown / "file"), str(self.shown / "other" / "file"), **MEMBER)
        self.assertEqual((1000, 2000), self.on_disk("other/file")[:2])

    def test_umask_is_the_callers(self):
        run_as(1001, _write_with_umask, str(self.shown / "new"), 0o077, **MEMBER)
        self.assertEqual("0o600", self.on_disk("new")[2])

    def test_root_owns_what_root_makes(self):
        (self.shown / "new").touch()
        self.assertEqual((0, 2000), self.on_disk("new")[:2])


class IdentityOwnership(GidView):
    """B4 without gid=: as on the disk's own file system."""

    options = ""

    def test_creators_group_or_the_setgid_directorys(self):
        self.source.chmod(0o777)
        run_as(1001, _write, str(self.shown / "new"), **MEMBER)
        self.assertEqual((1001, 1001), self.on_disk("new")[:2])
        self.source.chmod(0o2777)
        run_as(1001, os.mkdir, str(self.shown / "dir"), **MEMBER)
        self.assertEqual((1001, 2000, "0o2755"), self.on_disk("dir"))


class DangerousBits(GidView):
    """B5"""

    def test_setid_never_reaches_the_disk_by_chmod(self):
        for who, options in ((0, {}), (1000, {"groups": (GID,)})):
            for mode in (0o4755, 0o2755, 0o6755):
                try:
                    run_as(who, os.chmod, str(self.shown / "file"), mode, **options)
                except PermissionError:
                    pass
                self.assertEqual(0, os.stat(self.source / "file").st_mode & 0o6000, f"{who} {oct(mode)}")

    def test_setid_never_reaches_the_disk_by_creation(self):
        for name, make in (("open", _create), ("mknod", _node), ("tmp", _create_tmpfile), ("mkdir", os.mkdir)):
            for who, options in ((0, {}), (1001, MEMBER)):
                path = self.shown / f"{name}{who}"
                try:
                    run_as(who, make, str(path), 0o6755, **options)
                except PermissionError:
                    continue
                self.assertEqual(0, os.stat(self.source / path.name).st_mode & 0o6000, path.name)

    def test_a_non_member_cannot_make_a_setgid_program(self):
        """CVE-2018-13405: a file made in a setgid directory by one outside the group, with the group's setgid bit."""
        self.source.chmod(0o2777)
        run_as(1002, _create, str(self.shown / "trap"), 0o2755)
        self.assertEqual(0, os.stat(self.source / "trap").st_mode & 0o2000)
        self.assertEqual(0, os.stat(self.shown / "trap").st_mode & 0o2000)

    def test_file_capabilities_are_refused(self):
        for who, options in ((0, {}), (1000, {"groups": (GID,)})):
            with self.assertRaises(OSError):
                run_as(who, os.setxattr, str(self.shown / "file"), "security.capability", CAPABILITY, **options)
        self.assertEqual([], [n for n in os.listxattr(self.source / "file") if n.startswith("security.c")])

    def test_bits_of_the_policy_never_reach_the_disk(self):
        (self.source / "dir").mkdir(mode=0o755)
        os.chown(self.source / "dir", 1000, 2000)
        self.assertEqual("0o2775", self.seen("dir")[2])
        run_as(1000, os.chmod, str(self.shown / "dir"), 0o2775, groups=(GID,))
        self.assertEqual("0o755", self.on_disk("dir")[2])
        run_as(1000, os.chmod, str(self.shown / "dir"), 0o2777, groups=(GID,))
        self.assertEqual("0o757", self.on_disk("dir")[2])

    def test_an_owner_can_close_a_directory(self):
        (self.source / "dir").mkdir(mode=0o755)
        os.chown(self.source / "dir", 1000, 2000)
        run_as(1000, os.chmod, str(self.shown / "dir"), 0o700, groups=(GID,))
        self.assertEqual(("0o700", "0o700"), (self.on_disk("dir")[2], self.seen("dir")[2]))

    def test_chgrp(self):
        path = str(self.shown / "file")
        run_as(1000, os.chown, path, -1, GID, groups=(GID,))
        with self.assertRaises(PermissionError):
            run_as(1000, os.chown, path, -1, 7, groups=(GID, 7))
        with self.assertRaises(PermissionError):
            os.chown(path, -1, 7)
        self.assertEqual((1000, 2000), self.on_disk("file")[:2])

    def test_root_gives_a_file_away(self):
        os.chown(self.shown / "file", 1001, GID)
        self.assertEqual((1001, 2000), self.on_disk("file")[:2])


class IgnoredChgrp(GidView):
    options = f"gid={GID},chgrp=ignore"

    def test_it_succeeds_and_changes_nothing(self):
        os.chown(self.shown / "file", -1, 7)
        os.chown(self.shown / "file", 1001, 7)
        self.assertEqual((1001, 2000), self.on_disk("file")[:2])
        self.assertEqual(GID, self.seen("file")[1])


class WritesClearPrivilege(MountTest):
    """A write or truncate clears set-id bits and capabilities, through passthrough too, in any kind of view."""

    def check(self, options, change, who=(1001, {"groups": (GID,)})):
        path = self.source / "program"
        path.write_bytes(b"\x7fELF" + b"x" * 8000)
        os.chown(path, 1000, 2000)
        path.chmod(0o6777)
        capable = self.source / "capable"
        capable.write_bytes(b"x" * 8000)
        os.chown(capable, 1000, 2000)
        capable.chmod(0o777)
        os.setxattr(capable, "security.capability", CAPABILITY)
        view = self.view(options)
        for name in ("program", "capable"):
            run_as(who[0], change, str(view.path / name), **who[1])
        self.assertEqual(0o777, stat.S_IMODE(path.stat().st_mode), "set-id bits are left on disk")
        self.assertEqual(0o777, stat.S_IMODE((view.path / "program").stat().st_mode), "and in the view")
        self.assertNotIn("security.capability", os.listxattr(capable))
        self.assertNotIn("security.capability", os.listxattr(view.path / "capable"))
        view.unmount()

    def test_in_every_view(self):
        for options in (f"gid={GID}", "suid,dev", f"gid={GID},passthrough=off", f"gid={GID},suid"):
            for change in (_overwrite, _truncate, _open_truncating, _allocate):
                with self.subTest(options=options, change=change.__name__):
                    self.check(options, change)

    def test_even_when_root_writes(self):
        """A disk keeps the bits for one with CAP_FSETID. Passthrough can't tell writers apart and errs for safety."""
        self.check("suid,dev", _overwrite, who=(0, {}))

    def test_chown_clears_them(self):
        path = self.source / "program"
        path.write_bytes(b"x")
        path.chmod(0o6755)
        view = self.view("suid,dev")
        os.chown(view.path / "program", 1000, 1000)
        self.assertEqual(0o755, stat.S_IMODE(path.stat().st_mode))


class SetIdAllowed(MountTest):
    def test_with_suid_an_owner_sets_them_and_they_work(self):
        view = self.view("suid,dev")
        program = view.path / "id"
        run(["cp", "/usr/bin/id", program])
        os.chown(program, 1234, 0)
        program.chmod(0o4755)
        self.assertEqual(0o4755, stat.S_IMODE((self.source / "id").stat().st_mode))
        self.assertIn("1234", run([program, "-u"]).stdout)

    def test_without_it_they_do_not_work(self):
        run(["cp", "/usr/bin/id", self.source / "id"])
        os.chown(self.source / "id", 1234, 0)
        (self.source / "id").chmod(0o4755)
        view = self.view(f"gid={GID}")
        self.assertEqual("0\n", run([view.path / "id", "-u"]).stdout)
        self.assertIn("nosuid", view.entry()["options"])
        self.assertIn("nodev", view.entry()["options"])


class Devices(GidView):
    def test_nodes_are_refused_in_a_gid_view(self):
        with self.assertRaises(OSError) as caught:
            os.mknod(self.shown / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.assertIn(caught.exception.errno, (errno.EPERM, errno.EACCES))

    def test_those_on_disk_are_not_opened(self):
        os.mknod(self.source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.assertTrue(stat.S_ISCHR(os.lstat(self.shown / "null").st_mode))
        with self.assertRaises(PermissionError):
            _read(str(self.shown / "null"))


def _in_directory(path, call, *arguments):
    os.chdir(path)
    call(*arguments)


def _write(path):
    with open(path, "wb") as file:
        file.write(b"x")


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _write_with_umask(path, umask):
    os.umask(umask)
    _write(path)


def _live_here(path):
    os.chdir(path)
    _write("a")
    os.mkdir("dir")
    os.rename("a", "dir/b")
    os.link("dir/b", "c")
    os.symlink("c", "link")
    assert _read("link") == b"x"
    os.unlink("link")
    os.unlink("c")
    os.unlink("dir/b")
    os.rmdir("dir")


def _make_all(path):
    os.chdir(path)
    os.umask(0o027)
    os.close(os.open("reg", os.O_CREAT | os.O_RDWR, 0o666))
    os.mkdir("dir", 0o777)
    os.mkfifo("fifo", 0o666)
    os.mknod("node", stat.S_IFREG | 0o666)
    os.symlink("reg", "link")
    _create_tmpfile("tmp", 0o666)
    run(["python3", "-c", "import socket; socket.socket(socket.AF_UNIX).bind('sock')"])


def _create(path, mode):
    os.umask(0)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def _node(path, mode):
    os.umask(0)
    os.mknod(path, stat.S_IFREG | mode)


def _create_tmpfile(path, mode):
    fd = os.open(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR, mode)
    syscalls.link_descriptor(fd, path)
    os.close(fd)


def _keep_writing(path):
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o200)
    for part in (b"x", b"y", b"z"):
        os.write(fd, part)
    return os.pread(fd, 10, 0)


def _overwrite(path):
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, b"new", 4)
    os.close(fd)


def _truncate(path):
    os.truncate(path, 100)


def _open_truncating(path):
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def _allocate(path):
    fd = os.open(path, os.O_WRONLY)
    os.posix_fallocate(fd, 0, 20000)
    os.close(fd)


if __name__ == "__main__":
    main()
