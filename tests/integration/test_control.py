"""The control socket: what it answers, to whom, and that nobody can hold the keeper up."""
import os
import socket
import stat

from harness import MountTest, main, wait_until
from harness.control import Control, read_line


class ControlSocket(MountTest):
    def setUp(self):
        super().setUp()
        self.socket_path = self.directory / "control.sock"
        self.mounted = self.view(f"gid=5001,control={self.socket_path}")
        self.control = Control(self.socket_path)

    def test_only_root_may_ask(self):
        mode = os.lstat(self.socket_path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(0o600, stat.S_IMODE(mode))

    def test_it_is_alive(self):
        self.assertEqual("ok", self.control.ask("ping"))

    def test_an_unknown_command_is_an_error(self):
        self.assertTrue(self.control.ask("dance").startswith("error: "))
        self.assertTrue(self.control.ask("").startswith("error: "))

    def test_stats_tell_what_the_view_is(self):
        stats = self.control.stats()
        self.assertEqual(str(self.source), stats["source"])
        self.assertEqual(str(self.mounted.path), stats["mountpoint"])
        self.assertEqual(5001, stats["gid"])
        self.assertIn("gid=5001", stats["options"])
        self.assertEqual(1, stats["n_workers_started"])
        self.assertNotEqual(stats["keeper_pid"], stats["worker_pid"])
        for key, name in (("keeper_pid", "gidfs-view"), ("worker_pid", "gidfs-worker")):
            with open(f"/proc/{stats[key]}/comm", encoding="ascii") as file:
                self.assertEqual(name, file.read().strip())

    def test_stats_count_requests_and_inodes(self):
        before = self.control.stats()
        for number in range(20):
            (self.mounted.path / f"dir-{number}").mkdir()
        after = self.control.stats()
        self.assertEqual(20, after["requests"]["MKDIR"] - before["requests"].get("MKDIR", 0))
        self.assertEqual(20, after["n_inodes"] - before["n_inodes"])
        self.assertGreaterEqual(after["n_fds"], 1)
        self.assertGreater(after["n_bytes"], before["n_bytes"])

    def test_a_connection_may_ask_again(self):
        with self.control.connect() as client:
            client.sendall(b"ping\npi")
            self.assertEqual("ok", read_line(client))
            client.sendall(b"ng\n")
            self.assertEqual("ok", read_line(client))

    def test_silent_clients_make_room(self):
        silent = [self.control.connect() for _ in range(40)]
        self.assertEqual("ok", self.control.ask("ping"))
        for client in silent:
            client.close()
        self.assertEqual("ok", self.control.ask("ping"))

    def test_a_line_without_end_is_cut_off(self):
        with self.control.connect() as client:
            try:
                while True:
                    client.sendall(b"x" * 4096)
            except OSError:
                pass  # the keeper has hung up
        self.assertEqual("ok", self.control.ask("ping"))

    def test_a_client_that_does_not_read_is_dropped(self):
        with self.control.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            try:
                while True:
                    client.sendall(b"stats\n" * 100)
            except OSError:
                pass
        self.assertEqual("ok", self.control.ask("ping"))

    def test_clients_stay_connected_when_a_worker_dies(self):
        with self.control.connect() as client:
            client.sendall(b"ping\n")
            self.assertEqual("ok", read_line(client))
            self.control.kill_worker()
            client.sendall(b"ping\n")
            self.assertEqual("ok", read_line(client))
        self.assertEqual([], os.listdir(self.mounted.path))

    def test_the_socket_goes_with_the_view(self):
        self.mounted.unmount()
        wait_until(lambda: not self.socket_path.exists(), "the end of the socket")

    def test_a_dead_socket_is_replaced_and_a_live_one_is_not(self):
        dead = self.directory / "dead.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_over:
            left_over.bind(str(dead))
        self.view(f"gid=5002,control={dead}")
        self.assertEqual("ok", Control(dead).ask("ping"))
        self.assertIn("another process listens there", self.refused(f"gid=5003,control={self.socket_path}"))
        plain = self.directory / "plain"
        plain.write_text("not a socket")
        self.assertIn("something else is there", self.refused(f"gid=5003,control={plain}"))


if __name__ == "__main__":
    main()
