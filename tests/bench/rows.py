"""The rows of the benchmark: a workload of bench-workload by the same name, or a function that measures."""
import dataclasses
import os
import re
import shutil
import subprocess
import time
from typing import Callable, Optional

N_TAR_FILES = 600
GIT = ["git", "-c", "safe.directory=*", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "gc.auto=0"]


@dataclasses.dataclass
class Row:
    name: str
    title: str
    target: float  # the least ratio to the bind mount that is aimed at
    data: bool = False  # of data: no server in memory is the limit of it, since the kernel passes it through
    cold: bool = False
    prepare: Optional[Callable] = None
    measure: Optional[Callable] = None
    needs: Optional[str] = None  # a program
    n_threads: Optional[int] = None  # None: as --threads says

    def available(self):
        return self.needs is None or shutil.which(self.needs) is not None

    def against(self, target):
        """The same row with another aim."""
        return dataclasses.replace(self, target=target)


def in_threads(name, title, target, n_threads, **more):
    """The workload of another row by this many clients at once, whatever --threads says."""
    return Row(f"{name}_{n_threads}", f"{title}, {n_threads} threads", target, n_threads=n_threads, **more,
               measure=lambda subject, bench: bench.call([name, subject.path, bench.options.seconds, n_threads]))


def applies(row, subject):
    return not (subject.name == "limit" and (row.data or row.name in ("git_status",)))


def _make_tar(subject, bench):
    archive = bench.base / "files.tar"
    if not archive.exists():
        words = [f"d{number // 100:02}/f{number % 100:03}" for number in range(N_TAR_FILES)]
        subprocess.run(["tar", "-cf", archive, "-C", subject.source, *words], check=True)


def _untar(subject, bench):
    target = subject.path / "made" / "untar"
    target.mkdir()
    start = time.monotonic()
    subprocess.run(["tar", "--no-same-owner", "-xf", bench.base / "files.tar", "-C", target], check=True)
    spent = time.monotonic() - start
    shutil.rmtree(target)
    return N_TAR_FILES / spent


def _make_repository(subject, bench):
    repository = subject.source / "repository"
    repository.mkdir()
    subprocess.run(["tar", "-xf", bench.base / "files.tar", "-C", repository], check=True)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "files"]):
        subprocess.run([*GIT, *words], cwd=repository, check=True)


def _git_status(subject, bench):
    """The first one brings the index up to date with the owners that this mount shows, and warms what can be."""
    repository = subject.path / "repository"
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1")
    n_done, start = 0, None
    while start is None or time.monotonic() - start < float(bench.options.seconds):
        subprocess.run([*GIT, "status", "--short"], cwd=repository, check=True, env=environment)
        if start is None:
            start = time.monotonic()
            continue
        n_done += 1
    return n_done / (time.monotonic() - start)


def _dbench(subject, bench):
    """Operations a second of one client of dbench, with the load that it comes with."""
    place = subject.path / "made" / "dbench"
    place.mkdir()
    seconds = max(1, round(2 * bench.options.seconds))
    done = subprocess.run(["dbench", "-D", place, "-t", str(seconds), "1"], capture_output=True, text=True, check=True)
    shutil.rmtree(place)
    table = done.stdout.partition("Operation")[2].partition("Throughput")[0]
    return sum(int(count) for count in re.findall(r"^ +[A-Z]\w+ +(\d+)", table, re.MULTILINE)) / seconds


ROWS = [
    Row("sequential_read", "sequential read", 0.95, data=True),
    Row("sequential_write", "sequential write", 0.95, data=True),
    Row("random_read", "random 4k read", 0.95, data=True),
    Row("random_write", "random 4k write", 0.95, data=True),
    Row("direct_read", "direct 4k read, 16 at once", 0.95, data=True),
    Row("direct_write", "direct 4k write, 16 at once", 0.95, data=True),
    Row("mapped_read", "mapped read", 0.95, data=True),
    Row("mapped_write", "mapped write", 0.95, data=True),
    Row("stat_warm", "stat, warm", 0.9),
    Row("miss_warm", "stat of what is not there", 0.9),
    Row("list_warm", "list a directory, warm", 0.9),
    Row("walk_warm", "walk with stat, warm", 0.9),
    Row("walk_cold", "walk with stat, cold", 0.5, cold=True),
    Row("stat_cold", "stat by name, cold", 0.25, cold=True),
    Row("open_read_close", "open, read 2k, close", 0.2),
    Row("create", "create, write 1k, close", 0.2),
    Row("unlink", "unlink", 0.2),
    Row("rename", "rename", 0.2),
    Row("untar", "untar 600 files", 0.2, prepare=_make_tar, measure=_untar),
    Row("git_status", "git status", 0.2, prepare=_make_repository, measure=_git_status),
    Row("dbench", "dbench, one client", 0.2, data=True, measure=_dbench, needs="dbench"),
    in_threads("random_read", "random 4k read", 0.95, 4, data=True),
    in_threads("stat_warm", "stat, warm", 0.9, 4),
    in_threads("open_read_close", "open, read 2k, close", 0.2, 4),
    in_threads("create", "create, write 1k, close", 0.2, 4),
    in_threads("rename", "rename", 0.2, 4),
    in_threads("unlink", "unlink", 0.2, 4),
    in_threads("open_read_close", "open, read 2k, close", 0.2, 16),
]
