"""Our `rpicluster-slave --plain` at masters written from the texts."""

from __future__ import annotations

import threading
import time

from cluster import SystemTest, holds_for, wait_for
from plain_peer import frame
from seed_peers import RpiMaster, get_base_machine_info


class PlainSlave(SystemTest):
    def setUp(self):
        super().setUp()
        self.lock = threading.Lock()
        self.messages: list = []

    def record(self, sender: str, message: dict) -> None:
        with self.lock:
            self.messages.append((sender, message["type"], message["payload"]))

    def seen(self, kind: str) -> list:
        """Payloads of this type so far."""
        with self.lock:
            return [payload for _, seen, payload in self.messages if seen == kind]

    def start_master(self, port: int = 0, knows: str = "uuid") -> RpiMaster:
        master = RpiMaster(socket_port=port, knows=knows)
        master.on_message = self.record
        return master.start()

    def start_slave(self, port: int, *args):
        return self.cluster.start("rpicluster-slave", "--plain", "--master", f"127.0.0.1:{port}",
                                  "--state-dir", self.cluster.slave_state("plain"), *args)

    def test_says_what_a_seed_slave_says(self):
        master = self.start_master()
        self.addCleanup(master.stop)
        self.start_slave(master.port, "--heartbeat", "1")
        wait_for(lambda: len(self.seen("message")) >= 3, 15, "three heartbeats")
        uuid = next(iter(master.connected_clients))
        self.assertEqual(self.seen("message")[:3], [f"I am still alive, client: {uuid}"] * 3)
        kinds = [(kind, payload if kind == "info" else None) for _, kind, payload in self.messages]
        self.assertEqual(kinds[:4], [("info", "uuid"), ("computer_details", None),
                                     ("info", "computer_details"), ("message", None)])
        self.assertEqual(self.seen("computer_details")[0].keys(), get_base_machine_info().keys())

    def test_details_are_those_of_this_machine(self):
        master = self.start_master()
        self.addCleanup(master.stop)
        self.start_slave(master.port)
        details = wait_for(lambda: self.seen("computer_details"), 10, "its details")[0]
        here = get_base_machine_info()
        self.assertEqual(details["hostname"], here["hostname"])
        self.assertTrue(1 <= details["cpu_cores"] <= here["cpu_cores"])
        self.assertTrue(2 ** 20 < details["ram"] <= here["ram"])
        self.assertIsInstance(details["ram"], int)
        self.assertIsInstance(details["cpu"], str)
        self.assertTrue(0 <= details["cpu_percent_used"] <= 100)

    def test_beats_every_five_seconds_by_itself(self):
        master = self.start_master()
        self.addCleanup(master.stop)
        self.start_slave(master.port)
        wait_for(lambda: self.seen("message"), 10, "the first heartbeat")
        first = time.monotonic()
        wait_for(lambda: len(self.seen("message")) >= 3, 20, "two more")
        self.assertAlmostEqual(time.monotonic() - first, 10, delta=1.5)

    def check_makes_its_own_uuid(self, knows: str) -> None:
        master = self.start_master(knows=knows)
        self.addCleanup(master.stop)
        slave = self.start_slave(master.port, "--heartbeat", "1")
        wait_for(lambda: len(self.seen("message")) >= 2, 15, "heartbeats")
        self.assertRegex(self.seen("message")[0], "^I am still alive, client: [0-9a-f]{32}$")
        self.assertEqual(len(set(self.seen("message"))), 1)
        self.assertTrue(self.seen("computer_details"))
        holds_for(lambda: slave.alive() and len(master.connected_clients) == 1, 3,
                  "the connection lives on")

    def test_older_master_that_answers_bad_message(self):
        self.check_makes_its_own_uuid("info")

    def test_oldest_master_that_answers_nothing(self):
        self.check_makes_its_own_uuid("nothing")

    def test_comes_back_when_the_master_is_restarted(self):
        master = self.start_master()
        slave = self.start_slave(master.port, "--heartbeat", "1")
        wait_for(lambda: self.seen("message"), 10, "the first heartbeat")
        for _ in range(2):
            master.stop()
            with self.lock:
                self.messages.clear()
            master = self.start_master(master.port)
            wait_for(lambda: self.seen("message"), 15, "a heartbeat at the new master")
            uuid = next(iter(master.connected_clients))
            self.assertEqual(self.seen("message")[0], f"I am still alive, client: {uuid}")
        master.stop()
        self.assertTrue(slave.alive())

    def test_master_away_at_start(self):
        master = self.start_master()
        master.stop()
        self.start_slave(master.port)
        again = None
        try:
            holds_for(lambda: self.cluster.programs[0].alive(), 1, "it keeps trying")
            again = self.start_master(master.port)
            wait_for(lambda: self.seen("computer_details"), 15, "it joins")
        finally:
            if again:
                again.stop()

    def test_joins_our_own_plain_master(self):
        self.cluster.start_master(plain=True)
        self.start_slave(self.cluster.port, "--heartbeat", "1")
        node = wait_for(self.cluster.node_list, 10, "a node")[0]
        self.assertIs(node["plain"], True)
        wait_for(lambda: self.cluster.node_list()[0]["state"] == "online", 5, "it is online")

    def test_strange_answers_of_a_master(self):
        """A master that sends noise is left, and tried again; the slave lives."""
        master = self.start_master(knows="nothing")
        self.addCleanup(master.stop)
        sent = []

        def answer(sender, message):
            self.record(sender, message)
            if message["type"] == "info" and message["payload"] == "uuid" and len(sent) < 3:
                bad = [b"noise\r", frame("uuid", {"not": "text"}), b"x" * 70_000][len(sent)]
                sent.append(bad)
                master.connected_clients[sender].clientsocket.sendall(bad)

        master.on_message = answer
        slave = self.start_slave(master.port, "--heartbeat", "1")
        wait_for(lambda: self.seen("message"), 40, "it got over it and beats")
        self.assertTrue(slave.alive())
