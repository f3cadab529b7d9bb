"""Measures the control side, with ten volumes to ten thousand; see scripts/bench --control.

The service is the real one. Views are stood in for by empty file systems: what is measured is what the service does,
and ten thousand views are twenty thousand processes. (How long a view takes to start is among the other figures.)
Each stage brings the number of volumes, and then of attachments, up to its size and takes the figures of its last
operations: what one more costs when so many are there. The API is called on one connection that stays open, so that
what is measured is the service; `gidfs ls` is the command as an operator runs it."""
import concurrent.futures
import ctypes
import http.client
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

import report

BEGIN = "<!-- figures: scripts/bench --control --report -->"
ROWS = {"allocate_s": "create a volume", "attach_s": "attach it", "detach_s": "detach it",
        "list_volumes_s": "`gidfs ls`, of the volumes", "list_s": "`gidfs ls`, attachments too",
        "list_changed_s": "the same when somebody has mounted something",
        "recover_s": "`gidfs recover`, nothing to do", "restart_s": "start after a kill, all adopted"}
LIBC, MNT_DETACH = ctypes.CDLL(None), 2
SAMPLES = 20
LISTINGS = 15
CONTAINERS, CLIENTS = 200, 16
RECOVERY_LIMIT_S = 600


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("gidfs", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        self.request(method, path, None if body is None else json.dumps(body))
        response = self.getresponse()
        answer = json.loads(response.read())
        if response.status >= 400:
            raise SystemExit(f"bench: {method} {path}: {answer['error']['message']}")
        return answer


class Service:
    def __init__(self, build, base):
        self.programs = build / "bin"
        self.view_program = build / "bench" / "bench-stand-in-view"
        self.base = base
        self.socket_path = base / "run" / "gidfs.sock"
        self.process = None

    def start(self):
        """Seconds until the service says that it is ready: it has recovered then."""
        address = str(self.base / "notify")
        pathlib.Path(address).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.base / "log", "ab") as log:
            notify.bind(address)
            notify.settimeout(RECOVERY_LIMIT_S)
            begin = time.monotonic()
            environment = dict(os.environ, NOTIFY_SOCKET=address, GIDFS_VIEW_PROGRAM=str(self.view_program))
            self.process = subprocess.Popen(
                [self.programs / "gidfsd", "--state-dir", self.base / "state", "--run-dir", self.base / "run",
                 "--gid-range", "100000-199999"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            while b"READY=1" not in notify.recv(4096).split(b"\n"):
                pass
            return time.monotonic() - begin

    def end(self, number):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def connection(self):
        return Connection(self.socket_path)

    def listing(self):
        """Seconds that the whole command takes, into a file as into a pipe."""
        begin = time.monotonic()
        subprocess.run([self.programs / "gidfs", "--socket", self.socket_path, "ls"], check=True,
                       stdout=subprocess.DEVNULL)
        return time.monotonic() - begin


class ControlBench:
    def __init__(self, options):
        self.options = options
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="gidfs-control-", dir=options.dir))
        self.service = Service(pathlib.Path(options.build).resolve(), self.base)
        self.n_volumes = self.n_attachments = 0

    def run(self):
        try:
            self.service.start()
            stages = [self.stage(size) for size in self.options.sizes]
            return {"machine": self.machine(), "stages": stages, "start": self.start_many()}
        finally:
            self.clean_up()

    def machine(self):
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.base], capture_output=True, text=True, check=False)
        return {"kernel": platform.release(), "processors": os.cpu_count(), "file_system": kind.stdout.strip()}

    def stage(self, size):
        connection = self.service.connection()
        found = {"size": size, "allocate_s": self.grow("n_volumes", size, self.allocate, connection),
                 "list_volumes_s": self.list(), "attach_s": self.grow("n_attachments", size, self.attach, connection),
                 "list_s": self.list(), "list_changed_s": self.list_changed(),
                 "detach_s": self.detach_some(connection), "recover_s": self.recover(connection),
                 "restart_s": self.restart()}
        print(f"{size:>6} volumes and attachments: " +
              "  ".join(f"{name} {value * 1000:.1f} ms" for name, value in found.items() if name != "size"), flush=True)
        return found

    def grow(self, counter, size, function, connection):
        """The median of the last operations that bring the counter up to the size."""
        taken = []
        for number in range(getattr(self, counter), size):
            taken.append(timed(function, connection, number))
        setattr(self, counter, size)
        return statistics.median(taken[-SAMPLES:])

    def allocate(self, connection, number):
        source = self.base / "sources" / f"{number // 100}" / f"v{number}"
        source.mkdir(parents=True, exist_ok=True)
        connection.call("POST", "/v1/volumes", {"name": f"v{number}", "source": str(source)})

    def attach(self, connection, number):
        target = self.base / "targets" / f"{number // 100}" / f"t{number}"
        target.mkdir(parents=True, exist_ok=True)
        connection.call("POST", "/v1/attachments", {"volume": f"v{number}", "target": str(target)})

    def detach_some(self, connection):
        """One off, timed, and on again, for volumes from everywhere."""
        taken = []
        for number in range(0, self.n_attachments, max(1, self.n_attachments // SAMPLES)):
            target = self.base / "targets" / f"{number // 100}" / f"t{number}"
            taken.append(timed(connection.call, "DELETE", f"/v1/attachments?target={target}"))
            self.attach(connection, number)
        return statistics.median(taken)

    def list(self):
        return statistics.median(self.service.listing() for _ in range(LISTINGS))

    def list_changed(self):
        """With the kernel's mount table to be read again."""
        taken = []
        place = self.base / "mounted"
        place.mkdir(exist_ok=True)
        for _ in range(LISTINGS // 3):
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
            subprocess.run(["umount", place], check=True)
            taken.append(self.service.listing())
        return statistics.median(taken)

    def recover(self, connection):
        """Everything is as it should be, which is found out of table and mount table."""
        return statistics.median(timed(connection.call, "POST", "/v1/recover", {}) for _ in range(3))

    def restart(self):
        self.service.end(signal.SIGKILL)
        return self.service.start()

    def start_many(self):
        """Seconds for CONTAINERS with two volumes each, prepared at once by CLIENTS, and their cleaning up."""
        shared = self.base / "sources" / "shared"
        shared.mkdir(parents=True, exist_ok=True)
        for number in range(CONTAINERS):
            (self.base / "containers" / f"c{number}" / "own").mkdir(parents=True)
            (self.base / "containers" / f"c{number}" / "shared").mkdir()
            (self.base / "sources" / f"own{number}").mkdir()
        prepare, prepare_each = self.in_parallel(self.prepare)
        cleanup, cleanup_each = self.in_parallel(self.clean_container)
        return {"containers": CONTAINERS, "clients": CLIENTS, "prepare_s": prepare, "prepare_median_s": prepare_each,
                "cleanup_s": cleanup, "cleanup_median_s": cleanup_each}

    def in_parallel(self, function):
        def client(first):
            connection = self.service.connection()
            return [timed(function, connection, number) for number in range(first, CONTAINERS, CLIENTS)]
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            taken = [one for several in pool.map(client, range(CLIENTS)) for one in several]
        return time.monotonic() - begin, statistics.median(taken)

    def prepare(self, connection, number):
        place = self.base / "containers" / f"c{number}"
        connection.call("POST", "/v1/containers", {
            "id": f"c{number}", "user": 1000, "volumes": [
                {"source": str(self.base / "sources" / f"own{number}"), "target": str(place / "own")},
                {"source": str(self.base / "sources" / "shared"), "target": str(place / "shared")}]})

    def clean_container(self, connection, number):
        connection.call("DELETE", f"/v1/containers/c{number}")

    def clean_up(self):
        """The mount namespace takes the mounts along; the views end with them."""
        self.service.end(signal.SIGKILL)
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            target = line.split()[4]
            if target.startswith(f"{self.base}/"):
                LIBC.umount2(target.encode(), MNT_DETACH)
        shutil.rmtree(self.base, ignore_errors=True)


def timed(function, *arguments):
    begin = time.monotonic()
    function(*arguments)
    return time.monotonic() - begin


def text(figures):
    """Markdown: milliseconds by the number of volumes and attachments."""
    machine, stages, start = figures["machine"], figures["stages"], figures["start"]
    lines = [f"Linux {machine['kernel']}, {machine['processors']} processors, {machine['file_system']}.", "",
             "| milliseconds, with this many volumes and attachments | " +
             " | ".join(f"{stage['size']:,}" for stage in stages) + " |", "|---|" + "---:|" * len(stages)]
    for name, title in ROWS.items():
        lines.append(f"| {title} | " + " | ".join(f"{stage[name] * 1000:,.1f}" for stage in stages) + " |")
    lines += ["", f"{start['containers']} containers with two volumes each, started at once by {start['clients']} "
              f"clients beside the {stages[-1]['size']:,} volumes: prepared in {start['prepare_s']:.1f} s, cleaned up "
              f"in {start['cleanup_s']:.1f} s."]
    return "\n".join(lines)


def into_documentation(figures):
    report.into_document(BEGIN, text(figures))
    (report.DOCS / "performance-control.json").write_text(json.dumps(figures, indent=1) + "\n")
