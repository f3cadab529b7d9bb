"""Layered views under test: layers in a directory of the file system under test, and a stream of random changes."""
import errno
import os
import pathlib
import random
import stat

from .tools import run
from .views import MountTest


class Layers:
    """lower[0] is the top one. Mounts go to .path, by gidfs-view or by the kernel's overlayfs."""

    def __init__(self, test, n_lower=2):
        self.test = test
        self.root = test.new_directory(test.fs.path, prefix="layers-")
        self.lower = [self.root / f"lower{i}" for i in range(n_lower)]
        self.upper = self.root / "upper"
        self.work = self.root / "work"
        for path in (*self.lower, self.upper, self.work):
            path.mkdir()
        self.path = test.new_directory(prefix="merged-")

    def options(self, more="", read_only=False):
        words = ["lowerdir=" + ":".join(map(str, self.lower))]
        if not read_only:
            words += [f"upperdir={self.upper}", f"workdir={self.work}"]
        return ",".join(words + ([more] if more else []))

    def mount(self, more="", read_only=False):
        return self.test.view(self.options(more, read_only), source="layers", mount_point=self.path)

    def mount_kernel(self, more=""):
        run(["mount", "-t", "overlay", "overlay", "-o", self.options(more), self.path])

    def unmount(self):
        run(["umount", self.path])


class LayersTest(MountTest):
    def layers(self, n_lower=2):
        return Layers(self, n_lower)

    def require_kernel_overlay(self):
        """Skips the test where the kernel's overlayfs can't be mounted to compare with."""
        probe = Layers(self, 1)
        options = probe.options("redirect_dir=on")
        done = run(["mount", "-t", "overlay", "overlay", "-o", options, probe.path], check=False)
        if done.returncode != 0:
            self.skipTest(f"the kernel mounts no overlay here: {done.stderr.strip()}")
        probe.unmount()

    def whiteout(self, path):
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0))


def write_tree(root, tree):
    """{"dir": {"file": "content", "link": ("target",)}} becomes files, directories and links."""
    for name, what in tree.items():
        path = pathlib.Path(root) / name
        if isinstance(what, dict):
            path.mkdir(exist_ok=True)
            write_tree(path, what)
        elif isinstance(what, tuple):
            path.symlink_to(what[0])
        else:
            path.write_text(what)


class RandomChanges:
    """Changes a tree at random; what a file system refuses is no failure."""

    NAMES = [f"n{i}" for i in range(9)]
    HARMLESS = (errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL, errno.ELOOP,
                errno.EMLINK, errno.EPERM)

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.refused = []

    def some_path(self, root):
        path = pathlib.Path(root)
        for _ in range(self.random.choice((1, 1, 2, 2, 3))):
            path = path / self.random.choice(self.NAMES)
        return path

    def run(self, root, n_changes):
        for number in range(n_changes):
            change = self.random.choice((
                self.write, self.write, self.append, self.truncate, self.mkdir, self.mkdir, self.symlink, self.unlink,
                self.unlink, self.rmdir, self.rename, self.rename, self.rename, self.link, self.chmod, self.chown,
                self.xattr, self.fifo, self.times))
            path, other = self.some_path(root), self.some_path(root)
            try:
                change(path, other, number)
            except OSError as error:
                if error.errno not in self.HARMLESS:
                    raise AssertionError(f"{change.__name__} {path} {other}: {error}") from error

    def write(self, path, _other, number):
        if path.is_symlink() or path.is_fifo():
            return
        path.write_text(f"written {number}\n" * self.random.randrange(1, 300))

    def append(self, path, _other, number):
        if path.is_symlink() or path.is_fifo():
            return
        with open(path, "a", encoding="ascii") as file:
            file.write(f"appended {number}\n")

    def truncate(self, path, _other, _number):
        if not path.is_symlink() and path.is_file():
            os.truncate(path, self.random.randrange(0, 3000))

    def mkdir(self, path, _other, _number):
        path.mkdir()

    def symlink(self, path, other, _number):
        path.symlink_to(other.name)

    def unlink(self, path, _other, _number):
        path.unlink()

    def rmdir(self, path, _other, _number):
        path.rmdir()

    def rename(self, path, other, _number):
        path.rename(other)

    def link(self, path, other, _number):
        os.link(path, other, follow_symlinks=False)

    def chmod(self, path, _other, _number):
        if not path.is_symlink():
            path.chmod(self.random.choice((0o755, 0o700, 0o750, 0o775)))

    def chown(self, path, _other, number):
        os.lchown(path, 1000 + number % 7, 2000 + number % 5)

    def xattr(self, path, _other, number):
        if path.is_file() and not path.is_symlink():
            os.setxattr(path, f"user.x{number % 4}", f"{number}".encode())

    def fifo(self, path, _other, _number):
        os.mkfifo(path, 0o640)

    def times(self, path, _other, number):
        if not path.is_symlink():
            os.utime(path, (1_000_000_000 + number, 1_100_000_000 + number))
