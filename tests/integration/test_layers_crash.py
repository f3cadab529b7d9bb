"""A crash in the midst of copy-ups, of the machine or of the worker: every file is old or new, never between."""
import multiprocessing
import os
import random
import signal
import time

from harness import LayersTest, main, scaled, wait_until
from harness.control import Control

N_FILES = 120
N_CUTS = 3
N_KILLS = 25
BIG = 5 << 20  # from where data may stay below
TAIL = b"and a tail"


def make_files(root):
    """Their contents, by name. Of some there are two links."""
    draw = random.Random(7)
    contents = {f"f{number}": draw.randbytes(draw.choice((0, 100, 5000, 70000, 300000))) for number in range(N_FILES)}
    contents["big"] = draw.randbytes(BIG)
    for name, content in contents.items():
        (root / name).write_bytes(content)
    for number in range(0, N_FILES, 9):
        os.link(root / f"f{number}", root / f"f{number}.linked")
        contents[f"f{number}.linked"] = contents[f"f{number}"]
    return contents


def change(path):
    path.chmod(0o600)


def open_to_write(path):
    os.close(os.open(path, os.O_RDWR))


def mark(path):
    os.setxattr(path, "user.mark", b"1")


def append(path):
    with open(path, "ab") as file:
        file.write(TAIL)
        file.flush()
        os.fsync(file.fileno())


def rename(path):
    os.rename(path, path.with_suffix(".moved"))


def choose_changes(names, seed):
    """(name, function) in the order in which they are done. Other links of a file are left alone."""
    draw = random.Random(seed)
    names = [name for name in names if not name.endswith(".linked")]
    draw.shuffle(names)
    return [(name, draw.choice((change, open_to_write, mark, append, rename))) for name in names]


def do_changes(root, changes, log_path):
    """One after the other; the name of each that is done is in the log. Ends with the power."""
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for name, function in changes:
        try:
            function(root / name)
        except OSError as error:
            os.write(log, f"! {name}: {function.__name__}: {error}\n".encode())
            os._exit(1)
        os.write(log, f"{name}\n".encode())
    os._exit(0)


class Crash(LayersTest):
    size_mib = 1024

    def start(self, layers, changes):
        self.log = layers.test.directory / f"log-{layers.path.name}"
        self.log.touch()
        process = multiprocessing.Process(target=do_changes, args=(layers.path, changes, self.log))
        process.start()
        return process

    def done(self):
        return [line for line in self.log.read_text().splitlines() if not line.startswith("!")]

    def check(self, layers, contents, changes, done):
        functions = dict(changes)
        for name, content in contents.items():
            path = layers.path / name
            moved = path.with_suffix(".moved")
            if functions.get(name) is rename:
                self.assertNotEqual(path.exists(), moved.exists(), name)
                path = moved if moved.exists() else path
            found = path.read_bytes()
            first = name.removesuffix(".linked")
            if functions.get(first) is append:
                self.assertTrue(first not in done or found == content + TAIL, f"{name}: what was synced is lost")
                self.assertLessEqual(len(found), len(content + TAIL))
                found = found[:len(content)]
            self.assertEqual(hash(content), hash(found), f"{name} after {functions.get(first)}")
            links = 2 if first + ".linked" in contents else 1
            self.assertEqual(links, path.stat().st_nlink, name)
        self.assertEqual([], os.listdir(layers.work / "work"))


class PowerCut(Crash):
    def test_power_cuts(self):
        if self.fs.kind not in ("ext4", "xfs"):
            self.skipTest(f"{self.fs.kind} can't be cut off from its disk")
        for seed in range(N_CUTS):
            with self.subTest(seed=seed):
                layers = self.layers(1)
                contents = make_files(layers.lower[0])
                os.sync()
                changes = choose_changes(contents, seed)
                n_before = random.randrange(1, N_FILES)
                self.cut(layers, changes, lambda n=n_before: len(self.done()) >= n)
                done = self.done()
                self.assertGreaterEqual(len(done), n_before)
                self.check(layers, contents, changes, done)
                layers.unmount()

    def test_data_from_below_a_metacopy(self):
        """A lower layer has the metadata of a file, the one below it the data: their copy is one file."""
        if self.fs.kind not in ("ext4", "xfs"):
            self.skipTest(f"{self.fs.kind} can't be cut off from its disk")
        layers = self.layers(2)
        content = os.urandom(BIG)
        (layers.lower[1] / "big").write_bytes(content)
        with open(layers.lower[0] / "big", "wb") as file:
            file.truncate(BIG)
        os.setxattr(layers.lower[0] / "big", "trusted.overlay.metacopy", b"")
        os.sync()
        changes = [("big", open_to_write), ("new", sync_directory)]
        self.cut(layers, changes, lambda: len(self.done()) == 2)
        self.assertTrue((layers.upper / "big").exists())
        self.assertEqual(hash(content), hash((layers.path / "big").read_bytes()))

    def cut(self, layers, changes, is_time):
        """Mounts the view, makes the changes, cuts the power when it is time, and mounts all again."""
        layers.mount()
        process = self.start(layers, changes)
        wait_until(lambda: is_time() or not process.is_alive(), "some changes", timeout=60)
        self.fs.cut_power()
        process.join()
        layers.unmount()
        self.fs.mount_again()
        layers.mount()


def sync_directory(path):
    """Brings what is known of names to the disk, and no other file's data."""
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


class Kills(Crash):
    def test_kills_of_the_worker(self):
        layers = self.layers(1)
        contents = make_files(layers.lower[0])
        changes = choose_changes(contents, 100)
        control = Control(self.directory / "socket")
        layers.mount(f"control={control.path}")
        process = self.start(layers, changes)
        for _ in range(N_KILLS):
            self.let_live(control, process)
            if not process.is_alive():
                break
            try:
                os.kill(control.worker(), signal.SIGKILL)
            except ProcessLookupError:
                pass  # dead already, and not known to be
        process.join()
        self.assertEqual([name for name, _ in changes], self.log.read_text().splitlines())
        layers.unmount()
        layers.mount()
        self.check(layers, contents, changes, self.done())

    def let_live(self, control, process):
        """Waits for some requests to be answered; not for ever, since the last ones may be."""
        target = control.stats()["n_requests"] + random.randint(1, 40)
        until = time.monotonic() + scaled(0.05)
        while control.stats()["n_requests"] < target and time.monotonic() < until and process.is_alive():
            time.sleep(0.001)


if __name__ == "__main__":
    main()
