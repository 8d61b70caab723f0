"""The tour of scripts/tour goes to its end, and says what each step took."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import ROOT, tell, time_limit
from ledger import full_only
from network import may_make_networks


@full_only
@unittest.skipUnless(may_make_networks() and shutil.which("mmdebstrap"),
                     "needs root, network namespaces, nft and mmdebstrap")
class TourTest(unittest.TestCase):
    @time_limit(900)
    def test_tour(self):
        programs = pathlib.Path(os.environ.get("RPIC_TEST_BIN", ROOT / "build" / "bin"))
        if not (programs.parent / "packaging" / "slave" / "changelog.gz").exists():
            self.skipTest(f"{programs.parent} is no complete build")
        done = subprocess.run([ROOT / "scripts" / "tour", "--bin", programs], capture_output=True,
                              text=True, check=False, timeout=880)
        print(done.stdout)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        steps = re.findall(r"^ *([0-9.]+) s  (.+)$", done.stdout, re.MULTILINE)
        texts = [text for _, text in steps]
        for words in ("packages installed", "by the key on their boot partition alone",
                      "cable of pi2 is pulled", "complete all the same", "is back", "in all"):
            self.assertTrue(any(words in text for text in texts), words)
        tell(tour_seconds=float(steps[-1][0]))
