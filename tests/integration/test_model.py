#!/usr/bin/env python3
"""Random operations and crashes against a model of the service.

The model below knows in plain Python what the service promises: which volumes, attachments and containers there are
after each operation, and which operations are refused. After every step the service's answers, the kernel's mount table
and the gids are compared with it. Where the build has fault points, the service is also killed in the midst of
operations; what is found then must be the model before or after.

GIDFS_MODEL_SEED and GIDFS_MODEL_STEPS say what is played; a failure prints the steps that led to it.
"""
import copy
import http.client
import os
import pathlib
import random
import shutil

from harness import main, run, wait_until
from harness.api import ApiError
from test_containers import ContainerTest
from test_faults import has_fault_points

SOURCES, TARGETS, CONTAINERS, INSIDE = range(5), range(4), ("web", "db", "kid"), ("/m0", "/m1", "/deep/m2")


class Refused(Exception):
    pass


class Model:
    """Volumes are known by their source here, because the names of sandbox volumes are made up."""

    def __init__(self):
        self.volumes = {}      # source → (name, or None for a made-up one; kind; the container it was made for)
        self.attachments = {}  # target → (source, read_only)
        self.containers = {}   # id → (parent, {inside: (source, read_only)})

    def users(self, source):
        return [place for place in self.places() if place[0] == source]

    def places(self):
        """Everything that is mounted somewhere: (source, target or (container, inside), read_only)."""
        yield from ((source, target, ro) for target, (source, ro) in self.attachments.items())
        for name, (_, mounts) in self.containers.items():
            yield from ((source, (name, inside), ro) for inside, (source, ro) in mounts.items())

    def by_name(self, name):
        for source, (known, _, _) in self.volumes.items():
            if known == name:
                return source
        raise Refused("not-found")

    def create(self, name, source):
        if source in self.volumes:
            return
        if any(known == name for known, _, _ in self.volumes.values()):
            raise Refused("exists")
        self.volumes[source] = (name, "persistent", None)

    def remove(self, name, force):
        source = self.by_name(name)
        if self.users(source) and not force:
            raise Refused("busy")
        self.lose_source(source)

    def lose_source(self, source):
        self.volumes.pop(source, None)
        self.attachments = {target: at for target, at in self.attachments.items() if at[0] != source}
        for _, mounts in self.containers.values():
            for inside in [inside for inside, at in mounts.items() if at[0] == source]:
                del mounts[inside]

    def attach(self, name, target, read_only):
        wanted = (self.by_name(name), read_only)
        if self.attachments.setdefault(target, wanted) != wanted:
            raise Refused("exists")

    def detach(self, target):
        if target not in self.attachments:
            raise Refused("not-found")
        del self.attachments[target]

    def mounts(self, name, wanted):
        """Makes what is wanted ({inside: (kind, what, read_only)}) exist, and gives it by source."""
        mounts = {}
        for inside, (kind, what, read_only) in wanted.items():
            if kind == "source":
                self.volumes.setdefault(what, (None, "sandbox", name))
            mounts[inside] = (what if kind == "source" else self.by_name(what), read_only)
        return mounts

    def release_unused(self, ended=None):
        for source, (_, kind, owner) in list(self.volumes.items()):
            if kind == "sandbox" and not self.users(source) and (owner == ended or owner not in self.containers):
                del self.volumes[source]

    def prepare(self, name, wanted, parent):
        if name in self.containers:
            raise Refused("exists")
        if parent and parent not in self.containers:
            raise Refused("not-found")
        self.containers[name] = (parent, self.mounts(name, wanted))

    def update(self, name, wanted):
        if name not in self.containers:
            raise Refused("not-found")
        self.containers[name] = (self.containers[name][0], self.mounts(name, wanted))
        self.release_unused(name)

    def restart(self, name):
        self.update(name, {inside: ("source", *at) for inside, at in self.containers.get(name, (None, {}))[1].items()})

    def clean_up(self, name):
        if any(parent == name for parent, _ in self.containers.values()):
            raise Refused("not-empty")
        if self.containers.pop(name, None):
            self.release_unused(name)

    def recover(self):
        for name in list(self.containers):
            self.release_unused(name)
        self.release_unused()


