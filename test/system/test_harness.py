"""The harness keeps its own promises."""

from __future__ import annotations

from cluster import wait_for
from ledger import FaultTest
from processes import end_processes_below, processes_below


class Harness(FaultTest):
    def test_runners_and_tasks_are_ended_as_well(self):
        """As after the time limit of a test: a runner outlives its slave, and its task may have
        left it, but each is found by the folder that it works in."""
        self.start_cluster("pi1")
        job = self.submit(command=["sh", "-c", f"setsid {self.task} 10000 1 & {self.task} 10000 1"])
        wait_for(lambda: len(self.ledger.lines("start", job)) == 2, 10, "both have started")
        runners = self.cluster.runner_pids()
        self.assertTrue(runners)
        for program in self.cluster.programs:
            program.kill()
        self.assertEqual(self.cluster.runner_pids(), runners, "the runner outlives its slave")
        ended = {pid for pid, _ in end_processes_below(self.cluster.folder)}
        self.assertLessEqual(set(runners), ended)
        self.assertEqual(processes_below(self.cluster.folder), [])
        self.assertEqual(self.task_pids(job), [])
