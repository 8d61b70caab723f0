"""Jobs under faults: whatever is killed, frozen or full, each task gets exactly one result."""

from __future__ import annotations

import random
import signal
import time

from cluster import holds_for, time_limit, wait_for
from ledger import FaultTest, full_only, uptime
from relay import Relay

LOST_WITHIN = 25.0  # the contract: work runs elsewhere after that
SLACK = 2.0         # for a busy machine


class Slaves(FaultTest):
    def test_tasks_outlive_their_slave(self):
        """SIGTERM and SIGKILL of the slave: the same attempt goes on and is adopted."""
        self.start_cluster("pi1")
        for number in (signal.SIGTERM, signal.SIGKILL):
            jobs = [self.submit(ticks=50), self.submit("--array", "7", ticks=50)]
            self.wait_started(jobs[0])
            self.wait_started(jobs[1], 7)
            slave = self.slaves["pi1"]
            if number == signal.SIGKILL:
                slave.kill()
            else:
                self.assertEqual(slave.stop(number), 0)
            before = len(self.ledger.lines("tick", jobs[0]))
            wait_for(lambda: len(self.ledger.lines("tick", jobs[0])) > before + 5, 10,
                     "the task goes on without its slave")
            self.start_worker("pi1")
            self.wait_ended(*jobs)
            self.audit(jobs[0], range(0, 1))
            self.audit(jobs[1], range(7, 8))
            self.assertEqual({key[2] for key in self.ledger.runs()}, {1})
        self.audit_ledger()

    def test_task_ends_while_its_slave_is_away(self):
        """The result waits on the node, also for a slave that comes back late."""
        self.start_cluster("pi1")
        job = self.submit("--array", "6-7", ticks=10)
        self.wait_started(job, 6)
        self.wait_started(job, 7)
        self.slaves["pi1"].kill()
        wait_for(lambda: len(self.ledger.lines("end", job)) == 2, 10, "the tasks end")
        self.assertEqual(self.job(job)["tasks"]["done"], 0)
        self.start_worker("pi1")
        self.wait_ended(job)
        self.audit(job, range(6, 8))
        self.assertEqual(len(self.ledger.runs()), 2)

    @time_limit(90)
    def test_work_of_a_frozen_slave_runs_elsewhere(self):
        """keep: the old attempt may go on, but the new one wins, and the old one is ended."""
        self.start_cluster("pi1", "pi2", cpus=1)
        self.cluster.cli_ok("drain", "pi2")
        job = self.submit(command=["sh", "-c", f"[ $RPIC_ATTEMPT -gt 1 ] || exec {self.task} 1200 10;"
                                               f" exec {self.task} 2 10"])
        self.assertEqual(self.wait_started(job, attempt=1)[4], "pi1")
        self.cluster.cli_ok("undrain", "pi2")
        frozen_at = uptime()
        self.slaves["pi1"].send(signal.SIGSTOP)
        started = self.wait_started(job, attempt=2, timeout=LOST_WITHIN + SLACK)
        self.assertEqual(started[4], "pi2")
        self.assertLess(float(started[5]) - frozen_at, LOST_WITHIN + SLACK)
        self.wait_ended(job)
        self.assertTrue(self.task_pids(job, 0, 1), "the old attempt goes on while nobody sees it")
        self.slaves["pi1"].send(signal.SIGCONT)
        wait_for(lambda: not self.task_pids(job, 0, 1), 20, "the old attempt is ended")
        self.cluster.wait_online("pi1", timeout=20)
        self.assertEqual(self.the_task(job)["attempt"], 2)
        self.audit(job, range(0, 1))
        # The node is whole again: it has its room back.
        again = self.submit("--where", "name==pi1")
        self.wait_ended(again)
        self.audit(again, range(0, 1))
        self.audit_ledger()

    @full_only
    @time_limit(150)
    def test_stop_never_runs_a_task_twice_at_once(self):
        """stop: with the cable out the node ends the task itself, before another begins."""
        self.cluster.start_master()
        relay = Relay(self.cluster.port)
        self.addCleanup(relay.stop)
        self.start_worker("pi1", 1, master=f"127.0.0.1:{relay.port}")
        self.cluster.wait_online("pi1")
        job = self.submit("--on-disconnect", "stop", "--lost-after", "60", ticks="100000")
        self.wait_started(job, attempt=1)
        self.start_worker("pi2", 1)
        self.cluster.wait_online("pi2")
        relay.pull_cable()
        started = self.wait_started(job, attempt=2, timeout=90)
        self.assertEqual(started[4], "pi2")
        self.assertFalse(self.task_pids(job, 0, 1))
        relay.plug_in()
        self.cluster.wait_online("pi1", timeout=30)
        self.cluster.cli_ok("cancel", job)
        self.wait_ended(job)
        self.ledger.check_one_at_a_time(job)
        self.audit_ledger()


