"""Attacks, and what stands against them. docs/security.md lists them all; many are tried in the tests of the part that
they are aimed at, the others here."""
import ctypes
import errno
import os
import pathlib
import re
import resource
import signal
import stat
import struct
import subprocess

from harness import Actor, MountTest, binary, build_dir, clean_environment, main, run, run_as, wait_until
from harness.control import Control

GID = 5001
MEMBER = 1001
AT_FDCWD = -100
RENAME_EXCHANGE = 2

CAPABILITIES = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "fsetid": 4, "setgid": 6, "setuid": 7,
                "setpcap": 8, "linux_immutable": 9, "sys_ptrace": 19, "sys_admin": 21, "mknod": 27,
                "setfcap": 31}
WORKER = {"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "setgid", "setuid", "linux_immutable",
          "sys_admin", "setfcap"}


def mask(names):
    return sum(1 << CAPABILITIES[name] for name in names)


def status_of(pid):
    return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())


def descriptors_of(pid):
    """What each descriptor is, as the kernel prints it. Others come and go: a server opens files all the time."""
    seen = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            seen[fd] = os.readlink(fd)
        except FileNotFoundError:
            pass
    return seen


def is_sandboxed():
    """Instrumented builds have no filter and keep their root directory."""
    cache = dict(re.findall(r"^(GIDFS_\w+):\w+=(.*)$", (build_dir() / "CMakeCache.txt").read_text(), re.M))
    return cache.get("GIDFS_SANDBOX", "ON") == "ON" and not cache.get("GIDFS_SANITIZE") \
        and cache.get("GIDFS_COVERAGE", "OFF") == "OFF"


def exchange(one, other):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) < 0:
        raise OSError(ctypes.get_errno(), f"exchange {one} and {other}")


