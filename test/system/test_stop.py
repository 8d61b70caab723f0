"""Every program stops cleanly, within 2 s, and nothing runs twice."""

from __future__ import annotations

import signal
import socket
import time

from cluster import SystemTest, free_port, wait_for
from plain_peer import PlainPeer, frame

SLACK = 0.5  # for a busy machine


class SilentListener:
    """Accepts connections and never says a word."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.accepted: list = []

    def accept_all(self) -> int:
        try:
            while True:
                self.accepted.append(self.listener.accept()[0])
        except BlockingIOError:
            return len(self.accepted)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for entry in [self.listener, *self.accepted]:
            entry.close()


class Stop(SystemTest):
    def assert_stops(self, program, *numbers: int, limit: float = 2.0) -> None:
        started = time.monotonic()
        program.end_was_expected = True
        for number in numbers:
            program.send(number)
        code = program.wait(10)
        took = time.monotonic() - started
        self.assertEqual(code, 0, program.log())
        self.assertLess(took, limit + SLACK)

    def test_each_program_on_sigterm_and_sigint(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            master = self.cluster.start_master()
            slave = self.cluster.start_slave("pi1")
            web, _ = self.cluster.start_webserver("web")
            self.cluster.wait_online("pi1", "web", timeout=15)
            for program in (slave, web, master):
                self.assert_stops(program, number)

    def test_master_with_all_kinds_of_peers(self):
        master = self.cluster.start_master(plain=True)
        self.cluster.start_slave("pi1")
        self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")
        with PlainPeer(self.cluster.port) as talking, PlainPeer(self.cluster.port), \
                PlainPeer(self.cluster.port) as stalled:
            talking.uuid()
            stalled.uuid()
            stalled.socket.settimeout(0.5)
            try:  # its answers pile up, because it never reads them
                stalled.send(frame("info", "slave_details") * 50_000)
            except OSError:
                pass
            self.assert_stops(master, signal.SIGTERM)
            self.assertEqual(talking.rest(1), b"")

    def test_slave_without_a_master(self):
        self.cluster.start_master()
        key = self.cluster.join_key_file()
        self.cluster.master.stop()
        refused = self.cluster.start_slave("refused", key_file=key)
        unresolved = self.cluster.start_slave("unresolved", key_file=key,
                                              master="no-such-host.invalid:1")
        web, _ = self.cluster.start_webserver("web", key_file=key)
        self.wait_log(refused, str(self.cluster.port))
        for program in (refused, unresolved, web):
            self.assert_stops(program, signal.SIGTERM)

    def test_slave_at_a_master_that_says_nothing(self):
        with SilentListener() as silent:
            self.cluster.start_master()
            slave = self.cluster.start_slave("pi1", master=f"127.0.0.1:{silent.port}")
            plain = self.cluster.start("rpicluster-slave", "--plain", "--state-dir",
                                       self.cluster.slave_state("plain"), "--master",
                                       f"127.0.0.1:{silent.port}", name="plain")
            wait_for(lambda: silent.accept_all() >= 2, 10, "both have connected")
            for program in (slave, plain):
                self.assert_stops(program, signal.SIGTERM)

    def test_second_signal_ends_at_once(self):
        master = self.cluster.start_master()
        slave = self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        for program in (slave, master):
            started = time.monotonic()
            program.end_was_expected = True
            program.send(signal.SIGTERM)
            program.send(signal.SIGINT)
            program.wait(10)
            self.assertLess(time.monotonic() - started, SLACK)

    def test_web_viewers_do_not_hold_the_stop_up(self):
        self.cluster.start_master()
        web, port = self.cluster.start_webserver("web")
        with PlainPeer(port) as events, PlainPeer(port) as idle:
            events.send(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            self.assertTrue(events.receive_bytes(5))
            idle.send(b"GET / HTTP/1.1\r\n")
            self.assert_stops(web, signal.SIGTERM)

    def test_master_can_start_again_at_once(self):
        for _ in range(3):
            master = self.cluster.start_master(port=self.cluster.port or None)
            self.cluster.start_slave("pi1")
            self.cluster.wait_online("pi1", timeout=15)
            master.kill()
            self.cluster.programs[-1].stop()


class Twice(SystemTest):
    def test_second_master_on_one_state_dir(self):
        first = self.cluster.start_master()
        result = self.cluster.run("rpicluster-master", "--state-dir", self.cluster.master_state,
                                  "--bind", "127.0.0.1", "--port", free_port())
        self.assertIn(result.returncode, (1, 78))
        self.assert_one_line(result.stderr, str(self.cluster.master_state))
        self.assertTrue(first.alive())

    def test_second_slave_of_a_role_on_one_state_dir(self):
        self.cluster.start_master()
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        result = self.cluster.run("rpicluster-slave", "--state-dir",
                                  self.cluster.slave_state("pi1"), "--role", "basic", "--master",
                                  f"127.0.0.1:{self.cluster.port}")
        self.assertIn(result.returncode, (1, 78))
        self.assert_one_line(result.stderr, str(self.cluster.slave_state("pi1")))

    def test_master_worker_and_webserver_share_a_state_dir(self):
        self.cluster.start_master()
        shared = self.cluster.master_state
        for name, role in (("worker", "worker"), ("basic", "basic")):
            self.cluster.start("rpicluster-slave", "--state-dir", shared, "--role", role,
                               "--name", name)
        self.cluster.start("rpicluster-slave", "--state-dir", shared, "--role", "webserver",
                           "--name", "web", "--web-bind", "127.0.0.1", "--web-port", free_port())
        self.cluster.wait_online("worker", "basic", "web")
