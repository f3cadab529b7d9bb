"""gidfs-view where containers/storage has fuse-overlayfs configured: mount_program, with nothing else changed."""
import os
import shutil
import tarfile
import unittest

from harness import MountTest, Podman, binary, main, make_root, skip_file
from harness.containers import add_user
from harness.userns import offer_fuse, why_no_user_namespaces


class MountProgram(MountTest):
    uid = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for program in ("podman", "runc", "busybox"):
            if not shutil.which(program):
                skip_file(f"{program} is not installed")
        cls.tar = cls.fs.path / "root.tar"
        with tarfile.open(cls.tar, "w") as tar:
            tar.add(make_root(cls.fs.path / "root"), arcname=".")
        cls.program = shutil.copy(binary("gidfs-view"), cls.fs.path)  # where every user may go

    def setUp(self):
        super().setUp()
        self.plain = self.new_podman("")
        why_not = self.plain.probe("localhost/tiny:1")
        if why_not:
            self.skipTest(f"podman runs no containers here at all: {why_not}")
        self.podman = self.new_podman(f'mount_program = "{self.program}"\n')

    def new_podman(self, storage_options):
        podman = Podman(self.new_directory(self.fs.path, prefix="store-"), storage_options, self.uid)
        self.addCleanup(podman.discard)
        podman("import", "-q", self.tar, "localhost/tiny:1")
        return podman

    def in_container(self, image, script, *options):
        return self.podman("run", "--rm", *options, image, "sh", "-ec", script)

    def test_run_commit_and_build(self):
        podman = self.podman
        self.assertIn("type fuse.gidfs", self.in_container("localhost/tiny:1", "mount | grep 'on / '"))
        podman("run", "--name", "first", "localhost/tiny:1", "sh", "-ec",
               "rm /etc/passwd; mkdir /data/x; mv /home /homes; echo kept > /root/f")
        podman("commit", "-q", "first", "localhost/tiny:2")
        self.assertIn("D /home", podman("diff", "first").splitlines())
        self.assertEqual("kept\nx\nalice", self.in_container(
            "localhost/tiny:2", "cat /root/f; ls /homes /data | grep '^[ax]'; ! test -e /home; ! test -e /etc/passwd"))
        (self.directory / "Containerfile").write_text(
            "FROM localhost/tiny:2\n"
            "RUN echo built > /built && rm -rf /data && chmod 600 /etc/group\n"
            "RUN mkdir /data && touch /data/new && mv /usr /moved && mv /moved /usr\n")
        podman("build", "--network", "none", "-q", "-t", "localhost/tiny:3", "-f", self.directory / "Containerfile",
               self.directory)
        self.assertEqual("built\nnew\n-rw-------", self.in_container(
            "localhost/tiny:3", "cat /built; ls /data; ls -l /etc/group | cut -c1-10; test -d /usr/bin"))

    def test_setuid_programs_keep_their_bits_and_may_use_them(self):
        """As under fuse-overlayfs: images rely on it (su, sudo, ping)."""
        (self.directory / "Containerfile").write_text(
            "FROM localhost/tiny:1\nRUN cp /bin/busybox /bin/suid && chmod 4755 /bin/suid\n")
        self.podman("build", "--network", "none", "-q", "-t", "localhost/suid", "-f", self.directory / "Containerfile",
                    self.directory)
        self.assertEqual("4755", self.in_container("localhost/suid", "stat -c %a /bin/suid"))
        self.assertNotIn("nosuid", self.in_container("localhost/suid", "grep ' / / ' /proc/self/mountinfo"))

    def test_user_namespace(self):
        maps = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
        self.assertEqual("0 0\n0 0\n1001", self.in_container(
            "localhost/tiny:1",
            "stat -c '%u %g' /etc; touch /new; stat -c '%u %g' /new; stat -c %u /home/alice", *maps))
        self.podman("run", "--name", "mapped", *maps, "localhost/tiny:1", "sh", "-ec",
                    "touch /by-root; chmod 600 /etc/group; chown 1001 /etc/machine-id")
        self.podman("commit", "-q", "mapped", "localhost/mapped")
        self.assertEqual("0\n0\n1001", self.in_container(
            "localhost/mapped", "stat -c %u /by-root /etc/group /etc/machine-id"))


class Rootless(MountProgram):
    """By an ordinary user, whose containers have user namespaces."""

    uid = 4242

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("newuidmap") or not os.path.exists("/etc/subuid") or not os.path.exists("/etc/subgid"):
            raise unittest.SkipTest("newuidmap, /etc/subuid or /etc/subgid is missing")
        why_not = why_no_user_namespaces(cls.uid)
        if why_not:
            raise unittest.SkipTest(f"ordinary users get no user namespace here: {why_not}")
        devices, files = (cls.fs.path / name for name in ("devices", "files"))
        devices.mkdir()
        files.mkdir()
        offer_fuse(devices)
        add_user(files, "gidfs-tester", cls.uid)

    def test_user_namespace(self):
        """The user's own namespace, and another one inside of it."""
        self.assertEqual("0 0\n0 0\n1001", self.in_container(
            "localhost/tiny:1", "stat -c '%u %g' /etc; touch /new; stat -c '%u %g' /new; stat -c %u /home/alice",
            "--uidmap", "0:1:60000", "--gidmap", "0:1:60000"))


if __name__ == "__main__":
    main()
