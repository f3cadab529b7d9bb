"""The control socket of a view (docs/view-control.md): one line asks, one line answers."""
import json
import os
import pathlib
import signal
import socket

from .tools import scaled, wait_until


class Control:
    """A client of the control socket at path. Each ask() is a connection of its own."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(self.path))
        client.settimeout(scaled(30))
        return client

    def ask(self, line):
        with self.connect() as client:
            client.sendall(line.encode() + b"\n")
            return read_line(client)

    def stats(self):
        return json.loads(self.ask("stats"))

    def worker(self):
        """The pid of the worker."""
        return self.stats()["worker_pid"]

    def kill_worker(self, number=signal.SIGKILL):
        """Ends the worker. Returns once another has taken over."""
        before = self.stats()
        os.kill(before["worker_pid"], number)
        wait_until(lambda: self.stats()["n_workers_started"] > before["n_workers_started"], "a new worker")


def read_line(client):
    data = b""
    while not data.endswith(b"\n"):
        part = client.recv(65536)
        if not part:
            break
        data += part
    return data.decode().rstrip("\n")
