"""kill -9 of one kind of program again and again, at any moment of a job's life; after each the job
is audited. RPIC_TEST_ROUNDS says how often."""

from __future__ import annotations

import collections
import os
import random
import time

from cluster import rounds, tell, time_limit
from ledger import FaultTest, try_results

ROUNDS = rounds(5)
LEDGER_EVERY = 25  # rounds between two looks at the ledger of all jobs
FAST = ("--heartbeat", "0.5", "--reconnect-max", "6")
TASKS = range(5, 8)  # with a big one


class KillLoops(FaultTest):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("RPIC_TEST_SEED", random.randrange(1_000_000)))
        self.dice = random.Random(self.seed)
        print(f"seed {self.seed}")

    def kill_master(self) -> None:
        self.cluster.master.kill()
        self.pause(0.2)
        self.cluster.restart_master()

    def kill_slave(self) -> None:
        name = self.dice.choice(sorted(self.slaves))
        self.slaves[name].kill()
        self.pause(0.3)
        self.start_worker(name, 2, *FAST)

    def kill_both(self) -> None:
        name = self.dice.choice(sorted(self.slaves))
        first, second = self.dice.sample([self.cluster.master, self.slaves[name]], 2)
        first.kill()
        self.pause(0.05)
        second.kill()
        self.pause(0.2)
        self.start_worker(name, 2, *FAST)
        self.cluster.restart_master()

    def kill_runners(self) -> None:
        for name in self.slaves:
            self.kill_runner(name)

    def pause(self, most: float) -> None:
        """Not a wait for something: a random moment."""
        time.sleep(self.dice.uniform(0, most))

    def loop(self, kill, one_run: bool, unknown: int = 0) -> None:
        self.cluster.start_master()
        for name in ("pi1", "pi2"):
            self.start_worker(name, 2, *FAST)
        self.cluster.wait_online("pi1", "pi2")
        jobs: list = []
        results: dict = {}
        for number in range(1, ROUNDS + 1):
            jobs.append(self.submit("--array", f"{TASKS[0]}-{TASKS[-1]}",
                                    ticks=self.dice.randint(0, 12)))
            self.pause(0.8)
            kill()
            self.wait_ended(jobs[-1], timeout=60)
            self.audit(jobs[-1], TASKS)
            if number % LEDGER_EVERY == 0 or number == ROUNDS:
                self.audit_ledger()
            # Those before it too: a result that was seen once stays what it was.
            for key, attempt in try_results(self, jobs[-3:]).items():
                self.assertEqual(results.setdefault(key, attempt), attempt, key)
            tell(count=1)
        self.assertLessEqual(self.counters()["unknown_attempts"], unknown)
        if one_run:
            # An order that was lost with its slave costs a number, but it never became a run.
            ran = collections.Counter(key[:2] for key in self.ledger.runs())
            self.assertEqual({task: n for task, n in ran.items() if n > 1}, {}, "ran twice")

    @time_limit(60 + 10 * ROUNDS)
    def test_master(self):
        self.loop(self.kill_master, one_run=True)

    @time_limit(60 + 10 * ROUNDS)
    def test_slave(self):
        self.loop(self.kill_slave, one_run=True)

    @time_limit(60 + 10 * ROUNDS)
    def test_both(self):
        self.loop(self.kill_both, one_run=True)

    @time_limit(60 + 10 * ROUNDS)
    def test_runner(self):
        # A runner that is killed before it has forgotten an end which the master has acknowledged
        # tells it again, and the master has forgotten the attempt: at most each slot's last one.
        slots = 2 * len(("pi1", "pi2"))
        self.loop(self.kill_runners, one_run=False, unknown=slots * ROUNDS)
