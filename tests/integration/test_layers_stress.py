"""Many at once in one layered view, with and without workers that die: no error that a disk would not give, and the
kernel's overlayfs shows the same tree afterwards."""
import multiprocessing
import os
import pathlib
import signal

from harness import LayersTest, RandomChanges, main, snapshot

N_PROCESSES = 3
N_CHANGES = 600


class Changes(RandomChanges):
    """No FIFOs: whoever finds one where another process had a file a moment ago would wait in open for ever."""

    fifo = RandomChanges.mkdir


def change(path, seed, failures):
    try:
        Changes(seed).run(path, N_CHANGES)
    except AssertionError as failure:
        failures.put(str(failure))


def kill_workers():
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "gidfs-worker":
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass  # it has ended by itself meanwhile


class Stress(LayersTest):
    def setUp(self):
        super().setUp()
        self.require_kernel_overlay()

    def run_at_once(self, seed, meanwhile):
        layers = self.layers(2)
        for number, path in enumerate(layers.lower):
            Changes(50 + number).run(path, 150)
        layers.mount()
        failures = multiprocessing.Queue()
        processes = [multiprocessing.Process(target=change, args=(layers.path, seed + number, failures))
                     for number in range(N_PROCESSES)]
        for process in processes:
            process.start()
        while alive := [process for process in processes if process.is_alive()]:
            alive[0].join(0.2)  # one that has ended would not wait, and workers would die before they serve
            meanwhile()
        self.assertTrue(failures.empty(), None if failures.empty() else failures.get())
        ours = snapshot(layers.path)
        layers.unmount()
        layers.mount_kernel("redirect_dir=on,metacopy=on,index=on")
        kernels = snapshot(layers.path)
        layers.unmount()
        self.assertEqual(sorted(kernels), sorted(ours))
        for name, entry in kernels.items():
            self.assertEqual(entry, ours[name], name)

    def test_several_processes(self):
        self.run_at_once(100, lambda: None)

    def test_several_processes_and_dying_workers(self):
        self.run_at_once(200, kill_workers)


if __name__ == "__main__":
    main()