class Play(ContainerTest):
    ranges = "50000-50099"
    seed = int(os.environ.get("GIDFS_MODEL_SEED", "20240501"))
    steps = int(os.environ.get("GIDFS_MODEL_STEPS", "1500"))

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.seed)
        self.model = Model()
        self.played = []
        self.n_ended_midway = 0
        self.with_faults = has_fault_points()
        for source in SOURCES:
            self.path_of(source).mkdir()
        self.roots = {name: self.new_directory(prefix=f"root-{name}-") for name in CONTAINERS}
        self.targets = {target: self.new_directory(prefix="target-") for target in TARGETS}
        for directory in [self.directory]:
            self.addCleanup(self.clear, directory)

    def path_of(self, source):
        return self.source / f"src{source}"

    def source_of(self, path):
        return int(pathlib.Path(path).name[len("src"):])

    # The operations: each as a function on the model and one on the service.

    def some_wanted(self):
        wanted = {}
        for inside in self.random.sample(INSIDE, self.random.randint(0, len(INSIDE))):
            kind = self.random.choice(("source", "name"))
            what = self.random.choice(SOURCES) if kind == "source" else f"v{self.random.choice(SOURCES)}"
            wanted[inside] = (kind, what, self.random.random() < 0.3)
        return wanted

    def as_volumes(self, wanted):
        return [{"target": inside, "read_only": read_only,
                 **({"source": str(self.path_of(what))} if kind == "source" else {"name": what})}
                for inside, (kind, what, read_only) in wanted.items()]

    def choose(self):
        """(words, on the model, on the service) of one operation."""
        name, source = f"v{self.random.choice(SOURCES)}", self.random.choice(SOURCES)
        target, container = self.random.choice(TARGETS), self.random.choice(CONTAINERS)
        force, read_only = self.random.random() < 0.3, self.random.random() < 0.3
        wanted = self.some_wanted()
        parent = "web" if container == "kid" and self.random.random() < 0.7 else None
        operations = {
            "create": (2, (name, source), lambda: self.create(name, self.path_of(source))),
            "remove": (1, (name, force), lambda: self.remove(name, force)),
            "attach": (3, (name, target, read_only),
                       lambda: self.attach(name, self.targets[target], read_only=read_only)),
            "detach": (2, (target,), lambda: self.detach(self.targets[target])),
            "prepare": (4, (container, wanted, parent),
                        lambda: self.call("POST", "/v1/containers",
                                          {"id": container, "volumes": self.as_volumes(wanted), "parent": parent,
                                           "rootfs": str(self.roots[container])})),
            "update": (4, (container, wanted), lambda: self.update(container, *self.as_volumes(wanted))),
            "restart": (1, (container,), lambda: self.call("POST", f"/v1/containers/{container}/restart", {})),
            "clean_up": (2, (container,), lambda: self.clean_up(container)),
        }
        names = list(operations)
        verb = self.random.choices(names, [operations[verb][0] for verb in names])[0]
        _, arguments, on_service = operations[verb]
        return (verb, *arguments), lambda model: getattr(model, verb)(*arguments), on_service

    # What is seen, and what the model says should be.

    def expected(self, model):
        return {
            "volumes": sorted((source, kind) for source, (_, kind, _) in model.volumes.items()),
            "attachments": sorted((target, *at) for target, at in model.attachments.items()),
            "containers": {name: sorted((inside, *at) for inside, at in mounts.items())
                           for name, (_, mounts) in model.containers.items()},
            "mounted": sorted((str(self.mount_path(place)), source, read_only)
                              for source, place, read_only in model.places()),
        }

    def mount_path(self, place):
        return self.targets[place] if place in self.targets else pathlib.Path(f"{self.roots[place[0]]}{place[1]}")

    def seen(self):
        volumes = self.call("GET", "/v1/volumes")["volumes"]
        sources = {volume["name"]: self.source_of(volume["source"]) for volume in volumes}
        targets = {str(path): target for target, path in self.targets.items()}
        attachments = [one for one in self.call("GET", "/v1/attachments")["attachments"] if not one["container"]]
        containers = self.call("GET", "/v1/containers")["containers"]
        mounted = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            fields, source = line.split(" - ")[0].split(), line.split(" - ")[1].split()[1]
            if any(fields[4].startswith(f"{path}/") or fields[4] == str(path)
                   for path in [*self.roots.values(), *self.targets.values()]):
                mounted.append((fields[4], self.source_of(source), "ro" in fields[5].split(",")))
        return {
            "volumes": sorted((self.source_of(volume["source"]), volume["kind"]) for volume in volumes),
            "attachments": sorted((targets[one["target"]], sources[one["volume"]], one["read_only"])
                                  for one in attachments),
            "containers": {one["id"]: sorted((m["target"], sources[m["volume"]], m["read_only"]) for m in one["mounts"])
                           for one in containers},
            "mounted": sorted(mounted),
        }

    def check(self, *models):
        """What is seen is one of these models, which is the model from now on."""
        seen = self.seen()
        for model in models:
            if seen == self.expected(model):
                self.model = model
                break
        else:
            self.fail(f"seed {self.seed}, after\n  " + "\n  ".join(map(repr, self.played[-12:])) +
                      f"\nthere is\n  {seen}\nand not\n  " + "\nor\n  ".join(str(self.expected(m)) for m in models))
        gids = self.gids()
        held = [holder["gid"] for holder in gids["holders"]]
        self.assertEqual(len(held), len(set(held)), gids)
        self.assertEqual(gids["allocated"], len(self.model.volumes), gids)
        self.assertEqual(gids["free"] + gids["allocated"] + gids["quarantined"], gids["total"], gids)

    # The steps.

    def play(self, words, on_model, on_service):
        before, after, expected = self.model, copy.deepcopy(self.model), None
        try:
            on_model(after)
        except Refused as refused:
            after, expected = before, str(refused)
        self.played.append(words)
        try:
            on_service()
            got = None
        except ApiError as error:
            got = error.code
        except (OSError, http.client.HTTPException):
            self.n_ended_midway += 1
            self.start_again()
            recovered = [copy.deepcopy(model) for model in (before, after)]
            for model in recovered:
                model.recover()
            self.check(*recovered)
            return
        self.assertEqual(got, expected, f"seed {self.seed}, {self.played[-12:]}")
        tidied = copy.deepcopy(after)
        tidied.recover()  # a verb for a container releases what is unused even if it is refused
        self.check(after, tidied)

    def start_again(self):
        """A killed service is started, at times with a fault point that ends it once more later on, or at once."""
        self.service.kill()
        self.played.append("killed")
        if self.with_faults and self.random.random() < 0.7:
            self.service.environment = {"GIDFS_FAULT": f"gidfsd/*:{self.random.randint(1, 40)}"}
            try:
                self.service.start()
                return
            except AssertionError:
                self.service.kill()
            finally:
                self.service.environment = {}
        self.service.start()

    def crash(self):
        self.start_again()
        self.model.recover()
        self.check(self.model)

    def lose_a_source(self):
        """Removed on the host: it is noticed, and a new directory of that name is another source."""
        source = self.random.choice(SOURCES)
        self.played.append(("rm -r", source))
        shutil.rmtree(self.path_of(source))
        after = copy.deepcopy(self.model)
        after.lose_source(source)
        try:
            wait_until(lambda: self.seen() == self.expected(after), f"the end of {source}")
        except (OSError, http.client.HTTPException):
            self.start_again()
            after.recover()
        self.path_of(source).mkdir()
        self.check(after)

    def unmount_by_hand(self):
        """Somebody unmounts what the service attached: after a new start it is forgotten."""
        if not self.model.attachments:
            return
        target = self.random.choice(sorted(self.model.attachments))
        self.played.append(("umount", target))
        run(["umount", self.targets[target]])
        del self.model.attachments[target]
        self.crash()

    def test_random_operations_and_crashes(self):
        for _ in range(self.steps):
            dice = self.random.random()
            if dice < 0.03:
                self.crash()
            elif dice < 0.04:
                self.unmount_by_hand()
            elif dice < 0.05:
                self.lose_a_source()
            else:
                self.play(*self.choose())
        print(f"{self.steps} steps, {self.played.count('killed')} starts, {self.n_ended_midway} ended midway")
        if self.with_faults and self.steps >= 1000:
            self.assertGreater(self.n_ended_midway, 0)


if __name__ == "__main__":
    main()
