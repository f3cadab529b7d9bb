"""Workers that do not serve, and keepers that are gone."""
import ctypes
import os
import signal

from harness import MountTest, main, scaled, wait_until
from harness.clients import Client, state_of
from harness.control import Control

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WAIT_FOR_ALL = 0x40000000  # threads too
libc = ctypes.CDLL(None, use_errno=True)


def trace(threads):
    """Holds them until they are killed. 0, or why not."""
    for thread in threads:
        if libc.ptrace(PTRACE_SEIZE, thread, None, None) < 0 or libc.ptrace(PTRACE_INTERRUPT, thread, None, None) < 0:
            return ctypes.get_errno()
    try:
        while True:
            os.waitpid(-1, WAIT_FOR_ALL)
    except ChildProcessError:
        return 0


class Watchdog(MountTest):
    def setUp(self):
        super().setUp()
        socket_path = self.new_directory(prefix="control-") / "sock"
        self.mounted = self.view(f"gid=5001,control={socket_path}")
        self.path = self.mounted.path
        self.control = Control(socket_path)
        self.worker = self.control.worker()

    def freeze(self):
        """Stops every thread of the worker, by a tracer: its keeper is told of nothing, as if it hung by itself."""
        threads = [int(name) for name in os.listdir(f"/proc/{self.worker}/task")]
        tracer = os.fork()
        if tracer == 0:
            os._exit(trace(threads))
        wait_until(lambda: state_of(tracer) == "Z" or {state_of(f"{self.worker}/task/{thread}") for thread in threads}
                   == {"t"}, "the worker to stop")
        if state_of(tracer) == "Z":
            self.skipTest(f"no tracing here: {os.strerror(os.waitstatus_to_exitcode(os.waitpid(tracer, 0)[1]))}")
        self.addCleanup(os.waitpid, tracer, 0)

    def test_a_worker_that_takes_no_requests_is_replaced(self):
        self.freeze()
        client = Client(os.mkdir, self.path / "dir")
        wait_until(lambda: self.control.worker() != self.worker, "another worker", timeout=60)
        self.assertEqual(0, client.error())
        self.assertEqual(["dir"], os.listdir(self.source))

    def test_without_its_keeper_a_worker_serves_until_the_unmount(self):
        os.kill(self.control.stats()["keeper_pid"], signal.SIGKILL)
        os.mkdir(self.path / "dir")
        self.assertEqual(["dir"], os.listdir(self.source))
        self.mounted.unmount()
        wait_until(lambda: state_of(self.worker) in ("", "Z"), "the end of the worker")


if __name__ == "__main__":
    main(scaled(150))
