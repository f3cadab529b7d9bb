"""Measures views against a bind mount and other FUSE file systems; see scripts/bench --help.

All subjects are mounted at once and each workload runs on all of them before the next begins, in an order that turns
with every round: what disturbs the machine for a while disturbs them alike. The figure of a row is the median over the
rounds of the ratio to the bind mount (with --layers: to the kernel's overlayfs) within a round."""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import control
import report
from layered import LAYERED_ROWS, layered_subjects
from rows import ROWS, applies
from subjects import GID, all_subjects, cpu_ticks, memory_kib, view_processes

LIMIT_S = 120


class Bench:
    def __init__(self, options):
        self.options = options
        self.build = pathlib.Path(options.build).resolve()
        self.workload = self.build / "bench" / "bench-workload"
        subjects, rows = (layered_subjects, LAYERED_ROWS) if options.layers else (all_subjects, ROWS)
        self.subjects = [subject for subject in subjects(self.build)
                         if subject.available() and (not options.only or subject.name in [*options.only, "native"])]
        self.rows = [row for row in rows if row.available() and (not options.rows or row.name in options.rows)]
        self.rates = {row.name: {subject.name: [] for subject in self.subjects} for row in self.rows}
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="gidfs-bench-", dir=options.dir))
        self.base.chmod(0o755)

    def run(self):
        try:
            for number in range(self.options.rounds):
                self.round(number)
            figures = {"machine": self.machine(), "options": {"rounds": self.options.rounds,
                                                              "seconds": self.options.seconds,
                                                              "threads": self.options.threads}, "rates": self.rates}
            if not self.options.layers:
                figures.update(ready=self.ready_times(), memory=self.memory())
            return figures
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def machine(self):
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.base], capture_output=True, text=True, check=False)
        return {"kernel": platform.release(), "processors": os.cpu_count(), "file_system": kind.stdout.strip(),
                "version": subprocess.run([self.build / "bin" / "gidfs-view", "--version"], capture_output=True,
                                          text=True, check=True).stdout.strip()}

    def round(self, number):
        # Directories of their own in different parts of the disk: without +T neighbours share their blocks.
        base = self.base / f"round-{number}"
        base.mkdir()
        subprocess.run(["chattr", "+T", base], check=False, capture_output=True)
        mounted = []
        try:
            for subject in self.subjects:
                subject.make_directories(base)
                if subject.background:
                    subject.mount()
                self.prepare(subject)
                if not subject.background:
                    subject.mount()
                mounted.append(subject)
            for row in self.rows:
                for place in range(len(self.subjects)):
                    subject = self.subjects[(place + number) % len(self.subjects)]
                    if applies(row, subject):
                        self.measure(row, subject)
                self.tell(number, row)
        finally:
            for subject in mounted:
                subject.unmount()

    def prepare(self, subject):
        place = subject.path if subject.background else subject.source
        self.call(["prepare", place, "0"])
        for row in self.rows:
            if row.prepare and applies(row, subject):
                row.prepare(subject, self)

    def call(self, words):
        done = subprocess.run([str(word) for word in [self.workload, *words]], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {words}: {done.stderr.strip()}")
        return float(done.stdout)

    def measure(self, row, subject):
        if row.cold:
            subprocess.run(["sync", "-f", self.base], check=True)
        if row.measure:
            rate = row.measure(subject, self)
        else:
            rate = self.call([row.name, subject.path, self.options.seconds, self.options.threads])
        self.rates[row.name][subject.name].append(rate)

    def tell(self, number, row):
        native = self.rates[row.name]["native"][-1]
        ratios = "  ".join(f"{name} {rates[-1] / native:.2f}" for name, rates in self.rates[row.name].items()
                           if rates and name != "native")
        print(f"round {number + 1}/{self.options.rounds}  {row.title:30} {ratios}", file=sys.stderr, flush=True)

    def ready_times(self):
        """Seconds from starting gidfs-view to its return, against chown -R and chmod of the same tree."""
        found = []
        for n_files in self.options.ready:
            tree, shown = self.base / f"tree-{n_files}", self.base / f"shown-{n_files}"
            shown.mkdir()
            fill(tree, n_files)
            command = [self.build / "bin" / "gidfs-view", "-o", f"gid={GID}", tree, shown]
            ready = []
            for _ in range(5):
                ready.append(timed(command))
                subprocess.run(["umount", shown], check=True)
            change = timed(["chown", "-R", f":{GID}", tree]) + timed(["chmod", "-R", "g+rwX", tree])
            flush = timed(["sync", "-f", tree])
            nothing = statistics.median(timed(["true"]) for _ in range(5))
            found.append({"files": n_files, "ready_s": statistics.median(ready), "process_s": nothing,
                          "chown_s": change, "chown_sync_s": change + flush})
            shutil.rmtree(tree)
        return found

    def memory(self):
        """KiB of an idle view, bytes more for each inode that the kernel holds on it, and what a second walk adds."""
        tree, shown = self.base / "memory-tree", self.base / "memory-shown"
        shown.mkdir()
        n_files = max(self.options.ready)
        fill(tree, n_files)
        subprocess.run([self.build / "bin" / "gidfs-view", "-o", f"gid={GID}", tree, shown], check=True)
        processes = view_processes(shown)
        private = memory_kib(processes, ("Private_Clean", "Private_Dirty"))
        before = memory_kib(processes, ("Pss",))
        walked = [self.walk(shown, processes) for _ in range(2)]
        subprocess.run(["umount", shown], check=True)
        return {"idle_private_kib": private, "inodes": n_files,
                "bytes_per_inode": round((walked[0] - before) * 1024 / n_files, 1),
                "again_kib": walked[1] - walked[0]}

    def walk(self, shown, processes):
        """KiB of a view that the kernel knows all inodes of. Then has the kernel forget them."""
        subprocess.run(["find", shown, "-size", "+1000"], check=True, stdout=subprocess.DEVNULL)
        found = memory_kib(processes, ("Pss",))
        self.call(["drop_caches", shown, "0"])
        wait_for_rest(processes)
        return found


def timed(command):
    start = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - start


def wait_for_rest(processes):
    """Until these have nothing to do any more."""
    spent = None
    while spent != (spent := [cpu_ticks(process) for process in processes]):
        time.sleep(0.2)


def fill(tree, n_files):
    tree.mkdir()
    for number in range(n_files):
        folder = tree / f"d{number // 500}"
        if number % 500 == 0:
            folder.mkdir()
        os.close(os.open(folder / f"f{number % 500}", os.O_CREAT | os.O_WRONLY, 0o644))


def measure_control(options):
    options.sizes = options.sizes or ([10, 100, 1000] if options.quick else [10, 100, 1000, 10000])
    figures = control.ControlBench(options).run()
    print(control.text(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.report:
        control.into_documentation(figures)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures gidfs's views against a bind mount.")
    parser.add_argument("--layers", action="store_true", help="layered views, against the kernel's overlayfs")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: two or three minutes")
    parser.add_argument("--rounds", type=int, help="rounds (7; quick 3)")
    parser.add_argument("--seconds", type=float, help="seconds for each workload (0.5; quick 0.15)")
    parser.add_argument("--threads", type=int, default=1, help="threads for each workload (1)")
    parser.add_argument("--rows", nargs="+", help="only these rows", metavar="ROW")
    parser.add_argument("--only", nargs="+", help="only these subjects, and the reference", metavar="SUBJECT")
    parser.add_argument("--ready", type=int, nargs="+", help="tree sizes for the time until a mount is ready")
    parser.add_argument("--control", action="store_true", help="the service instead: volumes, attachments, containers")
    parser.add_argument("--sizes", type=int, nargs="+", help="with --control: how many volumes (10 100 1000 10000)")
    parser.add_argument("--dir", default="/var/tmp", help="where to work: a directory on the disk to measure")
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    parser.add_argument("--report", action="store_true", help="put table and picture into docs/performance.md")
    options = parser.parse_args()
    if options.control:
        measure_control(options)
        return
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.15 if options.quick else 0.5)
    options.ready = options.ready or ([1000, 20000] if options.quick else [1000, 10000, 100000, 1000000])
    figures = Bench(options).run()
    section = report.section_of(figures)
    print(report.text(figures, section))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.report:
        report.into_documentation(figures, section)


if __name__ == "__main__":
    main()
