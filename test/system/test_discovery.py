"""Slaves that know nothing but a key find their master: real programs, each in a network of its own.

Every test that says nobody was asked, or nothing was written, first sees that the same thing happens
where it should.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import unittest
import xml.etree.ElementTree

from cluster import ROOT, SystemTest, holds_for, time_limit, wait_for
from ledger import full_only
from network import NetworkCluster, Place, may_make_networks

ON = {"RPICLUSTER_MASTER_DISCOVERY": "yes", "RPICLUSTER_SLAVE_DISCOVERY": "yes"}
PORT = 12345  # of discovery, unless somebody sets another
DOWN = 60     # longer than a slave needs to find out that its master has moved, and where to


class DiscoveryCluster(NetworkCluster):
    """Its slaves are told nothing but what a test says. `masters` have a board each."""

    def __init__(self):
        super().__init__()
        self.boot_folders: dict = {}

    def environment(self, extra: dict | None = None) -> dict:
        return super().environment({**ON, **(extra or {})})

    def command(self, name: str, program: str, args: tuple) -> list:
        if program == "rpicluster-master" and name != "master":
            return self.board(name).inside(self.bin / program, *args)
        words = super().command(name, program, args)
        if name not in self.boot_folders:
            return words
        # Before the words of the program, in the mount namespace that the slave has anyway.
        at = words.index(str(self.bin / program))
        mount = ["sh", "-c", 'mount --bind "$0" /boot && exec "$@"',
                 str(self.boot_folders[name])]
        return words[:at] + mount + words[at:]

    def start_alone(self, name: str, *args, env: dict | None = None, key: bool = True):
        """A slave that has a key, and no idea where the master is."""
        words = ["--state-dir", self.slave_state(name), "--name", name, "--role", "basic"]
        words += ["--key-file", self.join_key_file()] if key else []
        return self.start("rpicluster-slave", *words, *args, name=name, env=env)

    def last_master(self, name: str) -> str:
        path = self.slave_state(name) / "slave-basic" / "master"
        return path.read_text(encoding="ascii").strip() if path.exists() else ""

    def counter(self, name: str) -> int:
        return self.cli_json("status")["counters"][name]


def lose(place: Place, percent: int) -> None:
    """Of what a slave asks and what it is answered, each way."""
    rules = "".join(f"chain {hook} {{ type filter hook {hook} priority 0\n"
                    f"udp {field} {PORT} numgen random mod 100 < {percent} counter drop\n}}\n"
                    for hook, field in (("input", "sport"), ("output", "dport")))
    place.run("nft", "-f", "-", text=f"table inet loss {{\n{rules}}}\n")


def lost(place: Place) -> int:
    rules = place.run("nft", "list", "table", "inet", "loss")
    return sum(int(count) for count in re.findall(r"counter packets (\d+)", rules))


def count_questions(place: Place) -> None:
    place.run("nft", "-f", "-", text="table inet watch {\nchain output { type filter hook output "
              f"priority 0\nudp dport {PORT} counter\n}}\n}}\n")


def questions(place: Place) -> int:
    rules = place.run("nft", "list", "table", "inet", "watch")
    return int(re.search(r"counter packets (\d+)", rules)[1])


def bytes_written(pid: int) -> int:
    text = pathlib.Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    return int(re.search(r"^write_bytes: (\d+)", text, re.MULTILINE)[1])


@unittest.skipUnless(may_make_networks(), "needs root, network namespaces and nft")
class DiscoveryTest(SystemTest):
    cluster_type = DiscoveryCluster


class Finding(DiscoveryTest):
    def test_a_key_is_enough(self):
        self.cluster.start_master()
        slave = self.cluster.start_alone("pi1")
        self.cluster.start_alone("pi2")
        self.cluster.wait_online("pi1", "pi2", timeout=20)
        self.wait_log(slave, "joined the cluster")
        master = f"{self.cluster.board('master').address}:{self.cluster.port}"
        self.assertEqual(self.cluster.last_master("pi1"), master)
        self.assertGreater(self.cluster.counter("discovery_answered"), 0)

    def test_where_it_was_last_comes_before_asking(self):
        self.cluster.start_master()
        count_questions(self.cluster.board("pi1"))
        slave = self.cluster.start_alone("pi1")
        before = self.cluster.wait_online("pi1", timeout=20)["pi1"]
        self.wait_log(slave, "joined the cluster")
        asked = questions(self.cluster.board("pi1"))
        self.assertGreater(asked, 0)
        slave.stop()
        self.cluster.start_alone("pi1")
        wait_for(lambda: self.cluster.nodes()["pi1"]["address"] != before["address"], 20, "it is back")
        self.assertEqual(questions(self.cluster.board("pi1")), asked)

    def test_idle_says_nothing_and_writes_nothing(self):
        master = self.cluster.start_master()
        board = self.cluster.board("pi1")
        count_questions(board)
        slave = self.cluster.start_alone("pi1")
        self.cluster.wait_online("pi1", timeout=20)
        self.wait_log(slave, "joined the cluster")
        asked = questions(board)
        self.assertGreater(asked, 0)
        pids = [slave.pid, master.pid]
        self.assertGreater(bytes_written(pids[0]), 0)  # its key, and where its master is
        wait_for(lambda: self.cluster.cli_json("status")["jobs"] is not None, 5, "it answers")
        before = [bytes_written(pid) for pid in pids]
        holds_for(lambda: [bytes_written(pid) for pid in pids] == before, 6, "nothing is written")
        self.assertEqual(questions(board), asked)

    def test_each_way_to_ask_is_enough(self):
        """Broadcast, the group of all IPv4 hosts, that of all IPv6 nodes."""
        self.cluster.bind = ""
        self.cluster.start_master()
        ways = {"pi1": "ip daddr 10.77.0.255", "pi2": "ip daddr 224.0.0.1",
                "pi3": "ip6 daddr ff02::1"}
        for name, way in ways.items():
            rules = f"udp dport {PORT} {way} accept\nudp dport {PORT} drop\n"
            self.cluster.board(name).run(
                "nft", "-f", "-", text="table inet way {\nchain output { type filter hook output "
                f"priority 0\n{rules}}}\n}}\n")
            self.cluster.start_alone(name)
        self.cluster.wait_online(*ways, timeout=40)

    @time_limit(120)
    def test_where_datagrams_get_lost(self):
        """30 % of the questions and 30 % of the answers, on every board."""
        self.cluster.start_master()
        names = [f"pi{number}" for number in range(1, 5)]
        for name in names:
            lose(self.cluster.board(name), 30)
            self.cluster.start_alone(name)
        self.cluster.wait_online(*names, timeout=40)
        self.assertGreater(sum(lost(self.cluster.board(name)) for name in names), 0)

    def test_without_ipv4(self):
        """Boards without an address of the same network still have link-local ones."""
        self.cluster.bind = ""
        board = self.cluster.board("pi1")
        if not pathlib.Path("/proc/net/if_inet6").exists():
            self.skipTest("no IPv6 here")
        self.cluster.start_master()
        board.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
        self.cluster.start_alone("pi1")
        node = self.cluster.wait_online("pi1", timeout=30)["pi1"]
        self.assertRegex(node["address"], r"^\[fe80:")
        self.assertRegex(self.cluster.last_master("pi1"), r"^\[fe80:.*%eth0\]:\d+$")

    def test_under_its_usual_name(self):
        """Before anybody is asked."""
        self.cluster.start_master(env={"RPICLUSTER_MASTER_DISCOVERY": "no"})
        address = self.cluster.board("master").address
        with open(self.cluster.hosts, "a", encoding="ascii") as hosts:
            hosts.write(f"{address} rpicluster\n")
        count_questions(self.cluster.board("pi1"))
        slave = self.cluster.start_alone(
            "pi1", env={"RPICLUSTER_SLAVE_SOCKET_PORT": str(self.cluster.port)})
        self.cluster.wait_online("pi1", timeout=20)
        self.wait_log(slave, "joined the cluster")
        self.assertEqual(self.cluster.last_master("pi1"), f"rpicluster:{self.cluster.port}")
        self.assertEqual(questions(self.cluster.board("pi1")), 0)

    @full_only
    @time_limit(DOWN + 90)
    def test_a_master_that_has_moved(self):
        """By nodes that have keys of their own, when the join key is another one by now."""
        self.cluster.start_master()
        for name in ("pi1", "pi2"):
            slave = self.cluster.start_alone(name)
            self.cluster.wait_online(name, timeout=20)
            self.wait_log(slave, "joined the cluster")
        before = self.cluster.nodes()
        self.cluster.cli_ok("token", "--rotate")
        self.cluster.board("master").move()
        address = self.cluster.board("master").address
        wait_for(lambda: self.cluster.last_master("pi1").startswith(address + ":") and
                 self.cluster.last_master("pi2").startswith(address + ":"), DOWN, "it is found")
        nodes = self.cluster.wait_online("pi1", "pi2")
        self.assertEqual({name: node["id"] for name, node in nodes.items()},
                         {name: node["id"] for name, node in before.items()})


class NotFinding(DiscoveryTest):
    def test_switched_off_at_the_slave(self):
        self.cluster.start_master()
        count_questions(self.cluster.board("pi1"))
        off = self.cluster.start_alone("pi1", env={"RPICLUSTER_SLAVE_DISCOVERY": "no"})
        self.wait_log(off, "no master is known", "--master")
        self.assertEqual(questions(self.cluster.board("pi1")), 0)
        off.stop()
        self.cluster.start_alone("pi1")
        self.cluster.wait_online("pi1", timeout=20)

    def test_switched_off_at_the_master(self):
        self.cluster.start_master(env={"RPICLUSTER_MASTER_DISCOVERY": "no"})
        slave = self.cluster.start_alone("pi1")
        self.wait_log(slave, "no master is found", "rpicluster.local", "--master", timeout=20)
        self.assertEqual(self.cluster.nodes(), {})
        # It is there all the same for those who know it.
        self.cluster.start_slave("pi2")
        self.cluster.wait_online("pi2")

    def test_a_stranger_is_not_even_heard(self):
        """Another cluster in the same network: each slave joins its own."""
        self.cluster.start_master()
        stranger = self.cluster.start(
            "rpicluster-master", "--state-dir", self.cluster.folder / "stranger", "--port",
            self.cluster.port, name="stranger")
        self.wait_log(stranger, "listens on port")
        slave = self.cluster.start_alone("pi1")
        self.cluster.wait_online("pi1", timeout=20)
        key = self.cluster.folder / "stranger" / "master" / "join.key"
        wait_for(key.exists, 10, "the stranger's key")
        self.cluster.start("rpicluster-slave", "--state-dir", self.cluster.slave_state("theirs"),
                           "--key-file", key, "--name", "theirs", "--role", "basic", name="theirs")
        self.wait_log(stranger, "theirs", "online", timeout=20)
        self.assertEqual(list(self.cluster.nodes()), ["pi1"])
        self.assertEqual(slave.log_lines("refused"), [])

    def test_two_masters_of_one_cluster(self):
        """The folder of a master was copied, and both run: a slave says so, and does not choose."""
        self.cluster.start_master()
        self.cluster.join_key_file()
        self.cluster.master.stop()
        copy = self.cluster.folder / "copied-state"
        shutil.copytree(self.cluster.master_state, copy)
        self.cluster.restart_master()
        second = self.cluster.start("rpicluster-master", "--state-dir", copy, "--port",
                                    self.cluster.port, name="second")
        self.wait_log(second, "listens on port")
        slave = self.cluster.start_alone("pi1")
        line = self.wait_log(slave, "2 masters answer", timeout=20)
        for name in ("master", "second"):
            self.assertIn(f"{self.cluster.board(name).address}:{self.cluster.port}", line)
        self.assertEqual(self.cluster.nodes(), {})
        second.stop()
        self.cluster.wait_online("pi1", timeout=30)


class PreparedCard(DiscoveryTest):
    def prepare(self, name: str, text: str) -> pathlib.Path:
        """The card of a board, as a PC has left it."""
        folder = self.cluster.folder / f"boot-{name}"
        (folder / "firmware").mkdir(parents=True)
        path = folder / "firmware" / "rpicluster.cfg"
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        self.cluster.boot_folders[name] = folder
        return path

    @unittest.skipUnless(os.path.isdir("/boot"), "no /boot here")
    def test_a_headless_card(self):
        """Name and key on the boot partition; the key can be deleted there after the first start."""
        self.cluster.start_master()
        key = self.cluster.join_key_file().read_text(encoding="ascii").strip()
        path = self.prepare("pi1", "# my first board\n[slave]\nname = attic\nrole: basic\n"
                            f"join_key = {key.lower()}\n")
        state = self.cluster.slave_state("pi1")
        kept = state / "slave-basic" / "join.key"
        self.cluster.board("pi1").cut("both")  # it starts before there is a network
        slave = self.cluster.start("rpicluster-slave", "--state-dir", state, name="pi1")
        wait_for(kept.exists, 10, "the key is taken into the state")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        self.assertEqual(kept.read_text(encoding="ascii"), key + "\n")
        slave.stop()
        path.write_text("[slave]\nname = attic\nrole = basic\n", encoding="ascii")
        self.cluster.board("pi1").heal()
        slave = self.cluster.start("rpicluster-slave", "--state-dir", state, name="pi1")
        self.cluster.wait_online("attic", timeout=20)
        self.wait_log(slave, "joined the cluster")
        self.assertFalse(kept.exists())
        self.assertNotIn(key, slave.log())

    @unittest.skipUnless(os.path.isdir("/boot"), "no /boot here")
    def test_a_mistake_on_the_card_is_told(self):
        self.prepare("pi1", "[slave]\njoin_key = 7KQ2M-ABCDE\n")
        slave = self.cluster.start("rpicluster-slave", "--state-dir",
                                   self.cluster.slave_state("pi1"), name="pi1")
        self.assertEqual(slave.wait(), 78)
        self.assert_one_line(slave.log(), "join_key", "five groups")
        self.assertNotIn("7KQ2M", slave.log())


class Avahi(unittest.TestCase):
    def test_the_service_file_is_sound(self):
        root = xml.etree.ElementTree.parse(ROOT / "etc" / "avahi" / "rpicluster.service").getroot()
        self.assertEqual(root.tag, "service-group")
        service = root.find("service")
        self.assertEqual(service.findtext("type"), "_rpicluster._tcp")
        self.assertEqual(service.findtext("port"), "12345")
