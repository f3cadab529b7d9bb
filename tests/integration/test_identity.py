"""An identity view is what a bind mount would be: set-id bits, times of mappings, file handles."""
import ctypes
import errno
import mmap
import os
import stat

from harness import MountTest, main, run_as
from harness.tools import run

USER, GROUP, OTHER_GROUP = 1000, 2000, 3000
AT_FDCWD, AT_EMPTY_PATH, OPEN_FLAGS = -100, 0x1000, os.O_RDONLY

libc = ctypes.CDLL(None, use_errno=True)


class FileHandle(ctypes.Structure):
    _fields_ = [("n_bytes", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]


def handle_of(path):
    handle, mount_id = FileHandle(n_bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0) < 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return handle


def open_handle(mount_path, handle):
    mount_fd = os.open(mount_path, os.O_RDONLY)
    try:
        fd = libc.open_by_handle_at(mount_fd, ctypes.byref(handle), OPEN_FLAGS)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "open_by_handle_at")
        return fd
    finally:
        os.close(mount_fd)


def write(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"data")
    os.close(fd)


def truncate(path):
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def set_size(path):
    os.truncate(path, 10)


def allocate(path):
    fd = os.open(path, os.O_WRONLY)
    os.posix_fallocate(fd, 0, 8192)
    os.close(fd)


def change_owner(path):
    os.chown(path, USER, GROUP)


class SetIdBits(MountTest):
    """What is left of set-id bits, against the same done on the disk itself."""

    MODES = (0o6666, 0o6676, 0o6755, 0o2666, 0o4711)

    def bits_after(self, path, change, who, mode):
        path.write_bytes(b"x" * 4096)
        os.chown(path, USER, GROUP)
        os.chmod(path, mode)
        os.stat(path)  # what is cached now must not be believed later
        who(change, path)
        return oct(stat.S_IMODE(os.stat(path).st_mode))

    def compare(self, change, who):
        view = self.view("suid")
        for mode in self.MODES:
            with self.subTest(mode=oct(mode)):
                self.assertEqual(self.bits_after(self.source / "disk", change, who, mode),
                                 self.bits_after(view.path / "view", change, who, mode))
        view.unmount()

    def test_member_of_the_group(self):
        for change in (write, truncate, set_size, allocate):
            with self.subTest(change.__name__):
                self.compare(change, lambda *a: run_as(USER, *a, gid=GROUP))

    def test_others(self):
        for change in (write, truncate, set_size, allocate):
            with self.subTest(change.__name__):
                self.compare(change, lambda *a: run_as(USER, *a, gid=OTHER_GROUP))

    def test_root(self):
        for change in (truncate, set_size, allocate, change_owner):
            with self.subTest(change.__name__):
                self.compare(change, lambda function, path: function(path))


class Mappings(MountTest):
    def test_mtime_shows_at_once(self):
        view = self.view("")
        path = view.path / "mapped"
        path.write_bytes(b"x" * 4096)
        os.utime(path, (1, 1))
        fd = os.open(path, os.O_RDWR)
        with mmap.mmap(fd, 4096) as mapping:
            self.assertEqual(1, os.stat(path).st_mtime)
            mapping[0:1] = b"y"
            mapping.flush()
            self.assertNotEqual(1, os.stat(path).st_mtime)
        os.close(fd)


class FileHandles(MountTest):
    def drop_caches(self):
        os.sync()
        run(["sh", "-c", "echo 2 > /proc/sys/vm/drop_caches"])

    def test_outlive_the_cache_and_the_mount(self):
        if self.fs.kind != "ext4":
            self.skipTest("handles are opened by number alone on ext4 and its kin")
        view = self.view("")
        (view.path / "dir").mkdir()
        (view.path / "dir" / "file").write_text("content\n")
        handle, directory = handle_of(view.path / "dir" / "file"), handle_of(view.path / "dir")
        view.unmount()
        view = self.view("")
        fd = open_handle(view.path, handle)
        self.assertEqual(b"content\n", os.read(fd, 100))
        os.close(fd)
        fd = open_handle(view.path, directory)
        self.assertEqual(["file"], os.listdir(fd))
        os.close(fd)

    def test_of_a_removed_file_is_stale(self):
        view = self.view("")
        (view.path / "file").write_text("content\n")
        handle = handle_of(view.path / "file")
        os.unlink(view.path / "file")
        self.assert_errno(errno.ESTALE, open_handle, view.path, handle)

    def test_in_a_gid_view_end_with_the_mount(self):
        view = self.view("gid=5001")
        (self.source / "file").write_text("content\n")
        handle = handle_of(view.path / "file")
        view.unmount()
        view = self.view("gid=5001")
        self.assert_errno(errno.ESTALE, open_handle, view.path, handle)


if __name__ == "__main__":
    main()
