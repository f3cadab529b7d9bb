"""File systems to test on: images on loop devices (ext4, xfs, btrfs) and tmpfs, mounted in the test's namespace.

Images are sparse; mount's own loop devices clear themselves, so nothing is left when the namespace goes."""
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

from .tools import run, wait_until

MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "metadata_csum,extra_isize", "-E", "lazy_itable_init=1"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", "reflink=1,bigtime=1"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
OPTIONS = {"ext4": "loop,acl,user_xattr", "xfs": "loop", "btrfs": "loop"}
FS_IOC_SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587d, 2
SMALLEST_MIB = {"ext4": 8, "xfs": 320, "btrfs": 120, "tmpfs": 1}


class FileSystem:
    """A mounted file system of its own; path is its root."""

    def __init__(self, kind, path, image=None, options=""):
        self.kind = kind
        self.path = pathlib.Path(path)
        self.image = image
        self.options = options

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)
        if self.image:
            os.unlink(self.image)
            self.image = None

    def cut_power(self):
        """What has not reached the disk is lost, and nothing works any more until mount_again(). ext4 and xfs."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        except OSError as error:
            raise unittest.SkipTest(f"{self.kind} can't be cut off from its disk here: {error}") from error
        finally:
            os.close(fd)

    def mount_again(self):
        """As the machine does when it has power again. Waits for those who still use it."""
        wait_until(lambda: subprocess.run(["umount", self.path], check=False, capture_output=True).returncode == 0,
                   f"nobody uses {self.path}")
        run(["mount", "-t", self.kind, "-o", self.options, self.image, self.path])


def make_file_system(kind, size_mib=512, options=""):
    """Makes and mounts one. Raises SkipTest where the machine has no such file system, and says why."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-"))
    if kind == "tmpfs":
        options = ",".join(filter(None, [f"size={size_mib}m,mode=755", options]))
        run(["mount", "-t", "tmpfs", "-o", options, "none", path])
        return FileSystem(kind, path)
    if not shutil.which(MAKE[kind][0]):
        raise unittest.SkipTest(f"{MAKE[kind][0]} is not installed")
    image = f"{path}.img"
    with open(image, "wb") as file:
        file.truncate(max(size_mib, SMALLEST_MIB[kind]) << 20)
    run([*MAKE[kind], image])
    options = ",".join(filter(None, [OPTIONS[kind], options]))
    mounted = run(["mount", "-t", kind, "-o", options, image, path], check=False)
    if mounted.returncode != 0:
        os.unlink(image)
        raise unittest.SkipTest(f"{kind} can't be mounted from an image here: {mounted.stderr.strip()}")
    return FileSystem(kind, path, image, options)
