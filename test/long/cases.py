"""The cases of the long run. To add one, add it to all_cases().

Each has a name, how many of a unit are wanted, and what one of them takes in seconds, roughly: so
much is started as fits into a part. run(context, count) gives an Outcome.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT_KEPT = 4000  # characters of what a failed part said


@dataclasses.dataclass
class Context:
    bin: pathlib.Path       # of the release build
    fuzz_bin: pathlib.Path  # of the fuzz targets, with sanitizers
    fast_bin: pathlib.Path  # of the fuzz targets, without that of memory, ten times as fast
    lanes: int              # that many at the same time
    done: int               # of the case, in earlier parts
    processes: int          # that share the work of a fuzz target


@dataclasses.dataclass
class Outcome:
    count: int
    problems: str = ""  # empty: all went well
    figures: list = dataclasses.field(default_factory=list)


def shortened(text: str) -> str:
    """From the first failure on, which says most, without the paths of this machine."""
    start = max(text.find("FAIL"), 0)
    return text[start:start + TEXT_KEPT].replace(str(ROOT), ".")


@dataclasses.dataclass
class Case:
    name: str
    wanted: int
    unit: str
    seconds_each: float
    whole = False  # it makes sense only in one piece

    def missing(self, context: Context) -> str:
        """Why it cannot run here, or nothing."""
        return ""

    def run(self, context: Context, count: int) -> Outcome:
        raise NotImplementedError


class Running:
    """A command. What it says goes to a file: nobody reads a pipe while others are waited for."""

    def __init__(self, command: list, env: dict | None = None):
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([str(word) for word in command], cwd=ROOT,
                                        stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT,
                                        env={**os.environ, **(env or {})})

    def text(self) -> str:
        self.output.seek(0)
        return self.output.read()


def ended(*running: Running) -> list:
    """(exit code, output) of each; all of them are ended if somebody gives up."""
    try:
        return [(each.process.wait(), each.text()) for each in running]
    finally:
        for each in running:
            if each.process.poll() is None:
                each.process.terminate()
                each.process.wait()
            each.output.close()


@dataclasses.dataclass
class SystemCase(Case):
    """Rounds of one system test, in several clusters side by side."""

    test: str = ""
    most: int = 100  # rounds of one cluster

    def run(self, context: Context, count: int) -> Outcome:
        lanes = min(context.lanes, count)
        shares = [min(self.most, count // lanes + (lane < count % lanes)) for lane in range(lanes)]
        with tempfile.TemporaryDirectory(prefix="rpicluster-long-") as folder:
            report = pathlib.Path(folder) / "report"
            command = [ROOT / "test/system/run", "--bin", context.bin, "--jobs", "1",
                       "-k", f"*{self.test}"]
            runs = ended(*[Running(command, self.environment(share, report))
                           for share in shares])
            lines = report.read_text(encoding="ascii").splitlines() if report.exists() else []
        told = [json.loads(line) for line in lines]
        counted = sum(line.pop("count", 0) for line in told)
        problems = "".join(text for code, text in runs if code != 0)
        skipped = any("skipped" in text for _, text in runs)
        if skipped or (counted < sum(shares) and not problems):
            problems += "it was skipped, or did not count what it did:\n" + runs[0][1]
        return Outcome(counted, shortened(problems), [line for line in told if line])

    def environment(self, share: int, report: pathlib.Path) -> dict:
        return {"RPIC_TEST_ROUNDS": str(share), "RPIC_TEST_REPORT": str(report),
                "RPIC_TEST_FULL": "1"}


class OnceCase(SystemCase):
    """A test that counts itself once, whatever the rounds."""

    def run(self, context: Context, count: int) -> Outcome:
        return super().run(dataclasses.replace(context, lanes=1), 1)


class SoakCase(SystemCase):
    """The unit is a second, in one piece."""

    whole = True

    def run(self, context: Context, count: int) -> Outcome:
        return super().run(dataclasses.replace(context, lanes=1), count)

    def environment(self, share: int, report: pathlib.Path) -> dict:
        return {**super().environment(1, report), "RPIC_TEST_SECONDS": str(share)}


@dataclasses.dataclass
class CommandCase(Case):
    """A command that is run again and again, to find what fails seldom. BIN in it: the programs."""

    command: tuple = ()

    def run(self, context: Context, count: int) -> Outcome:
        words = [str(word).replace("BIN", str(context.bin)) for word in self.command]
        code, text = ended(Running(words))[0]
        return Outcome(int(code == 0), shortened(text) if code != 0 else "")


@dataclasses.dataclass
class SimulatorCase(Case):
    """Seeds of the simulator, each once: a part begins where the last one ended."""

    policy: tuple = ()

    def missing(self, context: Context) -> str:
        program = context.bin / "rpicluster-sim"
        return "" if program.exists() else f"{program} is not there"

    def run(self, context: Context, count: int) -> Outcome:
        code, text = ended(Running([context.bin / "rpicluster-sim", "--seeds", count, "--first",
                                    context.done + 1, *self.policy]))[0]
        found = re.search(r"^seeds=(\d+).*$", text, re.MULTILINE)
        good = code == 0 and found and int(found[1]) == count
        return Outcome(count if good else 0, "" if good else shortened(text),
                       [{"line": found[0]}] if found else [])


@dataclasses.dataclass
class FuzzCase(Case):
    """Executions of one fuzz target, whose corpus is kept from part to part. Those of a pure target
    are very many and fast; what reached new code in them is run again where memory is watched."""

    target: str = ""
    pure: bool = False

    def missing(self, context: Context) -> str:
        for folder in {context.fuzz_bin, self.programs(context)}:
            program = folder / f"fuzz-{self.target}"
            if not program.exists():
                return f"{program} is not there"
        return ""

    def programs(self, context: Context) -> pathlib.Path:
        return context.fast_bin if self.pure else context.fuzz_bin

    def run(self, context: Context, count: int) -> Outcome:
        outcome = self.fuzz(context, self.programs(context), count)
        if self.pure and not outcome.problems:
            again = self.fuzz(context, context.fuzz_bin, 0)
            outcome.problems = again.problems
            outcome.figures += [{"sanitized": figure["line"]} for figure in again.figures]
        return outcome

    def fuzz(self, context: Context, programs: pathlib.Path, count: int) -> Outcome:
        kept = context.fuzz_bin.parent / "corpus"
        command = [ROOT / "test/fuzz/run", "--bin", programs, "--keep", kept, "--runs", count,
                   "--processes", context.processes if count else 1]
        command += ["--even"] if self.pure else []
        code, text = ended(Running([*command, self.target.replace("-", "_")]))[0]
        found = re.search(r"^.*?(\d+) executions.*$", text, re.MULTILINE)
        good = code == 0 and found
        return Outcome(int(found[1]) if good else 0, "" if good else shortened(text),
                       [{"line": found[0]}] if found else [])


# Seconds of one execution in one process. A configuration takes fifty times as long as a frame, and
# only the owner of a machine writes one: it gets a tenth.
PURE_TARGETS = {"config": 4e-4, "discovery": 2e-5, "frame": 2e-5, "job-file": 5e-5,
                "lines": 1.5e-5, "manifest": 1.5e-5, "message": 2e-5, "where": 3e-5,
                "words": 4e-5}
PURE_EXECUTIONS = {"config": 10_000_000}
OTHER_TARGETS = {"http": 1.5e-4, "spool": 2e-4, "store": 2e-3}  # coroutines, and files
POLICIES = {"mixed": (), "keep": ("--policy", "keep"), "stop": ("--policy", "stop")}
PARTITIONS = {  # seconds of one round
    "two_way_healed_before_lost": 15, "two_way_healed_after_lost": 35,
    "deaf_node_healed_before_lost": 15, "deaf_node_healed_after_lost": 40,
    "mute_node_healed_before_lost": 15, "mute_node_healed_after_lost": 35,
    "stop_never_runs_a_task_twice_at_once": 75, "connections_are_reset": 8,
    "address_of_a_node_changes": 18, "address_of_the_master_changes": 18}
KILLS = {"master": (1000, 2.5), "slave": (1000, 1.5), "both": (200, 2), "runner": (200, 2)}
STORMS = ("Crowds.test_ten_thousand_connections_of_as_many_addresses",
          "Crowds.test_ten_thousand_connections_of_one_address",
          "Crowds.test_a_thousand_joins_at_once", "BadCrowds.test_slowloris",
          "BadCrowds.test_half_open_sessions", "BadCrowds.test_peers_that_never_read",
          "Descriptors.test_no_descriptors_are_left",
          "Logs.test_standard_error_that_nobody_reads", "Logs.test_log_file_on_a_full_disk")


def all_cases() -> list:
    cases: list = [SystemCase(f"kill-{name}", wanted, "kills", each,
                              f"test_kill_loops.KillLoops.test_{name}")
                   for name, (wanted, each) in KILLS.items()]
    cases += [SystemCase(f"network-{name.replace('_', '-')}", 50, "rounds", each,
                         f"test_partitions.Partitions.test_{name}", 10)
              for name, each in PARTITIONS.items()]
    cases.append(SystemCase("network-delay", 50, "rounds", 8,
                            "test_partitions.SlowLine.test_delay", 10))
    cases += [OnceCase("storm-" + name.split("test_")[1].replace("_", "-"), 3, "storms", 30,
                       "test_storms." + name) for name in STORMS]
    cases += [SimulatorCase(f"simulator-{name}", 100_000, "seeds", 0.009, policy)
              for name, policy in POLICIES.items()]
    cases += [FuzzCase(f"fuzz-{target}", PURE_EXECUTIONS.get(target, 100_000_000), "executions",
                       each, target, pure=True) for target, each in PURE_TARGETS.items()]
    cases += [FuzzCase(f"fuzz-{target}", 1_000_000, "executions", each, target)
              for target, each in OTHER_TARGETS.items()]
    cases.append(CommandCase("async-tests", 10, "runs", 120, ("BIN/rpicluster-async-tests",)))
    cases.append(CommandCase("system-tests", 10, "runs", 480,
                             ("test/system/run", "--bin", "BIN")))
    cases.append(SoakCase("soak", 3600, "seconds", 1.1, "test_soak.Soak.test_soak", most=3600))
    return cases
