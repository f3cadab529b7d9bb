#!/usr/bin/env python3
"""How long clients wait when the worker of a view is killed, with many inodes known to the kernel.

    unshare --mount --propagation private tests/bench/pause.py [N_INODES] [N_KILLS]

Makes the files on a tmpfs of its own (about 2 GiB for a million), walks them through a view, kills the worker again and
again, and prints how long the next call took: median and worst. Needs root, and GIDFS_BUILD_DIR or ./build.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness.control import Control  # noqa: E402
from harness.tools import binary  # noqa: E402

PER_DIRECTORY = 1000


def make_files(source, n_inodes):
    for number in range(n_inodes // PER_DIRECTORY):
        directory = source / f"dir-{number}"
        directory.mkdir()
        for file in range(PER_DIRECTORY):
            os.close(os.open(directory / f"file-{file}", os.O_CREAT | os.O_WRONLY))


def measure(view, control, number):
    pid = control.worker()
    begin = time.monotonic()
    os.kill(pid, 9)
    os.mkdir(view / f"after-{number}")
    return (time.monotonic() - begin) * 1000


def main():
    n_inodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    n_kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    base = pathlib.Path(tempfile.mkdtemp(prefix="pause-"))
    source, view = base / "source", base / "view"
    source.mkdir()
    view.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g,nr_inodes=3m,mode=755", "none", source], check=True)
    make_files(source, n_inodes)
    subprocess.run([binary("gidfs-view"), "-o", f"gid=5001,control={base}/sock", source, view], check=True)
    control = Control(base / "sock")
    for directory, _, files in os.walk(view):
        for file in files:
            os.lstat(os.path.join(directory, file))
    print(f"{control.stats()['n_inodes']} inodes, {control.stats()['n_fds']} descriptors")
    pauses = [measure(view, control, number) for number in range(n_kills)]
    print(f"pause: median {statistics.median(pauses):.0f} ms, worst {max(pauses):.0f} ms of {n_kills}")
    subprocess.run(["umount", view], check=True)
    subprocess.run(["umount", source], check=True)


if __name__ == "__main__":
    main()
