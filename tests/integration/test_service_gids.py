#!/usr/bin/env python3
"""Which gid is given next, and when one is free again (behaviours A2, A10)."""
import threading

from harness import main
from test_service import ServiceTest


class Order(ServiceTest):
    ranges = "50000-50002"

    def setUp(self):
        super().setUp()
        self.config = self.new_directory(prefix="config-") / "gidfs.conf"
        self.config.write_text("[gids]\norder = recent-last\n")
        self.restart("--config", str(self.config))

    def test_what_was_freed_lately_comes_last_also_after_a_restart(self):
        self.assertEqual([self.create(name, self.make_source(name))["gid"] for name in "ab"], [50000, 50001])
        self.assertEqual([self.remove(name)["gid_state"] for name in "ba"], ["free", "free"])
        for kill in True, False:
            self.restart("--config", str(self.config), kill=kill)
        self.assertEqual([self.create(name, self.make_source(name))["gid"] for name in "cde"], [50002, 50001, 50000])


class Reviews(ServiceTest):
    ranges = "50000-50099"

    def test_removed_at_once_all_are_free(self):
        names = [f"v{number}" for number in range(16)]
        for name in names:
            self.create(name, self.make_source(name))
        states = {}
        threads = [threading.Thread(target=lambda name=name: states.update({name: self.remove(name)["gid_state"]}))
                   for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(states, dict.fromkeys(names, "free"))
        self.assertEqual(self.gids()["free"], 100)


if __name__ == "__main__":
    main()
