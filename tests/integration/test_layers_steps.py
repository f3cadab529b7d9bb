"""A worker dies at each step of what changes a layered view (fault points, in builds that have them): the change is
made once and whole, and the kernel's overlayfs reads the same of the upper."""
import os
import shutil
import signal

from harness import LayersTest, main, run, snapshot, wait_until, write_tree
from harness.clients import Client, state_of
from harness.control import Control

BIG = 5 << 20
POINTS = ("layers-place-copy", "layers-index-add", "layers-index-link", "layers-index-count", "layers-hide",
          "layers-take-dir", "layers-replace-whiteout", "layers-rename", "layers-settle-old-name",
          "layers-metacopy-complete")


def append(root):
    with open(root / "file", "a", encoding="ascii") as file:
        file.write("more")


def append_to_a_link(root):
    with open(root / "linked", "a", encoding="ascii") as file:
        file.write("more")


def change_and_append_to_a_big_one(root):
    (root / "big").chmod(0o600)
    with open(root / "big", "a", encoding="ascii") as file:
        file.write("more")


def change_a_directory(root):
    (root / "d" / "sub").chmod(0o700)


def unlink(root):
    (root / "file").unlink()


def unlink_what_was_copied_up(root):
    (root / "file").chmod(0o600)
    (root / "file").unlink()


def unlink_a_link(root):
    (root / "linked").unlink()


def remove_a_directory(root):
    (root / "e" / "z").unlink()
    (root / "e").rmdir()


def create_again(root):
    (root / "file").unlink()
    (root / "file").write_text("new")


def make_a_directory_again(root):
    shutil.rmtree(root / "e")
    (root / "e").mkdir()
    (root / "e" / "new").touch()


def rename(root):
    os.rename(root / "file", root / "d" / "moved")


def rename_over_another(root):
    os.rename(root / "file", root / "linked")


def rename_a_directory(root):
    os.rename(root / "d", root / "e" / "moved")


def rename_a_directory_over_an_emptied_one(root):
    (root / "e" / "z").unlink()
    os.rename(root / "d", root / "e")


def rename_a_directory_over_a_whiteout(root):
    shutil.rmtree(root / "e")
    (root / "fresh").mkdir()
    os.rename(root / "fresh", root / "e")


CHANGES = (append, append_to_a_link, change_and_append_to_a_big_one, change_a_directory, unlink,
           unlink_what_was_copied_up, unlink_a_link, remove_a_directory, create_again, make_a_directory_again, rename,
           rename_over_another, rename_a_directory, rename_a_directory_over_an_emptied_one,
           rename_a_directory_over_a_whiteout)


class Steps(LayersTest):
    def setUp(self):
        super().setUp()
        layers = self.layers(1)
        control = Control(self.directory / "probe")
        layers.mount(f"control={control.path}")
        if control.ask("fault none 9 0") != "ok":
            self.skipTest("fault points are not compiled in (GIDFS_FAULTS)")
        layers.unmount()

    def make(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"file": "1", "linked": "2", "d": {"x": "3", "sub": {"y": "4"}}, "e": {"z": "5"}})
        os.link(layers.lower[0] / "linked", layers.lower[0] / "d" / "link")
        (layers.lower[0] / "big").write_bytes(b"b" * BIG)
        return layers

    def die_at(self, point, change):
        """Whether it came to that point."""
        layers = self.make()
        plain = layers.root / "plain"
        run(["cp", "-a", layers.lower[0], plain])
        control = Control(self.directory / f"{point}-{change.__name__[:40]}")
        layers.mount(f"control={control.path}")
        self.assertEqual("ok", control.ask(f"fault {point} {int(signal.SIGKILL)} 1"))
        change(layers.path)
        change(plain)
        n_workers = control.stats()["n_workers_started"]
        control.ask(f"fault none {int(signal.SIGKILL)} 0")
        self.compare(plain, layers.path)
        layers.unmount()
        layers.mount()
        self.compare(plain, layers.path)
        self.assertEqual([], os.listdir(layers.work / "work"))
        layers.unmount()
        if self.reads_with_the_kernel:
            layers.mount_kernel("redirect_dir=on,index=on,metacopy=on")
            self.compare(plain, layers.path)
            layers.unmount()
        shutil.rmtree(layers.root)
        return n_workers > 1

    def compare(self, plain, shown):
        self.maxDiff = None
        self.assertEqual(self.content(plain), self.content(shown))

    def content(self, root):
        fields = ("mode", "nlink", "content", "first_link")
        return {name: [entry.get(field) for field in fields] for name, entry in snapshot(root, times=False).items()}

    def test_a_crash_of_the_machine_amid_a_rename_brings_nothing_back(self):
        """A directory comes to the name of an emptied one, which has its old name then, for a moment."""
        layers = self.make()
        (layers.lower[0] / "e" / "z").unlink()
        (layers.lower[0] / "e" / "sub").mkdir()
        control = Control(self.directory / "socket")
        layers.mount(f"control={control.path}")
        (layers.path / "e" / "sub").rmdir()
        self.assertEqual("ok", control.ask(f"fault layers-settle-old-name {int(signal.SIGSTOP)} 1"))
        client = Client(os.rename, layers.path / "d", layers.path / "e")
        worker = control.worker()
        wait_until(lambda: state_of(worker) == "T", "the worker to stop")
        crashed = self.layers(0)
        run(["cp", "-a", f"{layers.upper}/.", crashed.upper])
        os.kill(worker, signal.SIGCONT)
        self.assertEqual(0, client.error())
        crashed.lower = layers.lower
        crashed.mount()
        self.assertEqual(["link", "sub", "x"], sorted(os.listdir(crashed.path / "e")))
        self.assertEqual([], os.listdir(crashed.path / "d"))

    def test_every_change_at_every_step(self):
        probe = self.layers(1)
        done = run(["mount", "-t", "overlay", "-o", probe.options("index=on"), "overlay", probe.path], check=False)
        self.reads_with_the_kernel = done.returncode == 0
        if self.reads_with_the_kernel:
            probe.unmount()
        for point in POINTS:
            reached = []
            for change in CHANGES:
                with self.subTest(point=point, change=change.__name__):
                    if self.die_at(point, change):
                        reached.append(change)
            with self.subTest(point=point):
                self.assertNotEqual([], reached, "nothing comes to it")


if __name__ == "__main__":
    main()
