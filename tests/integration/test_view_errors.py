"""Bad input to gidfs-view, B9, and what happens when the disk fails it: always a clear answer, and nothing lost."""
import errno
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import MountTest, become, binary, main, make_file_system, make_tree, run, run_as, snapshot, wait_until

GID = 5001


class Refused(MountTest):
    """Each gives one line that names the thing, and nothing is mounted (see MountTest.refused)."""

    file_system = "tmpfs"

    def check(self, options, *words, **named):
        line = self.refused(options, **named)
        self.assertTrue(line.startswith("gidfs-view: "), line)
        for word in words:
            self.assertIn(str(word), line)
        return line

    def test_an_unknown_option(self):
        self.check(f"gid={GID},colour=red", "colour")

    def test_an_option_without_its_value(self):
        self.check("gid", "gid")
        self.check("gid=", "gid")

    def test_gids_out_of_bounds(self):
        for gid in ("-1", "4294967295", "4294967296", "99999999999999999999", "abc", "5001x", "0x10", " 7"):
            self.check(f"gid={gid}", "gid")

    def test_unknown_words(self):
        self.check(f"gid={GID},policy=open", "policy", "shared", "mesos", "fsgroup")
        self.check(f"gid={GID},chgrp=maybe", "chgrp", "refuse", "ignore")
        self.check(f"gid={GID},cache=some", "cache", "auto", "always", "none")
        self.check(f"gid={GID},passthrough=perhaps", "passthrough", "auto", "on", "off")

    def test_bad_id_maps(self):
        for value in ("0", "0:0", "0:0:0", "a:0:1", "0:0:1:5", "0:0:4294967296", "0:4294967290:10", "0:0:10:5:100:10"):
            self.check(f"uidmap={value}", "uidmap")
            self.check(f"gidmap={value}", "gidmap")

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv")
    def test_who_may_not_mount_is_told_who_may(self):
        path = self.new_directory(prefix="view-")
        done = run(["setpriv", "--bounding-set", "-sys_admin", binary("gidfs-view"), "-o", f"gid={GID}", self.source,
                    path], check=False)
        self.assertEqual((1, 1), (done.returncode, len(done.stderr.splitlines())), done)
        self.assertIn(f"{path}: Operation not permitted; mount as root", done.stderr)

    def test_a_missing_source(self):
        missing = self.source / "missing"
        self.check(f"gid={GID}", missing, "No such file or directory", source=missing)

    def test_a_source_that_is_no_directory(self):
        file = self.source / "file"
        file.touch()
        self.check(f"gid={GID}", file, "not a directory", source=file)

    def test_a_missing_mount_point(self):
        missing = self.directory / "missing"
        self.check(f"gid={GID}", missing, "No such file or directory", mount_point=missing)

    def test_a_mount_point_that_is_no_directory(self):
        file = self.directory / "file"
        file.touch()
        self.check(f"gid={GID}", file, "not a directory", mount_point=file)

    def test_a_source_that_contains_the_mount_point(self):
        inside = self.source / "a" / "b"
        inside.mkdir(parents=True)
        self.check(f"gid={GID}", self.source, inside, mount_point=inside)
        self.check(f"gid={GID}", mount_point=self.source)

    def test_and_through_a_symlink(self):
        inside = self.source / "inside"
        inside.mkdir()
        (self.directory / "link").symlink_to(inside)
        self.check(f"gid={GID}", mount_point=self.directory / "link")

    def test_through_a_bind_mount_it_contains_no_more_than_a_directory(self):
        """Even where mounts propagate: a view sees its source's own mount and nothing that is mounted in it."""
        (self.source / "inside").mkdir()
        (self.source / "inside" / "file").touch()
        bound, base = self.new_directory(), self.fs.path
        run(["mount", "--make-shared", base])
        run(["mount", "--bind", self.source, bound])
        self.addCleanup(run, ["umount", "-R", "-l", bound])
        view = self.view(f"gid={GID}", mount_point=bound / "inside")
        self.assertEqual(["file"], os.listdir(view.path / "inside"))

    def test_a_source_inside_another_view(self):
        (self.source / "sub").mkdir()
        view = self.view(f"gid={GID}")
        self.check(f"gid={GID}", view.path, source=view.path)
        self.check(f"gid={GID}", source=view.path / "sub")

    def test_upper_without_work(self):
        self.check("lowerdir=/usr,upperdir=/tmp", "workdir")

    def test_a_missing_layer(self):
        self.check(f"lowerdir={self.source}/none", f"{self.source}/none")

    def test_passthrough_where_it_cannot_be(self):
        """An overlay of an overlay: the kernel stacks no further."""
        (self.source / "file").write_text("low")
        below = self.source
        for level in ("one", "two"):
            other, place = self.new_directory(), self.new_directory(prefix=level)
            done = run(["mount", "-t", "overlay", "-o", f"lowerdir={below}:{other}", "overlay", place], check=False)
            if done.returncode != 0:
                self.skipTest(f"no overlay of overlays here: {done.stderr}")
            self.addCleanup(run, ["umount", "-l", place])
            below = place
        self.check(f"gid={GID},passthrough=on", "passthrough", source=below)
        view = self.view(f"gid={GID}", source=below)
        self.assertEqual("low", (view.path / "file").read_text())

    def test_an_ordinary_user(self):
        path = self.new_directory()
        os.chown(path, 1000, 1000)
        done = run([binary("gidfs-view"), "-o", f"gid={GID}", self.source, path], check=False,
                   preexec_fn=lambda: become(1000))
        self.assertEqual(1, done.returncode)
        self.assertIn("gidfs-view: ", done.stderr)


