"""Programs under a service manager: sd_notify(3), the watchdog, a runner that is a unit of its own."""

from __future__ import annotations

import signal
import socket
import time

from cluster import SystemTest, holds_for, is_listening, wait_for


class ServiceManager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.heard: list = []

    def environment(self, **extra) -> dict:
        return {"NOTIFY_SOCKET": self.path, **extra}

    def listen(self) -> list:
        """All that has been said so far."""
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self.socket.close()


class Service(SystemTest):
    def setUp(self):
        super().setUp()
        self.manager = ServiceManager(self.cluster.folder)
        self.addCleanup(self.manager.close)

    def test_master(self):
        master = self.cluster.start_master(env=self.manager.environment())
        self.assertTrue(is_listening(self.cluster.port))
        self.assertEqual(self.manager.listen(), ["READY=1"])
        master.stop()
        self.assertEqual(self.manager.listen(), ["READY=1", "STOPPING=1"])

    def test_abstract_socket_and_broken_ones(self):
        name = "\0rpicluster-test-" + self.cluster.folder.name
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(name)
            listener.settimeout(10)
            self.cluster.start_master(env={"NOTIFY_SOCKET": "@" + name[1:]}).stop()
            self.assertEqual(listener.recv(100), b"READY=1")
        for path in ("/no/such/socket", "relative", "/" + 200 * "x", ""):
            self.cluster.start_master(env={"NOTIFY_SOCKET": path}).stop()

    def test_slave_says_how_it_is(self):
        self.cluster.start_master()
        slave = self.cluster.start_worker("pi1", env=self.manager.environment())
        self.cluster.wait_online("pi1")
        self.assertEqual(self.manager.listen()[0], "READY=1")
        wait_for(lambda: self.manager.listen()[1:], 10, "a status")
        self.assertIn("STATUS=joined the cluster", self.manager.heard[1])
        self.cluster.master.stop()
        wait_for(lambda: "STATUS=lost the master" in " ".join(self.manager.listen()), 10, "a status")
        slave.stop()
        self.assertEqual(self.manager.listen()[-1], "STOPPING=1")

    def test_watchdog_is_fed_while_the_loop_turns(self):
        env = self.manager.environment(WATCHDOG_USEC="300000")
        master = self.cluster.start_master(env=env)
        wait_for(lambda: self.manager.listen().count("WATCHDOG=1") >= 5, 10, "it is fed")
        master.send(signal.SIGSTOP)
        self.manager.listen()
        time.sleep(0.1)  # what was under way has arrived
        fed = len(self.manager.listen())
        holds_for(lambda: len(self.manager.listen()) == fed, 1, "a loop that stands does not feed")
        master.send(signal.SIGCONT)
        wait_for(lambda: len(self.manager.listen()) > fed, 10, "it is fed again")

    def test_watchdog_of_another_process(self):
        env = self.manager.environment(WATCHDOG_USEC="10000", WATCHDOG_PID="1")
        self.cluster.start_master(env=env)
        self.cluster.start_worker("pi1", env=env)
        self.cluster.wait_online("pi1")
        self.assertNotIn("WATCHDOG=1", self.manager.listen())

    def test_background_programs_are_nobodys_service(self):
        self.cluster.start_master()
        result = self.cluster.run("rpicluster-slave", "--state-dir",
                                  self.cluster.slave_state("pi1"), "--name", "pi1", "--master",
                                  f"127.0.0.1:{self.cluster.port}", "--key-file",
                                  self.cluster.join_key_file(), "--ensure",
                                  env=self.manager.environment())
        self.assertEqual(result.returncode, 0, result.stderr)
        for pid in self.cluster.background("rpicluster-slave"):
            self.cluster.adopt(pid)
        self.cluster.wait_online("pi1")
        self.assertNotIn("READY=1", self.manager.listen())

    def test_runner_that_somebody_else_starts(self):
        """As systemd does it: by a command, which returns when the runner says that it is ready."""
        self.cluster.start_master()
        folder = self.cluster.slave_state("pi1") / "slave-worker" / "runner"
        starter = self.cluster.folder / "start-runner"
        starter.write_text(f"#!/bin/sh\necho started >> {self.cluster.folder}/starts\n"
                           f"exec '{self.cluster.bin}/rpicluster-runner' --background --folder "
                           f"{folder}\n", encoding="utf-8")
        starter.chmod(0o755)
        self.cluster.start_worker("pi1", env={"RPICLUSTER_SLAVE_RUNNER_COMMAND": str(starter)})
        self.cluster.wait_online("pi1")
        self.assertEqual(self.cluster.cli_ok("run", "--", "echo", "hi"), "hi\n")
        self.assertEqual((self.cluster.folder / "starts").read_text(), "started\n")

    def test_runner_that_nobody_starts(self):
        self.cluster.start_master()
        slave = self.cluster.start_worker(
            "pi1", env={"RPICLUSTER_SLAVE_RUNNER_COMMAND": "echo no runner today >&2; false"})
        self.cluster.wait_online("pi1")
        job = self.cluster.submit("true")
        self.wait_log(slave, "no runner today")
        self.cluster.cli_ok("cancel", job)

    def test_runner_is_a_service(self):
        folder = self.cluster.folder / "runner"
        runner = self.cluster.start("rpicluster-runner", "--folder", folder,
                                    env=self.manager.environment())
        runner.end_was_expected = True  # it ends when it has nothing to do
        wait_for(lambda: self.manager.listen() == ["READY=1"], 10, "it is ready")
