"""One long random script of file operations on a plain bind mount and on a view: results, errno and trees must agree.

Without gid= they agree to the letter, and what the view tells of an entry is what the disk tells. With gid= the
reference is a tree that really belongs to the gid and really has the modes that the policy reports: what `chown -R` and
`chmod` do for a volume, kept up after every operation. The view must act the same, while on its disk nothing ever has
the gid.

GIDFS_TEST_SEED=n plays one seed only, GIDFS_TEST_LENGTH=n makes scripts longer, for hunting by hand.
"""
import os
import pathlib
import stat

from harness import CAP_FSETID, Actor, MountTest, drop_capability, entries, main, run, snapshot
from oracle import operations
from oracle.script import MEMBER, OTHER, OWNER, ROOT, Script

VIEW_GID = 5001
IDENTITIES = {ROOT: (0, 0, ()), OWNER: (1000, 1000, (2000,)), MEMBER: (1001, 1001, (VIEW_GID,)),
              OTHER: (1002, 1002, ())}
UMASKS = {ROOT: 0o022, OWNER: 0o002, MEMBER: 0o027, OTHER: 0o077}
LENGTH = int(os.environ.get("GIDFS_TEST_LENGTH", "3000"))


def seeds(*usual):
    return (int(os.environ["GIDFS_TEST_SEED"]),) if "GIDFS_TEST_SEED" in os.environ else usual


def reported_mode(policy, mode):
    """B1 in a few lines, apart from the implementation."""
    if stat.S_ISDIR(mode):
        if policy == "mesos" or (policy == "shared" and mode & 0o070):
            return mode | 0o2020
        return mode | 0o2770 if policy == "fsgroup" else mode
    if policy == "fsgroup" and not stat.S_ISLNK(mode):
        return mode | 0o660
    return mode


