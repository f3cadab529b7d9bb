"""Real programs at work on a view whose worker is killed all the time: none may notice, and nothing may differ after.

GIDFS_KILL_SECONDS says for how long each of them works. fsx and fsstress (xfstests' ltp/) are looked for in PATH.
fsstress says what became of each of its calls: it is compared with the same run on a view that nobody disturbs."""
import os
import pathlib
import random
import shutil
import signal
import threading
import time
import unittest

from harness import MountTest, become, clean_environment, main, run, scaled, snapshot, wait_until
from harness.control import Control

SECONDS = float(os.environ.get("GIDFS_KILL_SECONDS", "2"))
GID = 5001
POSTGRES_UID = 1  # any user that has a name
POSTGRES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"not installed: {program}")


class Killer:
    """Kills the worker of a view again and again, after it has served a few requests."""

    def __init__(self, control):
        self.control = control
        self.n_kills = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.kill_again_and_again, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(scaled(60))

    def kill_again_and_again(self):
        while not self.over.is_set():
            before = self.control.stats()
            target, until = before["n_requests"] + random.randint(1, 200), time.monotonic() + random.uniform(0.01, 0.3)
            while not self.over.is_set() and time.monotonic() < until:
                if self.control.stats()["n_requests"] >= target:
                    break
                time.sleep(0.001)
            try:
                os.kill(self.control.worker(), signal.SIGKILL)
                self.n_kills += 1
            except ProcessLookupError:
                pass  # it has just been replaced


