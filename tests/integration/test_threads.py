"""The threads of a view's server: nothing awake without work, and nobody held up by somebody else's slow request."""
import os
import pathlib
import shutil
import threading
import time

from harness import MountTest, main, run, scaled, wait_until
from harness.control import Control

N_SLOW = 20


class Threads(MountTest):

    def setUp(self):
        super().setUp()
        socket = self.directory / "control.sock"
        self.path = self.view(f"gid=5000,control={socket}").path
        self.control = Control(socket)

    def processes(self):
        """Keeper, worker, and what the worker has started."""
        stats = self.control.stats()
        pids = [stats["keeper_pid"], stats["worker_pid"]]
        for file in pathlib.Path(f"/proc/{stats['worker_pid']}/task").glob("*/children"):
            pids += [int(pid) for pid in file.read_text().split()]
        return pids

    def test_an_idle_view_does_nothing(self):
        if "libtsan" in pathlib.Path(f"/proc/{self.control.worker()}/maps").read_text():
            self.skipTest("the thread sanitizer has threads of its own, which never rest")
        for number in range(200):  # so that everything there is has been started
            (self.path / f"file{number}").write_text("own")
            (self.source / f"other{number}").write_text("foreign")
        wait_until(lambda: len(os.listdir(self.path)) == 400, "all is seen")
        pids = self.processes()
        deadline = time.monotonic() + scaled(30)
        while time.monotonic() < deadline:  # it may take a moment to calm down, and this is the moment
            before = switches(pids)
            time.sleep(1)
            if switches(pids) == before:
                return
        self.fail(f"threads go on waking up: {before} became {switches(pids)}")

    def test_slow_requests_hold_nobody_up(self):
        if not shutil.which("fsfreeze"):
            self.skipTest("fsfreeze is not installed")
        for number in range(N_SLOW):
            (self.source / f"dir{number}").mkdir()
        (self.source / "quick").mkdir()
        for number in range(200):
            (self.source / "quick" / f"file{number}").write_text("here")
            os.path.exists(self.path / f"dir{number % N_SLOW}")
        os.path.exists(self.path / "quick")
        run(["fsfreeze", "-f", self.fs.path])
        thawed = False
        slow = [threading.Thread(target=os.mkdir, args=(self.path / f"dir{number}" / "made",))
                for number in range(N_SLOW)]
        try:
            for thread in slow:
                thread.start()
            wait_until(lambda: self.control.stats()["requests"].get("MKDIR", 0) == N_SLOW, "all are at the server")
            for number in range(200):
                self.assertEqual(4, os.stat(self.path / "quick" / f"file{number}").st_size)
            run(["fsfreeze", "-u", self.fs.path])
            thawed = True
            for thread in slow:
                thread.join(scaled(30))
                self.assertFalse(thread.is_alive())
        finally:
            if not thawed:
                run(["fsfreeze", "-u", self.fs.path], check=False)
        for number in range(N_SLOW):
            self.assertTrue((self.source / f"dir{number}" / "made").is_dir())


def switches(pids):
    """How often each thread has been scheduled."""
    counts = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    counts[f"{(task / 'comm').read_text().strip()}/{task.name}"] = int(line.split()[1])
    return counts


if __name__ == "__main__":
    main()
