"""Real programs on a gid view, run by ordinary users who are members of its gid."""
import errno
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import threading
import unittest

from harness import Actor, MountTest, become, clean_environment, main, run, snapshot

GID = 5001
USER, OTHER_USER = 1001, 1003
POSTGRES_UID = 1  # any user that has a name


def programs(*names):
    """Skips a test where one of the programs is not installed."""
    missing = [name for name in names if not shutil.which(name)]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


class Programs(MountTest):
    size_mib = 1024
    options = f"gid={GID}"

    def setUp(self):
        super().setUp()
        self.source.chmod(0o775)
        os.chown(self.source, 900, 900)
        self.shown = self.view(self.options).path
        self.home = self.new_directory()
        self.home.chmod(0o777)

    def member(self, command, uid=USER, **options):
        """Runs a command as a user who is in the view's group."""
        options.setdefault("cwd", self.shown)
        environment = clean_environment(HOME=str(self.home), GIT_CONFIG_NOSYSTEM="1", npm_config_cache=str(self.home))
        return run(command, env=environment, preexec_fn=lambda: become(uid, uid, (GID,)), timeout=120, **options)

    def git(self, *words, uid=USER, **options):
        (self.home / ".gitconfig").write_text("[safe]\n directory = *\n[user]\n name = a\n email = a@b\n"
                                              "[init]\n defaultBranch = main\n")
        return self.member(["git", *words], uid, **options)

    @programs("git")
    def test_git(self):
        self.git("init", "-q", "one")
        for number in range(60):
            (self.shown / "one" / f"f{number}").write_text(str(number) * 100)
        self.git("add", ".", cwd=self.shown / "one")
        self.git("commit", "-qm", "files", cwd=self.shown / "one")
        self.assertEqual("", self.git("status", "--short", cwd=self.shown / "one").stdout)
        self.git("clone", "-q", "one", "two")
        self.git("worktree", "add", "-q", "../three", "-b", "side", cwd=self.shown / "one")
        self.git("mv", "f1", "g1", cwd=self.shown / "three")
        self.git("commit", "-qm", "moved", cwd=self.shown / "three")
        self.git("merge", "-q", "side", cwd=self.shown / "one")
        self.git("gc", "-q", "--prune=now", cwd=self.shown / "one")
        self.git("fsck", "--strict", cwd=self.shown / "one")
        self.git("pull", "-q", cwd=self.shown / "two")
        self.assertTrue((self.source / "two" / "g1").exists())

    @programs("git")
    def test_a_repository_that_two_users_share(self):
        self.git("init", "-q", "--bare", "--shared=group", "hub.git")
        for turn, uid in enumerate((USER, OTHER_USER, USER, OTHER_USER)):
            self.git("clone", "-q", self.shown / "hub.git", f"work{turn}", uid=uid)
            (self.source / f"work{turn}" / f"file{turn}").write_text(str(turn))
            self.git("add", ".", uid=uid, cwd=self.shown / f"work{turn}")
            self.git("commit", "-qm", str(turn), uid=uid, cwd=self.shown / f"work{turn}")
            self.git("push", "-q", "origin", "HEAD", uid=uid, cwd=self.shown / f"work{turn}")
        log = self.git("log", "--oneline", "--all", cwd=self.shown / "hub.git").stdout
        self.assertEqual(4, len(log.splitlines()))
        self.git("fsck", "--strict", cwd=self.shown / "hub.git")

    def test_sqlite_with_a_write_ahead_log(self):
        path = str(self.shown / "db")
        with Actor(USER, groups=(GID,), umask=0o002) as one, Actor(OTHER_USER, groups=(GID,), umask=0o002) as two:
            one.call(_sqlite, path, "PRAGMA journal_mode=wal")
            one.call(_sqlite, path, "CREATE TABLE t (n INTEGER)")
            one.call(os.chmod, path, 0o664)  # sqlite makes it 0644 whatever the umask
            for number in range(40):
                (one if number % 2 else two).call(_sqlite, path, f"INSERT INTO t VALUES ({number})")
            self.assertEqual([(40,)], one.call(_sqlite, path, "SELECT count(*) FROM t"))
            self.assertEqual([("ok",)], two.call(_sqlite, path, "PRAGMA integrity_check"))
        self.assertEqual([(40,)], _sqlite(str(self.source / "db"), "SELECT count(*) FROM t"))

    @programs("rsync", "setfacl")
    def test_rsync_with_acls_xattrs_and_hard_links(self):
        """With chgrp=ignore: rsync as root hands over groups, and where that is refused it gives up on the file."""
        tree = self.tree(self.new_directory(self.fs.path))
        shown = self.view(f"{self.options},chgrp=ignore").path
        run(["rsync", "-aHAX", f"{tree}/", shown / "copy"])
        self.same_content(tree, shown / "copy")
        again = run(["rsync", "-aHAXn", "--no-group", "--itemize-changes", "--checksum", f"{tree}/", shown / "copy"])
        self.assertEqual([], [line for line in again.stdout.splitlines() if line.startswith(">")])

    @programs("tar", "setfacl")
    def test_tar_with_acls_and_xattrs(self):
        tree = self.tree(self.new_directory(self.fs.path))
        archive = self.directory / "a.tar"
        run(["tar", "--acls", "--xattrs", "-cf", archive, "-C", tree, "."])
        (self.shown / "out").mkdir()
        run(["tar", "--acls", "--xattrs", "--no-same-owner", "-xpf", archive, "-C", self.shown / "out"])
        self.same_content(tree, self.shown / "out")
        self.assertEqual(b"kept", os.getxattr(self.source / "out" / "d0" / "f0", "user.note"))
        self.assertIn("system.posix_acl_access", os.listxattr(self.source / "out" / "d0" / "f0"))
        run(["tar", "--acls", "--xattrs", "-cf", "/dev/null", "-C", self.shown / "out", "."])

    @programs("npm")
    def test_npm_install(self):
        package = self.shown / "package"
        for name in ("app", "package"):
            self.member(["mkdir", name])
        self.own(package / "package.json", '{"name": "thing", "version": "1.0.0", "bin": {"thing": "run.js"}}')
        self.own(package / "run.js", "#!/usr/bin/env node\nconsole.log('ran')\n")
        self.member(["npm", "pack", "--silent", "../package"], cwd=self.shown / "app")
        self.own(self.shown / "app" / "package.json", '{"name": "app", "version": "1.0.0"}')
        self.member(["npm", "install", "--offline", "--no-audit", "--no-fund", "./thing-1.0.0.tgz"],
                    cwd=self.shown / "app")
        self.assertTrue((self.shown / "app" / "node_modules" / ".bin" / "thing").is_symlink())
        self.assertEqual("ran\n", self.member([self.shown / "app" / "node_modules" / ".bin" / "thing"]).stdout)

    def test_postgresql(self):
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        if not folders:
            self.skipTest("not installed: PostgreSQL")
        server = Postgres(self, folders[-1])
        server.work_through_a_crash()
        self.assertEqual(0o700, stat.S_IMODE(os.stat(self.source / "pg").st_mode))

    def test_many_processes_at_random_then_rm(self):
        """What fsstress does, then rm -rf: nothing may be left that can't be removed."""
        (self.shown / "load").mkdir(mode=0o775)
        (self.shown / "load").chmod(0o775)
        actors = [Actor(uid, groups=(GID,), umask=0o002, timeout=90) for uid in (USER, OTHER_USER, USER, OTHER_USER)]
        threads = [threading.Thread(target=actor.call, args=(_churn, str(self.shown / "load"), seed, 1500))
                   for seed, actor in enumerate(actors)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for actor in actors:
            actor.close()
        disk, seen = snapshot(self.source / "load"), snapshot(self.shown / "load")
        self.assertEqual(disk.keys(), seen.keys())
        for name, entry in disk.items():
            self.assertEqual(entry.get("content"), seen[name].get("content"), name)
            self.assertNotEqual(GID, entry["gid"], name)
        self.member(["rm", "-rf", "load"])
        self.assertEqual([], os.listdir(self.source))

    def own(self, path, text):
        path.write_text(text)
        os.chown(path, USER, GID)

    def tree(self, root):
        """Files with ACLs, xattrs, hard links and holes, of a user of their own."""
        draw = random.Random(5)
        for number in range(8):
            (root / f"d{number}").mkdir()
            for file in range(8):
                path = root / f"d{number}" / f"f{file}"
                path.write_bytes(draw.randbytes(draw.randrange(10000)))
                os.setxattr(path, "user.note", b"kept")
                os.utime(path, ns=(10**18, 10**18 + file))
        run(["setfacl", "-m", "u:1234:rw", root / "d0" / "f0"])
        os.link(root / "d0" / "f1", root / "d1" / "linked")
        with open(root / "d2" / "sparse", "wb") as file:
            file.truncate(1 << 20)
        return root

    def same_content(self, one, two):
        first, second = snapshot(one), snapshot(two)
        self.assertEqual(first.keys(), second.keys())
        for name, entry in first.items():
            for field in ("content", "size", "mtime", "nlink", "target"):
                if not (field == "mtime" and stat.S_ISDIR(int(entry["mode"], 8))):
                    self.assertEqual(entry.get(field), second[name].get(field), f"{field} of {name}")


class Postgres:
    """A database server whose data lies in the view, run by a user who is in its group."""

    def __init__(self, test, folder):
        self.test, self.folder = test, folder
        self.data = test.shown / "pg"
        self.tool("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync")
        test.addCleanup(self.stop, check=False)

    def tool(self, name, *words, check=True):
        environment = {"PGHOST": str(self.test.home), "PGUSER": "postgres", "HOME": str(self.test.home)}
        return run([self.folder / name, *words], timeout=120, check=check, env=clean_environment(**environment),
                   preexec_fn=lambda: become(POSTGRES_UID, POSTGRES_UID, (GID,)), cwd=self.test.home)

    def start(self):
        self.tool("pg_ctl", "-D", self.data, "-w", "-t", "90", "-l", self.test.home / "log", "-o",
                  f"-c listen_addresses= -c unix_socket_directories={self.test.home}", "start")

    def stop(self, check=True):
        self.tool("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "90", "stop", check=check)

    def crash(self):
        """Immediate: no checkpoint, so that the next start has to recover."""
        self.tool("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-t", "90", "stop")

    def work_through_a_crash(self):
        """Starts, works, crashes, recovers all that it had said was done, and stops."""
        self.start()
        self.sql("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 20000)")
        if (self.folder / "pgbench").exists():
            self.tool("pgbench", "-i", "-q", "-s", "1", "postgres")
            self.tool("pgbench", "-c", "4", "-t", "50", "-n", "postgres")
        self.crash()
        self.start()
        self.test.assertEqual("20000", self.sql("SELECT count(*) FROM t").strip())
        self.stop()

    def sql(self, statement):
        return self.tool("psql", "-At", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement).stdout


def _sqlite(path, statement):
    connection = sqlite3.connect(path, timeout=30)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


def _churn(root, seed, n_turns):
    """Random operations among a few names, whoever else is at them. Errors of a race are what they are."""
    draw = random.Random(seed)
    expected = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EACCES,
                errno.EPERM, errno.ELOOP, errno.ETXTBSY, errno.EXDEV, errno.ESTALE}
    for _ in range(n_turns):
        one, two = (os.path.join(root, *(f"d{draw.randrange(3)}" for _ in range(draw.randrange(3))),
                                 f"{draw.choice('df')}{draw.randrange(4)}") for _ in range(2))
        try:
            draw.choice(_CHURN)(one, two, draw)
        except OSError as error:
            if error.errno not in expected:
                raise


def _write(one, two, draw):
    fd = os.open(one, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o664)
    try:
        os.pwrite(fd, bytes([draw.randrange(256)]) * draw.randrange(1, 30000), draw.randrange(50000))
        if draw.random() < 0.3:
            os.ftruncate(fd, draw.randrange(20000))
        os.pread(fd, 100, 0)
    finally:
        os.close(fd)


_CHURN = [
    _write, _write, _write,
    lambda one, two, draw: os.mkdir(one, 0o775),
    lambda one, two, draw: os.mkdir(one, 0o775),
    lambda one, two, draw: os.rename(one, two),
    lambda one, two, draw: os.link(one, two),
    lambda one, two, draw: os.symlink(two, one),
    lambda one, two, draw: os.unlink(one),
    lambda one, two, draw: os.rmdir(one),
    lambda one, two, draw: os.listdir(os.path.dirname(one)),
    lambda one, two, draw: os.chmod(one, draw.choice((0o775, 0o770))),
    lambda one, two, draw: os.stat(one),
]


if __name__ == "__main__":
    main()
