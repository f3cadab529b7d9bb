"""Layered views of an ordinary user who is root in a user namespace: marks are user.overlay.*, and file handles can't
be opened, so that each inode takes a descriptor."""
import errno
import os
import resource
import shutil
import subprocess

from harness import LayersTest, binary, main, mount_entry, run, skip_file, snapshot, write_tree
from harness.control import Control
from harness.userns import UserNamespace, offer_fuse, why_no_user_namespaces

USER = 4242
N_FILES, N_DIRECTORIES, FEW_FDS = 1200, 12, 256


class Rootless(LayersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        why_not = why_no_user_namespaces(USER)
        if why_not:
            skip_file(f"ordinary users get no user namespace here: {why_not}")
        devices = cls.fs.path / "devices"
        devices.mkdir()
        offer_fuse(devices)
        shutil.copy(binary("gidfs-view"), cls.fs.path)  # where the user may go

    def setUp(self):
        super().setUp()
        self.set = self.layers()
        self.user = UserNamespace(USER)
        self.addCleanup(self.user.close)

    def hand_over(self):
        """Everything to the user; the mount point too."""
        run(["chown", "-R", f"{USER}:{USER}", self.set.root, self.set.path])

    def mount(self, more=""):
        self.user.call(_mount, self.fs.path / "gidfs-view", self.set.options(more), self.set.path)
        self.addCleanup(self.user.call, _unmount, self.set.path)

    def test_changes_are_there_after_a_new_mount(self):
        write_tree(self.set.lower[0], {"d": {"top": "0"}})
        write_tree(self.set.lower[1], {"d": {"low": "1", "gone": "1"}, "file": "1", "other": {"x": "1"}})
        os.link(self.set.lower[1] / "file", self.set.lower[1] / "linked")
        self.hand_over()
        before = [snapshot(path) for path in self.set.lower]
        self.mount()
        self.user.call(_change, self.set.path)
        shown = self.user.call(snapshot, self.set.path)
        self.assertEqual({"content": hash(b"1 and more"), "nlink": 2},
                         {field: shown["linked"][field] for field in ("content", "nlink")})
        self.assertEqual({".", "new", "new/low", "new/top", "d", "file", "linked", "made"}, set(shown))
        self.user.call(_unmount, self.set.path)
        self.mount()
        self.assertEqual(shown, self.user.call(snapshot, self.set.path))
        self.assertEqual(before, [snapshot(path) for path in self.set.lower])
        self.assertEqual({USER}, {os.lstat(path).st_uid for path in self.set.upper.rglob("*")})
        self.assertIn("user.overlay.opaque", os.listxattr(self.set.upper / "d"))

    def test_killed_workers(self):
        write_tree(self.set.lower[1], {"d": {"low": "1", "other": "1"}})
        self.hand_over()
        socket = self.set.root / "socket"
        self.mount(f"control={socket}")
        self.user.call(_hold, self.set.path / "d" / "low")
        self.user.call(_kill_worker, socket)
        self.assertEqual("1", self.user.call(_read, self.set.path / "d" / "other"))
        self.assertEqual("1", self.user.call(_read_held))
        self.user.call(_append, self.set.path / "d" / "low", "2")
        self.user.call(_kill_worker, socket)
        self.assertEqual("12", self.user.call(_read, self.set.path / "d" / "low"))

    def test_far_more_files_than_descriptors(self):
        for number in range(N_DIRECTORIES):
            write_tree(self.set.lower[1], {f"d{number}": {f"f{file}": str(file)
                                                          for file in range(N_FILES // N_DIRECTORIES)}})
        self.hand_over()
        self.user.call(resource.setrlimit, resource.RLIMIT_NOFILE, (FEW_FDS, FEW_FDS))
        self.mount()
        try:
            found = self.user.call(_sizes, self.set.path)
        except OSError as error:
            self.assertEqual(errno.ENFILE, error.errno)
            self.skipTest("this kernel can't be asked to forget inodes (before protocol 7.45)")
        self.assertEqual(N_FILES, len(found))
        self.user.call(_make_all_private, self.set.path)
        self.assertEqual(N_FILES, sum(os.stat(path).st_mode & 0o777 == 0o600
                                      for path in self.set.upper.rglob("f*")))
        self.user.call(_remove_all, self.set.path)
        self.assertEqual([], self.user.call(os.listdir, self.set.path))


def _mount(program, options, path):
    subprocess.run([program, "-o", options, path], check=True, timeout=60)
    assert mount_entry(path), "nothing is mounted"


def _unmount(path):
    if mount_entry(path):
        subprocess.run(["umount", path], check=True, timeout=60)


def _change(path):
    (path / "d" / "gone").unlink()
    os.rename(path / "d", path / "new")
    (path / "d").mkdir()
    with open(path / "file", "a", encoding="ascii") as file:
        file.write(" and more")
    (path / "new" / "low").chmod(0o600)
    subprocess.run(["rm", "-r", path / "other"], check=True, timeout=60)
    (path / "made").write_text("made", encoding="ascii")


_HELD = []


def _hold(path):
    _HELD.append(open(path, encoding="ascii"))


def _read_held():
    with _HELD.pop() as file:
        return file.read()


def _read(path):
    return path.read_text(encoding="ascii")


def _append(path, text):
    with open(path, "a", encoding="ascii") as file:
        file.write(text)


def _kill_worker(socket):
    Control(socket).kill_worker()


def _sizes(path):
    return [entry.path for directory in os.scandir(path) for entry in os.scandir(directory) if entry.stat().st_size]


def _make_all_private(path):
    for directory in os.scandir(path):
        for entry in os.scandir(directory):
            os.chmod(entry.path, 0o600)


def _remove_all(path):
    subprocess.run(["rm", "-r", *path.iterdir()], check=True, timeout=60)


if __name__ == "__main__":
    main()
