"""Which node is which: copied cards, cards written anew, equal names, containers of one board.

A board is told from others by its serial number. Here each slave sees a /proc/cpuinfo of its own, with
the serial number that its board would have.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import Cluster, Program, SystemTest, copy_folder, holds_for, wait_for

# In a mount namespace and with a host name of its own: sh's words after the script are cpuinfo, the
# host's name, and the program.
ON_BOARD = 'mount --bind "$0" /proc/cpuinfo && hostname "$1" && shift && exec "$@"'


def may_have_boards() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    command = ["unshare", "--mount", "--uts", "sh", "-c", ON_BOARD, "/proc/cpuinfo", "probe", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class BoardCluster(Cluster):
    """Its slaves run on boards: name of the slave -> serial number."""

    def __init__(self):
        super().__init__()
        self.serials: dict = {}

    def command(self, name: str, program: str, args: tuple) -> list:
        words = super().command(name, program, args)
        if name not in self.serials:
            return words
        cpuinfo = self.folder / f"cpuinfo-{self.serials[name]}"
        if not cpuinfo.exists():
            processors = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
            cpuinfo.write_text(f"{processors}\nSerial\t\t: {self.serials[name]}\n", encoding="utf-8")
        return ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", ON_BOARD,
                str(cpuinfo), name, *words]

    def start_on(self, board: str, card: str, name: str | None = None) -> Program:
        """The slave of a card in a board: the card is the state folder, the board the serial number.
        Its name is given, or that of the host, which is then the card's, as on real cards."""
        host = name or card
        key = f"{board}/{card}"  # one line of the log files for each
        self.serials[host] = f"10000000{board}"
        words = ["--state-dir", self.slave_state(card), "--role", "basic", "--master",
                 self.master_address(), "--key-file", self.join_key_file()]
        return self.start("rpicluster-slave", *words, name=host, env={"RPIC_TEST_BOARD": key})

    def card_key(self, card: str) -> str:
        path = self.slave_state(card) / "slave-basic" / "node.key"
        return path.read_text(encoding="ascii") if path.exists() else ""


@unittest.skipUnless(may_have_boards(), "needs root and mount namespaces")
class Boards(SystemTest):
    cluster_type = BoardCluster

    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master()

    def ids(self) -> dict:
        return {name: node["id"] for name, node in self.cluster.nodes().items()}

    def join(self, board: str, card: str, name: str | None = None) -> Program:
        """Starts it, and waits until its key is on its card."""
        before = self.cluster.card_key(card)
        slave = self.cluster.start_on(board, card, name)
        self.wait_log(slave, "joined the cluster")
        wait_for(lambda: self.cluster.card_key(card) not in ("", before) or before, 5, "its key")
        return slave

    def copy_card(self, card: str, copy: str) -> None:
        copy_folder(self.cluster.slave_state(card), self.cluster.slave_state(copy))

    def test_a_copied_card_becomes_a_node_of_its_own(self):
        first = self.join("a1", "card", "pi")
        self.copy_card("card", "copy")
        key = self.cluster.card_key("copy")
        second = self.join("b2", "copy", "pi")
        self.wait_log(self.master, "a copied card")
        self.cluster.wait_online("pi", "pi-2")
        wait_for(lambda: self.cluster.card_key("copy") != key, 10, "the copy has its own key")
        self.assertEqual(self.cluster.card_key("card"), key, "the original has lost nothing")
        ids = self.ids()
        # From then on they are two, in whatever order they come back.
        for slave in (first, second):
            slave.stop()
        self.cluster.start_on("b2", "copy", "pi")
        self.cluster.wait_online("pi-2")
        self.cluster.start_on("a1", "card", "pi")
        self.cluster.wait_online("pi", "pi-2")
        self.assertEqual(self.ids(), ids)
        self.assertEqual(self.cluster.cli_json("status")["counters"]["clones"], 1)

    def test_a_card_that_was_moved_is_the_same_node(self):
        first = self.join("a1", "card", "pi")
        before = self.ids()
        first.stop()
        self.join("b2", "card", "pi")
        self.cluster.wait_online("pi")
        self.assertEqual(self.ids(), before)
        self.assertEqual(self.master.log_lines("copied card"), [])

    def test_a_card_that_was_written_anew_is_the_same_node(self):
        first = self.join("a1", "card", "pi")
        before = self.ids()
        self.cluster.cli_ok("label", "pi", "room=attic")
        key = self.cluster.card_key("card")
        old = self.cluster.slave_state("card")
        first.stop()
        shutil.move(old, self.cluster.slave_state("drawer"))  # the card of before
        self.join("a1", "card", "pi")
        nodes = self.cluster.wait_online("pi")
        self.assertEqual(self.ids(), before)
        self.assertEqual(nodes["pi"]["labels"], {"room": "attic"})
        self.assertNotEqual(self.cluster.card_key("card"), key)
        self.wait_log(self.master, "node pi joins anew from the same board")
        # The earlier card is worth nothing, in this board or another one.
        ghost = self.cluster.start_on("c3", "drawer", "ghost")
        self.wait_log(ghost, "refused", "--rejoin")
        holds_for(lambda: list(self.cluster.nodes()) == ["pi"], 2, "it stays one node")

    def test_another_board_of_that_name_is_another_node(self):
        """The name alone is no reason to be taken for a node that is away."""
        first = self.join("a1", "card", "pi")
        first.stop()
        self.cluster.wait_state("pi", "suspect")
        self.join("b2", "other", "pi")
        self.cluster.wait_online("pi-2")
        self.assertEqual(sorted(self.cluster.nodes()), ["pi", "pi-2"])

    def test_two_boards_of_one_name(self):
        for board, card in (("a1", "one"), ("b2", "two"), ("c3", "three")):
            self.join(board, card, "raspberrypi")
        nodes = self.cluster.wait_online("raspberrypi", "raspberrypi-2", "raspberrypi-3")
        self.assertEqual(len({node["id"] for node in nodes.values()}), 3)

    def test_two_containers_on_one_board(self):
        """The same serial number, host names and states of their own."""
        one = self.join("a1", "box-one")
        two = self.join("a1", "box-two")
        self.cluster.wait_online("box-one", "box-two")
        ids = self.ids()
        self.assertEqual(len(set(ids.values())), 2)
        for slave in (one, two):
            slave.stop()
        self.cluster.start_on("a1", "box-two")
        self.cluster.wait_online("box-two")
        self.cluster.start_on("a1", "box-one")
        self.cluster.wait_online("box-one", "box-two")
        self.assertEqual(self.ids(), ids)

    def test_two_containers_of_one_name_on_one_board(self):
        self.join("a1", "one", "box")
        second = self.join("a1", "two", "box")
        self.cluster.wait_online("box", "box-2")
        ids = self.ids()
        second.stop()
        self.cluster.start_on("a1", "two", "box")
        self.cluster.wait_state("box-2", "online")
        self.assertEqual(self.ids(), ids)