class Kills(MountTest):
    size_mib = 2048
    options = ""

    def setUp(self):
        super().setUp()
        self.shown, self.control = self.new_view(self.source)

    def new_view(self, source):
        socket_path = self.new_directory(prefix="control-") / "sock"
        words = [f"gid={GID}", f"control={socket_path}", self.options]
        view = self.view(",".join(word for word in words if word), source=source)
        return view.path, Control(socket_path)

    def tree(self, shown=None):
        """A directory in the view for anybody to work in."""
        tree = (shown or self.shown) / "tree"
        tree.mkdir()
        tree.chmod(0o777)
        return tree

    def disturb(self, work, tree=None):
        """Runs work(tree) under kills, then looks for differences and for what was left."""
        tree = tree or self.tree()
        with Killer(self.control) as killer:
            work(tree)
        print(f"{self.id()}: {killer.n_kills} kills", flush=True)
        self.assertGreater(killer.n_kills, 0)
        self.compare(tree)
        self.nothing_stays(tree)

    def compare(self, tree):
        seen, disk = snapshot(tree, times=False), snapshot(self.source / tree.name, times=False)
        self.assertEqual(disk.keys(), seen.keys())
        for name, entry in disk.items():
            for field in ("content", "size", "target", "nlink", "first_link"):
                self.assertEqual(entry.get(field), seen[name].get(field), f"{field} of {name}")

    def nothing_stays(self, tree):
        """The kernel forgets what is removed; whatever a worker had read of that may not be lost with it."""
        shutil.rmtree(tree)
        wait_until(lambda: self.control.stats()["n_inodes"] <= 1, "all inodes forgotten")
        keeper = self.control.stats()["keeper_pid"]
        self.control.kill_worker()  # what the last one left open is closed now
        os.listdir(self.shown)
        self.assertLess(len(os.listdir(f"/proc/{keeper}/fd")), 40, "descriptors leak")

    @needs("git")
    def test_git(self):
        self.disturb(self.commit_and_clone)

    def commit_and_clone(self, tree):
        until, turn, draw = time.monotonic() + SECONDS, 0, random.Random(1)
        environment = clean_environment(HOME=str(self.directory), GIT_CONFIG_NOSYSTEM="1")
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*", "-c", "gc.auto=0")

        def git(*words, cwd=tree):
            return run(["git", *identity, *words], cwd=cwd, env=environment, timeout=120).stdout

        git("init", "-q", "one")
        while turn == 0 or time.monotonic() < until:
            for number in range(30):
                path = tree / "one" / f"d{number % 5}" / f"f{number}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(draw.randbytes(draw.randrange(20000)))
            git("add", ".", cwd=tree / "one")
            git("commit", "-qm", str(turn), cwd=tree / "one")
            git("clone", "-q", "--no-hardlinks", "one", f"copy{turn}")
            git("gc", "-q", "--prune=now", cwd=tree / "one")
            self.assertEqual("", git("fsck", "--strict", cwd=tree / "one"))
            self.assertEqual("", git("status", "--short", cwd=tree / f"copy{turn}"))
            shutil.rmtree(tree / f"copy{turn}")
            turn += 1

    @needs("fio")
    def test_fio(self):
        def verify(tree):
            run(["fio", "--name=verified", f"--directory={tree}", "--rw=randrw", "--bsrange=512-256k", "--size=16m",
                 "--verify=crc32c", "--verify_fatal=1", "--numjobs=2", "--ioengine=psync", "--time_based",
                 f"--runtime={SECONDS}", "--fsync=32", "--norandommap", "--verify_backlog=64", "--fallocate=none"],
                timeout=60 + 4 * SECONDS, cwd=self.directory)

        self.disturb(verify)

    @needs("fsx")
    def test_fsx(self):
        def exercise(tree):
            logs = self.new_directory()
            run(["fsx", "-q", "-S", str(random.randrange(1, 1 << 20)), f"--duration={SECONDS:.0f}", "-P", logs,
                 tree / "file"], timeout=60 + 4 * SECONDS)

        self.disturb(exercise)

    @needs("fsstress")
    def test_fsstress(self):
        seed, n_calls = random.randrange(1, 1 << 20), int(250 * SECONDS)
        calm = self.new_directory(self.fs.path)
        self.addCleanup(shutil.rmtree, calm, ignore_errors=True)
        calm_view, _ = self.new_view(calm)

        def stress(tree):
            said = run(["fsstress", "-V", "-d", tree, "-s", str(seed), "-n", str(n_calls), "-p", "1",
                        *(f"-f{name}=0" for name in ("sync", "uring_read", "uring_write"))],
                       timeout=60 + 20 * SECONDS).stdout
            return said.replace(str(tree), "")

        expected, said = stress(self.tree(calm_view)), []
        self.disturb(lambda tree: said.append(stress(tree)))
        self.assertEqual(expected, said[0], f"seed {seed}")

    @unittest.skipUnless(POSTGRES and (POSTGRES[-1] / "pgbench").exists(), "not installed: pgbench")
    def test_pgbench(self):
        self.disturb(self.run_transactions)

    def run_transactions(self, tree):
        home, data = self.new_directory(), tree / "pg"
        home.chmod(0o777)
        environment = clean_environment(PGHOST=str(home), PGUSER="postgres", HOME=str(home))

        def tool(name, *words):
            return run([POSTGRES[-1] / name, *words], timeout=120 + 4 * SECONDS, env=environment, cwd=home,
                       preexec_fn=lambda: become(POSTGRES_UID, POSTGRES_UID, (GID,))).stdout

        tool("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        tool("pg_ctl", "-D", data, "-w", "-l", home / "log", "-o",
             f"-c listen_addresses= -c unix_socket_directories={home} -c wal_sync_method=fdatasync", "start")
        try:
            tool("pgbench", "-i", "-q", "-s", "2", "postgres")
            tool("pgbench", "-c", "4", "-T", f"{SECONDS:.0f}", "-n", "postgres")
            sums = tool("psql", "-At", "-d", "postgres", "-c", "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = "
                        "(SELECT sum(delta) FROM pgbench_history), (SELECT sum(bbalance) FROM pgbench_branches) = "
                        "(SELECT sum(delta) FROM pgbench_history)")
            self.assertEqual("t|t", sums.strip())
        finally:
            tool("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        self.assertNotRegex((home / "log").read_text(), "PANIC|ERROR|Input/output")
        tool("pg_checksums", "--enable", "-D", data)
        tool("pg_checksums", "--check", "-D", data)


class WithoutPassthrough(Kills):
    options = "passthrough=off"


class Layers(Kills):
    """What is made in an upper directory over an empty layer looks there as it does in the view."""

    def new_view(self, source):
        lower, work = self.new_directory(self.fs.path), self.new_directory(self.fs.path)
        for path in (lower, work):
            self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        socket_path = self.new_directory(prefix="control-") / "sock"
        view = self.view(f"lowerdir={lower},upperdir={source},workdir={work},control={socket_path}")
        return view.path, Control(socket_path)


if __name__ == "__main__":
    main(scaled(600 + 60 * SECONDS))
