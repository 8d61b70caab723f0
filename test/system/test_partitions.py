"""Real programs on a network that breaks: each node in a network namespace of its own, cables that
are cut one way or both, connections that are reset, addresses that change, a slow line.

Each round hurts the node pi1 while it has work; pi2 stands by. Then every task has exactly one
result, that of an attempt which ran to its end. RPIC_TEST_ROUNDS says how many rounds.
"""

from __future__ import annotations

import os
import random
import time
import unittest

from cluster import rounds, tell, time_limit, wait_for
from ledger import FaultTest, full_only, uptime
from network import NetworkCluster, may_make_networks
from relay import Relay

ROUNDS = rounds(2)
LOST_WITHIN = 25.0  # the contract: work runs elsewhere after that
SLACK = 3.0         # for a busy machine
SILENCE = 15.0      # a slave that hears nothing for so long connects anew
FAST = ("--heartbeat", "0.5", "--reconnect-max", "6")
TASKS = range(5, 8)  # with a big one, whose output takes a link of its own
FOREVER = 100_000


@unittest.skipUnless(may_make_networks(), "needs root, ip, nft and network namespaces")
class Partitions(FaultTest):
    cluster_type = NetworkCluster

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("RPIC_TEST_SEED", random.randrange(1_000_000)))
        self.dice = random.Random(self.seed)
        print(f"seed {self.seed}")

    def start_boards(self) -> None:
        self.cluster.start_master(port=12345)
        for name in ("pi1", "pi2"):
            self.start_worker(name, 4, *FAST)
        self.cluster.wait_online("pi1", "pi2")
        self.board = self.cluster.board("pi1")

    def work_on_pi1(self, ticks, *options) -> int:
        """A job whose tasks all run on pi1, while pi2 may take them over. ticks: a number, or for
        first attempts alone; later ones are short."""
        self.cluster.wait_online("pi1", "pi2", timeout=30)
        self.cluster.cli_ok("drain", "pi2")
        job = self.submit("--array", f"{TASKS[0]}-{TASKS[-1]}", *options, command=[
            "sh", "-c", f"[ $RPIC_ATTEMPT -gt 1 ] || exec {self.task} {ticks} 10;"
                        f" exec {self.task} 4 10"])
        for task in TASKS:
            self.assertEqual(self.wait_started(job, task)[4], "pi1")
        self.cluster.cli_ok("undrain", "pi2")
        return job

    def end_round(self, job: int, timeout: float = 60) -> None:
        """All is as it should be, and what lost has been ended."""
        self.wait_ended(job, timeout=timeout)
        self.audit(job, TASKS)
        wait_for(lambda: not self.task_pids(job), 30, "attempts that are wanted no more have ended")
        self.audit_ledger()
        self.assertEqual(self.counters()["unknown_attempts"], 0)
        tell(count=1)

    def attempts(self, job: int) -> set:
        return {key[2] for key in self.ledger.runs() if key[0] == job}

    def heal_before_lost(self, direction: str) -> None:
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(self.dice.randint(40, 500))
            self.board.cut(direction)
            # No wait for something: the cut's length. Later than this a node may be lost before it
            # has noticed by itself and come back.
            length = self.dice.uniform(0.5, SILENCE - 2)
            print(f"cut for {length:.1f} s", flush=True)
            time.sleep(length)
            self.board.heal()
            self.cluster.wait_online("pi1", timeout=20)
            self.end_round(job)
            self.assertEqual(self.attempts(job), {1}, "it was not lost, so nothing ran twice")

    def heal_after_lost(self, direction: str) -> None:
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(self.dice.choice([400, 700, FOREVER]))
            cut_at = uptime()
            self.board.cut(direction)
            # A node that is heard is lost only after it has given up a master that it cannot hear.
            within = LOST_WITHIN + SLACK + (SILENCE if direction == "in" else 0)
            for task in TASKS:
                started = self.wait_started(job, task, attempt=2, timeout=within)
                self.assertEqual(started[4], "pi2")
                self.assertLess(float(started[5]) - cut_at, within)
            time.sleep(self.dice.uniform(0, 3))  # the cut's length, as above
            self.board.heal()
            self.cluster.wait_online("pi1", timeout=30)
            self.end_round(job)

    # ---------------------------------------------------------------------------------- both ways

    @full_only
    @time_limit(60 + 50 * ROUNDS)
    def test_two_way_healed_before_lost(self):
        self.heal_before_lost("both")

    @full_only
    @time_limit(60 + 90 * ROUNDS)
    def test_two_way_healed_after_lost(self):
        self.heal_after_lost("both")

    # ------------------------------------------------------------------------------------ one way

    @full_only
    @time_limit(60 + 50 * ROUNDS)
    def test_deaf_node_healed_before_lost(self):
        self.heal_before_lost("in")

    @full_only
    @time_limit(60 + 90 * ROUNDS)
    def test_deaf_node_healed_after_lost(self):
        self.heal_after_lost("in")

    @full_only
    @time_limit(60 + 50 * ROUNDS)
    def test_mute_node_healed_before_lost(self):
        self.heal_before_lost("out")

    @full_only
    @time_limit(60 + 90 * ROUNDS)
    def test_mute_node_healed_after_lost(self):
        self.heal_after_lost("out")

    @full_only
    @time_limit(60 + 150 * ROUNDS)
    def test_stop_never_runs_a_task_twice_at_once(self):
        """Whichever way the cable is cut, the node ends its tasks before they begin elsewhere."""
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(FOREVER, "--on-disconnect", "stop", "--lost-after", "60")
            direction = self.dice.choice(["in", "out", "both"])
            print(f"cut {direction}", flush=True)
            self.board.cut(direction)
            for task in TASKS:
                self.assertEqual(self.wait_started(job, task, 2, timeout=110)[4], "pi2")
                self.assertFalse(self.task_pids(job, task, 1), "the first attempt has ended before")
            self.board.heal()
            self.cluster.wait_online("pi1", timeout=30)
            self.end_round(job)
            self.ledger.check_one_at_a_time(job)

    # ----------------------------------------------------------------- resets, addresses, slowness

    @time_limit(60 + 40 * ROUNDS)
    def test_connections_are_reset(self):
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(self.dice.randint(40, 120))
            for _ in range(self.dice.randint(1, 4)):
                self.board.reset_connections(self.cluster.port)
                time.sleep(self.dice.uniform(0, 1.5))  # how long it goes on
                self.board.stop_resets()
                time.sleep(self.dice.uniform(0, 1))
            self.cluster.wait_online("pi1", timeout=15)
            self.end_round(job)
            self.assertEqual(self.attempts(job), {1}, "nothing ran twice")

    @full_only
    @time_limit(60 + 60 * ROUNDS)
    def test_address_of_a_node_changes(self):
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(self.dice.randint(40, 400))
            self.board.move()
            # The old connection is dead, and nobody says so: the node sees it after its silence.
            wait_for(lambda: self.is_at(self.board.address), SILENCE + 7, "it is back from there")
            self.end_round(job)
            self.assertEqual(self.attempts(job), {1}, "it is the same node, and nothing ran twice")
            self.assertEqual(set(self.cluster.nodes()), {"pi1", "pi2"})

    def is_at(self, address: str) -> bool:
        node = self.cluster.nodes()["pi1"]
        return node["state"] == "online" and node["address"].startswith(address + ":")

    @full_only
    @time_limit(60 + 60 * ROUNDS)
    def test_address_of_the_master_changes(self):
        """Its name stays: slaves look it up anew."""
        self.start_boards()
        for _ in range(ROUNDS):
            job = self.work_on_pi1(self.dice.randint(40, 400))
            self.cluster.move_master()
            wait_for(lambda: self.connected_to_master() == 2, SILENCE + 7,
                     "both have come back to the new address")
            self.cluster.wait_online("pi1", "pi2")
            self.end_round(job)
            self.assertEqual(self.attempts(job), {1}, "nothing ran twice")

    def connected_to_master(self) -> int:
        """Boards that have a connection to the address where the master is now."""
        master = self.cluster.board("master")
        lines = master.run("ss", "-Htn", "state", "established", "src", master.address)
        return len({line.split()[3].rsplit(":", 1)[0] for line in lines.splitlines()})


