"""One upper, two readers (behaviour D7): what gidfs writes the kernel's overlayfs shows, and the other way round."""
import os

from harness import LayersTest, RandomChanges, main, make_tree, snapshot

N_ROUNDS = 6
N_CHANGES = 150
KERNEL_OPTIONS = "redirect_dir=on,metacopy=off,index=on"


class CrossMount(LayersTest):
    size_mib = 1024

    def setUp(self):
        super().setUp()
        self.require_kernel_overlay()

    def fill_lower(self, layers, seed):
        for number, path in enumerate(reversed(layers.lower)):
            RandomChanges(seed * 100 + number).run(path, 120)
        make_tree(layers.lower[-1])

    def compare(self, layers, mount_here, mount_there, changes, label):
        mount_here()
        changes.run(layers.path, N_CHANGES)
        before = snapshot(layers.path)
        layers.unmount()
        mount_there()
        after = snapshot(layers.path)
        layers.unmount()
        self.maxDiff = None
        self.assertEqual(sorted(before), sorted(after), label)
        for name, entry in before.items():
            self.assertEqual(entry, after[name], f"{label}: {name}")

    def run_rounds(self, seed, kernel_options, n_lower):
        layers = self.layers(n_lower)
        self.fill_lower(layers, seed)
        changes = RandomChanges(seed)

        def mount_kernel():
            layers.mount_kernel(kernel_options)

        for number in range(N_ROUNDS):
            self.compare(layers, layers.mount, mount_kernel, changes, f"seed {seed} round {number}: gidfs, then kernel")
            self.compare(layers, mount_kernel, layers.mount, changes, f"seed {seed} round {number}: kernel, then gidfs")

    def test_random_changes_through_either_one_lower(self):
        self.run_rounds(1, KERNEL_OPTIONS, 1)

    def test_random_changes_through_either_three_lower(self):
        self.run_rounds(2, KERNEL_OPTIONS, 3)

    def test_metacopies_of_the_kernel_are_read_and_completed(self):
        layers = self.layers(1)
        make_tree(layers.lower[0])
        layers.mount_kernel("redirect_dir=on,metacopy=on")
        for name in ("data", "program", "read", "secret"):
            os.chown(layers.path / "plain" / name, 7, 7)
        os.rename(layers.path / "plain" / "read", layers.path / "moved")
        os.rename(layers.path / "plain", layers.path / "renamed")
        before = snapshot(layers.path)
        layers.unmount()
        self.assertIn("trusted.overlay.metacopy", os.listxattr(layers.upper / "moved"))
        view = layers.mount()
        self.assertEqual(before, snapshot(view.path))
        with open(view.path / "renamed" / "program", "a", encoding="ascii") as file:
            file.write("more")
        os.rename(view.path / "renamed" / "secret", view.path / "other")
        before = snapshot(view.path)
        layers.unmount()
        layers.mount_kernel("redirect_dir=on,metacopy=on")
        self.assertEqual(before, snapshot(layers.path))
        layers.unmount()

    def test_metacopies_of_big_files_are_read_by_the_kernel(self):
        layers = self.layers(1)
        content = os.urandom(1 << 20) * 8
        (layers.lower[0] / "big").write_bytes(content)
        view = layers.mount()
        (view.path / "big").chmod(0o600)
        os.setxattr(view.path / "big", "user.x", b"1")
        marked = "trusted.overlay.metacopy" in os.listxattr(layers.upper / "big")
        if marked:  # else its data is shared with the lower file
            self.assertLess((layers.upper / "big").stat().st_blocks, 64)
        layers.unmount()
        layers.mount_kernel("redirect_dir=on,metacopy=on")
        self.assertEqual((0o600, content), ((layers.path / "big").stat().st_mode & 0o777,
                                            (layers.path / "big").read_bytes()))
        layers.unmount()
        view = layers.mount()
        self.assertEqual(content, (view.path / "big").read_bytes())
        self.assertNotIn("trusted.overlay.metacopy", os.listxattr(layers.upper / "big"))

    def test_overlay_xattrs_of_clients(self):
        layers = self.layers(1)
        (layers.lower[0] / "f").write_text("1")
        layers.mount_kernel()
        try:
            os.setxattr(layers.path / "f", "trusted.overlay.x", b"1")
        except OSError:
            self.skipTest("this kernel's overlayfs keeps none (before Linux 6.7)")
        finally:
            layers.unmount()
        for mount_here, mount_there in ((layers.mount, layers.mount_kernel), (layers.mount_kernel, layers.mount)):
            mount_here()
            os.setxattr(layers.path / "f", "trusted.overlay.redirect", b"/etc/passwd")
            before = snapshot(layers.path)
            layers.unmount()
            mount_there()
            self.assertEqual(before, snapshot(layers.path))
            os.removexattr(layers.path / "f", "trusted.overlay.redirect")
            layers.unmount()

    def test_layers_of_uppers(self):
        """What was an upper becomes a lower layer, marks, redirects and all."""
        layers = self.layers(1)
        self.fill_lower(layers, 3)
        changes = RandomChanges(33)
        for number in range(3):
            layers.mount()
            changes.run(layers.path, N_CHANGES)
            layers.unmount()
            layers.lower.insert(0, layers.upper)
            layers.upper, layers.work = layers.root / f"upper{number}", layers.root / f"work{number}"
            os.mkdir(layers.upper)
            os.mkdir(layers.work)
            layers.mount()
            ours = snapshot(layers.path)
            layers.unmount()
            layers.mount_kernel(KERNEL_OPTIONS)
            kernels = snapshot(layers.path)
            layers.unmount()
            self.assertEqual(kernels, ours)


if __name__ == "__main__":
    main()
