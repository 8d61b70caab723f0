"""Jobs that come after others: --after, and files of jobs in TOML and JSON."""

from __future__ import annotations

import json
import pathlib

from cluster import SystemTest


class After(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def test_ok_by_default(self):
        first = self.cluster.submit("--hold", "--", "true")
        second = self.cluster.submit("--after", first, "--", "true")
        third = self.cluster.submit("--after", f"ok:{second}", "--after", first, "--", "true")
        self.assertEqual(self.cluster.job(second)["state"], "queued")
        self.assertIn("1 other job", self.cluster.cli_json("explain", second)["reason"])
        self.assertIn("2 other jobs", self.cluster.cli_json("explain", third)["reason"])
        self.cluster.cli_ok("release", first)
        for job in (first, second, third):
            self.cluster.wait_job(job, "done")
        # One that has ended already is no reason to wait.
        self.cluster.wait_job(self.cluster.submit("--after", f"{first},{third}", "--", "true"),
                              "done")

    def test_a_failed_root_cancels_its_descendants(self):
        root = self.cluster.submit("--hold", "--", "false")
        child = self.cluster.submit("--after", root, "--", "true")
        grandchild = self.cluster.submit("--after", child, "--", "true")
        anyway = self.cluster.submit("--after", f"any:{root}", "--", "true")
        self.cluster.cli_ok("release", root)
        self.cluster.wait_job(root, "failed")
        self.assertIn(f"job {root} failed", self.cluster.wait_job(child, "cancelled")["reason"])
        self.assertIn(f"job {child} was cancelled",
                      self.cluster.wait_job(grandchild, "cancelled")["reason"])
        self.cluster.wait_job(anyway, "done")
        late = self.cluster.submit("--after", root, "--", "true")
        self.assertIn(root, self.cluster.wait_job(late, "cancelled")["reason"])
        result = self.cluster.cli("run", "--after", root, "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn(f"job {root} failed", result.stderr)

    def test_a_cancelled_root(self):
        root = self.cluster.submit("--hold", "--", "true")
        child = self.cluster.submit("--after", root, "--", "true")
        anyway = self.cluster.submit("--after", f"any:{root}", "--", "true")
        self.cluster.cli_ok("cancel", root)
        self.assertIn("cancelled", self.cluster.wait_job(child, "cancelled")["reason"])
        self.cluster.wait_job(anyway, "done")

    def test_waits_survive_a_restart(self):
        root = self.cluster.submit("--hold", "--", "true")
        child = self.cluster.submit("--after", root, "--", "true")
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.assertEqual(self.cluster.job(root)["state"], "held")
        self.assertEqual(self.cluster.job(child)["state"], "queued")
        self.cluster.cli_ok("release", root)
        self.cluster.wait_job(child, "done")

    def test_unknown_job(self):
        result = self.cluster.cli("submit", "--after", "4711", "--", "true")
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, "4711")


class JobFile(SystemTest):
    TOML = """
        # The film comes last, though it is written first.
        [[job]]
        name = "film"
        command = "cat input input > film; cat film"
        in = ["input"]
        after = ["frames"]
        out = "film"
        time_limit = "1m"

        [[job]]
        name = "frames"
        command = ["sh", "-c", "echo $PREFIX $RPIC_TASK > frame$RPIC_TASK; cat input"]
        array = "1-3%2"
        in = ["input"]
        out = ["frame*"]
        env = { PREFIX = "picture" }
        priority = 5
        retries = 1

        [[job]]
        name = "names"
        command = ["echo", "{/.}"]
        items = ["a/b.c", "d"]
        after = ["any:frames", "ok:film"]
    """

    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")
        self.here = self.cluster.folder / "here"
        self.here.mkdir()
        (self.here / "input").write_text("from the input\n")

    def submit_file(self, text: str, name: str = "jobs.toml", *args):
        (self.here / name).write_text(text)
        return self.cluster.cli_bytes("submit", *args, "--file", name, cwd=self.here)

    def test_toml(self):
        result = self.submit_file(self.TOML)
        self.assertEqual(result.returncode, 0, result.stderr)
        ids = result.stdout.decode().split()
        self.assertEqual(len(ids), 3)
        names = [self.cluster.wait_job(job, "done")["name"] for job in ids]
        self.assertEqual(names, ["frames", "film", "names"])
        frames, film, items = ids
        self.assertEqual(self.cluster.cli_ok("logs", film), "from the input\n" * 2)
        self.assertEqual(self.cluster.cli_ok("logs", items), "b\nd\n")
        self.assertEqual(self.cluster.job(frames)["priority"], 5)
        self.assertEqual(self.cluster.cli_ok("logs", frames), "from the input\n" * 3)
        home = self.cluster.folder / "home"
        self.cluster.cli_ok("fetch", frames, "--to", home)
        self.assertEqual([(home / f"frame{n}").read_text() for n in (1, 2, 3)],
                         [f"picture {n}\n" for n in (1, 2, 3)])

    def test_items_and_line_for_sh(self):
        result = self.submit_file("""
            [[job]]
            name = "names"
            command = "echo {/.} 'and' {}"
            items = ["a/b.c", "d e"]
        """)
        job = result.stdout.decode().strip()
        self.cluster.wait_job(job, "done")
        self.assertEqual(self.cluster.cli_ok("logs", job), "b and a/b.c\nd e and d e\n")

    def test_json_file(self):
        text = json.dumps({"job": [{"name": "one", "command": ["true"]},
                                   {"name": "two", "command": ["true"], "after": ["one"]}]})
        result = self.submit_file(text, "jobs.json")
        one, two = result.stdout.decode().split()
        self.cluster.wait_job(two, "done")
        self.assertEqual(self.cluster.job(one)["name"], "one")

    def test_idempotency_of_a_file(self):
        text = '[[job]]\nname = "a"\ncommand = ["true"]\n[[job]]\nname = "b"\ncommand = ["true"]\n'
        first = self.submit_file(text, "jobs.toml", "--idempotency-key", "k").stdout
        again = self.submit_file(text, "jobs.toml", "--idempotency-key", "k").stdout
        self.assertEqual(first, again)
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 2)

    def test_mistakes_name_their_line_and_submit_nothing(self):
        good = '[[job]]\nname = "good"\ncommand = ["true"]\n'
        for text, words in ((good + '[[job]]\nname = "x"\n', ("x", "command")),
                            (good + '[[job]]\ncommand = ["true"]\n', ("4", "name")),
                            (good + 'colour = "red"\n', ("4", "colour")),
                            (good + 'cpus = "many"\n', ("4", "cpus")),
                            (good + 'time_limit = "soon"\n', ("time-limit",)),
                            (good + 'after = ["nobody"]\n', ("nobody",)),
                            (good + 'after = ["good"]\n', ("good",)),
                            (good + 'where = "(("\n', ("where",)),
                            (good + good, ("second", "good")),
                            ("[[job]\n", ("1",)), ("{", ("jobs.toml",)), ("", ("job",))):
            result = self.submit_file(text)
            self.assertEqual(result.returncode, 2, (text, result.stderr))
            self.assert_one_line(result.stderr.decode(), "jobs.toml", *words)
        self.assertEqual(self.cluster.cli("submit", "--file", "/no/such").returncode, 2)
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def test_what_a_later_job_lacks_keeps_back_the_first(self):
        first = '[[job]]\nname = "first"\ncommand = ["true"]\n'
        (self.here / "empty").touch()
        for lack, word in (('in = "missing"', "missing"), ('stdin = "missing"', "missing"),
                           ('each_line = "missing"', "missing"), ('each_line = "empty"', "items")):
            text = first + f'[[job]]\nname = "second"\ncommand = ["true"]\n{lack}\n'
            result = self.submit_file(text)
            self.assertNotEqual(result.returncode, 0, lack)
            self.assert_one_line(result.stderr.decode(), "jobs.toml:4", word)
            self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [], lack)

    def test_example_of_the_documentation(self):
        """The keys that the manual names are those that are known."""
        manual = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md")
        lines = manual.read_text(encoding="utf-8").splitlines()
        begin = next(i for i, line in enumerate(lines) if line.strip() == "[[job]]")
        end = next(i for i in range(begin, len(lines)) if lines[i].strip() and lines[i][0] != " ")
        for name in ("render", "voice.wav"):
            (self.here / name).touch()
        (self.here / "scene").mkdir()
        result = self.submit_file("\n".join(line.strip() for line in lines[begin:end]))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.split()), 2)
