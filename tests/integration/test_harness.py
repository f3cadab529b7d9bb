"""The harness itself: file systems come up, identities are taken, a hung FUSE server is freed."""
import os
import pathlib
import signal
import subprocess
import sys

from harness import (Actor, MountTest, abort_fuse_connections, is_mount_point, main, make_tree, mount_entry, run,
                     run_as, snapshot, wait_until)

# A FUSE server that never answers: it mounts, says so and sleeps.
SILENT_SERVER = """
import ctypes, os, sys, time
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"silent", sys.argv[1].encode(), b"fuse.silent", 0, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
time.sleep(1000)
"""


class Harness(MountTest):
    def test_the_file_system_is_the_one_asked_for(self):
        wanted = os.environ.get("GIDFS_TEST_FS", "ext4")
        self.assertEqual(wanted, mount_entry(self.fs.path)["type"])

    def test_the_source_takes_acls_and_xattrs(self):
        path = self.source / "file"
        path.touch()
        run(["setfacl", "-m", "u:1001:r", path])
        self.assertIn("system.posix_acl_access", os.listxattr(path))

    def test_a_snapshot_sees_every_change(self):
        make_tree(self.source)
        before = snapshot(self.source)
        self.assertEqual(before, snapshot(self.source))
        for change in (lambda p: p.chmod(0o640), lambda p: os.chown(p, 5, 6), lambda p: p.write_text("new"),
                       lambda p: os.setxattr(p, "user.x", b"1"), lambda p: os.utime(p, (1, 1))):
            change(self.source / "shared" / "read")
            after = snapshot(self.source)
            self.assertNotEqual(before, after)
            before = after

    def test_identities(self):
        self.assertEqual(([1001, 1001, 1001], [2002, 2002, 2002], [7, 8]),
                         run_as(1001, _who, gid=2002, groups=(7, 8)))
        (self.source / "mine").mkdir(mode=0o700)
        with self.assertRaises(PermissionError):
            run_as(1001, os.listdir, self.source / "mine")
        with Actor(1001) as actor:
            self.assertEqual(1001, actor.call(os.getuid))
            with self.assertRaises(FileNotFoundError):
                actor.call(os.stat, "/no/such/file")
            self.assertEqual(1001, actor.call(os.getuid))

    def test_a_silent_server_is_aborted(self):
        path = self.new_directory()
        with subprocess.Popen([sys.executable, "-c", SILENT_SERVER, path], stdout=subprocess.PIPE) as server:
            self.assertEqual(b"mounted\n", server.stdout.readline())
            self.assertTrue(is_mount_point(path))
            with subprocess.Popen(["ls", path], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as client:
                wait_until(lambda: "fuse_" in pathlib.Path(f"/proc/{client.pid}/stack").read_text(),
                           "ls waits for the server")
                abort_fuse_connections()
                self.assertNotEqual(0, client.wait(20))
            run(["umount", "-l", path])
            server.send_signal(signal.SIGKILL)


def _who():
    return list(os.getresuid()), list(os.getresgid()), os.getgroups()


if __name__ == "__main__":
    main()
