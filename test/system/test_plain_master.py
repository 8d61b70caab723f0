"""The seeds' peers at our `rpicluster-master --plain`."""

from __future__ import annotations

import json

from cluster import SystemTest, holds_for, wait_for
from plain_peer import PlainPeer, frame
from seed_peers import RpiBasicSlaveThread, RpiOldSlaveThread, RpiWebserverSlaveThread

DETAILS = {"hostname": "shelf-pi", "cpu_percent_used": 12.5, "ram": 1073741824,
           "cpu": "ARMv7 Processor rev 4 (v7l)", "cpu_cores": 3}


class PlainMaster(SystemTest):
    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master(plain=True)

    def slave(self, kind=RpiBasicSlaveThread, heartbeat=0.5, **details):
        slave = kind("127.0.0.1", self.cluster.port, dict(DETAILS, **details), heartbeat, retry=0.2)
        slave.start()
        self.addCleanup(slave.stop)
        return slave

    def node_with_cpu(self, cpu: str, **expected):
        """The node that reported this text as its CPU, once it is as expected."""
        def find():
            for node in self.cluster.node_list():
                if node["cpu"] == cpu and all(node[key] == expected[key] for key in expected):
                    return node
            return None
        return wait_for(find, 10, f"a node with cpu {cpu!r} and {expected}")

    def assert_shown(self, slave) -> dict:
        node = self.node_with_cpu(slave.details["cpu"], state="online")
        self.assertIs(node["plain"], True)
        self.assertEqual(node["ram_bytes"], slave.details["ram"])
        self.assertEqual(node["cpu_cores"], slave.details["cpu_cores"])
        self.assertEqual(node["hostname"], slave.details["hostname"])
        self.assertEqual(node["vitals"]["cpu_percent"], slave.details["cpu_percent_used"])
        self.assertEqual(node["running_tasks"], 0)
        return node

    def test_seed_slave_joins_and_is_shown(self):
        slave = self.slave()
        wait_for(lambda: slave.actions >= 2, 10, "two heartbeats")
        self.assertRegex(slave.uuid, "^[0-9a-f]{32}$")
        details = slave.master_details
        self.assertGreaterEqual(set(details), set(DETAILS))
        self.assertIsInstance(details["hostname"], str)
        self.assertIsInstance(details["cpu"], str)
        self.assertIsInstance(details["ram"], int)
        self.assertGreater(details["ram"], 2 ** 20)
        self.assertIsInstance(details["cpu_cores"], int)
        self.assertGreaterEqual(details["cpu_cores"], 1)
        self.assertTrue(0 <= details["cpu_percent_used"] <= 100)
        self.assert_shown(slave)

    def test_old_slave_with_machine_details_is_shown(self):
        self.assert_shown(self.slave(RpiOldSlaveThread, cpu="old"))

    def test_seed_webserver_slave_sees_every_slave(self):
        first, second = self.slave(cpu="one"), self.slave(cpu="two")
        web = self.slave(RpiWebserverSlaveThread, heartbeat=0.2, cpu="web")
        wait_for(lambda: set(web.current_slave_details or {}) >=
                 {first.uuid, second.uuid, web.uuid}, 10, "all three in slave_details")
        for slave in (first, second, web):
            entry = web.current_slave_details[slave.uuid]
            self.assertEqual(entry["uuid"], slave.uuid)
            self.assertEqual(entry["address"], "{}:{}".format(*slave.sock.getsockname()))
        first.stop()
        wait_for(lambda: first.uuid not in web.current_slave_details, 10, "the gone one is gone")

    def test_other_questions_get_bad_message(self):
        unknown = {"type": "bad_message", "payload": "unknown"}
        with PlainPeer(self.cluster.port) as peer:
            for topic in ("weather", "", "UUID", "computer_details "):
                self.assertEqual(peer.ask(topic), unknown)
            self.assertRegex(peer.uuid(), "^[0-9a-f]{32}$")

    def test_uuid_stays_and_differs(self):
        with PlainPeer(self.cluster.port) as one, PlainPeer(self.cluster.port) as two:
            self.assertEqual(one.uuid(), one.uuid())
            self.assertNotEqual(one.uuid(), two.uuid())

    def test_gone_slave_is_not_online(self):
        slave = self.slave(cpu="leaves")
        self.assert_shown(slave)
        slave.stop()
        wait_for(lambda: [node["state"] for node in self.cluster.node_list()
                          if node["cpu"] == "leaves"] != ["online"], 3, "it is not online any more")

    def test_comes_back_after_master_restart(self):
        slave = self.slave(cpu="returns")
        self.assert_shown(slave)
        self.master.stop()
        self.cluster.restart_master(plain=True)
        wait_for(lambda: slave.times_connected == 2, 10, "it connected again")
        self.assert_shown(slave)

    def test_frames_cut_at_every_byte(self):
        hello = frame("computer_details", dict(DETAILS, cpu="cut everywhere"))
        question = frame("info", "uuid")
        with PlainPeer(self.cluster.port) as peer:
            peer.send_in_pieces(hello + question, 1)
            self.assertEqual(peer.receive()["type"], "uuid")
            for cut in range(1, len(question)):
                peer.send_in_pieces(question, cut)
                self.assertEqual(peer.receive()["type"], "uuid", f"cut every {cut} bytes")
            self.node_with_cpu("cut everywhere", state="online")

    def test_one_byte_first(self):
        """The master looks at the first byte before it knows what this connection is."""
        with PlainPeer(self.cluster.port) as peer:
            peer.send(b"{")
            self.assertIsNone(peer.receive_bytes(0.5))
            peer.send(frame("info", "uuid")[1:])
            self.assertEqual(peer.receive()["type"], "uuid")

    def test_many_frames_in_one_segment(self):
        with PlainPeer(self.cluster.port) as peer:
            peer.send(frame("computer_details", DETAILS)
                      + frame("message", "in between") * 50 + frame("info", "uuid") * 500)
            answers = {peer.receive()["payload"] for _ in range(500)}
            self.assertEqual(len(answers), 1)
            peer.send(frame("info", "uuid") + frame("info", "weather")[:10])
            self.assertEqual(peer.receive()["type"], "uuid")
            peer.send(frame("info", "weather")[10:])
            self.assertEqual(peer.receive()["type"], "bad_message")

    def test_utf8_cut_in_the_middle(self):
        cpu = "Küche Ω € 🍓"
        hello = frame("computer_details", dict(DETAILS, cpu=cpu))
        with PlainPeer(self.cluster.port) as peer:
            for position in [n for n, byte in enumerate(hello) if byte >= 0x80]:
                peer.send_in_pieces(hello[:position], len(hello))
                peer.send(hello[position:])
            self.assertRegex(peer.uuid(), "^[0-9a-f]{32}$")
            self.node_with_cpu(cpu, state="online", hostname="shelf-pi")

    def test_unknown_type_is_logged_and_lives(self):
        with PlainPeer(self.cluster.port) as peer:
            before = peer.uuid()
            peer.send(frame("frobnicate", {"a": [1, 2, {"b": None}]}))
            self.assertEqual(peer.uuid(), before)
            self.assertRegex(self.wait_log(self.master, "frobnicate").lower(), "warn")

    def test_wrong_payload_types_live(self):
        wrong = ["text", 5, None, True, [], [1, 2], {}, {"a": 1}]
        with PlainPeer(self.cluster.port) as peer:
            before = peer.uuid()
            for kind in ("message", "computer_details", "machine_details", "info"):
                for payload in wrong:
                    peer.send(frame(kind, payload))
            for key in DETAILS:
                for value in ("text", -1, 1e300, 2 ** 63 - 1, None, [], {}):
                    peer.send(frame("computer_details", dict(DETAILS, **{key: value})))
            self.assertEqual(peer.uuid(), before)
            peer.send(frame("computer_details", dict(DETAILS, cpu="sane again")))
            self.node_with_cpu("sane again", state="online", cpu_cores=3, ram_bytes=1073741824)

    def test_hostile_text_stays_text(self):
        """Control characters and markup that a peer reports do not reach a terminal as such."""
        cpu = "\x1b[31mred\x1b[0m\r\n\x07<b>"
        with PlainPeer(self.cluster.port) as peer:
            payload = dict(DETAILS, cpu=cpu, hostname="evil\x1b]0;title\x07\nline2")
            # json.dumps escapes the separator inside of strings.
            peer.send(frame("computer_details", payload))
            peer.send(frame("message", "\x1b[2Jcleared\nFAKE log line"))
            wait_for(lambda: [node for node in self.cluster.node_list() if node["plain"]], 5,
                     "the peer is a node")
            self.assertRegex(peer.uuid(), "^[0-9a-f]{32}$")
            for output in ("table", "wide"):
                text = self.cluster.cli_ok("-o", output, "nodes")
                self.assertNotRegex(text, r"[\x00-\x09\x0b-\x1f\x7f]")
                self.assertNotIn("\nline2", text)
            self.assertNotIn("\x1b", self.master.log())
            self.assertNotIn("\nFAKE", self.master.log())

    def test_silent_plain_peer_becomes_suspect_then_lost(self):
        with PlainPeer(self.cluster.port) as peer:
            peer.send(frame("computer_details", dict(DETAILS, cpu="silent")))
            self.node_with_cpu("silent", state="online")
            wait_for(lambda: [node["state"] for node in self.cluster.node_list()
                              if node["cpu"] == "silent"] == ["suspect"], 25, "suspect by silence")

    def test_plain_nodes_do_not_disturb_encrypted_ones(self):
        self.cluster.start_slave("own")
        slave = self.slave(RpiWebserverSlaveThread, cpu="plain one", heartbeat=0.2)
        self.cluster.wait_online("own")
        self.assert_shown(slave)
        self.assertIs(self.cluster.nodes()["own"]["plain"], False)
        own = self.cluster.nodes()["own"]["id"]
        # What a plain peer is told about others are addresses, never a key.
        self.assertNotIn("key", json.dumps(slave.current_slave_details).lower())
        holds_for(lambda: self.cluster.nodes()["own"]["id"] == own, 1, "the same node")