def open_by_handle(mount_fd, nodeid):
    """open_by_handle_at(2) with a handle as FUSE makes them: FILEID_INO64_GEN, the nodeid's halves, a generation."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = struct.pack("=IiIII", 12, 0x81, nodeid >> 32, nodeid & 0xffffffff, 0)
    fd = libc.open_by_handle_at(mount_fd, handle, os.O_RDONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    os.close(fd)


def as_member(function, *arguments):
    return run_as(MEMBER, function, *arguments, groups=[GID])


class Confined(MountTest):
    """What a worker has left. Lists, so that whatever is added has to be added here, and thought about."""

    def start(self, options=f"gid={GID}", **settings):
        path = self.new_directory(prefix="view-")
        control = self.directory / f"control-{path.name}"
        view = self.view(f"{options},control={control}", mount_point=path, **settings)
        return view, Control(control)

    def check(self, pid, capabilities):
        status = status_of(pid)
        self.assertEqual(mask(capabilities), int(status["CapPrm"], 16), "permitted")
        self.assertEqual(mask(capabilities - {"fsetid"}), int(status["CapEff"], 16), "in force")
        self.assertEqual(mask(capabilities), int(status["CapBnd"], 16), "within reach")
        self.assertEqual(0, int(status["CapInh"], 16) | int(status["CapAmb"], 16))
        self.assertEqual("1", status["NoNewPrivs"].strip())
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0")
        if is_sandboxed():
            self.assertEqual("2", status["Seccomp"].strip())
            self.assertEqual([], os.listdir(f"/proc/{pid}/root"))
            mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            self.assertEqual(1, len(mounts), mounts)
            self.assertIn(" / ro,nosuid,nodev,noexec", mounts[0])

    def test_a_worker_keeps_what_it_needs(self):
        _, control = self.start()
        self.check(control.worker(), WORKER)

    def test_a_worker_of_a_plain_view_makes_device_nodes_too(self):
        _, control = self.start("suid,dev")
        self.check(control.worker(), WORKER | {"mknod"})

    def test_a_successor_is_confined_too(self):
        view, control = self.start()
        control.kill_worker()
        as_member(os.listdir, view.path)
        self.check(control.worker(), WORKER)

    def test_the_keeper_keeps_its_workers_capabilities(self):
        _, control = self.start()
        status = status_of(control.stats()["keeper_pid"])
        self.assertEqual(mask(WORKER | {"setpcap", "sys_ptrace"}), int(status["CapPrm"], 16))
        self.assertEqual(mask(WORKER | {"setpcap", "sys_ptrace"}), int(status["CapBnd"], 16))
        self.assertEqual("1", status["NoNewPrivs"].strip())

    def test_descriptors_lead_nowhere_but_to_the_source(self):
        (self.source / "dir").mkdir()
        (self.source / "dir" / "file").write_text("text\n")
        view, control = self.start()
        (view.path / "dir" / "file").read_text()
        self.check_descriptors(control.stats())
        self.assertTrue(control.ask("upgrade").startswith("ok"))
        self.check_descriptors(control.stats())
        control.kill_worker()
        (view.path / "dir" / "file").read_text()
        self.check_descriptors(control.stats())

    def check_descriptors(self, stats):
        pids = (stats["worker_pid"], stats["keeper_pid"])
        tops = {_identity(self.source), *(_identity(f"/proc/{pid}/fd") for pid in pids)}
        for pid in pids:
            for fd, target in descriptors_of(pid).items():
                if not target.startswith("/") or target.startswith(("/memfd:", "/dev/")):
                    self.assertRegex(target, r"^(anon_inode:|pipe:|socket:|/memfd:gidfs|/dev/null$|/dev/fuse$)")
                    continue
                try:
                    top = _identity(f"{fd}/../../../../../..") if fd.is_dir() else None
                    device = os.stat(fd).st_dev
                except FileNotFoundError:
                    continue
                if top:
                    self.assertIn(top, tops, f"{fd.name} leads out of the source by {target}")
                else:
                    self.assertEqual(self.source.stat().st_dev, device, target)

    def test_the_memory_that_is_shared_with_the_keeper_cannot_be_cut_off(self):
        view, control = self.start()
        worker = control.worker()
        memory = next(fd for fd, target in descriptors_of(worker).items() if target.startswith("/memfd:gidfs"))
        with open(memory, "r+b", buffering=0) as file:
            self.assert_errno(errno.EPERM, file.truncate, 0)
        as_member(os.listdir, view.path)

    def test_no_descriptor_of_the_caller_stays(self):
        canary = self.directory / "canary"
        canary.write_text("canary\n")
        path, control = self.new_directory(prefix="view-"), self.directory / "control"
        with open(canary, encoding="utf-8") as file:
            subprocess.run([binary("gidfs-view"), "-o", f"gid={GID},control={control}", self.source, path], check=True,
                           timeout=60, pass_fds=[file.fileno()], env=clean_environment())
        self.addCleanup(subprocess.run, ["umount", path], check=False)
        stats = Control(control).stats()
        for pid in (stats["worker_pid"], stats["keeper_pid"]):
            self.assertNotIn(str(canary), descriptors_of(pid).values())

    def test_closed_standard_descriptors_do_no_harm(self):
        path = self.new_directory(prefix="view-")
        command = f'exec "$0" -o gid={GID} "$1" "$2" <&- >&- 2>&-'
        run(["sh", "-c", command, binary("gidfs-view"), self.source, path])
        self.addCleanup(subprocess.run, ["umount", path], check=False)
        (path / "file").write_text("text\n")
        self.assertEqual("text\n", (self.source / "file").read_text())

    def test_signals_that_the_caller_ignores_do_no_harm(self):
        """A keeper that is not told of its worker's end would never start another, nor end."""
        path, control = self.new_directory(prefix="view-"), self.directory / "control"

        def spoil():
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

        run([binary("gidfs-view"), "-o", f"gid={GID},control={control}", self.source, path], preexec_fn=spoil)
        self.addCleanup(run, ["umount", "-lq", path], check=False)
        stats = Control(control).stats()
        os.kill(stats["worker_pid"], signal.SIGKILL)
        (path / "file").write_text("text\n")
        self.assertEqual("text\n", (self.source / "file").read_text())
        run(["umount", path])
        wait_until(lambda: not pathlib.Path(f"/proc/{stats['keeper_pid']}").exists(), "the keeper to end")

    def test_a_limit_on_the_size_of_files_is_an_error(self):
        limit = (1 << 20, 1 << 20)
        done = run([binary("gidfs-view"), "-o", f"gid={GID}", self.source, self.new_directory(prefix="view-")],
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit), check=False)
        self.assertEqual((1, True), (done.returncode, "File too large" in done.stderr), done)

    def test_in_a_user_namespace_as_far_as_it_goes(self):
        self.source.chmod(0o777)
        path, control = self.new_directory(prefix="view-"), self.directory / "control"
        script = ('"$0" -o control="$3" "$1" "$2" && echo text > "$2"/file && mkdir "$2"/dir && cat "$2"/file && '
                  'setfattr -n user.a -v b "$2"/file && chmod 600 "$2"/file && umount "$2"')
        inside = ["unshare", "--user", "--map-root-user", "--mount"]
        if run([*inside, "true"], check=False).returncode != 0:
            self.skipTest("no user namespaces here")
        done = run([*inside, "sh", "-c", script, binary("gidfs-view"), self.source, path, control], check=False)
        self.assertEqual((0, "text\n"), (done.returncode, done.stdout), done.stderr)
        self.assertEqual(0o600, stat.S_IMODE((self.source / "file").stat().st_mode))


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


