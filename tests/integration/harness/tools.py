"""Small things: commands with a timeout, trees and their snapshots, the mount table, FUSE connections."""
import os
import pathlib
import stat
import subprocess
import time

FUSECTL = pathlib.Path("/sys/fs/fuse/connections")


def build_dir():
    """Where the programs under test are. ctest says so; by hand it is ./build."""
    return pathlib.Path(os.environ.get("GIDFS_BUILD_DIR", pathlib.Path(__file__).parents[3] / "build")).resolve()


def binary(name):
    """The path of one of gidfs's programs."""
    path = build_dir() / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: set GIDFS_BUILD_DIR to the build directory")
    return str(path)


def scaled(seconds):
    """A timeout, longer for instrumented builds. Timeouts only bound hangs: no test passes or fails by its speed."""
    return seconds * float(os.environ.get("GIDFS_TEST_SLOWDOWN", "1"))


def clean_environment(**more):
    """An environment in which messages of programs don't depend on the machine's language."""
    return dict(os.environ, LC_ALL="C", LANGUAGE="C", TZ="UTC", **more)


def run(command, timeout=60, check=True, preexec_fn=None, stdin=subprocess.DEVNULL, **options):
    """Runs a command and gives its CompletedProcess with text output. A command that doesn't end in time is freed by
    aborting every FUSE connection in the namespace, killed, and fails the test."""
    options.setdefault("env", clean_environment())
    if "input" in options:
        stdin = subprocess.PIPE
        content = options.pop("input")
    else:
        content = None
    with subprocess.Popen([str(word) for word in command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="surrogateescape", preexec_fn=preexec_fn, **options) as process:
        try:
            out, err = process.communicate(content, timeout=scaled(timeout))
        except subprocess.TimeoutExpired as expired:
            process.kill()
            abort_fuse_connections()
            process.communicate()
            raise AssertionError(f"{command} did not end in {scaled(timeout):.0f} s") from expired
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, what="the condition", timeout=20):
    """Waits until condition() is true; only for what gives no event to wait for."""
    deadline = time.monotonic() + scaled(timeout)
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {scaled(timeout):.0f} s")
        time.sleep(0.01)


def mount_entry(path):
    """The topmost mountinfo entry at exactly path, as a dict, or None. Never touches the mount itself."""
    wanted = str(path)
    found = None
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        fields, (fs_type, source, super_options) = left.split(), right.split(" ", 2)
        if _unescape(fields[4]) == wanted:
            found = {"device": fields[2], "root": _unescape(fields[3]), "options": fields[5].split(","),
                     "type": fs_type, "source": _unescape(source), "super_options": super_options.split(",")}
    return found


def is_mount_point(path):
    return mount_entry(path) is not None


def _unescape(text):
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in text else text


def abort_fuse_connections(only=None):
    """Aborts FUSE connections of this mount namespace (or the one mounted at `only`): whoever waits gets an error."""
    if not FUSECTL.is_dir() or not any(FUSECTL.iterdir()):
        subprocess.run(["mount", "-t", "fusectl", "none", FUSECTL], check=False, capture_output=True)
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        fs_type = line.split(" - ", 1)[1].split()[0]
        if not fs_type.startswith("fuse") or fs_type == "fusectl" or (only and fields[4] != str(only)):
            continue
        try:
            (FUSECTL / fields[2].split(":")[1] / "abort").write_text("1")
        except OSError:
            pass


def entries(root):
    """The path of a directory and of everything in it, never through links."""
    root = pathlib.Path(root)
    found = [root]
    for directory, names, files in os.walk(root):
        found += [pathlib.Path(directory, name) for name in sorted(names + files)]
    return found


def snapshot(root, times=True, content=True):
    """Everything that can be seen of a tree, by path: what two trees, or one tree before and after, are compared by."""
    root = os.fspath(root)
    seen = {}
    inodes = {}
    for directory, names, files in os.walk(root):
        names.sort()
        for name in [""] + sorted(names + files):
            path = os.path.join(directory, name) if name else directory
            key = os.path.relpath(path, root)
            if key not in seen:
                seen[key] = _describe(path, key, inodes, times, content)
    return seen


def _describe(path, key, inodes, times, content):
    status = os.lstat(path)
    entry = {"mode": oct(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    if not stat.S_ISDIR(status.st_mode):
        entry["nlink"] = status.st_nlink
        entry["first_link"] = inodes.setdefault(status.st_ino, key)
    if times:
        entry["mtime"] = status.st_mtime_ns
    if stat.S_ISLNK(status.st_mode):
        entry["target"] = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        entry["size"] = status.st_size
        if content:
            entry["content"] = hash(pathlib.Path(path).read_bytes())
    elif stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
        entry["rdev"] = status.st_rdev
    entry["xattrs"] = {name: os.getxattr(path, name, follow_symlinks=False)
                       for name in sorted(os.listxattr(path, follow_symlinks=False))}
    return entry


def make_tree(root, owner=(1000, 1000)):
    """A small tree with something of everything, owned by `owner` but for what root keeps private."""
    root = pathlib.Path(root)
    for name, mode in (("shared", 0o775), ("plain", 0o755), ("private", 0o700), ("sticky", 0o1777), ("setgid", 0o2755)):
        (root / name).mkdir()
        for file, file_mode in (("data", 0o664), ("read", 0o644), ("secret", 0o600), ("program", 0o755)):
            (root / name / file).write_text(f"{name}/{file}\n")
            (root / name / file).chmod(file_mode)
        (root / name / "link").symlink_to("data")
        os.link(root / name / "data", root / name / "hard")
        os.mkfifo(root / name / "fifo", 0o640)
        (root / name / "deep" / "er").mkdir(parents=True)
        os.chmod(root / name, mode)
    os.setxattr(root / "shared" / "data", "user.note", b"kept")
    (root / "setuid").write_text("set\n")
    for path in [root, *root.rglob("*")]:
        os.lchown(path, *owner)
    (root / "setuid").chmod(0o6755)
    (root / "setgid").chmod(0o2755)
    (root / "sticky").chmod(0o1777)
    os.lchown(root / "private", 0, 0)
    return root
