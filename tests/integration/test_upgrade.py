"""upgrade, abort and the watchdog: what is done to a running view from outside."""
import errno
import os
import shutil
import signal

from harness import MountTest, binary, loads, main, scaled, snapshot, wait_until
from harness.clients import Client, state_of
from harness.control import Control


class Running(MountTest):
    def start(self, options=""):
        self.socket_path = self.new_directory(prefix="control-") / "sock"
        self.mounted = self.view(f"gid=5001,control={self.socket_path}{options}")
        self.control = Control(self.socket_path)
        self.path = self.mounted.path

    def copy_of_program(self):
        copy = self.new_directory(prefix="program-") / "gidfs-view"
        shutil.copy(binary("gidfs-view"), copy)
        return copy

    def program_of(self, pid):
        return os.readlink(f"/proc/{pid}/exe")


class Upgrade(Running):
    def test_both_processes_run_the_new_program(self):
        self.start()
        (self.path / "before").write_text("before")
        with open(self.path / "before", "r+", encoding="ascii") as file:
            os.unlink(self.path / "before")
            old = self.control.stats()
            new_program = self.copy_of_program()
            self.assertTrue(self.control.ask(f"upgrade {new_program}").startswith("ok "))
            new = self.control.stats()
            self.assertEqual(old["keeper_pid"], new["keeper_pid"])
            self.assertNotEqual(old["worker_pid"], new["worker_pid"])
            for key in ("source", "mountpoint", "options", "gid", "passthrough"):
                self.assertEqual(old[key], new[key], key)
            self.assertGreaterEqual(new["uptime_ms"], old["uptime_ms"])
            self.assertEqual(str(new_program), self.program_of(new["keeper_pid"]))
            self.assertEqual(str(new_program), self.program_of(new["worker_pid"]))
            self.assertEqual("before", file.read())
        self.assertEqual([], os.listdir(self.path))
        self.control.kill_worker()
        (self.path / "after").write_text("after")
        self.mounted.unmount()
        wait_until(lambda: state_of(old["keeper_pid"]) in ("", "Z"), "the end of the keeper")

    def test_without_a_path_it_is_the_installed_program(self):
        self.start()
        self.assertTrue(self.control.ask("upgrade").startswith("ok "))
        self.assertEqual(binary("gidfs-view"), self.program_of(self.control.stats()["keeper_pid"]))

    def test_upgrades_leave_nothing_open(self):
        self.start()
        (self.path / "file").write_text("x")
        self.control.ask("upgrade")
        keeper = self.control.stats()["keeper_pid"]
        with self.control.connect():  # another client, which is cut off
            before = len(os.listdir(f"/proc/{keeper}/fd"))
            for _ in range(4):
                self.assertTrue(self.control.ask("upgrade").startswith("ok "))
                (self.path / "file").read_text()
        self.assertLessEqual(len(os.listdir(f"/proc/{keeper}/fd")), before + 3)

    def test_a_program_that_cannot_take_over_changes_nothing(self):
        self.start()
        old = self.control.stats()
        script = self.directory / "refuses"
        script.write_text("#!/bin/sh\necho 'no such layout' >&2\nexit 1\n")
        script.chmod(0o755)
        for program, reason in ((script, "no such layout"), ("/nonexistent", "No such file"), ("relative", "absolute")):
            answer = self.control.ask(f"upgrade {program}")
            self.assertTrue(answer.startswith("error: "), answer)
            self.assertIn(reason, answer)
        # One that says yes, and is then no program to run: the old one goes on.
        vanishes = self.directory / "vanishes"
        vanishes.write_text("#!/bin/sh\nrm -f \"$0\"\nexit 0\n")
        vanishes.chmod(0o755)
        self.assertIn("No such file", self.control.ask(f"upgrade {vanishes}"))
        self.assertEqual(old["keeper_pid"], self.control.stats()["keeper_pid"])
        (self.path / "file").write_text("works")
        self.control.kill_worker()
        self.assertEqual("works", (self.path / "file").read_text())

    def under_load(self, options):
        self.start(options)
        calm = self.new_directory(self.fs.path)
        self.addCleanup(shutil.rmtree, calm, ignore_errors=True)
        functions = (loads.append, loads.create_and_unlink, loads.rename, loads.list_directory)
        running = [loads.Load(function, self.path / function.__name__, 60) for function in functions]
        quiet = [loads.Load(function, calm / function.__name__, 60) for function in functions]
        n_upgrades = 0
        while not all([load.has_ended() for load in running]):
            answer = self.control.ask("upgrade")
            self.assertTrue(answer.startswith("ok "), answer)
            n_upgrades += 1
        wait_until(lambda: all([load.has_ended() for load in quiet]), "the calm run")
        self.assertGreater(n_upgrades, 0)
        self.assertEqual(snapshot(calm, times=False), snapshot(self.source, times=False))

    def test_under_load(self):
        self.under_load("")

    def test_under_load_without_passthrough(self):
        self.under_load(",passthrough=off")

    def test_layers(self):
        lower, upper, work = (self.new_directory(self.fs.path) for _ in range(3))
        (lower / "below").write_text("below")
        socket_path = self.new_directory(prefix="control-") / "sock"
        names = ",".join(f"{option}={os.path.relpath(path)}" for option, path in
                         (("lowerdir", lower), ("upperdir", upper), ("workdir", work)))
        view = self.view(f"{names},control={socket_path}")
        control = Control(socket_path)
        with open(view.path / "below", encoding="ascii") as file:
            self.assertTrue(control.ask("upgrade").startswith("ok "))
            self.assertEqual("below", file.read())
        (view.path / "below").write_text("above")
        self.assertEqual("below", (lower / "below").read_text())
        self.assertEqual("above", (upper / "below").read_text())


class Abort(Running):
    def test_callers_are_freed(self):
        self.start()
        (self.path / "file").write_text("x")
        worker = self.control.worker()
        keeper = self.control.stats()["keeper_pid"]
        os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: state_of(worker) == "T", "the worker to stop")
        client = Client(os.mkdir, self.path / "new")
        self.assertEqual("ok", self.control.ask("abort"))
        self.assertIn(client.error(), (errno.ECONNABORTED, errno.ENOTCONN))
        self.assertIsNone(self.mounted.entry())
        wait_until(lambda: state_of(keeper) in ("", "Z"), "the end of the keeper")
        self.assertFalse(self.socket_path.exists())
        self.assertEqual(["file"], os.listdir(self.source))


class Watchdog(Running):
    def test_a_stopped_worker_is_replaced(self):
        self.start()
        worker = self.control.worker()
        os.kill(worker, signal.SIGSTOP)
        os.mkdir(self.path / "dir")  # hangs until the keeper has had enough
        self.assertNotEqual(worker, self.control.worker())
        self.assertEqual(["dir"], os.listdir(self.source))

    def test_a_worker_may_be_asked_to_stop(self):
        self.start()
        self.control.kill_worker(signal.SIGTERM)
        os.mkdir(self.path / "dir")


if __name__ == "__main__":
    main(scaled(110))