class Usage(MountTest):
    file_system = "tmpfs"

    def test_wrong_usage_is_2(self):
        for arguments in ([], ["one"], ["-o"], ["-x", "a", "b"], ["--wrong"], ["-o", "gid=1", "a", "b", "c"]):
            done = run([binary("gidfs-view"), *arguments], check=False)
            self.assertEqual(2, done.returncode, arguments)
            self.assertNotEqual("", done.stderr, arguments)
            self.assertEqual("", done.stdout, arguments)

    def test_help_and_version(self):
        for program in ("gidfs-view", "mount.gidfs", "gidfsd", "gidfs"):
            for option in ("--help", "--version"):
                done = run([binary(program), option])
                self.assertNotEqual("", done.stdout, program)
                self.assertEqual("", done.stderr, program)

    def test_a_full_standard_output_is_no_crash(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([binary("gidfs-view"), "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertGreaterEqual(done.returncode, 0)


class FullDisk(MountTest):
    size_mib = 320  # the least that xfs takes

    def test_enospc_and_nothing_lost(self):
        (self.source / "kept").write_bytes(b"kept" * 1000)
        view = self.view(f"gid={GID}")
        with open(view.path / "big", "wb", buffering=0) as file:
            with self.assertRaises(OSError) as caught:
                os.posix_fallocate(file.fileno(), 0, 2 << 30)
            self.assertEqual(errno.ENOSPC, caught.exception.errno)
            written = 0
            with self.assertRaises(OSError) as caught:
                while written < 2 << 30:
                    written += file.write(b"x" * (1 << 20))
                os.fsync(file.fileno())
        self.assertEqual(errno.ENOSPC, caught.exception.errno)
        self.assertEqual(b"kept" * 1000, (view.path / "kept").read_bytes())
        os.unlink(view.path / "big")
        run(["sync", "-f", self.source])
        wait_until(lambda: _writes(view.path / "again"), "there is room again")
        self.assertEqual(b"x" * 4096, (self.source / "again").read_bytes())


class ReadOnlySource(MountTest):
    def test_everything_is_erofs_and_readable(self):
        make_tree(self.source)
        bound = self.new_directory()
        run(["mount", "--bind", self.source, bound])
        self.addCleanup(run, ["umount", bound])
        run(["mount", "-o", "remount,bind,ro", bound])
        view = self.view(f"gid={GID}", source=bound)
        self.assertEqual("plain/data\n", (view.path / "plain" / "data").read_text())
        for change in (lambda: (view.path / "new").touch(), lambda: os.unlink(view.path / "setuid"),
                       lambda: os.rename(view.path / "plain", view.path / "x"),
                       lambda: os.mkdir(view.path / "d"), lambda: os.chmod(view.path / "plain", 0o700),
                       lambda: os.symlink("x", view.path / "l"), lambda: os.truncate(view.path / "setuid", 0),
                       lambda: os.setxattr(view.path / "setuid", "user.x", b"1"),
                       lambda: os.open(view.path / "plain" / "data", os.O_WRONLY)):
            self.assert_errno(errno.EROFS, change)


class VanishedSource(MountTest):
    def test_a_removed_source_answers_and_unmounts(self):
        make_tree(self.source)
        view = self.view(f"gid={GID}")
        os.listdir(view.path)
        with open(view.path / "plain" / "data", encoding="ascii") as file:
            shutil.rmtree(self.source)
            self.assertEqual("plain/data\n", file.read())
        wait_until(lambda: _is_gone(view.path / "plain" / "data"), "what is gone is not found")
        with self.assertRaises(OSError):
            (view.path / "new").touch()
        view.unmount()

    def test_a_file_system_unmounted_under_it_stays_until_the_view_goes(self):
        fs = make_file_system("ext4", 32)
        (fs.path / "d").mkdir()
        (fs.path / "d" / "file").write_text("here")
        view = self.view(f"gid={GID}", source=fs.path / "d")
        run(["umount", "-l", fs.path])
        self.assertEqual("here", (view.path / "file").read_text())
        (view.path / "new").write_text("x")
        view.unmount()
        fs.unmount()


class FewDescriptors(MountTest):
    """RLIMIT_NOFILE far below the number of files: descriptors are a cache, not the table."""

    def few(self, number):
        path = self.new_directory(prefix="view-")
        run(["prlimit", f"--nofile={number}:{number}", binary("gidfs-view"), "-o", f"gid={GID}", self.source, path])
        self.addCleanup(run, ["umount", "-l", path])
        return path

    def test_a_tree_far_larger_than_the_limit(self):
        for number in range(30):
            (self.source / f"d{number}").mkdir()
            for file in range(30):
                (self.source / f"d{number}" / f"f{file}").write_text(f"{number}.{file}")
        before = snapshot(self.source, content=False)
        shown = self.few(128)
        seen = snapshot(shown, content=False)
        self.assertEqual(before.keys(), seen.keys())
        for number in range(30):
            self.assertEqual(f"{number}.29", (shown / f"d{number}" / "f29").read_text())

    def test_more_open_files_than_the_limit(self):
        for number in range(400):
            (self.source / f"f{number}").write_text(str(number))
        shown = self.few(128)
        files = [open(shown / f"f{number}", "r+", encoding="ascii") for number in range(400)]
        try:
            for number, file in enumerate(files):
                self.assertEqual(str(number), file.read())
                file.write("!")
        finally:
            for file in files:
                file.close()
        self.assertEqual("399!", (self.source / "f399").read_text())

    def test_open_and_unlinked_beyond_the_limit(self):
        """What has no name left can only be kept by a descriptor: without one, open says so, and that is all."""
        shown = self.few(128)
        files, refused = [], 0
        for number in range(300):
            try:
                file = open(shown / f"f{number}", "w+", encoding="ascii")
            except OSError as error:
                self.assertIn(error.errno, (errno.EMFILE, errno.ENFILE))
                refused += 1
                continue
            os.unlink(shown / f"f{number}")
            file.write(str(number))
            files.append((number, file))
        for number, file in files:
            file.seek(0)
            self.assertEqual(str(number), file.read())
            file.close()
        (shown / "after").write_text("fine")
        self.assertEqual("fine", (self.source / "after").read_text())


class Privileges(MountTest):
    def test_no_descriptor_is_inherited_by_or_left_to_the_view(self):
        """Started with descriptors open, the view's processes keep none of them."""
        canary = self.directory / "canary"
        canary.touch()
        fd = os.open(canary, os.O_RDWR)
        self.addCleanup(os.close, fd)
        path = self.new_directory(prefix="view-")
        run([binary("gidfs-view"), "-o", f"gid={GID}", self.source, path], pass_fds=(fd,))
        self.addCleanup(run, ["umount", path])
        held = [link for process in pathlib.Path("/proc").glob("[0-9]*")
                if _name(process).startswith("gidfs-view") for link in _links(process)]
        self.assertTrue(held)
        self.assertNotIn(str(canary), held)

    def test_a_stranger_may_not_signal_it(self):
        path = self.new_directory(prefix="view-")
        self.view(f"gid={GID}", mount_point=path)
        served = {_name(process): process for process in pathlib.Path("/proc").glob("[0-9]*") if _serves(process, path)}
        self.assertLessEqual({"gidfs-view", "gidfs-worker"}, set(served))
        for process in served.values():
            with self.assertRaises(PermissionError):
                run_as(1000, os.kill, int(process.name), 0)


def _writes(path):
    try:
        path.write_bytes(b"x" * 4096)
        return True
    except OSError:
        return False


def _is_gone(path):
    try:
        os.stat(path)
        return False
    except OSError:
        return True


def _name(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def _serves(process, path):
    try:
        return str(path) in (process / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False


def _links(process):
    try:
        return [os.readlink(entry) for entry in (process / "fd").iterdir()]
    except OSError:
        return []


if __name__ == "__main__":
    main()
