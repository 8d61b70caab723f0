"""kill -9 of everything, at random times, under load; then every task has exactly one result."""

from __future__ import annotations

import os
import random
import time

from cluster import time_limit
from ledger import FaultTest, full_only, try_results

RUNNER_KILLS = 2  # a third could rightly be taken for the fault of an unlucky task


class Chaos(FaultTest):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("RPIC_TEST_SEED", random.randrange(1_000_000)))
        self.dice = random.Random(self.seed)
        print(f"seed {self.seed}: RPIC_TEST_SEED={self.seed} does the same again, as far as time can")
        self.jobs: dict = {}     # id -> number of tasks
        self.results: dict = {}  # (job, task) -> attempt, as first seen

    # -------------------------------------------------------------------------------------- faults

    def pause(self, most: float) -> None:
        """Not a wait for something: the random time until the next fault."""
        time.sleep(self.dice.uniform(0, most))

    def restart_slave(self, name: str) -> None:
        self.slaves[name].kill()
        self.pause(0.5)
        self.start_worker(name)

    def restart_master(self) -> None:
        self.cluster.master.kill()
        self.pause(0.5)
        self.cluster.restart_master()

    def restart_both(self, name: str) -> None:
        self.cluster.master.kill()
        self.slaves[name].kill()
        self.pause(0.3)
        self.start_worker(name)
        self.cluster.restart_master()

    def restart_slave_and_runner(self, name: str) -> None:
        self.slaves[name].kill()
        self.kill_runner(name)
        self.start_worker(name)

    def fault(self, kind: str) -> None:
        name = self.dice.choice(sorted(self.slaves))
        print(f"  {kind} ({name})")
        if kind == "runner":
            self.kill_runner(name)
        elif kind == "slave":
            self.restart_slave(name)
        elif kind == "master":
            self.restart_master()
        elif kind == "slave and runner":
            self.restart_slave_and_runner(name)
        else:
            self.restart_both(name)

    # ------------------------------------------------------------------------------------- results

    def submit_some(self, count: int) -> None:
        self.jobs[self.submit("--array", f"1-{count}", ticks=self.dice.randint(0, 6))] = count

    def look_at_results(self) -> None:
        """A result that was seen once stays what it was."""
        for key, attempt in try_results(self, list(self.jobs)).items():
            self.assertEqual(self.results.setdefault(key, attempt), attempt, key)

    def run_faults(self, faults: list, tasks: int, timeout: float) -> None:
        self.start_cluster("pi1", "pi2")
        self.submit_some(tasks)
        self.dice.shuffle(faults)
        for kind in faults:
            self.submit_some(self.dice.randint(1, tasks // 2))
            self.pause(1.0)
            self.fault(kind)
            self.look_at_results()
        self.wait_ended(*self.jobs, timeout=timeout)
        self.look_at_results()
        for job, count in self.jobs.items():
            self.audit(job, range(1, count + 1))
        self.audit_ledger()
        # A runner that is killed before it has forgotten an end which the master has acknowledged
        # tells it again: at most the last one of each slot.
        counters = self.counters()
        killed = sum("runner" in kind for kind in faults)
        self.assertLessEqual(counters["unknown_attempts"], 2 * killed, counters)

    @time_limit(120)
    def test_random_kills(self):
        self.run_faults(["master", "slave", "runner", "both", "slave and runner", "master"], 30, 60)

    @full_only
    @time_limit(300)
    def test_many_random_kills(self):
        faults = ["master", "slave", "both"] * 8 + ["runner"] * RUNNER_KILLS
        self.run_faults(faults, 60, 180)