class Side:
    """One of the two trees, with a process for each identity that acts on it."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.actors = {name: Actor(uid, gid, groups, umask=UMASKS[name])
                       for name, (uid, gid, groups) in IDENTITIES.items()}
        # Through a view root's writes clear set-id bits like anybody's (passthrough can't tell): here on disk too.
        self.actors[ROOT].call(drop_capability, CAP_FSETID)

    def play(self, who, name, arguments):
        return self.actors[who].call(operations.play, str(self.root), name, arguments)

    def describe(self, path):
        return operations.describe(self.root / path)

    def close(self):
        for actor in self.actors.values():
            actor.close()


class Oracle(MountTest):
    def setUp(self):
        super().setUp()
        self.disk = self.source / "viewed" / "tree"
        self.reference_disk = self.source / "reference" / "tree"
        for path in (self.disk, self.reference_disk):
            path.mkdir(parents=True)
            os.chown(path, 1000, 1000)
            path.chmod(0o775)

    def sides(self, options):
        """(reference, viewed): each tree is mounted in a directory of its own, so that '..' above the root is alike."""
        places = [self.new_directory() / "tree" for _ in range(2)]
        for place in places:
            place.mkdir()
        run(["mount", "--bind", self.reference_disk, places[0]])
        self.addCleanup(run, ["umount", places[0]], check=False)
        self.view(options, source=self.disk, mount_point=places[1])
        both = Side(places[0]), Side(places[1])
        for side in both:
            self.addCleanup(side.close)
        return both

    def play(self, script, both, after):
        """Plays to the end; after(who, name, arguments) compares and keeps the reference up."""
        story = []
        for number, (who, name, arguments) in enumerate(script):
            results = [side.play(who, name, arguments) for side in both]
            story.append(f"{number}: {who} {name}{_short(arguments)} -> {_short(results[0])}")
            if results[0] != results[1]:
                self.fail(_tale(story, f"the view said {results[1]}"))
            script.note(who, name, arguments, results[0][0] == "ok")
            try:
                after(who, name, arguments)
            except AssertionError as error:
                raise AssertionError(_tale(story, str(error))) from None

    def test_identity(self):
        for seed in seeds(1, 2, 3):
            with self.subTest(seed=seed):
                self.setUp()
                both = self.sides("suid,dev")
                self.play(Script(seed, LENGTH), both, lambda *step: self.compare_identity(both, *step))
                self.assertEqual(snapshot(both[0].root, times=False), snapshot(both[1].root, times=False))
                self.assertEqual(snapshot(self.disk), snapshot(both[1].root))
                self.doCleanups()

    def compare_identity(self, both, who, name, arguments):
        for path in paths_of(name, arguments):
            self.assertEqual(both[0].describe(path), both[1].describe(path), f"entries at {path!r} differ")
            if ".." not in path:
                self.assertEqual(operations.full_status(self.disk / path),
                                 operations.full_status(both[1].root / path), f"disk and view differ at {path!r}")

    def play_gid(self, policy, seed):
        both = self.sides(f"gid={VIEW_GID},policy={policy}")
        self.policy = policy
        self.keep_up(both[0].root)
        self.play(Script(seed, LENGTH, "gid"), both, lambda *step: self.compare_gid(both, *step))
        self.assertEqual(snapshot(both[0].root, times=False), snapshot(both[1].root, times=False))
        self.check_disk(both[1].root)

    def compare_gid(self, both, who, name, arguments):
        self.keep_up_slots(both[0].actors[who], name, arguments)
        for path in paths_of(name, arguments):
            for meant in (path, os.path.realpath(both[0].root / path)):  # some operations follow links
                self.keep_up_inside(both[0].root, meant.rstrip("/"))
            self.assertEqual(both[0].describe(path), both[1].describe(path), f"entries at {path!r} differ")

    def keep_up_inside(self, root, path):
        """The same for a path of the script, if it does not lead out of the tree."""
        folder, name = os.path.realpath((root / path).parent), os.path.basename(path)
        if pathlib.Path(folder).is_relative_to(root) and name not in ("", ".", ".."):
            self.keep_up(os.path.join(folder, name))

    def keep_up(self, path, through_link=False):
        """Gives an entry of the reference the volume's gid and the mode that the policy reports for it."""
        try:
            status = os.stat(path, follow_symlinks=through_link)
        except OSError:
            return
        if status.st_gid != VIEW_GID:
            os.chown(path, -1, VIEW_GID, follow_symlinks=through_link)
        base = status.st_mode & ~0o2000 if stat.S_ISDIR(status.st_mode) else status.st_mode
        if not stat.S_ISLNK(status.st_mode) and reported_mode(self.policy, base) != status.st_mode:
            os.chmod(path, stat.S_IMODE(reported_mode(self.policy, base)))

    def keep_up_slots(self, actor, name, arguments):
        if name in ("tmpfile", "chmod_slot", "open"):
            fd = actor.call(operations.slot_numbers).get(arguments[0])
            if fd is not None:
                self.keep_up(f"/proc/{actor.pid}/fd/{fd}", through_link=True)

    def check_disk(self, view):
        """Nothing on disk has the view's gid, nor a bit that only the policy reports."""
        for path in entries(self.disk):
            on_disk, seen = os.lstat(path), os.lstat(view / path.relative_to(self.disk))
            self.assertNotEqual(VIEW_GID, on_disk.st_gid, path)
            self.assertEqual(1000, on_disk.st_gid, f"{path}: not its parent's group")
            self.assertEqual(on_disk.st_uid, seen.st_uid)
            self.assertEqual(0, on_disk.st_mode & 0o6000, path)
            self.assertEqual(oct(reported_mode(self.policy, on_disk.st_mode)), oct(seen.st_mode), path)

    def check_policy(self, policy, *usual):
        for seed in seeds(*usual):
            with self.subTest(seed=seed):
                self.setUp()
                self.play_gid(policy, seed)
                self.doCleanups()

    def test_gid_shared(self):
        self.check_policy("shared", 11, 12)

    def test_gid_mesos(self):
        self.check_policy("mesos", 21)

    def test_gid_fsgroup(self):
        self.check_policy("fsgroup", 31)


def paths_of(name, arguments):
    """The paths among an operation's arguments."""
    if name == "symlink":
        return arguments[1:]
    return [word for word in arguments[:2] if isinstance(word, str) and name != "write"]


def _short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


def _tale(story, what):
    return "\n".join([*story[-25:], what])


if __name__ == "__main__":
    main()
