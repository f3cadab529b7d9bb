"""gidfsd under test: in a directory of its own, started until it says that it is ready, stopped or killed at will."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile

from .api import call
from .tools import binary, clean_environment, is_mount_point, run, scaled


class Service:
    """A running gidfsd. state_dir, run_dir and socket_path are its own; start() may be called again after stop."""

    def __init__(self, *arguments, directory=None, environment=None):
        base = pathlib.Path(directory or tempfile.mkdtemp(prefix="service-"))
        self.state_dir, self.run_dir, self.log_path = base / "state", base / "run", base / "log"
        self.socket_path = self.run_dir / "gidfs.sock"
        self.arguments = arguments
        self.environment = environment or {}
        self.process = None

    def command(self, *more):
        directories = ["--state-dir", str(self.state_dir), "--run-dir", str(self.run_dir)]
        return [binary("gidfsd"), *directories, *self.arguments, *more]

    def start(self, *more, timeout=30):
        """Returns when READY=1 has arrived; fails, with the log, when the service ends or stays silent."""
        address = str(self.log_path.parent / "notify")
        pathlib.Path(address).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.log_path, "ab") as log:
            notify.bind(address)
            notify.settimeout(0.2)
            self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_environment(NOTIFY_SOCKET=address, **self.environment))
            self._wait_for_ready(notify, scaled(timeout))
        return self

    def _wait_for_ready(self, notify, seconds):
        for _ in range(int(seconds / 0.2)):
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                if self.process.poll() is not None:
                    raise AssertionError(f"gidfsd ended with {self.process.returncode}:\n{self.log()}") from None
        raise AssertionError(f"gidfsd was not ready in {seconds:.0f} s:\n{self.log()}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, timeout=30):
        """SIGTERM, and its exit status. Views stay up, as they should: discard() takes them down."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self):
        return self._end(signal.SIGKILL, 30)

    def _end(self, number, timeout):
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            os.kill(process.pid, number)
        return process.wait(scaled(timeout))

    def gidfs(self, *words, check=True, **options):
        """Runs the gidfs command against this service."""
        return run([binary("gidfs"), "--socket", self.socket_path, *words], check=check, **options)

    def json(self, *words):
        return json.loads(self.gidfs(*words, "--json").stdout)

    def call(self, method, path, body=None):
        """What the API answers to a request; an ApiError if it refuses."""
        return call(self.socket_path, method, path, body)[1]

    def discard(self):
        """For the end of a test: ends it, and takes its views down whatever their state."""
        self.stop()
        for path in [*self.run_dir.glob("views/*"), *self.run_dir.glob("rootfs/*")]:
            while is_mount_point(path):
                run(["umount", "-l", path])