class Runners(FaultTest):
    def test_killed_runner_ends_its_tasks_and_they_run_again(self):
        self.start_cluster("pi1")
        job = self.submit("--array", "6-7", ticks=40)
        for task in (6, 7):
            self.wait_started(job, task)
        old = self.task_pids(job)
        self.assertTrue(self.kill_runner("pi1"))
        wait_for(lambda: not set(old) & set(self.task_pids(job)), 5, "its tasks end with it")
        for task in (6, 7):
            self.wait_started(job, task, attempt=2)
        self.wait_ended(job)
        self.audit(job, range(6, 8))
        self.audit_ledger()
        self.assertEqual(self.counters()["attempts_lost"], 2)
        told = [event for event in self.cluster.cli_json("events")["events"]
                if event["kind"] == "attempt_lost"]
        self.assertEqual(sorted(event["task"] for event in told), [6, 7], told)
        self.assertIn("runner", told[0]["text"])

    def test_runner_and_slave_killed_together(self):
        self.start_cluster("pi1")
        job = self.submit("--array", "6-7", ticks=20)
        self.wait_started(job, 7)
        self.slaves["pi1"].kill()
        self.kill_runner("pi1")
        self.start_worker("pi1")
        self.wait_ended(job)
        self.audit(job, range(6, 8))
        self.audit_ledger()

    def test_poison_stops_after_three_runners(self):
        self.start_cluster("pi1")
        job = self.submit(ticks=1000)
        for attempt in (1, 2, 3):
            self.wait_started(job, attempt=attempt)
            wait_for(lambda: self.the_task(job)["state"] == "running", 5, "the master knows")
            self.assertTrue(self.kill_runner("pi1"))
        self.assertEqual(self.wait_ended(job)[0]["state"], "failed")
        self.assertIn("poison", self.the_task(job)["reason"])
        self.assertEqual(len(self.ledger.runs()), 3)
        # The node is none the worse for it.
        self.assertEqual(self.wait_ended(self.submit())[0]["state"], "done")


class Masters(FaultTest):
    def test_clients_and_tasks_go_on_while_the_master_is_killed(self):
        self.start_cluster("pi1")
        common = ["--state-dir", self.cluster.master_state]
        environment = ["--env", f"LEDGER={self.ledger.path}"]
        run = self.cluster.start("rpicluster", *common, "run", *environment, "--", self.task, 60, 10,
                                 name="run")
        self.wait_started(1)
        job = self.submit("--array", "8", ticks=60)
        self.wait_started(job, 8)
        wait = self.cluster.start("rpicluster", *common, "wait", job, name="wait")
        logs = self.cluster.start("rpicluster", *common, "logs", "-f", f"{job}.8", name="logs")
        wait_for(lambda: "line 00010" in run.log() and "line 00010" in logs.log(), 10,
                 "the output arrives while the tasks run")
        self.cluster.master.kill()
        before = len(self.ledger.lines("tick", job))
        wait_for(lambda: len(self.ledger.lines("tick", job)) > before + 5, 10,
                 "tasks go on without the master")
        self.cluster.restart_master()
        for client in (run, wait, logs):
            self.assertEqual(client.wait(20), 0, client.log())
        for client, task in ((run, 0), (logs, 8)):
            printed = [line for line in client.log().splitlines() if line.startswith("task ")]
            self.assertEqual(len(printed), 4000 if task == 0 else 20, client.log()[-500:])
            self.assertEqual(printed, sorted(set(printed)), "each line once, in order")
        for index, each in ((0, 1), (8, job)):
            self.audit(each, range(index, index + 1))
        self.assertEqual({key[2] for key in self.ledger.runs()}, {1}, "nothing ran twice")

    def test_submit_during_a_kill_makes_one_job(self):
        self.start_cluster("pi1")
        for turn in range(5):
            arguments = self.submit_arguments("--idempotency-key", f"key-{turn}", "--name",
                                              f"job-{turn}", ticks=0)
            submit = self.cluster.start("rpicluster", "--state-dir", self.cluster.master_state,
                                        *arguments, name=f"submit-{turn}")
            # Any moment between the start of the command and its answer is as good as another.
            time.sleep(random.uniform(0, 0.03))
            self.cluster.master.kill()
            self.cluster.restart_master()
            code = submit.wait(20)
            again = self.cluster.cli_ok(*arguments).strip()
            if code == 0:
                self.assertEqual(submit.log().split()[-1], again)
            else:
                self.assertEqual(code, 4, submit.log())  # it never reached the master
        jobs = self.cluster.cli_json("jobs")["jobs"]
        self.assertEqual(sorted(job["name"] for job in jobs), [f"job-{turn}" for turn in range(5)])
        for job in jobs:
            self.wait_ended(int(job["id"]))
            self.audit(int(job["id"]), range(0, 1))
        self.audit_ledger()

    def test_a_cancelled_task_stays_cancelled_over_a_kill(self):
        """What was acknowledged holds, although the task needs a while to end."""
        self.start_cluster("pi1")
        job = self.submit("--array", "1-2", command=[
            "sh", "-c", f"trap '' TERM; {self.task} 40 10"])
        for task in (1, 2):
            self.wait_started(job, task)
        self.cluster.cli_ok("cancel", f"{job}.1")
        self.cluster.master.kill()
        self.cluster.restart_master()
        self.wait_ended(job, timeout=30)
        states = {task["index"]: task["state"] for task in self.tasks(job)}
        self.assertEqual(states, {1: "cancelled", 2: "done"})
        self.assertEqual(len(self.ledger.lines("start", job, 1)), 1, "it does not run again")


    def test_a_job_that_was_cancelled_while_its_node_was_away(self):
        """Neither master nor slave remembers an order to end it, but it ends."""
        self.start_cluster("pi1")
        job = self.submit(ticks=10000)
        self.wait_started(job)
        self.slaves["pi1"].kill()
        self.cluster.wait_state("pi1", "suspect")
        self.cluster.cli_ok("cancel", job)
        self.cluster.master.kill()
        self.cluster.restart_master()
        self.start_worker("pi1")
        self.assertEqual(self.wait_ended(job)[0]["state"], "cancelled")
        self.assertEqual(self.the_task(job)["state"], "cancelled")
        wait_for(lambda: not self.task_pids(job), 5, "it has ended")


