"""What the tests of the Python interface share."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import textwrap

from cluster import ROOT, SystemTest, wait_for

sys.path.insert(0, str(ROOT / "python"))
import rpicluster  # noqa: E402  (the path comes first)


def fingerprint_of(webserver) -> str:
    """What the webserver says about its certificate."""
    return wait_for(lambda: re.search(r"fingerprint of its certificate: ([0-9A-F:]+)",
                                      webserver.log()), 5, "it tells its fingerprint").group(1)


class PythonTest(SystemTest):
    nodes = ("pi1", "pi2")

    def setUp(self):
        super().setUp()
        self.cluster.start_workers(*self.nodes)
        self.transport = self.make_transport()
        os.environ["RPICLUSTER_CLIENT_STATE_DIR"] = str(self.cluster.master_state)

    def make_transport(self) -> rpicluster.Transport:
        return rpicluster.Command(self.cluster.bin / "rpicluster",
                                  state_dir=self.cluster.master_state)

    def executor(self, **options) -> rpicluster.Cluster:
        made = rpicluster.Cluster(self.transport, **options)
        self.addCleanup(made.shutdown, cancel_futures=True)
        return made

    def started_tasks(self) -> int:
        return sum(sum(job["tasks"].values()) for job in self.cluster.cli_json("jobs")["jobs"])

    def nothing_runs(self) -> bool:
        return not any(node["running_tasks"] for node in self.cluster.node_list())

    def script(self, source: str, name: str = "script.py") -> pathlib.Path:
        folder = self.cluster.folder / "project"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def run_python(self, *words, cwd=None, timeout=40) -> subprocess.CompletedProcess:
        """Python as a user has it: the module is found, the command too, and the key."""
        env = self.cluster.environment({
            "PYTHONPATH": str(ROOT / "python"), "PATH": f"{self.cluster.bin}:{os.environ['PATH']}",
            "RPICLUSTER_CLIENT_STATE_DIR": str(self.cluster.master_state)})
        done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True,
                              env=env, timeout=timeout, check=False, cwd=cwd)
        self.cluster.note(f"python {words}", done)
        return done
