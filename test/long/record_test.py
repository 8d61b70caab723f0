#!/usr/bin/env python3
"""Tests of the long run's record and of how it goes on. Ends with one line,
`N passed, N failed`."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import cases  # noqa: E402  (found only after the path is set)
import record  # noqa: E402


def part(count, result=record.PASSED, version="0.1.0 abc", **more):
    return {"date": "2026-01-02", "version": version, "count": count, "seconds": 1.5,
            "result": result, **more}


class RecordTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "long-run.json"
        self.record = record.Record(self.path)

    def case(self):
        return json.loads(self.path.read_text())["cases"][0]

    def add(self, *args, **keywords):
        self.record.add("kill", "kills", 100, part(*args, **keywords))

    def test_goes_on_where_it_was(self):
        self.add(40)
        self.record = record.Record(self.path)
        self.assertEqual((self.record.done("kill"), self.record.result("kill")),
                         (40, record.PARTLY))
        self.add(60)
        case = self.case()
        self.assertEqual((case["done"], case["result"], case["seconds"]), (100, record.PASSED, 3.0))
        self.assertEqual(len(case["parts"]), 1, "parts of one day and version are one")

    def test_another_version_is_another_part(self):
        self.add(40)
        self.add(60, version="0.1.0 def")
        self.assertEqual([each["count"] for each in self.case()["parts"]], [40, 60])

    def test_a_failure_stays(self):
        self.add(40)
        self.add(3, record.FAILED, text="why")
        self.add(57)
        case = self.case()
        self.assertEqual((case["done"], case["result"]), (100, record.FAILED))
        self.assertEqual(case["parts"][1]["text"], "why")
        self.record.forget("kill")
        self.add(100)
        self.assertEqual(self.case()["result"], record.PASSED)

    def test_runs_side_by_side(self):
        other = record.Record(self.path)
        self.add(40)
        other.add("fuzz", "executions", 10, part(10))
        self.add(60)
        case = {each["name"]: each for each in json.loads(self.path.read_text())["cases"]}
        self.assertEqual((case["kill"]["done"], case["fuzz"]["done"]), (100, 10))

    def test_the_latest_figures_are_kept(self):
        for number in range(record.FIGURES_KEPT + 5):
            self.add(1, figures=[number])
        self.assertEqual(self.case()["parts"][0]["figures"][-1], record.FIGURES_KEPT + 4)
        self.assertEqual(len(self.case()["parts"][0]["figures"]), record.FIGURES_KEPT)


class RunTest(unittest.TestCase):
    def run_it(self, *arguments, folder):
        return subprocess.run([HERE / "run", "--bin", folder, "--fuzz-bin", folder, "--record",
                               pathlib.Path(folder) / "record.json", *arguments],
                              capture_output=True, text=True, check=False)

    def test_what_is_missing_fails_or_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_it("simulator-keep", folder=folder)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn("cannot run", done.stdout)
            done = self.run_it("kill-runner", "--lanes", "1", folder=folder)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("0 passed, 1 failed", done.stdout)
            listed = self.run_it("--list", "kill-runner", folder=folder).stdout
            self.assertIn("failed", listed)
            # Only --again lets it begin anew.
            self.assertIn("0 passed, 0 failed", self.run_it("kill-runner", folder=folder).stdout)

    def test_a_short_time_starts_nothing_long(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_it("soak", "--part", "10", folder=folder)
            self.assertIn("0 passed, 0 failed", done.stdout)

    def test_the_soak_is_one_piece(self):
        soak, = (case for case in cases.all_cases() if case.name == "soak")
        self.assertGreaterEqual(soak.most, soak.wanted)

    def test_unknown_case(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.run_it("no-such-case", folder=folder).returncode, 2)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
