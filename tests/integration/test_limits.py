"""Caps of a view: when it may know no more inodes, the kernel is asked to forget, and nothing worse happens."""
import errno
import os

from harness import MountTest, main, wait_until
from harness.control import Control


class MaxInodes(MountTest):
    cap = 1000

    def setUp(self):
        super().setUp()
        for number in range(4 * self.cap):
            directory = self.source / f"dir-{number // 100}"
            if number % 100 == 0:
                directory.mkdir()
            os.close(os.open(directory / f"file-{number}", os.O_CREAT | os.O_WRONLY, 0o644))
        socket_path = self.directory / "sock"
        self.path = self.view(f"gid=5001,max_inodes={self.cap},control={socket_path}").path
        self.control = Control(socket_path)

    def files(self):
        return [self.path / f"dir-{number // 100}" / f"file-{number}" for number in range(4 * self.cap)]

    def need_pruning(self):
        """Fills the table; skips the test where the kernel does not forget when asked (before protocol 7.45)."""
        try:
            for name in self.files():
                os.stat(name)
        except OSError as error:
            self.assertEqual(errno.ENFILE, error.errno)
            self.skipTest("this kernel can't be asked to forget inodes")

    def test_a_walk_over_more_files_than_the_cap(self):
        self.need_pruning()
        for _ in range(2):
            seen = [entry.path for directory in os.scandir(self.path) for entry in os.scandir(directory)
                    if entry.stat().st_size == 0]
            self.assertEqual(4 * self.cap, len(set(seen)))
            self.assertLessEqual(self.control.stats()["n_inodes"], self.cap)
        self.control.kill_worker()
        for name in self.files():
            os.stat(name)
        self.assertLessEqual(self.control.stats()["n_inodes"], self.cap)

    def test_files_in_use_count_and_are_left_alone(self):
        held = []
        try:
            with self.assertRaises(OSError) as caught:
                for name in self.files():
                    held.append(os.open(name, os.O_RDONLY))
            self.assertIn(caught.exception.errno, (errno.ENFILE, errno.EMFILE))
            self.assertLessEqual(self.control.stats()["n_inodes"], self.cap)
            for fd in held:
                self.assertEqual(0, os.fstat(fd).st_size)
        finally:
            for fd in held:
                os.close(fd)

        def works_again():
            try:
                os.stat(self.files()[-1])
                return True
            except OSError:
                return False

        self.assertEqual("ok", self.control.ask("ping"))
        if self.control.stats()["n_inodes"] < self.cap:
            wait_until(works_again, "room")


if __name__ == "__main__":
    main()
