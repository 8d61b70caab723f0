"""How nodes feel: what the real ones tell, and what becomes of those that are unwell."""

from __future__ import annotations

import os
import pathlib

from cluster import SystemTest, wait_for
from keyed_peer import worker_peer

VITALS = {"undervoltage_seen", "frequency_capped", "cpu_mhz_max", "cpu_mhz_limit", "disk_bytes",
          "disk_free_bytes", "disk_read_only", "disk_errors", "network", "network_mbps",
          "network_received_bytes", "network_sent_bytes", "network_errors", "pressure_cpu",
          "pressure_memory", "pressure_io", "clock_set"}


class Vitals(SystemTest):
    def test_a_real_node(self):
        self.cluster.start_master()
        self.cluster.start_slave("pi1", "--heartbeat", "1")
        self.cluster.wait_online("pi1")
        node = wait_for(lambda: self.told("pi1"), 10, "its vitals")
        vitals = node["vitals"]
        self.assertLessEqual(VITALS, set(vitals))
        disk = os.statvfs(self.cluster.slave_state("pi1"))
        self.assertEqual(vitals["disk_bytes"], disk.f_blocks * disk.f_frsize)
        self.assertTrue(0 <= vitals["disk_free_bytes"] <= vitals["disk_bytes"])
        self.assertIsInstance(vitals["clock_set"], bool)
        for kind in ("cpu", "memory", "io"):
            try:
                known = bool(pathlib.Path(f"/proc/pressure/{kind}").read_text(encoding="ascii"))
            except OSError:
                known = False
            self.assertEqual(vitals[f"pressure_{kind}"] is not None, known)
        interfaces = [path.name for path in pathlib.Path("/sys/class/net").iterdir()]
        if vitals["network"]:
            self.assertIn(vitals["network"], interfaces)
            self.assertIsInstance(vitals["network_received_bytes"], int)
        self.assertIn("board", node)
        self.assertIn("serial", node)

    def told(self, name: str) -> dict | None:
        node = self.cluster.nodes()[name]
        return node if node["vitals"].get("disk_bytes") else None


class Unwell(SystemTest):
    """A node with sensors that the test holds a match to."""

    def join(self, name: str):
        key = self.cluster.join_key_file().read_text(encoding="ascii").strip()
        peer, _ = worker_peer(self.cluster.port, key, name)
        self.addCleanup(peer.close)
        return peer

    def feels(self, peer, **vitals) -> None:
        """It is told and known, when this returns."""
        peer.sequence = getattr(peer, "sequence", 0) + 1
        peer.send("heartbeat", {"sequence": peer.sequence, "vitals": vitals})
        while peer.wait_for("heartbeat_ack")[0]["sequence"] != peer.sequence:
            pass

    def unwell(self) -> dict:
        nodes = self.cluster.cli_json("nodes", "--unwell")["nodes"]
        return {node["name"]: node["unwell"] for node in nodes}

    def events(self) -> list:
        """(kind, text) of those about health."""
        events = self.cluster.cli_json("events")["events"]
        return [(event["kind"], event["text"]) for event in events
                if event["kind"] in ("node_unwell", "node_well")]

    def test_a_hot_node_gets_no_work_until_it_has_cooled_down(self):
        self.cluster.start_master()
        oven = self.join("oven")
        self.feels(oven, temperature_c=85.2)
        self.assertEqual(self.unwell(), {"oven": ["hot: 85 C"]})
        self.assertIn("hot: 85 C", self.cluster.cli_ok("nodes"))
        self.assertEqual(self.cluster.cli_json("status")["nodes_unwell"], 1)
        job = self.cluster.submit("true")
        wait_for(lambda: "it is unwell: hot: 85 C" in self.cluster.cli_ok("explain", job), 10,
                 "the job says why it waits")
        self.feels(oven, temperature_c=76)  # below the limit, and not yet cool
        self.assertEqual(self.unwell(), {"oven": ["hot: 76 C, has to cool below 75 C"]})
        self.assertIn("has to cool", self.cluster.cli_ok("explain", job))
        self.feels(oven, temperature_c=60)
        orders, _ = oven.wait_for("start_tasks")
        self.assertEqual(orders["job"], int(job))
        self.assertEqual(self.unwell(), {})
        self.assertEqual(self.events(), [("node_unwell", "node oven is unwell: hot: 85 C"),
                                         ("node_well", "node oven is well again")])
        self.wait_log(self.cluster.master, "node oven is well again")

    def test_disks_and_power(self):
        self.cluster.start_master()
        gibibyte = 2 ** 30
        old = self.join("old")
        self.feels(old, undervoltage=True, disk_bytes=32 * gibibyte, disk_free_bytes=gibibyte // 8,
                   disk_read_only=True, disk_errors=3)
        told = self.unwell()["old"]
        self.assertEqual(told, ["under-voltage: the power supply or its cable is too weak",
                                "its file system is read-only: the card or disk may be broken",
                                "its file system has had 3 errors: check the card or disk",
                                "its disk is almost full: 128M free"])
        self.feels(old, undervoltage=False)
        self.assertEqual(self.unwell()["old"], told[:1], "a moment ago is not over")
        self.feels(old, disk_bytes=32 * gibibyte, disk_free_bytes=8 * gibibyte)
        header, row = self.cluster.cli_ok("-o", "wide", "nodes", "old").splitlines()
        self.assertIn("DISK", header)
        self.assertIn("24G/32G", row)

    def test_a_slave_of_the_version_before(self):
        """It tells less; what it does not tell is null."""
        self.cluster.start_master()
        self.feels(self.join("old"), cpu_percent=5, throttled=False)
        vitals = self.cluster.nodes()["old"]["vitals"]
        self.assertEqual(vitals.pop("cpu_percent"), 5)
        self.assertEqual(vitals.pop("throttled"), False)
        self.assertEqual(vitals.pop("network"), "")
        self.assertEqual(set(vitals.values()), {None})
        self.assertEqual(self.unwell(), {})

    def test_other_limits(self):
        config = self.cluster.folder / "limits.cfg"
        config.write_text("[master]\nhot_celsius = 60\nlow_disk = 1G\n", encoding="ascii")
        self.cluster.start_master("--config", config)
        pi = self.join("pi")
        self.feels(pi, temperature_c=61, disk_bytes=2 ** 40, disk_free_bytes=2 ** 30 - 1)
        self.assertEqual(self.unwell(), {"pi": ["hot: 61 C", "its disk is almost full: 1.0G free"]})
        self.feels(pi, temperature_c=55)
        self.assertEqual(self.unwell(), {"pi": ["hot: 55 C, has to cool below 55 C"]})
        self.feels(pi, temperature_c=54)
        self.assertEqual(self.unwell(), {})

    def test_limits_that_make_no_sense(self):
        for text, said in (("cooled_celsius = 90", "above hot_celsius"),
                           ("hot_celsius = hell", "a number"), ("low_disk = much", "a size")):
            config = self.cluster.folder / "bad.cfg"
            config.write_text(f"[master]\n{text}\n", encoding="ascii")
            result = self.cluster.run("rpicluster-master", "--state-dir", self.cluster.master_state,
                                      "--config", config)
            self.assertEqual(result.returncode, 78)
            self.assert_one_line(result.stderr, said)
