"""`rpicluster-slave --health`, and programs that are the first process of a container."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import unittest

from cluster import SystemTest, wait_for


def may_make_processes_spaces() -> bool:
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0


class Health(SystemTest):
    def health(self, name: str = "pi1", role: str = "basic") -> tuple:
        done = self.cluster.run("rpicluster-slave", "--state-dir", self.cluster.slave_state(name),
                                "--role", role, "--health", timeout=40)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.strip()

    def test_says_whether_it_is_joined(self):
        self.cluster.start_master()
        self.assertEqual(self.health()[0], 1)
        self.assertIn("no slave runs", self.health()[1])
        slave = self.cluster.start_slave("pi1")
        wait_for(lambda: self.health() == (0, "joined"), 10, "it is joined")
        self.cluster.master.kill()
        wait_for(lambda: self.health()[0] == 1, 10, "it knows that the master is gone")
        self.assertIn("master", self.health()[1])
        self.cluster.restart_master()
        wait_for(lambda: self.health() == (0, "joined"), 20, "it is joined again")
        slave.stop()
        self.assertIn("no slave runs", self.health()[1])

    def test_one_that_stands_still_is_not_healthy(self):
        self.cluster.start_master()
        slave = self.cluster.start_slave("pi1")
        wait_for(lambda: self.health() == (0, "joined"), 10, "it is joined")
        slave.send(signal.SIGSTOP)
        self.assertEqual(self.health(), (1, "the slave does not answer"))
        slave.send(signal.SIGCONT)
        wait_for(lambda: self.health() == (0, "joined"), 20, "it goes on")

    def test_asks_the_slave_of_its_role(self):
        self.cluster.start_master()
        self.cluster.start_slave("pi1")
        wait_for(lambda: self.health() == (0, "joined"), 10, "it is joined")
        self.assertEqual(self.health(role="worker")[0], 1)


@unittest.skipUnless(may_make_processes_spaces(), "needs root and process namespaces")
class FirstProcess(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.prefixes["rpicluster-slave"] = ["unshare", "--pid", "--fork", "--mount-proc",
                                                     "--kill-child"]
        self.cluster.start_master()
        self.slave = self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        self.init = self.children(self.slave.pid)[0]

    @staticmethod
    def children(pid: int) -> list:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in text.split()]

    def test_collects_orphans(self):
        program, = self.children(self.init)
        inside = ["nsenter", "-t", str(self.init), "--pid", "--", "sh", "-c", "(sleep 0.1 &)"]
        subprocess.run(inside, check=True)
        wait_for(lambda: self.children(self.init) == [program], 10, "the orphan was collected")
        os.kill(self.init, signal.SIGTERM)  # unshare, which is in front of it, heeds no signal
        self.assertEqual(self.slave.wait(), 0)

    def test_stops_as_the_program_does(self):
        os.kill(self.init, signal.SIGTERM)
        self.assertEqual(self.slave.wait(), 0)
        self.assertTrue(self.slave.log_lines("stopping: SIGTERM"))

    def test_ends_with_the_program(self):
        os.kill(self.children(self.init)[0], signal.SIGKILL)
        self.assertEqual(self.slave.wait(), 128 + signal.SIGKILL)