class Limits(FaultTest):
    def test_max_fails_cancels_the_rest(self):
        self.start_cluster("pi1")
        job = self.submit("--array", "1-40", "--max-fails", "3",
                          command=["sh", "-c", f"{self.task} 1 1; exit 3"])
        view = self.wait_ended(job)[0]
        self.assertEqual(view["state"], "failed", view)
        counts = view["tasks"]
        # Four are one too many; what ran beside the fourth may have failed as well.
        self.assertIn(counts["failed"], range(4, 4 + self.cpus["pi1"] * 2), counts)
        self.assertEqual(counts["failed"] + counts["cancelled"] + counts["done"], 40, counts)
        self.assertEqual(counts["done"], 0)
        self.assertIn("3 tasks failed", view["reason"])
        for task in self.tasks(job):
            self.assertIn((task["state"], task["exit_code"]),
                          (("failed", 3), ("cancelled", None)), task)

    def test_retries_prefer_another_node(self):
        self.start_cluster("pi1", "pi2", cpus=1)
        job = self.submit("--retries", "1", command=[
            "sh", "-c", f"{self.task} 1 1; [ $RPIC_ATTEMPT -gt 1 ]"])
        self.assertEqual(self.wait_ended(job)[0]["state"], "done")
        nodes = {attempt: run.node for (_, _, attempt), run in self.ledger.runs().items()}
        self.assertEqual(set(nodes), {1, 2})
        self.assertNotEqual(nodes[1], nodes[2])

    def test_broken_work_folder_quarantines_the_node(self):
        self.start_cluster("pi1", "pi2", cpus=1)
        folder = self.cluster.slave_state("pi1") / "tasks"
        folder.rmdir()
        folder.write_text("in the way", encoding="ascii")
        job = self.submit("--array", "1-12", ticks=4)
        self.wait_ended(job, timeout=30)
        self.audit(job, range(1, 13))
        self.assertEqual({task["node"] for task in self.tasks(job)}, {"pi2"})
        node = wait_for(lambda: self.cluster.nodes()["pi1"], 5, "pi1")
        self.assertTrue(node["quarantined"], node)
        self.assertTrue(any("directory" in reason for reason in node["unwell"]), node["unwell"])
        # Once it is repaired and let out it works again.
        folder.unlink()
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)
        self.cluster.cli_ok("undrain", "pi1")
        again = self.submit("--where", "name==pi1")
        self.wait_ended(again)
        self.audit(again, range(0, 1))
        holds_for(lambda: not self.cluster.nodes()["pi1"]["quarantined"], 0.3, "no quarantine")
