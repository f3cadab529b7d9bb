"""The namespaces a test file runs in, and what happens when it hangs.

The file starts itself again under `unshare --mount --pid`: the mount namespace takes its mounts with it (and, by
autoclear, their loop devices), the process namespace takes every process with it, however the test ends. The first
process there only reaps orphans: view daemons become its children, and a zombie must not look like a process that is
still there.

A watchdog thread ends a run that hangs: it prints where every process waits, aborts the FUSE connections (which frees
whoever waits on them) and exits with a failure, before ctest's own timeout would kill everything without a word.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

from .tools import abort_fuse_connections, scaled

SKIPPED = 77
MARK = "GIDFS_TEST_SANDBOX"


def skip_file(reason):
    """Ends the whole test file as skipped; for what can't be had on this machine."""
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIPPED)


def main(limit_seconds=None):
    """Runs the tests of the calling file. limit_seconds: when it counts as hung (else GIDFS_TEST_LIMIT, else 100)."""
    if MARK not in os.environ:
        if os.geteuid() != 0:
            skip_file("must run as root to mount")
        sys.exit(_enter())
    base = pathlib.Path(os.environ[MARK])
    tempfile.tempdir = str(base)
    os.umask(0o022)
    _start_watchdog(limit_seconds or float(os.environ.get("GIDFS_TEST_LIMIT", scaled(100))))
    result = unittest.main(module="__main__", exit=False, verbosity=2, buffer=False).result
    _exit(0 if result.wasSuccessful() else 1, result)


def _exit(status, result):
    if status == 0 and result.testsRun and len(result.skipped) >= result.testsRun:
        status = SKIPPED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _enter():
    """Outside: make the working directory, run again inside, and clear up after it."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="gidfs-test-"))
    base.chmod(0o755)
    environment = dict(os.environ, **{MARK: str(base)}, PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, "-c", _INIT, sys.executable, *sys.argv]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        shutil.rmtree(base, ignore_errors=True)


# The first process of the process namespace: starts the test, reaps whatever is orphaned, ends with the test's status.
_INIT = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
while True:
    pid, status = os.wait()
    if pid == child:
        sys.exit(os.waitstatus_to_exitcode(status) & 0xff)
"""


def _start_watchdog(limit_seconds):
    finished = threading.Event()

    def watch():
        if finished.wait(limit_seconds):
            return
        print(f"\nHUNG: no end after {limit_seconds:.0f} s", file=sys.stderr)
        print(where_everybody_waits(), file=sys.stderr, flush=True)
        abort_fuse_connections()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return finished


def where_everybody_waits():
    """Name, state and kernel stack of every thread in the namespace."""
    lines = []
    for task in sorted(pathlib.Path("/proc").glob("[0-9]*/task/[0-9]*")):
        try:
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            stack = [line.split()[-1].split("+")[0] for line in (task / "stack").read_text().splitlines()[:6]]
        except (OSError, ValueError, IndexError):
            continue
        lines.append(f"  {task.name} {status['Name'].strip()} {status['State'].strip()}: {' < '.join(stack)}")
    return "\n".join(lines)
