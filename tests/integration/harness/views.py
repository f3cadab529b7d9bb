"""Views under test, and the test case class: a file system for each class, a source directory for each test."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from .filesystems import make_file_system
from .tools import abort_fuse_connections, binary, is_mount_point, mount_entry, run


class View:
    """A mounted view. path is the mount point."""

    def __init__(self, source, path, options="", extra=()):
        self.source = pathlib.Path(source)
        self.path = pathlib.Path(path)
        self.options = options
        run(start_command(source, path, options, extra))
        if not is_mount_point(self.path):
            raise AssertionError(f"gidfs-view said it was ready, but nothing is mounted on {self.path}")

    def entry(self):
        return mount_entry(self.path)

    def unmount(self):
        run(["umount", self.path])

    def discard(self):
        """Takes it down whatever its state, for the end of a test."""
        if is_mount_point(self.path):
            if subprocess.run(["timeout", "20", "umount", self.path], check=False, capture_output=True).returncode != 0:
                abort_fuse_connections(only=self.path)
                subprocess.run(["timeout", "20", "umount", "-l", self.path], check=False, capture_output=True)


def start_command(source, path, options="", extra=()):
    """How a view is started. GIDFS_TEST_STANDIN=bind or bindfs tries the tests out on something that is not ours."""
    standin = os.environ.get("GIDFS_TEST_STANDIN")
    if standin == "bind":
        return ["mount", "--bind", source, path]
    if standin == "bindfs":
        gid = dict(word.partition("=")[::2] for word in options.split(",")).get("gid")
        shown = [f"--force-group={gid}", "--perms=gd+rwxs"] if gid else []
        return ["bindfs", "-o", "allow_other", *shown, source, path]
    return [binary("gidfs-view"), *extra, *(["-o", options] if options else []), source, path]


class MountTest(unittest.TestCase):
    """self.source is an empty directory on the file system under test (GIDFS_TEST_FS, else `file_system` of the class);
    self.view(options) mounts a view of it; self.directory is scratch on the machine's own disk."""

    file_system = "ext4"
    size_mib = 512

    @classmethod
    def setUpClass(cls):
        cls.fs = make_file_system(os.environ.get("GIDFS_TEST_FS") or cls.file_system, cls.size_mib)
        cls.addClassCleanup(cls.fs.unmount)

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="test-"))
        self.directory.chmod(0o755)
        self.source = self.new_directory(self.fs.path)
        self.addCleanup(shutil.rmtree, self.source, ignore_errors=True)
        self._views = []

    def tearDown(self):
        for view in reversed(self._views):
            view.discard()

    def new_directory(self, parent=None, prefix="dir-"):
        path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent or self.directory))
        path.chmod(0o755)
        return path

    def view(self, options="", source=None, mount_point=None, extra=()):
        """Mounts a view with these options; it is taken down when the test ends."""
        path = mount_point or self.new_directory(prefix="view-")
        view = View(source or self.source, path, options, extra)
        self._views.append(view)
        return view

    def refused(self, options, source=None, mount_point=None, status=None):
        """Starts a view that must not come up. Gives the one line of its error."""
        path = mount_point or self.new_directory(prefix="view-")
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        done = run(start_command(source or self.source, path, options), check=False, timeout=30)
        if done.returncode == 0:
            run(["umount", "-l", path], check=False)
            self.fail(f"a view with -o {options} came up")
        self.assertIn(done.returncode, (1, 2) if status is None else (status,), done.stderr)
        self.assertEqual(before, pathlib.Path("/proc/self/mountinfo").read_text(), "something was mounted")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, f"not one line: {done.stderr!r}")
        self.assertEqual("", done.stdout)
        return done.stderr.strip()

    def assert_errno(self, number, function, *arguments, **named):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **named)
        self.assertEqual(os.strerror(number), os.strerror(caught.exception.errno or 0))
