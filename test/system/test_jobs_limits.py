"""Jobs that ask for too much, print too much, or are sent twice."""

from __future__ import annotations

import signal
import time

from cluster import SystemTest, time_limit, wait_for
from ledger import full_only


class TooMuch(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def test_request_that_no_node_can_ever_meet(self):
        jobs = []
        for options, word in ((("--cpus", "64"), "cpu"), (("--mem", "900G"), "memory"),
                              (("--resource", "gpu=1"), "gpu"),
                              (("--where", "arch==pdp11"), "arch")):
            result = self.cluster.cli("submit", *options, "--", "true")
            self.assertEqual(result.returncode, 0, result.stderr)
            job = result.stdout.strip()
            jobs.append(job)
            self.assert_one_line(result.stderr, "explain", job)
            told = self.cluster.cli_json("explain", job)
            self.assertIn("ever", told["reason"])
            self.assertIn(word, told["reason"].lower())
            self.assertEqual(told["nearest"], "pi1")
            self.assertEqual([(node["node"], node["fits"], node["could"])
                              for node in told["nodes"]], [("pi1", False, False)])
            self.assertIn("pi1", self.cluster.cli_ok("explain", job))
            self.assertEqual(self.cluster.job(job)["state"], "queued")
        # It starts by itself once somebody can.
        self.cluster.start_worker("big", "--label", "x=y", "--resource", "gpu=2")
        self.assertEqual(self.cluster.wait_job(jobs[2], "done")["tasks"]["done"], 1)
        self.assertEqual(self.cluster.task(jobs[2])["node"], "big")

    def test_explain_of_every_state(self):
        def reason(job: str) -> str:
            return self.cluster.cli_json("explain", job)["reason"]

        held = self.cluster.submit("--hold", "--", "true")
        self.assertIn("held", reason(held))
        after = self.cluster.submit("--after", held, "--", "true")
        self.assertIn("wait", reason(after))
        busy = self.cluster.submit("--cpus", "2", "--", "sleep", "600")
        self.cluster.wait_job(busy, "running")
        self.assertIn("run", reason(busy))
        waiting = self.cluster.submit("--cpus", "2", "--", "true")
        wait_for(lambda: "busy" in reason(waiting), 5, "it says that pi1 is busy")
        self.assertIn("pi1", reason(waiting))
        self.cluster.cli_ok("cancel", busy)
        self.cluster.wait_job(waiting, "done")
        self.assertIn("ended", reason(waiting))
        self.cluster.cli_ok("drain", "pi1")
        drained = self.cluster.submit("true")
        self.assertIn("drained", reason(drained))
        self.cluster.cli_ok("undrain", "pi1")
        self.cluster.wait_job(drained, "done")

    def test_huge_command_is_refused_with_advice(self):
        result = self.cluster.cli("submit", "--", "echo", "x" * 100_000)
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, "--in")
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def test_large_command_that_is_allowed(self):
        words = ["w" * 100] * 300
        result = self.cluster.cli("run", "--", "echo", *words)
        self.assertEqual((result.returncode, result.stdout), (0, " ".join(words) + "\n"))

    def test_the_longest_command_can_be_looked_at(self):
        words = ["w" * 100] * 380
        result = self.cluster.cli("run", "--", "echo", *words)
        self.assertEqual((result.returncode, result.stdout), (0, " ".join(words) + "\n"))
        self.assertEqual(self.cluster.job("last")["command"], ["echo", *words])

    def test_command_that_grows_beyond_what_the_kernel_takes(self):
        item = "i" * 8_000
        result = self.cluster.cli("map", "--", "echo", *["{}"] * 135, ":::", item)
        self.assertEqual(result.returncode, 1, result.stderr)
        task = self.cluster.task("last", 1)
        self.assertEqual((task["state"], task["exit_code"]), ("failed", 126))
        self.assertIn("long", task["reason"])

    def test_bytes_that_are_no_utf8(self):
        result = self.cluster.cli_bytes("run", "--", "echo", b"\xff\xfe")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"UTF-8", result.stderr)

    def test_bad_values_are_one_line_that_names_the_option(self):
        for option, value in (("--cpus", "many"), ("--cpus", "1e9"), ("--mem", "2Q"),
                              ("--resource", "gpu"), ("--resource", "gpu=0"),
                              ("--priority", "high"), ("--time-limit", "soon"),
                              ("--time-limit", "0"), ("--retries", "-1"), ("--max-fails", "x"),
                              ("--after", "yesterday"), ("--after", "bad:1"), ("--array", "a-b"),
                              ("--array", "1-10:0"), ("--array", "1-9999999"),
                              ("--on-disconnect", "maybe"), ("--env", "=x"), ("--out", ""),
                              ("--where", "a=="), ("--where", "(" * 50 + "a"), ("--name", "a\nb"),
                              ("--idempotency-key", "")):
            result = self.cluster.cli("submit", option, value, "--", "true")
            self.assertEqual(result.returncode, 2, (option, value, result.stderr))
            self.assert_one_line(result.stderr, option)
        result = self.cluster.cli("submit", "--on-disconnect", "stop", "--lost-after", "5", "--",
                                  "true")
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, "60")
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def test_misspelt_option_gets_a_hint(self):
        result = self.cluster.cli("submit", "--tyme-limit", "5", "--", "true")
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, "--time-limit")

    @time_limit(120)
    def test_100_mb_of_output_are_cut_with_a_note(self):
        before = self.cluster.master.rss_bytes()
        program = "import sys\nfor n in range(100): sys.stdout.write('%08d\\n' % n * 111111)"
        result = self.cluster.cli_bytes("run", "--", "python3", "-c", program, timeout=100)
        self.assertEqual(result.returncode, 0, result.stderr)
        kept = len(result.stdout)
        self.assertTrue((64 << 20) - (1 << 20) < kept <= 64 << 20, kept)
        whole = "".join("%08d\n" % n * 111111 for n in range(100)).encode()
        self.assertEqual(result.stdout, whole[:kept])
        self.assertIn(b"64M", result.stderr)
        self.assertIn(b"dropped", result.stderr)
        logs = self.cluster.cli_bytes("logs", "last")
        self.assertEqual(logs.stdout, result.stdout)
        self.assertIn(b"dropped", logs.stderr)
        if not self.cluster.sanitized():
            self.assertLess(self.cluster.master.rss_bytes() - before, 32 << 20)

    @full_only
    @time_limit(300)
    def test_10_gb_of_output_end_as_the_first_64_mib_of_it(self):
        """As much as an endless loop prints in a minute: no disk and no memory fills up with it."""
        before = self.cluster.master.rss_bytes()
        job = self.cluster.submit("--", "sh", "-c", "head -c 10000000000 /dev/zero; exit 6")
        self.cluster.wait_job(job, "failed", timeout=250)
        self.assertEqual(self.cluster.task(job)["exit_code"], 6, "it was not stopped")
        logs = self.cluster.cli_bytes("logs", job, timeout=60)
        self.assertTrue((64 << 20) - (1 << 20) < len(logs.stdout) <= 64 << 20, len(logs.stdout))
        self.assertFalse(logs.stdout.strip(b"\0"))
        self.assertIn(b"dropped", logs.stderr)
        on_disk = sum(file.lstat().st_size for file in self.cluster.folder.rglob("*")
                      if file.is_file())
        self.assertLess(on_disk, 256 << 20)
        if not self.cluster.sanitized():
            self.assertLess(self.cluster.master.rss_bytes() - before, 32 << 20)

    def test_output_that_nobody_reads_does_not_stop_the_task(self):
        job = self.cluster.submit("--", "sh", "-c",
                                  "head -c 3000000 /dev/zero; echo end >&2; exit 5")
        self.cluster.wait_job(job, "failed")
        self.assertEqual(self.cluster.task(job)["exit_code"], 5)
        logs = self.cluster.cli_bytes("logs", job)
        self.assertEqual((len(logs.stdout), logs.stderr), (3000000, b"end\n"))

    def test_logs_with_the_node_gone(self):
        for size in (10, 1_000_000):
            self.cluster.cli_bytes("run", "--", "sh", "-c", f"head -c {size} /dev/zero")
        self.cluster.programs[1].stop()
        for job, size in (("1", 10), ("2", 1_000_000)):
            self.assertEqual(len(self.cluster.cli_bytes("logs", job).stdout), size)