class SlowLine(FaultTest):
    """A relay that holds each byte back; no namespaces are needed for that."""

    @time_limit(60 + 60 * ROUNDS)
    def test_delay(self):
        """Seconds of delay cost seconds, and nothing else."""
        self.cluster.start_master()
        relay = Relay(self.cluster.port)
        self.addCleanup(relay.stop)
        self.start_worker("pi1", 4, *FAST, master=f"127.0.0.1:{relay.port}")
        self.cluster.wait_online("pi1")
        dice = random.Random()
        for _ in range(ROUNDS):
            # Three crossings until a new connection has proved who it is, for which it has 5 s.
            relay.delay = dice.uniform(0.05, 1.5)
            print(f"delay {relay.delay:.2f} s", flush=True)
            connections = relay.connections
            job = self.submit("--array", f"{TASKS[0]}-{TASKS[-1]}", ticks=dice.randint(0, 100))
            self.wait_ended(job, timeout=40)
            self.audit(job, TASKS)
            self.assertEqual({key[2] for key in self.ledger.runs() if key[0] == job}, {1})
            # Output of the big task may need a link of its own, but the node never reconnects.
            self.assertLessEqual(relay.connections - connections, 2)
            self.assertEqual(self.cluster.state_of("pi1"), "online")
            tell(count=1)
        self.audit_ledger()