class Links(MountTest):
    """Nothing that a link or a rename does to the source takes the server out of it."""

    def setUp(self):
        super().setUp()
        self.canary = self.new_directory(self.fs.path, prefix="canary-")
        (self.canary / "file").write_text("canary\n")
        (self.canary / "file").chmod(0o600)
        self.canary.chmod(0o700)
        self.before = self.state()

    def state(self):
        seen = []
        for path in (self.canary, *sorted(self.canary.rglob("*"))):
            status = path.lstat()
            seen.append((str(path), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns,
                         os.listxattr(path, follow_symlinks=False)))
        return seen, (self.canary / "file").read_text()

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.before, self.state(), "something outside the source was changed")

    def test_a_link_is_changed_and_not_its_target(self):
        (self.source / "link").symlink_to(self.canary / "file")
        (self.source / "up").symlink_to(f"../{self.canary.name}/file")
        for options in (f"gid={GID}", "suid,dev"):
            view = self.view(options)
            for name in ("link", "up"):
                os.lchown(view.path / name, 1234, -1)
                os.utime(view.path / name, (1, 1), follow_symlinks=False)
                os.setxattr(view.path / name, "trusted.note", b"x", follow_symlinks=False)
                self.assertEqual(1234, (self.source / name).lstat().st_uid)
                self.assertEqual(1, (self.source / name).lstat().st_mtime)
                self.assertIn("trusted.note", os.listxattr(self.source / name, follow_symlinks=False))
            view.unmount()

    def test_a_directory_that_becomes_a_link_under_way(self):
        """A host process swaps a directory for a link to what only root may touch; a member keeps working in it."""
        (self.source / "swap").mkdir(mode=0o777)
        (self.source / "swap").chmod(0o777)
        (self.source / "other").symlink_to(self.canary)
        view = self.view(f"gid={GID}")
        with Actor() as attacker, Actor(MEMBER, groups=[GID]) as member:
            for _ in range(40):
                attacker.call(_swap, str(self.source / "swap"), str(self.source / "other"), 25)
                member.call(_work_in, str(view.path / "swap"))
            child = os.fork()
            if child == 0:
                _swap(str(self.source / "swap"), str(self.source / "other"), 5000)
                os._exit(0)
            while os.waitpid(child, os.WNOHANG)[0] == 0:
                member.call(_work_in, str(view.path / "swap"))

    def test_a_directory_that_is_moved_out_from_under_a_client(self):
        (self.source / "a" / "b").mkdir(parents=True)
        (self.source / "a").chmod(0o777)
        (self.source / "a" / "b").chmod(0o777)
        outside = self.new_directory(self.fs.path, prefix="outside-")
        (outside / "only outside").mkdir()
        view = self.view(f"gid={GID}")
        with Actor(MEMBER, groups=[GID]) as member:
            member.call(os.chdir, str(view.path / "a" / "b"))
            os.rename(self.source / "a" / "b", outside / "b")
            for up in ("..", "../..", "../../.."):
                try:
                    names = member.call(os.listdir, up)
                except OSError:
                    continue
                self.assertNotIn("only outside", names)

    def test_a_made_up_handle_opens_nothing(self):
        """A FUSE handle is a nodeid, and those of a gid view say nothing about the disk."""
        outside = (self.canary / "file").stat()
        inside = self.source / "file"
        inside.write_text("text\n")
        view = self.view(f"gid={GID}")
        root = os.open(view.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in {outside.st_ino, inside.stat().st_ino, self.source.parent.stat().st_ino, 0, 1 << 40} - {1}:
                self.assert_errno(errno.ESTALE, open_by_handle, root, number)  # 1 is the view's own root
        finally:
            os.close(root)

    def test_views_may_not_contain_one_another_but_names_may_begin_alike(self):
        place = self.directory / "place"
        (place / "inside").mkdir(parents=True)
        (self.directory / "place2").mkdir()
        self.assertIn("place", self.refused(f"gid={GID}", source=place, mount_point=place / "inside"))
        view = self.view(f"gid={GID}", source=place, mount_point=self.directory / "place2")
        self.assertEqual(["inside"], os.listdir(view.path))


def _swap(one, other, rounds):
    for _ in range(2 * (rounds // 2)):
        exchange(one, other)


def _work_in(directory):
    """Everything that walks the directory's name, whatever comes of it."""
    for attempt in (lambda: os.close(os.open(f"{directory}/new", os.O_CREAT | os.O_WRONLY, 0o666)),
                    lambda: os.mkdir(f"{directory}/dir"), lambda: os.listdir(directory),
                    lambda: os.chmod(f"{directory}/file", 0o777), lambda: os.truncate(f"{directory}/file", 0),
                    lambda: os.rename(f"{directory}/new", f"{directory}/file"), lambda: os.unlink(f"{directory}/file"),
                    lambda: os.symlink("x", f"{directory}/link"), lambda: os.unlink(f"{directory}/link"),
                    lambda: os.rmdir(f"{directory}/dir")):
        try:
            attempt()
        except OSError:
            pass


class Privileges(MountTest):
    """Nobody gets a program with rights that are not his own."""

    def test_no_setgid_program_in_a_directory_of_a_foreign_group(self):
        """CVE-2018-13405, CVE-2022-0358, where set-id bits are allowed: the group is the directory's, and its maker
        not in it."""
        shared = self.source / "shared"
        shared.mkdir()
        os.chown(shared, 0, 3000)
        shared.chmod(0o2777)
        view = self.view("suid,dev")
        for name, make in (("open", _create), ("tmpfile", _create_linked), ("node", _make_node)):
            with self.subTest(name):
                run_as(MEMBER, make, str(view.path / "shared"), name)
                status = (shared / name).stat()
                self.assertEqual((MEMBER, 3000), (status.st_uid, status.st_gid))
                self.assertEqual(0, status.st_mode & stat.S_ISGID, oct(status.st_mode))

    def test_copying_up_from_a_nosuid_layer_gives_no_powers(self):
        """CVE-2023-0386: what is without effect where it comes from must not have any where it goes."""
        (self.source / "low").mkdir()
        run(["mount", "-t", "tmpfs", "-o", "nosuid", "low", self.source / "low"])
        self.addCleanup(run, ["umount", "-l", self.source / "low"])
        low = self.source / "low" / "program"
        low.write_text("#!/bin/sh\n")
        low.chmod(0o6755)
        view, upper = self.layered([self.source / "low"])
        os.utime(view.path / "program", (1, 1))
        self.assertEqual(0o755, stat.S_IMODE((upper / "program").stat().st_mode))

    def test_copying_up_keeps_bits_that_are_real(self):
        (self.source / "low").mkdir()
        low = self.source / "low" / "program"
        low.write_text("#!/bin/sh\n")
        low.chmod(0o4755)
        view, upper = self.layered([self.source / "low"])
        os.utime(view.path / "program", (1, 1))
        self.assertEqual(0o4755, stat.S_IMODE((upper / "program").stat().st_mode))

    def layered(self, lowers):
        for name in ("upper", "work"):
            (self.source / name).mkdir()
        layers = ":".join(str(path) for path in lowers)
        options = f"lowerdir={layers},upperdir={self.source}/upper,workdir={self.source}/work,suid,dev"
        path = self.new_directory(prefix="view-")
        run([binary("gidfs-view"), "-o", options, path])
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        view = type("Layered", (), {"path": path})
        return view, self.source / "upper"

    def test_whiteouts_with_hostile_names_hide_nothing(self):
        low, top = self.source / "low", self.source / "top"
        for path in (low / "dir" / "inner", top / "dir"):
            path.mkdir(parents=True)
        (low / "dir" / "inner" / "file").write_text("text\n")
        for name in (".wh.", ".wh..", ".wh...", ".wh..wh.", ".wh..wh..opq"):
            if name != ".wh..wh..opq":
                (top / "dir" / name).write_text("")
                (top / name).write_text("")
        view, _ = self.layered([top, low])
        self.assertEqual(["dir"], os.listdir(view.path))
        self.assertEqual(["inner"], os.listdir(view.path / "dir"))
        self.assertEqual("text\n", (view.path / "dir" / "inner" / "file").read_text())
        for name in (".wh.", ".wh..", ".wh..."):
            self.assert_errno(errno.ENOENT, os.lstat, view.path / "dir" / name)


def _create(directory, name):
    os.umask(0)
    os.close(os.open(f"{directory}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o2777))


def _create_linked(directory, name):
    os.umask(0)
    fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o2777)
    proc = os.open("/proc/self/fd", os.O_PATH)
    os.link(str(fd), f"{directory}/{name}", src_dir_fd=proc, follow_symlinks=True)
    os.close(proc)
    os.close(fd)


def _make_node(directory, name):
    os.umask(0)
    os.mknod(f"{directory}/{name}", stat.S_IFREG | 0o2777)


class Exhaustion(MountTest):
    """A client that takes all it can get harms itself."""

    def test_more_open_files_than_descriptors(self):
        for number in range(300):
            (self.source / f"file{number}").write_text(f"{number}\n")
        path = self.new_directory(prefix="view-")
        run(["prlimit", "--nofile=128:128", binary("gidfs-view"), "-o", f"gid={GID}", self.source, path])
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        files = [open(path / f"file{number}", encoding="utf-8") for number in range(300)]
        for number, file in enumerate(files):
            self.assertEqual(f"{number}\n", file.read())
            file.close()
        self.assertEqual(300, len(os.listdir(path)))


if __name__ == "__main__":
    main()