class Idempotency(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def refuse_another_job(self) -> None:
        """A key that was used for something else is a mistake, and nothing must be lost by it."""
        told = self.cluster.cli("submit", "--idempotency-key", "build-17", "--", "true")
        self.assertEqual((told.returncode, told.stdout), (1, ""))
        self.assertIn("idempotency key", told.stderr)

    def test_same_key_is_one_job(self):
        first = self.cluster.submit("--idempotency-key", "build-17", "--", "echo", "one")
        again = self.cluster.submit("--idempotency-key", "build-17", "--", "echo", "one")
        self.assertEqual(first, again)
        self.cluster.wait_job(first, "done")
        self.refuse_another_job()
        other = self.cluster.submit("--idempotency-key", "build-18", "--", "true")
        self.assertNotEqual(other, first)
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 2)
        self.cluster.wait_job(other, "done")
        self.cluster.master.stop()
        self.cluster.restart_master()
        again = self.cluster.submit("--idempotency-key", "build-17", "--", "echo", "one")
        self.assertEqual(first, again)
        self.refuse_another_job()

    def test_keys_of_two_people_are_two_keys(self):
        ann = self.cluster.token("submit", "ann")
        mine = self.cluster.submit("--idempotency-key", "k", "--", "true")
        hers = self.cluster.submit("--key-file", ann, "--idempotency-key", "k", "--", "true")
        self.assertNotEqual(mine, hers)

    def test_run_with_a_known_key_shows_the_same_job(self):
        for _ in range(2):
            result = self.cluster.cli("run", "--idempotency-key", "r", "--", "sh", "-c",
                                      "echo $RPIC_JOB; exit 6")
            self.assertEqual((result.returncode, result.stdout), (6, "1\n"), result.stderr)

    @time_limit(120)
    def test_cli_killed_between_submit_and_answer(self):
        """Killed at any moment, and run again: one job for each key, and each ran once."""
        for number in range(20):
            words = ["submit", "--idempotency-key", f"key-{number}", "--name", f"n{number}", "--",
                     "true"]
            process = self.cluster.started_cli(*words)
            time.sleep(0.002 * number)  # which moment is hit is chance; each must be right
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.cluster.submit(*words[1:])
        jobs = self.cluster.cli_json("jobs")["jobs"]
        self.assertEqual(sorted(job["name"] for job in jobs),
                         sorted(f"n{number}" for number in range(20)))
        for job in jobs:
            self.cluster.wait_job(job["id"], "done")
            self.assertEqual(self.cluster.task(job["id"])["attempt"], 1)

    def test_submit_whose_answer_never_came(self):
        """The master is stopped while it has the request: the client waits, dies, and the job is
        there once whatever the master did with what it had read."""
        self.cluster.master.send(signal.SIGSTOP)
        process = self.cluster.started_cli("submit", "--idempotency-key", "late", "--", "true")
        time.sleep(0.3)
        process.kill()
        process.communicate()
        self.cluster.master.send(signal.SIGCONT)
        job = self.cluster.submit("--idempotency-key", "late", "--", "true")
        self.cluster.wait_job(job, "done")
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 1)
