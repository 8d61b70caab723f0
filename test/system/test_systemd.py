"""The installed packages under a systemd of their own: services from the first start to the purge.

They need root, Debian's mmdebstrap and its archive, a writable cgroup v2 and some minutes: full runs
alone.
"""

from __future__ import annotations

import json
import os
import shutil
import unittest

from chroot import Booted, cgroup2
from cluster import time_limit, wait_for
from ledger import full_only
from test_packages import PackageTest


@full_only
@unittest.skipUnless(os.geteuid() == 0 and shutil.which("mmdebstrap"), "needs root and mmdebstrap")
@unittest.skipUnless(cgroup2(), "needs a cgroup v2 that can be written")
class Systemd(PackageTest):
    def setUp(self):
        super().setUp()
        self.system = Booted(self.cluster.folder)
        self.addCleanup(self.system.close)
        self.system.boot()
        self.made = self.packages()
        self.install(self.made)

    def install(self, made: dict) -> None:
        self.system.install(made["rpicluster-slave"], made["rpicluster"])

    def is_active(self, unit: str) -> bool:
        return self.system.systemctl("is-active", f"rpicluster-{unit}") == "active"

    def main_pid(self, unit: str) -> int:
        return int(self.system.property(unit, "MainPID"))

    def wait_another(self, unit: str, before: int, timeout: float = 30) -> None:
        """It was started again, and has said that it is ready."""
        wait_for(lambda: self.main_pid(unit) not in (0, before) and self.is_active(unit), timeout,
                 f"the {unit} runs again")

    def kill(self, unit: str, signal: str) -> int:
        pid = self.main_pid(unit)
        self.system.run("sh", "-c", f"kill -{signal} {pid}")  # the shell's: there is no other
        return pid

    def nodes(self) -> list:
        return json.loads(self.system.run("rpicluster", "-o", "json", "nodes"))["nodes"]

    def node(self) -> dict:
        nodes = self.nodes()
        return nodes[0] if nodes else {"state": "missing"}

    def wait_online(self) -> None:
        wait_for(lambda: self.node()["state"] == "online", 30, "the node is online")

    def start_master(self) -> None:
        self.system.run("systemctl", "start", "rpicluster-master")
        self.wait_online()

    def start_task(self) -> str:
        job = self.system.run("rpicluster", "submit", "--", "sh", "-c",
                              "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end")
        job = job.strip()
        wait_for(lambda: "begun" in self.system.run("rpicluster", "logs", job), 20, "it runs")
        return job

    def end_task(self, job: str) -> None:
        """It was run once, and all of its output is there."""
        self.system.run("touch", "/tmp/go")
        self.system.run("rpicluster", "wait", job)
        self.assertEqual(self.system.run("rpicluster", "logs", job), "begun\nend\n")
        self.assertIn('"attempt":1,', self.system.run("rpicluster", "-o", "json", "job", job))

    @time_limit(600)
    def test_services(self):
        """Ready notices, priorities, restarts, the watchdog, and a clean stop."""
        system = self.system
        self.assertTrue(self.is_active("slave"), "its package has started it")
        self.assertFalse(self.is_active("master"))
        self.start_master()
        wait_for(lambda: "joined" in system.property("slave", "StatusText"), 10, "its status")
        self.assertIsInstance(self.node()["vitals"]["clock_set"], bool, "its unit lets it ask")
        job = self.start_task()
        runner = self.main_pid("runner")
        self.assertTrue(runner)

        for unit in ("slave", "master", "slave"):
            self.wait_another(unit, self.kill(unit, "KILL"))
        self.assertEqual(system.property("slave", "StartLimitIntervalUSec"), "0")
        self.assertEqual(system.property("slave", "NRestarts"), "2")
        self.wait_online()

        system.run("sh", "-c", "mkdir -p /run/systemd/system/rpicluster-slave.service.d && echo "
                   "'[Service]\nWatchdogSec=1\nTimeoutAbortSec=1' > "
                   "/run/systemd/system/rpicluster-slave.service.d/test.conf")
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "restart", "rpicluster-slave")
        self.wait_another("slave", self.kill("slave", "STOP"), 60)
        self.assertIn("watchdog", system.journal("slave").lower())
        self.wait_online()
        self.assertEqual(self.main_pid("runner"), runner)
        self.end_task(job)

        system.run("systemctl", "stop", "rpicluster-slave")
        self.assertEqual(system.property("slave", "Result"), "success")
        wait_for(lambda: self.node()["state"] != "online", 10, "the master knows")
        entries = [json.loads(line) for line in system.journal("master", "-o", "json").splitlines()]
        told = {entry["PRIORITY"] for entry in entries if entry["_COMM"] == "rpicluster-mast"}
        self.assertLessEqual({"6", "4"}, told)
        for entry in entries:
            if "is suspect" in entry["MESSAGE"]:
                self.assertEqual(entry["PRIORITY"], "4", entry["MESSAGE"])
                self.assertFalse(entry["MESSAGE"].startswith("<"), entry["MESSAGE"])
        system.run("systemctl", "stop", "rpicluster-master")
        self.assertEqual(system.property("master", "Result"), "success")
        self.assertEqual(system.property("master", "ExecMainStatus"), "0")

    @time_limit(600)
    def test_upgrade_remove_purge(self):
        """The packages' scripts restart the slave and leave its task alone; then all is removed."""
        system = self.system
        self.start_master()
        job = self.start_task()
        before = {unit: self.main_pid(unit) for unit in ("master", "slave", "runner")}
        self.install(self.packages("9.9.9"))
        for unit in ("master", "slave"):
            self.wait_another(unit, before[unit])
        self.assertEqual(self.main_pid("runner"), before["runner"])
        self.wait_online()
        self.end_task(job)

        system.run("dpkg", "-r", "rpicluster", "rpicluster-slave")
        for name in ("master", "slave", "runner"):
            self.assertEqual(system.processes(f"rpicluster-{name}"), [])
        system.run("dpkg", "-P", "rpicluster", "rpicluster-slave")
        self.assertFalse((system.root / "var/lib/rpicluster").exists())
        self.assertFalse((system.root / "etc/rpicluster").exists())
        self.assertEqual(system.systemctl("list-unit-files", "--no-legend", "rpicluster-*"), "")

    @time_limit(600)
    def test_what_packages_start(self):
        """An installation after a removal: what is enabled. An upgrade: nothing that was stopped."""
        system = self.system
        units = ("master", "slave", "webserver")
        system.run("systemctl", "enable", "--now", "rpicluster-master", "rpicluster-webserver")
        system.run("dpkg", "-r", "rpicluster", "rpicluster-slave")
        self.assertEqual(system.processes("rpicluster-"), [])
        self.install(self.made)
        for unit in units:
            self.assertTrue(self.is_active(unit), unit)
        wait_for(lambda: sorted(node["role"] for node in self.nodes() if node["state"] == "online")
                 == ["webserver", "worker"], 30, "both nodes are online")

        before = self.main_pid("master")
        system.run("systemctl", "stop", "rpicluster-slave", "rpicluster-webserver")
        self.install(self.packages("9.9.9"))
        self.wait_another("master", before)
        self.assertEqual([unit for unit in units if self.is_active(unit)], ["master"])

        system.run("systemctl", "disable", "rpicluster-slave")
        system.run("dpkg", "-r", "rpicluster", "rpicluster-slave")
        self.install(self.made)
        self.assertEqual([unit for unit in units if self.is_active(unit)], ["master", "webserver"])

        system.run("dpkg", "-P", "rpicluster", "rpicluster-slave")
        wants = system.root / "etc/systemd/system/multi-user.target.wants"
        self.assertEqual([path.name for path in wants.glob("rpicluster-*")], [])
