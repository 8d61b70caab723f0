"""The verbs that look at jobs and change them, and the JSON that scripts read."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import select
import subprocess
import termios

from cluster import SystemTest, wait_for

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


class Looking(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def test_submit_prints_the_id_alone(self):
        result = self.cluster.cli("submit", "--name", "first", "--", "true")
        self.assertRegex(result.stdout, r"^\d+\n$")
        self.assertEqual(result.stderr, "")
        value = self.cluster.cli_json("submit", "--", "true")
        self.assertEqual(set(value), {"version", "job"})
        self.assertEqual(int(value["job"]["id"]), int(result.stdout) + 1)

    def test_json_of_a_job(self):
        job = self.cluster.submit("--name", "nice name", "--array", "1-2", "--", "sh", "-c",
                                  "exit $((RPIC_TASK - 1))")
        self.cluster.wait_job(job, "failed")
        value = self.cluster.cli_json("job", job)
        told = value["job"]
        self.assertEqual((told["id"], told["name"], told["state"]), (job, "nice name", "failed"))
        self.assertEqual(told["tasks"],
                         {"queued": 0, "running": 0, "done": 1, "failed": 1, "cancelled": 0})
        self.assertRegex(told["submitted_at"], TIME)
        self.assertRegex(told["finished_at"], TIME)
        done, failed = value["tasks"]
        for task in (done, failed):
            self.assertLessEqual({"index", "state", "node", "attempt", "exit_code", "signal",
                                  "reason", "started_at", "duration_seconds", "max_rss_bytes"},
                                 set(task))
            self.assertRegex(task["started_at"], TIME)
            self.assertGreaterEqual(task["duration_seconds"], 0)
            self.assertGreater(task["max_rss_bytes"], 1 << 16)
            self.assertEqual(task["node"], "pi1")
        self.assertEqual((done["index"], done["state"], done["exit_code"], done["reason"]),
                         (1, "done", 0, None))
        self.assertEqual((failed["index"], failed["state"], failed["exit_code"],
                          failed["signal"]), (2, "failed", 1, None))
        jobs = self.cluster.cli_json("jobs")["jobs"]
        self.assertEqual(jobs, [told])

    def test_json_of_a_job_that_waits(self):
        job = self.cluster.submit("--hold", "--", "true")
        value = self.cluster.cli_json("job", job)
        self.assertEqual(value["job"]["state"], "held")
        self.assertIsNone(value["job"]["finished_at"])
        task = value["tasks"][0]
        self.assertEqual((task["index"], task["state"], task["exit_code"], task["started_at"]),
                         (0, "queued", None, None))
        self.assertEqual(self.cluster.cli_json("status")["jobs"]["held"], 1)

    def test_jsonl(self):
        for _ in range(2):
            self.cluster.submit("--hold", "--array", "1-3", "--", "true")
        lines = self.cluster.cli_ok("-o", "jsonl", "jobs").splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], ["1", "2"])
        lines = self.cluster.cli_ok("-o", "jsonl", "job", "1").splitlines()
        self.assertEqual([json.loads(line)["index"] for line in lines], [1, 2, 3])

    def test_tables(self):
        self.assertIn("No jobs", self.cluster.cli("jobs").stderr)
        job = self.cluster.submit("--name", "render", "--", "sh", "-c", "exit 3")
        self.cluster.wait_job(job, "failed")
        header, row = self.cluster.cli_ok("jobs").splitlines()
        self.assertEqual(header, header.upper())
        for word in (job, "render", "failed"):
            self.assertIn(word, row)
        self.assertGreater(len(self.cluster.cli_ok("-o", "wide", "jobs").split("\n")[0]),
                           len(header))
        text = self.cluster.cli_ok("job", job)
        for word in ("render", "failed", "pi1", "exit code 3"):
            self.assertIn(word, text)

    def test_selectors(self):
        for _ in range(5):
            self.cluster.submit("--hold", "--", "true")

        def ids(*args) -> list:
            return [job["id"] for job in self.cluster.cli_json("jobs", *args)["jobs"]]

        self.assertEqual(ids("1,3-4"), ["1", "3", "4"])
        self.assertEqual(ids("last"), ["5"])
        self.assertEqual(ids("all"), ["1", "2", "3", "4", "5"])
        self.assertEqual(ids("--state", "done"), [])
        self.assertEqual(ids("2", "5"), ["2", "5"])
        for args in (("jobs", "77"), ("job", "77"), ("logs", "77"), ("cancel", "77"),
                     ("explain", "77"), ("hold", "77"), ("priority", "77", "1"),
                     ("retry", "77", "--failed"), ("attach", "77")):
            result = self.cluster.cli(*args)
            self.assertEqual(result.returncode, 3, (args, result.stderr))
            self.assert_one_line(result.stderr, "77")
        for verb in ("job", "logs", "attach", "explain", "fetch", "retry"):
            for jobs in ("all", "1,2", "1-3"):
                result = self.cluster.cli(verb, jobs)
                self.assertEqual(result.returncode, 2, (verb, jobs, result.stderr))
                self.assert_one_line(result.stderr, "one")
        for args in (("submit", "--hold", "--notify", "--", "true"), ("job", "--tasks", "--", "1"),
                     ("jobs", "--master", "--")):
            result = self.cluster.cli(*args)
            self.assertEqual(result.returncode, 2, args)
            self.assert_one_line(result.stderr, "needs a value")
        for args in (("job", "banana"), ("jobs", "5-3"), ("jobs", "--state", "odd"), ("job",),
                     ("priority", "1"), ("priority", "1", "x"), ("cancel",)):
            self.assertEqual(self.cluster.cli(*args).returncode, 2, args)

    def test_logs(self):
        job = self.cluster.submit("--array", "1-3", "--", "sh", "-c",
                                  "echo out $RPIC_TASK; echo err $RPIC_TASK >&2")
        self.cluster.wait_job(job, "done")
        result = self.cluster.cli("logs", job)
        self.assertEqual(result.stdout, "out 1\nout 2\nout 3\n")
        self.assertEqual(result.stderr, "err 1\nerr 2\nerr 3\n")
        self.assertEqual(self.cluster.cli("logs", f"{job}.2").stdout, "out 2\n")
        self.assertEqual(self.cluster.cli("logs", "--prefix", job).stdout,
                         "1: out 1\n2: out 2\n3: out 3\n")
        output = self.cluster.cli_json("logs", f"{job}.2")["output"]
        self.assertEqual(sorted((part["stream"], part["text"]) for part in output),
                         [("stderr", "err 2\n"), ("stdout", "out 2\n")])

    def test_logs_follow(self):
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--", "sh", "-c", f"echo first; while [ ! -e {go} ]; do "
                                  "sleep 0.1; done; echo last")
        process = self.cluster.started_cli("logs", "-f", job)
        self.assertEqual(process.stdout.readline(), b"first\n")
        self.assertEqual(self.cluster.cli_ok("logs", job), "first\n")
        go.touch()
        out, _ = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (0, b"last\n"))

    def test_logs_follow_some_tasks(self):
        """Until these have ended, whatever the others do."""
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--array", "1-5", "--cpus", "0.1", "--", "sh", "-c",
                                  f"echo $RPIC_TASK; while [ ! -e {go}-$RPIC_TASK ]; do "
                                  "sleep 0.1; done; echo end $RPIC_TASK")
        process = self.cluster.started_cli("logs", "-f", f"{job}.1-2")
        for task in (4, 1, 2):
            pathlib.Path(f"{go}-{task}").touch()
            wait_for(lambda: self.cluster.task(job, task)["state"] == "done", 20, "it has ended")
        out, _ = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (0, b"1\nend 1\n2\nend 2\n"))
        self.assertEqual(self.cluster.job(job)["state"], "running")
        self.cluster.cli_ok("cancel", job)

    def test_events(self):
        job = self.cluster.submit("--", "false")
        self.cluster.wait_job(job, "failed")
        events = self.cluster.cli_json("events")["events"]
        kinds = [event["kind"] for event in events if event["job"] == job]
        self.assertEqual(kinds, ["job_submitted", "task_failed", "job_ended"])
        ids = [event["id"] for event in events]
        self.assertEqual(ids, sorted(set(ids)))
        for event in events:
            self.assertRegex(event["at"], TIME)
        rest = self.cluster.cli_json("events", "--since", str(ids[-2]))["events"]
        self.assertEqual([event["id"] for event in rest], ids[-1:])
        self.assertIn("job_ended", self.cluster.cli_ok("events"))

    def test_events_follow(self):
        process = self.cluster.started_cli("-o", "jsonl", "events", "-f")
        try:
            job = self.cluster.submit("true")
            while True:
                event = json.loads(process.stdout.readline())
                if (event["kind"], event["job"]) == ("job_ended", job):
                    break
        finally:
            process.kill()
            process.communicate()

    def test_top_one_picture(self):
        job = self.cluster.submit("--name", "seen in top", "--", "sleep", "600")
        self.cluster.wait_job(job, "running")
        text = self.cluster.cli_ok("top")
        for word in ("pi1", "seen in top", "1 online", "1 running"):
            self.assertIn(word, text)
        value = self.cluster.cli_json("top")
        self.assertEqual([node["name"] for node in value["nodes"]], ["pi1"])
        self.assertEqual([told["id"] for told in value["jobs"]], [job])
        node = self.cluster.nodes()["pi1"]
        self.assertEqual(node["running_tasks"], 1)

    def test_top_on_a_terminal_ends_with_q(self):
        controller, terminal = pty.openpty()
        before = termios.tcgetattr(terminal)
        command = [str(self.cluster.bin / "rpicluster"), "--state-dir",
                   str(self.cluster.master_state), "top"]
        with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal,
                              env=self.cluster.environment({"TERM": "xterm"})) as process:
            text = b""
            while b"pi1" not in text:
                self.assertTrue(select.select([controller], [], [], 10)[0], text)
                text += os.read(controller, 4096)
            os.write(controller, b"xq")
            self.assertEqual(process.wait(10), 0)
        self.assertEqual(termios.tcgetattr(terminal), before)
        os.close(terminal)
        os.close(controller)


class Changing(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", cpus=1)

    def test_hold_and_release(self):
        job = self.cluster.submit("--hold", "--", "true")
        other = self.cluster.submit("true")
        self.cluster.wait_job(other, "done")
        self.assertEqual(self.cluster.job(job)["state"], "held")
        self.cluster.cli_ok("release", job)
        self.cluster.wait_job(job, "done")

    def test_hold_lets_what_runs_end(self):
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--array", "1-3", "--", "sh", "-c",
                                  f"while [ ! -e {go} ]; do sleep 0.1; done")
        self.cluster.wait_job(job, "running")
        self.cluster.cli_ok("hold", job)
        go.touch()
        wait_for(lambda: self.cluster.job(job)["state"] == "held", 10, "the rest is held")
        self.assertEqual(self.cluster.job(job)["tasks"]["done"], 1)
        self.cluster.cli_ok("release", job)
        self.assertEqual(self.cluster.wait_job(job, "done")["tasks"]["done"], 3)

    def order_of_starts(self) -> list:
        return (self.cluster.folder / "order").read_text().split()

    def test_priority(self):
        log = self.cluster.folder / "order"
        log.touch()
        log.chmod(0o666)
        go = self.cluster.folder / "go"
        blocker = self.cluster.submit("--", "sh", "-c",
                                      f"while [ ! -e {go} ]; do sleep 0.1; done")
        self.cluster.wait_job(blocker, "running")

        def job(name: str, *args) -> str:
            return self.cluster.submit(*args, "--", "sh", "-c", f"echo {name} >> {log}")

        low, middle = job("low", "--priority", "-5"), job("middle")
        high, raised = job("high", "--priority", "10"), job("raised", "--priority", "-20")
        self.cluster.cli_ok("priority", raised, "50")
        self.cluster.cli_ok("priority", middle, "-1")
        self.assertEqual(self.cluster.job(raised)["priority"], 50)
        go.touch()
        for each in (low, middle, high, raised):
            self.cluster.wait_job(each, "done")
        self.assertEqual(self.order_of_starts(), ["raised", "high", "middle", "low"])

    def test_what_waits_on_a_busy_node_is_queued(self):
        blocker = self.cluster.submit("sleep", "600")
        self.cluster.wait_job(blocker, "running")
        job = self.cluster.submit("true")
        self.assertEqual(self.cluster.job(job)["state"], "queued")
        self.assertEqual(self.cluster.job(job)["tasks"]["queued"], 1)
        self.assertEqual(self.cluster.task(job)["state"], "queued")
        self.assertIsNone(self.cluster.task(job)["started_at"])
        self.assertIn("busy", self.cluster.cli_json("explain", job)["reason"])
        self.cluster.cli_ok("cancel", blocker)
        self.cluster.wait_job(job, "done")

    def test_cancel(self):
        running = self.cluster.submit("sleep", "600")
        self.cluster.wait_job(running, "running")
        waiting = self.cluster.submit("true")
        self.assertEqual(self.cluster.cli_ok("cancel", waiting), f"job {waiting}: cancelled\n")
        self.assertEqual(self.cluster.wait_job(waiting, "cancelled")["tasks"]["cancelled"], 1)
        self.cluster.cli_ok("cancel", running)
        job = self.cluster.wait_job(running, "cancelled")
        self.assertIn("cancelled by", job["reason"])
        self.assertRegex(job["finished_at"], TIME)
        task = self.cluster.task(running)
        self.assertEqual((task["state"], task["exit_code"]), ("cancelled", None))
        # A second time is no mistake, and changes nothing.
        self.cluster.cli_ok("cancel", running)
        self.assertEqual(self.cluster.job(running)["finished_at"], job["finished_at"])
        done = self.cluster.submit("true")
        self.cluster.wait_job(done, "done")
        for verb in ("cancel", "hold", "release"):
            self.assertIn("has ended", self.cluster.cli_ok(verb, done))
            self.assertEqual(self.cluster.job(done)["state"], "done")

    def test_cancel_one_task(self):
        job = self.cluster.submit("--array", "1-4", "--", "sh", "-c",
                                  "case $RPIC_TASK in 1|4) sleep 600;; esac")
        wait_for(lambda: self.cluster.task(job, 1)["state"] == "running", 10, "task 1 runs")
        self.cluster.cli_ok("cancel", f"{job}.1")
        self.cluster.cli_ok("cancel", job, "--tasks", "4")
        wait_for(lambda: self.cluster.job(job)["finished_at"], 20, "the job has ended")
        states = {index: task["state"] for index, task in self.cluster.tasks(job).items()}
        self.assertEqual(states, {1: "cancelled", 2: "done", 3: "done", 4: "cancelled"})
        self.assertEqual(self.cluster.cli("wait", job).returncode, 2)

    def test_retry_of_cancelled_ones(self):
        job = self.cluster.submit("--array", "1-3", "--hold", "--", "true")
        self.cluster.cli_ok("cancel", job)
        self.cluster.wait_job(job, "cancelled")
        self.assertEqual(self.cluster.cli("retry", job, "--failed").returncode, 1)
        self.cluster.cli_ok("retry", job, "--cancelled")
        self.assertEqual(self.cluster.wait_job(job, "done")["tasks"]["done"], 3)

    def test_retry_of_failed_ones_leaves_the_others_cancelled(self):
        flag = self.cluster.folder / "flag"
        job = self.cluster.submit("--array", "1-9%1", "--max-fails", "0", "--", "test", "-e", flag)
        self.cluster.wait_job(job, "failed")
        flag.touch()
        self.cluster.cli_ok("retry", job, "--failed")
        self.cluster.wait_job(job, "done")
        states = [task["state"] for task in self.cluster.tasks(job).values()]
        self.assertEqual(states, ["done"] + ["cancelled"] * 8)

    def test_what_is_retried_and_cancelled_before_it_ran_is_as_if_it_had_never_run(self):
        job = self.cluster.submit("--array", "1-3", "--", "sh", "-c",
                                  "echo bad; test $RPIC_TASK = 2")
        self.cluster.wait_job(job, "failed")

        def states():
            return [self.cluster.task(job, index)["state"] for index in (1, 2, 3)]

        self.cluster.cli_ok("drain", "pi1")
        self.cluster.cli_ok("retry", job, "--failed")
        self.assertEqual(states(), ["queued", "done", "queued"])
        self.cluster.master.kill()
        self.cluster.restart_master()
        self.cluster.wait_online("pi1")
        self.assertEqual(states(), ["queued", "done", "queued"])
        self.assertEqual(self.cluster.job(job)["tasks"]["queued"], 2)
        self.cluster.cli_ok("cancel", job)
        told = self.cluster.wait_job(job, "cancelled")["tasks"]
        self.assertEqual((told["done"], told["failed"], told["cancelled"]), (1, 0, 2))
        self.assertEqual(states(), ["cancelled", "done", "cancelled"])
        self.assertEqual(self.cluster.cli_ok("logs", f"{job}.1"), "")
        self.assertEqual(self.cluster.cli("retry", job, "--failed").returncode, 1)
        self.cluster.cli_ok("undrain", "pi1")
        self.cluster.cli_ok("retry", job, "--cancelled")
        self.assertEqual(self.cluster.wait_job(job, "failed")["tasks"]["failed"], 2)
        self.assertIn("bad", self.cluster.cli_ok("logs", f"{job}.1"))

    def test_retry_while_it_is_being_cancelled(self):
        job = self.cluster.submit("--array", "1-3", "--", "sh", "-c",
                                  "trap '' TERM; echo on; while :; do sleep 0.1; done")
        wait_for(lambda: "on" in self.cluster.cli_ok("logs", job), 10, "it ignores TERM")
        self.cluster.cli_ok("cancel", job)
        result = self.cluster.cli("retry", job, "--cancelled")
        self.assertEqual(result.returncode, 1)
        self.assert_one_line(result.stderr, "cancelled")
        self.assertEqual(self.cluster.wait_job(job, "cancelled")["tasks"]["cancelled"], 3)

    def test_run_of_a_cancelled_job_is_125(self):
        process = self.cluster.started_cli("run", "--", "sh", "-c", "echo on; sleep 600")
        self.assertEqual(process.stdout.readline(), b"on\n")
        self.cluster.cli_ok("cancel", "last")
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 125, errors)
        self.assertIn(b"cancelled", errors)

    def test_notify(self):
        log = self.cluster.folder / "log"
        log.touch()
        log.chmod(0o666)
        tell = f'echo "$NOTIFY_JOB $NOTIFY_NAME $NOTIFY_STATE $NOTIFY_REASON" >> {log}'
        bad = self.cluster.submit("--name", "b", "--notify", tell, "--", "false")
        wait_for(lambda: log.read_text(), 10, "the first is told")
        good = self.cluster.submit("--name", "g", "--notify", tell, "--", "true")
        wait_for(lambda: len(log.read_text().splitlines()) == 2, 10, "the second is told")
        self.assertEqual(log.read_text(), f"{bad} b failed 1 of 1 tasks failed\n{good} g done \n")

    def test_wait_follows_until_the_end(self):
        job = self.cluster.submit("sleep", "1")
        result = self.cluster.cli("wait", job)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertEqual(self.cluster.job(job)["state"], "done")
        value = json.loads(self.cluster.cli("-o", "json", "wait", job).stdout)
        self.assertEqual([told["id"] for told in value["jobs"]], [job])

    def test_answer_is_in_the_order_of_the_numbers(self):
        for _ in range(11):
            self.cluster.submit("--", "true")
        value = json.loads(self.cluster.cli("-o", "json", "wait", "all").stdout)
        self.assertEqual([told["id"] for told in value["jobs"]], [str(n) for n in range(1, 12)])

    def test_attach_tells_its_exit_codes(self):
        text = self.cluster.cli_ok("attach", "--help")
        for word in ("that of the task", "125", "4 master unreachable"):
            self.assertIn(word, text)

    def test_attach_after_the_end(self):
        job = self.cluster.submit("--", "sh", "-c", "echo here; exit 5")
        self.cluster.wait_job(job, "failed")
        result = self.cluster.cli("attach", job)
        self.assertEqual((result.returncode, result.stdout), (5, "here\n"))
