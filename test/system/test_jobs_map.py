"""Jobs of many tasks: arrays, item lists, `map` with its marks, --resume, limits and retries."""

from __future__ import annotations

import json
import time

from cluster import SystemTest, time_limit, wait_for


class Arrays(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", "pi2")

    def test_every_index_once(self):
        job = self.cluster.submit("--array", "1-40", "--", "sh", "-c", "echo $RPIC_TASK")
        self.assertEqual(self.cluster.wait_job(job, "done")["tasks"],
                         {"queued": 0, "running": 0, "done": 40, "failed": 0, "cancelled": 0})
        lines = self.cluster.cli_ok("logs", job).split()
        self.assertEqual(lines, [str(number) for number in range(1, 41)])
        tasks = self.cluster.tasks(job)
        self.assertEqual(sorted(tasks), list(range(1, 41)))
        self.assertEqual({task["node"] for task in tasks.values()}, {"pi1", "pi2"})

    def test_step_and_gap_at_the_end(self):
        job = self.cluster.submit("--array", "10-21:5", "--", "sh", "-c", "echo $RPIC_TASK")
        self.cluster.wait_job(job, "done")
        self.assertEqual(sorted(self.cluster.tasks(job)), [10, 15, 20])
        self.assertEqual(self.cluster.cli_ok("logs", f"{job}.15"), "15\n")
        self.assertEqual(self.cluster.cli("logs", f"{job}.11").returncode, 3)

    def test_single_number_is_a_task(self):
        job = self.cluster.submit("--array", "7", "--", "sh", "-c", "exit $RPIC_TASK")
        self.cluster.wait_job(job, "failed")
        self.assertEqual(self.cluster.task(job, 7)["exit_code"], 7)

    @time_limit(90)
    def test_limit(self):
        """No more than two at once, as the tasks themselves have seen it."""
        place = self.cluster.folder / "running"
        place.mkdir()
        place.chmod(0o777)
        script = ("touch $0/$RPIC_TASK; ls $0 | wc -l; sleep 0.3; rm $0/$RPIC_TASK")
        job = self.cluster.submit("--array", "1-12%2", "--cpus", "0.1", "--", "sh", "-c", script,
                                  place)
        self.cluster.wait_job(job, "done", 60)
        seen = [int(number) for number in self.cluster.cli_ok("logs", job).split()]
        self.assertEqual(len(seen), 12)
        self.assertEqual(max(seen), 2)

    def test_each_line_of_submit(self):
        path = self.cluster.folder / "lines"
        path.write_text("first line\n\n$(touch /tmp/x) `y` \"'\nünïcode\r\nno newline at the end",
                        encoding="utf-8")
        job = self.cluster.submit("--each-line", path, "--", "printf", "%s|%s\\n", "{}", "{#}")
        self.cluster.wait_job(job, "done")
        self.assertEqual(self.cluster.cli_ok("logs", job).splitlines(),
                         ["first line|1", "|2", "$(touch /tmp/x) `y` \"'|3", "ünïcode|4",
                          "no newline at the end|5"])
        job = self.cluster.submit("--each-line", "-", "--", "sh", "-c", 'echo "$RPIC_ITEM"',
                                  stdin="a b\nc\n")
        self.cluster.wait_job(job, "done")
        self.assertEqual(self.cluster.cli_ok("logs", job), "a b\nc\n")

    def test_each_line_without_lines(self):
        result = self.cluster.cli("submit", "--each-line", "-", "--", "echo", "{}", stdin="")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(self.cluster.cli("submit", "--each-line", "/no/such", "--",
                                          "true").returncode, 2)

    def test_braces_of_a_job_without_items_stay(self):
        self.assertEqual(self.cluster.cli_ok("run", "--", "echo", "{}", "{.}"), "{} {.}\n")

    @time_limit(90)
    def test_hundred_thousand_tasks_are_a_small_thing_until_they_run(self):
        started = time.monotonic()
        job = self.cluster.submit("--hold", "--array", "1-1000000", "--", "true")
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(self.cluster.job(job)["tasks"]["queued"], 1_000_000)
        page = self.cluster.cli_json("job", job)
        self.assertEqual(len(page["tasks"]), 10_000)
        again = self.cluster.cli_json("job", job, "--after", str(page["next"]))
        self.assertEqual(again["tasks"][0]["index"], page["tasks"][-1]["index"] + 1)
        self.assertEqual(sorted(self.cluster.tasks(job, "--tasks", "5,999998-1000000")),
                         [5, 999_998, 999_999, 1_000_000])
        self.cluster.cli_ok("cancel", job)
        self.assertEqual(self.cluster.job(job)["tasks"]["cancelled"], 1_000_000)
        self.assertEqual(self.cluster.cli("wait", job).returncode, 101)


class Failing(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", "pi2")

    def test_retries_come_with_new_attempt_numbers(self):
        job = self.cluster.submit("--retries", "2", "--", "sh", "-c",
                                  "echo try $RPIC_ATTEMPT; test $RPIC_ATTEMPT = 3")
        self.cluster.wait_job(job, "done", 30)
        task = self.cluster.task(job)
        self.assertEqual((task["attempt"], task["exit_code"]), (3, 0))
        self.assertEqual(self.cluster.cli_ok("logs", job), "try 3\n")

    def test_retries_run_out(self):
        job = self.cluster.submit("--retries", "1", "--", "sh", "-c", "exit 9")
        self.cluster.wait_job(job, "failed", 30)
        task = self.cluster.task(job)
        self.assertEqual((task["attempt"], task["exit_code"]), (2, 9))

    def test_max_fails_cancels_the_rest(self):
        job = self.cluster.submit("--array", "1-200", "--max-fails", "3", "--", "sh", "-c",
                                  "sleep 0.1; exit 1")
        job = self.cluster.wait_job(job, "failed", 40)
        self.assertGreaterEqual(job["tasks"]["failed"], 4)
        self.assertGreater(job["tasks"]["cancelled"], 100)
        self.assertIn("3", job["reason"])

    def test_wait_counts_failures(self):
        job = self.cluster.submit("--array", "1-10", "--", "sh", "-c",
                                  "test $RPIC_TASK -gt 3")
        other = self.cluster.submit("false")
        self.assertEqual(self.cluster.cli("wait", job).returncode, 3)
        self.assertEqual(self.cluster.cli("wait", job, other).returncode, 4)
        self.assertEqual(self.cluster.cli("wait", f"{job}-{other}").returncode, 4)
        many = self.cluster.submit("--array", "1-150", "--", "false")
        self.assertEqual(self.cluster.cli("wait", many, timeout=50).returncode, 101)
        self.assertEqual(self.cluster.cli("wait", self.cluster.submit("true")).returncode, 0)

    def test_retry_failed(self):
        flag = self.cluster.folder / "flag"
        job = self.cluster.submit("--array", "1-6", "--", "sh", "-c",
                                  f"test $RPIC_TASK -gt 2 || test -e {flag}")
        self.cluster.wait_job(job, "failed")
        before = self.cluster.tasks(job)
        flag.touch()
        self.cluster.cli_ok("retry", job, "--failed")
        self.assertEqual(self.cluster.cli("wait", job).returncode, 0)
        self.assertEqual(self.cluster.job(job)["state"], "done")
        after = self.cluster.tasks(job)
        for index in range(1, 7):
            grown = after[index]["attempt"] > before[index]["attempt"]
            self.assertEqual(grown, index <= 2, (before[index], after[index]))
        result = self.cluster.cli("retry", job, "--failed")
        self.assertEqual(result.returncode, 1)
        self.assert_one_line(result.stderr, job)


class Map(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", "pi2")

    def map_lines(self, *args, **keywords) -> list:
        return sorted(self.cluster.cli_ok("map", *args, **keywords).splitlines())

    def test_marks(self):
        for mark, wanted in (("{}", "dir/photo.tar.gz"), ("{.}", "dir/photo.tar"),
                             ("{/}", "photo.tar.gz"), ("{//}", "dir"), ("{/.}", "photo.tar"),
                             ("{#}", "1")):
            self.assertEqual(self.map_lines(f"echo {mark}", ":::", "dir/photo.tar.gz"), [wanted])

    def test_items_are_words_whatever_is_in_them(self):
        items = ["a b", "$HOME", "`id`", "'", '"', "\\", "*", ";exit 3", "two\nlines", "-n", "é"]
        self.assertEqual(self.cluster.cli_ok("map", "--keep-order", "printf '<%s>' {}", ":::",
                                             *items), "".join(f"<{item}>" for item in items))
        self.assertEqual(self.cluster.cli_ok("map", "--keep-order", "--", "printf", "<%s>", "{}",
                                             ":::", *items), "".join(f"<{item}>" for item in items))

    def test_item_is_added_at_the_end(self):
        self.assertEqual(self.map_lines("echo x", ":::", "1", "2"), ["x 1", "x 2"])
        self.assertEqual(self.map_lines("echo", "y", ":::", "1", "2"), ["y 1", "y 2"])

    def test_sources_of_items(self):
        path = self.cluster.folder / "items"
        path.write_text("p\nq\n")
        self.assertEqual(self.map_lines("echo {}", "--each-line", path), ["p", "q"])
        self.assertEqual(self.map_lines("echo {}", "--each-line", "-", stdin="r\ns\n"), ["r", "s"])
        self.assertEqual(self.map_lines("echo $RPIC_TASK", "--array", "3-5"), ["3", "4", "5"])
        self.assertEqual(self.map_lines("--each-line", path, "echo {}"), ["p", "q"])

    def test_marks_of_an_array_are_the_index(self):
        self.assertEqual(self.map_lines("echo {}-{.}-{#}-$RPIC_ITEM", "--array", "3-5"),
                         ["3-3-3-3", "4-4-4-4", "5-5-5-5"])
        self.assertEqual(self.map_lines("--array", "7", "--", "echo", "x{}"), ["x7"])
        # An array has nothing to add at the end.
        self.assertEqual(self.map_lines("echo y", "--array", "1-2"), ["y", "y"])

    def test_no_items_is_nothing_to_do(self):
        result = self.cluster.cli("map", "echo {}", ":::")
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_exit_code_is_the_number_of_failures(self):
        result = self.cluster.cli("map", "exit {}", ":::", "0", "1", "2", "0")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("2 failed", result.stderr)

    def test_outputs_come_as_tasks_end(self):
        """The quick one is printed while the slow one still runs."""
        go = self.cluster.folder / "go"
        started = time.monotonic()
        process = self.cluster.started_cli(
            "map", f"test {{}} = quick || while [ ! -e {go} ]; do sleep 0.1; done; echo {{}}",
            ":::", "slow", "quick")
        self.assertEqual(process.stdout.readline(), b"quick\n")
        self.assertLess(time.monotonic() - started, 10)
        go.touch()
        out, errors = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (0, b"slow\n"), errors)

    def test_long_map_is_not_disturbed_by_its_own_questions(self):
        started = time.monotonic()
        lines = self.map_lines("sleep 0.{}; echo {}", ":::", *[str(n % 10) for n in range(24)],
                               timeout=50)
        self.assertEqual(len(lines), 24)
        self.assertLess(time.monotonic() - started, 20)

    def test_keep_order(self):
        out = self.cluster.cli_ok("map", "--keep-order", "sleep 0.{}; echo {}", ":::",
                                  *"95173")
        self.assertEqual(out.split(), list("95173"))

    def test_resume(self):
        log = self.cluster.folder / "log"
        log.touch()
        log.chmod(0o666)
        flag = self.cluster.folder / "flag"
        words = ["map", f"echo {{}} >> {log}; test {{}} != b || test -e {flag}", ":::", "a", "b",
                 "c"]
        self.assertEqual(self.cluster.cli(*words).returncode, 1)
        flag.touch()
        result = self.cluster.cli("map", "--resume", *words[1:])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("going on", result.stderr)
        self.assertEqual(sorted(log.read_text().split()), ["a", "b", "b", "c"])
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 1)
        # Nothing is left: nothing runs, and the code says so.
        self.assertEqual(self.cluster.cli("map", "--resume", *words[1:]).returncode, 0)
        self.assertEqual(len(log.read_text().split()), 4)
        # Other items are another map.
        self.assertEqual(self.cluster.cli("map", "--resume", *words[1:], "d").returncode, 0)
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 2)

    def test_resume_of_an_interrupted_map(self):
        go = self.cluster.folder / "go"
        words = [f"while [ ! -e {go} ]; do sleep 0.1; done; echo {{}}", ":::", *"abcdef"]
        process = self.cluster.started_cli("map", *words)
        wait_for(lambda: self.cluster.job("last")["tasks"]["running"] > 0, 10, "it runs")
        process.kill()
        process.communicate()
        go.touch()
        self.assertEqual(self.map_lines("--resume", *words), list("abcdef"))
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 1)

    def test_json(self):
        value = self.cluster.cli_json("map", "echo {}", ":::", "x", "y")
        self.assertEqual(value["job"]["tasks"]["done"], 2)
        self.assertEqual([task["index"] for task in value["tasks"]], [1, 2])

    def test_json_lines_come_as_tasks_end(self):
        """What programs read: the job, each task with its output and its files at home, the job."""
        go = self.cluster.folder / "go"
        home = self.cluster.folder / "home"
        process = self.cluster.started_cli(
            "-o", "jsonl", "map", "--out", "made-*", "--to", home,
            f"test {{}} = quick || while [ ! -e {go} ]; do sleep 0.1; done; "
            "echo out {}; echo err {} >&2; touch made-{}; test {} = quick", ":::", "slow", "quick")
        first = json.loads(process.stdout.readline())
        self.assertEqual(first["job"]["id"], "1")
        quick = json.loads(process.stdout.readline())
        self.assertEqual((quick["task"]["index"], quick["task"]["state"]), (2, "done"))
        self.assertEqual((quick["stdout"], quick["stderr"]), ("out quick\n", "err quick\n"))
        self.assertEqual([path.name for path in home.glob("made-*")], ["made-quick"])
        go.touch()
        out, errors = process.communicate(timeout=20)
        slow, last = map(json.loads, out.splitlines())
        self.assertEqual((slow["task"]["state"], slow["stdout"]), ("failed", "out slow\n"))
        self.assertEqual(sorted(path.name for path in home.glob("made-*")),
                         ["made-quick", "made-slow"])
        self.assertEqual((last["job"]["state"], process.returncode, errors), ("failed", 1, b""))

    def test_json_lines_of_run(self):
        lines = self.cluster.cli_bytes("-o", "jsonl", "run", "--", "printf", "x\\377\\ny")
        first, task, last = map(json.loads, lines.stdout.splitlines())
        self.assertIn(first["job"]["state"], ("queued", "running"))
        self.assertEqual(last["job"]["state"], "done")
        self.assertEqual((task["task"]["exit_code"], task["stdout"], task["stderr"]),
                         (0, "x\ufffd\ny", ""))
        again = self.cluster.cli("-o", "jsonl", "attach", "1").stdout.splitlines()
        self.assertEqual([list(json.loads(line)) for line in again],
                         [["job"], ["task", "stdout", "stderr"], ["job"]])

    def test_json_lines_do_not_hold_all_of_a_long_output(self):
        """The rest is in the logs, and the line says that there is more."""
        done = self.cluster.cli_bytes("-o", "jsonl", "run", "--", "head", "-c", "5000000",
                                      "/dev/zero")
        task = json.loads(done.stdout.splitlines()[1])
        self.assertEqual((len(task["stdout"]), task["cut"]), (4 * 1024 * 1024, True))

    def test_files_come_into_the_folder_of_to(self):
        home = self.cluster.folder / "home"
        self.cluster.cli_ok("run", "--out", "made", "--to", home, "--", "touch", "made")
        self.assertTrue((home / "made").exists())
