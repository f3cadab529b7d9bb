"""B7 and B10: the whole file API works through a view, and changes on the host's side are seen in it."""
import array
import errno
import fcntl
import mmap
import os
import pathlib
import select
import socket
import stat
import struct
import threading

from harness import Actor, MountTest, main, mount_entry, run, run_as, wait_until
from oracle import syscalls

GID = 5001
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOATIME_FL = 0x80086601, 0x40086602, 0x80
FICLONE = 0x40049409


class Files(MountTest):
    """Run once on an identity view and once on a gid view (the class below)."""

    options = "suid,dev"

    def setUp(self):
        super().setUp()
        self.shown = self.view(self.options).path

    def test_hard_links(self):
        (self.shown / "a").write_text("x")
        os.link(self.shown / "a", self.shown / "b")
        for root in (self.shown, self.source):
            self.assertEqual(2, os.stat(root / "a").st_nlink)
            self.assertEqual(os.stat(root / "a").st_ino, os.stat(root / "b").st_ino)
        (self.shown / "b").write_text("yy")
        self.assertEqual("yy", (self.shown / "a").read_text())
        os.unlink(self.shown / "a")
        self.assertEqual(1, os.stat(self.shown / "b").st_nlink)

    def test_rename_flags(self):
        (self.shown / "a").write_text("a")
        (self.shown / "d").mkdir()
        (self.shown / "d" / "x").write_text("x")
        self.assert_errno(errno.EEXIST, syscalls.renameat2, self.shown / "a", self.shown / "d",
                          syscalls.RENAME_NOREPLACE)
        syscalls.renameat2(self.shown / "a", self.shown / "d", syscalls.RENAME_EXCHANGE)
        self.assertEqual("a", (self.shown / "d").read_text())
        self.assertEqual("x", (self.shown / "a" / "x").read_text())
        self.assertEqual("x", (self.source / "a" / "x").read_text())
        syscalls.renameat2(self.shown / "d", self.shown / "e", syscalls.RENAME_NOREPLACE)
        self.assertEqual({"a", "e"}, set(os.listdir(self.shown)))

    def test_an_open_file_survives_its_name(self):
        with open(self.shown / "file", "w+") as file:
            file.write("before")
            file.flush()
            os.unlink(self.shown / "file")
            self.assertEqual([], os.listdir(self.source), "something stands in for the unlinked file")
            file.write(" after")
            file.flush()
            self.assertEqual("before after", os.pread(file.fileno(), 100, 0).decode())
            self.assertEqual(0, os.fstat(file.fileno()).st_nlink)
            os.fchmod(file.fileno(), 0o600)
            self.assertEqual(0o600, stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    def test_a_removed_directory_that_is_somebodys_working_directory(self):
        (self.shown / "d").mkdir()
        fd = os.open(self.shown / "d", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.rmdir(self.shown / "d")
        self.assertEqual([], os.listdir(fd))
        self.assert_errno(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)

    def test_a_file_replaced_while_open(self):
        (self.shown / "a").write_text("old")
        with open(self.shown / "a", encoding="ascii") as old:
            (self.shown / "b").write_text("new")
            os.rename(self.shown / "b", self.shown / "a")
            self.assertEqual("old", old.read())
            self.assertEqual("new", (self.shown / "a").read_text())

    def test_anonymous_files(self):
        fd = os.open(self.shown, os.O_TMPFILE | os.O_RDWR, 0o640)
        self.addCleanup(os.close, fd)
        os.write(fd, b"hidden")
        self.assertEqual([], os.listdir(self.source))
        syscalls.link_descriptor(fd, self.shown / "found")
        self.assertEqual("hidden", (self.source / "found").read_text())
        exclusive = os.open(self.shown, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
        self.addCleanup(os.close, exclusive)
        self.assert_errno(errno.ENOENT, syscalls.link_descriptor, exclusive, self.shown / "x")

    def test_sparse_files(self):
        for root in (self.source, self.shown):
            with open(root / f"sparse-{root.name}", "wb") as file:
                file.truncate(8 << 20)
                os.pwrite(file.fileno(), b"x" * 4096, 4 << 20)
                os.fsync(file.fileno())
        seen = []
        for root in (self.source, self.shown):
            fd = os.open(self.shown / f"sparse-{root.name}", os.O_RDONLY)
            self.addCleanup(os.close, fd)
            seen.append((os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 4 << 20, os.SEEK_HOLE), os.fstat(fd).st_blocks))
        self.assertEqual(seen[0], seen[1])
        self.assertGreater(seen[0][0], 0)

    def test_fallocate(self):
        with open(self.shown / "file", "w+b") as file:
            fd = file.fileno()
            os.write(fd, b"x" * 65536)
            try:
                syscalls.fallocate(fd, syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, 4096, 8192)
            except OSError as error:
                self.assertEqual(errno.EOPNOTSUPP, error.errno)
                self.skipTest("the file system punches no holes")
            self.assertEqual(b"\0" * 8192, os.pread(fd, 8192, 4096))
            syscalls.fallocate(fd, 0, 0, 1 << 20)
            self.assertEqual(1 << 20, os.fstat(fd).st_size)
            self.assertEqual(1 << 20, os.stat(self.source / "file").st_size)

    def test_copy_file_range_and_sendfile(self):
        data = os.urandom(300000)
        (self.shown / "a").write_bytes(data)
        with open(self.shown / "a", "rb") as source, open(self.shown / "b", "wb") as target:
            done = 0
            while done < len(data):
                done += os.copy_file_range(source.fileno(), target.fileno(), len(data) - done, done, done)
        self.assertEqual(data, (self.source / "b").read_bytes())
        with open(self.shown / "a", "rb") as source, open(self.shown / "c", "wb") as target:
            done = 0
            while done < len(data):
                done += os.sendfile(target.fileno(), source.fileno(), done, len(data) - done)
        self.assertEqual(data, (self.source / "c").read_bytes())

    def test_clone_answers_as_the_disk(self):
        for root in (self.source, self.shown):
            (root / "from").write_bytes(b"x" * 8192)
        answers = []
        for number, root in enumerate((self.source, self.shown)):
            with open(root / "from", "rb") as source, open(root / f"to{number}", "wb") as target:
                try:
                    fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
                    answers.append("ok")
                except OSError:
                    answers.append("refused")
        if answers[0] == "refused":
            self.assertEqual("refused", answers[1])

    def test_birth_time(self):
        (self.shown / "file").touch()
        self.assertEqual(syscalls.birth_time(self.source / "file"), syscalls.birth_time(self.shown / "file"))

    def test_shared_mappings(self):
        (self.shown / "file").write_bytes(b"\0" * 20000)
        with open(self.shown / "file", "r+b") as file, mmap.mmap(file.fileno(), 20000) as area, \
                open(self.source / "file", "r+b") as behind:
            area[5000:5005] = b"hello"
            area.flush()
            self.assertEqual(b"hello", os.pread(behind.fileno(), 5, 5000))
            os.pwrite(behind.fileno(), b"WORLD", 10000)
            self.assertEqual(b"WORLD", os.pread(file.fileno(), 5, 10000))
        self.assertEqual(b"hello", (self.shown / "file").read_bytes()[5000:5005])

    def test_mapping_a_program_and_running_it(self):
        run(["cp", "/bin/true", self.shown / "true"])
        run([self.shown / "true"])
        self.assert_errno(errno.ETXTBSY, _write_while_running, str(self.shown))

    def test_direct_io(self):
        answers = []
        for root in (self.source, self.shown):
            (root / "file").write_bytes(b"a" * 8192)
            try:
                fd = os.open(root / "file", os.O_RDWR | os.O_DIRECT)
            except OSError as error:
                answers.append(error.errno)
                continue
            with mmap.mmap(-1, 4096) as area:
                area[:] = b"b" * 4096
                os.pwritev(fd, [area], 4096)
                area[:] = b"\0" * 4096
                self.assertEqual(4096, os.preadv(fd, [area], 4096))
                self.assertEqual(b"b" * 4096, area[:])
            os.close(fd)
            answers.append((root / "file").read_bytes())
        self.assertEqual(answers[0], answers[1])

    def test_append_from_both_sides(self):
        with open(self.shown / "log", "ab", buffering=0) as inside, open(self.source / "log", "ab", buffering=0) as out:
            for number in range(50):
                (inside if number % 2 else out).write(b"%04d\n" % number)
        expected = "".join(f"{number:04}\n" for number in range(50))
        self.assertEqual(expected, (self.source / "log").read_text())
        self.assertEqual(expected, (self.shown / "log").read_text())

    def test_fifos_and_sockets(self):
        os.mkfifo(self.shown / "fifo")
        reader = os.open(self.shown / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(self.shown / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, b"through")
        self.assertEqual(b"through", os.read(reader, 100))
        os.close(writer)
        os.close(reader)
        os.chdir(self.shown)
        self.addCleanup(os.chdir, "/")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind("sock")
            server.listen()
            client.connect("sock")
            with server.accept()[0] as accepted:
                accepted.sendall(b"hello")
                self.assertEqual(b"hello", client.recv(100))
        self.assertTrue(stat.S_ISSOCK(os.lstat(self.source / "sock").st_mode))

    def test_locks_exclude_each_other(self):
        (self.shown / "file").touch()
        with Actor() as one, Actor() as two:
            one.call(_open_kept, str(self.shown / "file"))
            two.call(_open_kept, str(self.shown / "file"))
            for lock in (fcntl.flock, fcntl.lockf):
                one.call(_lock, lock, fcntl.LOCK_EX)
                with self.assertRaises(BlockingIOError):
                    two.call(_lock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                one.call(_lock, lock, fcntl.LOCK_UN)
                two.call(_lock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                two.call(_lock, lock, fcntl.LOCK_UN)

    def test_a_lock_goes_with_its_process(self):
        (self.shown / "file").touch()
        with Actor() as one:
            one.call(_open_kept, str(self.shown / "file"))
            one.call(_lock, fcntl.lockf, fcntl.LOCK_EX)
        with open(self.shown / "file", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_names(self):
        names = ["n" * 255, "new\nline", "ü" * 127, " ", "-rf", "\\", "\udcff\udcfe"]
        for name in names:
            (self.shown / name).touch()
        self.assertEqual(sorted(names), sorted(os.listdir(self.shown)))
        self.assertEqual(sorted(names), sorted(os.listdir(self.source)))
        self.assert_errno(errno.ENAMETOOLONG, (self.shown / ("n" * 256)).touch)

    def test_paths_deeper_than_path_max(self):
        """Joining paths ends at 4096 bytes (bindfs); working by descriptors doesn't."""
        fd = os.open(self.shown, os.O_RDONLY)
        for _ in range(40):
            os.mkdir("d" * 200, dir_fd=fd)
            inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        self.assertEqual(["file"], os.listdir(fd))
        os.rename("file", "moved", src_dir_fd=fd, dst_dir_fd=fd)
        self.assertEqual(0, os.stat("moved", dir_fd=fd).st_size)
        os.close(fd)
        run(["rm", "-rf", self.shown / ("d" * 200)])
        self.assertEqual([], os.listdir(self.source))

    def test_large_directories(self):
        names = {f"file-{number:05}" for number in range(1500)}
        (self.shown / "d").mkdir()
        for name in names:
            os.close(os.open(self.shown / "d" / name, os.O_CREAT | os.O_WRONLY))
        self.assertEqual(names, set(os.listdir(self.shown / "d")))
        seen = set()
        with os.scandir(self.shown / "d") as entries:
            for entry in entries:
                seen.add(entry.name)
                os.unlink(entry.path)
        self.assertEqual(names, seen)
        os.rmdir(self.shown / "d")

    def test_attributes_in_a_list_of_names_of_all_lengths(self):
        sizes = {letter * length: length for letter in "ab" for length in range(1, 256)}
        (self.source / "d").mkdir()
        for name, size in sizes.items():
            (self.source / "d" / name).write_bytes(bytes(size))
        with os.scandir(self.shown / "d") as entries:
            self.assertEqual(sizes, {entry.name: entry.stat().st_size for entry in entries})

    def test_reading_a_directory_again_from_the_start(self):
        for number in range(100):
            (self.shown / str(number)).touch()
        fd = os.open(self.shown, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        first = sorted(os.listdir(fd))
        (self.shown / "new").touch()
        os.lseek(fd, 0, os.SEEK_SET)
        self.assertEqual(sorted([*first, "new"]), sorted(os.listdir(fd)))

    def test_statfs(self):
        disk, seen = os.statvfs(self.source), os.statvfs(self.shown)
        for field in ("f_bsize", "f_frsize", "f_blocks", "f_files", "f_namemax"):
            self.assertEqual(getattr(disk, field), getattr(seen, field), field)

    def test_flags_of_files_answer_as_the_disk(self):
        """lsattr and chattr, which editors and build tools use too."""
        answers = []
        for root in (self.source, self.shown):
            (root / "file").touch()
            fd = os.open(root / "file", os.O_RDONLY)
            try:
                buffer = array.array("l", [0])
                fcntl.ioctl(fd, FS_IOC_GETFLAGS, buffer)
                flags = struct.pack("l", buffer[0] | FS_NOATIME_FL)
                fcntl.ioctl(fd, FS_IOC_SETFLAGS, flags)
                fcntl.ioctl(fd, FS_IOC_GETFLAGS, buffer)
                answers.append(buffer[0])
            except OSError as error:
                answers.append(errno.errorcode[error.errno])
            finally:
                os.close(fd)
        self.assertEqual(answers[0], answers[1])

    def test_terminal_ioctl_on_a_file(self):
        (self.shown / "file").touch()
        self.assertFalse(os.isatty(os.open(self.shown / "file", os.O_RDONLY)))

    def test_sync_calls(self):
        with open(self.shown / "file", "wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            os.fdatasync(file.fileno())
        fd = os.open(self.shown, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        run(["sync", "-f", self.shown])

    def test_poll_says_that_files_are_ready(self):
        with open(self.shown / "file", "w+b") as file:
            poll = select.poll()
            poll.register(file, select.POLLIN | select.POLLOUT)
            self.assertEqual(select.POLLIN | select.POLLOUT, poll.poll(0)[0][1])

    def test_many_threads(self):
        errors = []

        def work(number):
            try:
                for turn in range(40):
                    path = self.shown / f"t{number}-{turn}"
                    path.write_text(str(turn))
                    assert path.read_text() == str(turn)
                    os.rename(path, f"{path}x")
                    os.unlink(f"{path}x")
            except Exception as error:  # shown below, whatever it is
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)
        self.assertEqual([], os.listdir(self.source))

    def test_times(self):
        (self.shown / "file").touch()
        for nanoseconds in (1, -1_000_000_001, 4_294_967_296_123_456_789, 1_700_000_000_987_654_321):
            try:
                os.utime(self.source / "file", ns=(nanoseconds, nanoseconds))
            except OSError:
                continue
            expected = os.stat(self.source / "file").st_mtime_ns
            os.utime(self.shown / "file", ns=(nanoseconds, nanoseconds))
            self.assertEqual(expected, os.stat(self.shown / "file").st_mtime_ns)
            self.assertEqual(expected, os.stat(self.source / "file").st_mtime_ns)

    def test_a_symlink_is_never_followed_on_the_servers_side(self):
        canary = self.directory / "canary"
        canary.write_text("safe")
        before = os.stat(canary)
        os.symlink(canary, self.source / "link")
        link = self.shown / "link"
        os.chown(link, 1234, GID if "gid=" in self.options else 1234, follow_symlinks=False)
        os.utime(link, (1, 1), follow_symlinks=False)
        with self.assertRaises(OSError):
            os.setxattr(link, "user.x", b"1", follow_symlinks=False)
        try:
            os.setxattr(link, "trusted.x", b"1", follow_symlinks=False)
        except OSError:
            pass
        os.rename(link, self.shown / "other")
        os.unlink(self.shown / "other")
        self.assertEqual(before, os.stat(canary))
        self.assertEqual([], os.listxattr(canary))


class GidFiles(Files):
    options = f"gid={GID}"


class WithoutPassthrough(Files):
    """Data through the server. Two writers on both sides of it share no page cache: nothing promises what they see."""

    options = f"gid={GID},passthrough=off"
    test_shared_mappings = None
    test_append_from_both_sides = None


class Behind(MountTest):
    """B10: the host changes the source; the view shows it at once."""

    def setUp(self):
        super().setUp()
        (self.source / "d").mkdir()
        (self.source / "file").write_text("one")
        self.shown = self.view(f"gid={GID},cache=auto").path
        for path in (self.shown, self.shown / "d"):
            os.listdir(path)
        os.stat(self.shown / "file")

    def soon(self, condition, what):
        wait_until(condition, what, timeout=5)

    def test_new_files(self):
        self.assertFalse((self.shown / "new").exists())
        (self.source / "new").write_text("x")
        self.soon((self.shown / "new").exists, "a new file, known to be absent, appears")
        self.soon(lambda: "new" in os.listdir(self.shown), "it is listed")

    def test_removed_files(self):
        os.unlink(self.source / "file")
        self.soon(lambda: not (self.shown / "file").exists(), "a removed file disappears")
        self.assertNotIn("file", os.listdir(self.shown))

    def test_a_removed_file_can_be_made_again(self):
        """Without invalidation open(O_CREAT) fails with ENOENT (seen with bindfs)."""
        os.unlink(self.source / "file")
        self.soon(lambda: not (self.shown / "file").exists(), "a removed file disappears")
        (self.shown / "file").write_text("two")
        self.assertEqual("two", (self.source / "file").read_text())

    def test_content(self):
        (self.source / "file").write_text("another")
        self.soon(lambda: (self.shown / "file").read_text() == "another", "new content is read")
        self.soon(lambda: os.stat(self.shown / "file").st_size == 7, "and its size")

    def test_modes_and_owners(self):
        os.chmod(self.source / "file", 0o751)
        self.soon(lambda: stat.S_IMODE(os.stat(self.shown / "file").st_mode) == 0o751, "a mode")
        os.chown(self.source / "file", 77, 88)
        self.soon(lambda: os.stat(self.shown / "file").st_uid == 77, "an owner")

    def test_renames(self):
        os.rename(self.source / "file", self.source / "d" / "moved")
        self.soon((self.shown / "d" / "moved").exists, "the new name")
        self.soon(lambda: not (self.shown / "file").exists(), "the old name")
        os.rename(self.source / "d", self.source / "e")
        self.soon((self.shown / "e" / "moved").exists, "a renamed directory")

    def test_watchers_inside_hear_of_it(self):
        watch = _inotify(self.shown)
        self.addCleanup(os.close, watch)
        (self.source / "heard").write_text("x")
        ready, _, _ = select.select([watch], [], [], 10)
        self.assertTrue(ready, "no event within 10 s")

    def test_always_and_none_are_taken(self):
        for cache in ("always", "none"):
            shown = self.view(f"gid={GID},cache={cache}").path
            self.assertEqual("one", (shown / "file").read_text())
        (self.source / "late").write_text("x")
        self.assertTrue((shown / "late").exists(), "cache=none shows a change at once")


class Mounts(MountTest):
    def test_the_mount_table_tells_what_it_is(self):
        view = self.view(f"gid={GID}")
        entry = mount_entry(view.path)
        self.assertEqual("fuse.gidfs", entry["type"])
        self.assertEqual(str(self.source), entry["source"])
        self.assertLessEqual({"nosuid", "nodev"}, set(entry["options"]))
        self.assertIn("allow_other", entry["super_options"])
        self.assertIn("default_permissions", entry["super_options"])

    def test_read_only(self):
        (self.source / "file").touch()
        view = self.view(f"gid={GID},ro")
        for change in (lambda: (view.path / "new").touch(), lambda: os.unlink(view.path / "file"),
                       lambda: os.chmod(view.path / "file", 0o600), lambda: os.mkdir(view.path / "d")):
            self.assert_errno(errno.EROFS, change)
        self.assertEqual(["file"], os.listdir(self.source))

    def test_noexec(self):
        run(["cp", "/bin/true", self.source / "true"])
        view = self.view("noexec")
        self.assert_errno(errno.EACCES, os.execv, str(view.path / "true"), ["true"])

    def test_several_views_of_one_source(self):
        (self.source / "file").touch()
        views = [self.view(f"gid={gid}") for gid in (6001, 6002, 6003)]
        self.assertEqual([6001, 6002, 6003], [os.stat(view.path / "file").st_gid for view in views])

    def test_unmounting_ends_the_processes(self):
        before = _view_processes()
        view = self.view(f"gid={GID}")
        ours = _view_processes() - before
        self.assertTrue(ours)
        view.unmount()
        wait_until(lambda: not ours & _view_processes(), "the view's processes end")

    def test_busy_is_busy(self):
        view = self.view(f"gid={GID}")
        fd = os.open(view.path, os.O_RDONLY)
        self.assertNotEqual(0, run(["umount", view.path], check=False).returncode)
        os.close(fd)
        view.unmount()

    def test_a_view_seen_by_a_user_without_rights_on_the_source(self):
        """The server, not the client, reaches the source: a parent directory that is closed to all doesn't matter."""
        closed = self.new_directory(self.fs.path)
        (closed / "inner").mkdir()
        (closed / "inner" / "file").write_text("x")
        os.chown(closed / "inner", 0, 3000)
        closed.chmod(0o700)
        view = self.view(f"gid={GID}", source=closed / "inner")
        self.assertEqual(["file"], run_as(1001, os.listdir, str(view.path), groups=(GID,)))


def _open_kept(path):
    global _kept
    _kept = open(path, "r+b")


def _lock(lock, how):
    lock(_kept, how)


def _write_while_running(root):
    run(["cp", "/bin/sleep", f"{root}/sleep"])
    pid = os.spawnv(os.P_NOWAIT, f"{root}/sleep", ["sleep", "100"])
    try:
        wait_until(lambda: b"sleep" in pathlib.Path(f"/proc/{pid}/comm").read_bytes(), "sleep runs")
        os.close(os.open(f"{root}/sleep", os.O_WRONLY))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _inotify(path):
    fd = syscalls.inotify_init()
    syscalls.inotify_add_watch(fd, path, 0xfff)
    return fd


def _view_processes():
    """Process ids of gidfs-view in this namespace, zombies left out."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        if "(gidfs-view" in text and text.rsplit(")", 1)[1].split()[0] != "Z":
            found.add(entry.parent.name)
    return found


if __name__ == "__main__":
    main()
