"""A ledger that the tasks themselves write, and the audit that holds the master's word against it.

Each line of the ledger is one write to a file opened with O_APPEND:

    start|tick|end JOB TASK ATTEMPT NODE BOOTTIME

The kernel puts the writes into one order, which proves more than any clock: a task whose lines stand
before and after a line was alive when that one was written. A task that is killed writes no end; then
it is known to have lived until its last tick, so the audit never accuses anybody wrongly.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import unittest

from cluster import CliFailed, Program, SystemTest, wait_for
from processes import all_processes, kill_quietly, processes_with_environment

ENDED = ("done", "failed", "cancelled")
BIG_EVERY = 7  # each task with such an index prints more than fits beside a report

# ticks: of 50 ms. Half of the output is printed at the start, half at the end.
TASK = """#!/bin/sh
# usage: task.sh TICKS LINES
ticks=$1 lines=$2
[ $((RPIC_TASK % @BIG)) -ne 0 ] || lines=$((lines * 200))
note() {
    read -r now rest < /proc/uptime
    printf '%s %s %s %s %s %s\\n' "$1" $RPIC_JOB $RPIC_TASK $RPIC_ATTEMPT $RPIC_NODE $now \\
        >> "$LEDGER"
}
note start
seq -f "task $RPIC_TASK attempt $RPIC_ATTEMPT line %05.0f" 1 $lines
while [ $ticks -gt 0 ]; do
    ticks=$((ticks - 1))
    sleep 0.05
    note tick
done
seq -f "task $RPIC_TASK attempt $RPIC_ATTEMPT line %05.0f" $((lines + 1)) $((lines * 2))
note end
"""


def full_only(method):
    """A test that takes long: only where RPIC_TEST_FULL is set, as scripts/test --full does."""
    return unittest.skipUnless(os.environ.get("RPIC_TEST_FULL"), "only in the full run")(method)


def uptime() -> float:
    """CLOCK_BOOTTIME as the tasks read it."""
    return float(pathlib.Path("/proc/uptime").read_text(encoding="ascii").split()[0])


class Run:
    """One attempt as the ledger tells it."""

    def __init__(self, node: str):
        self.node = node
        self.starts: list = []  # numbers of lines
        self.last = 0
        self.ended = False


class Ledger:
    def __init__(self, path: pathlib.Path):
        self.path = path
        path.touch()
        path.chmod(0o666)

    def lines(self, kind: str = "", job=None, task=None, attempt=None) -> list:
        """The lines of that kind, job, task and attempt, each split into its words."""
        found = []
        for line in self.path.read_text(encoding="ascii").splitlines():
            words = line.split()
            wanted = (kind, job, task, attempt)
            if all(want in ("", None) or str(want) == word for want, word in zip(wanted, words)):
                found.append(words)
        return found

    def runs(self) -> dict:
        """(job, task, attempt) -> Run"""
        runs: dict = {}
        for number, (kind, job, task, attempt, node, _) in enumerate(self.lines(), 1):
            key = (int(job), int(task), int(attempt))
            run = runs.setdefault(key, Run(node))
            if run.node != node:
                raise AssertionError(f"{key} was written by {run.node} and {node}")
            if kind == "start":
                run.starts.append(number)
            run.last = number
            run.ended = run.ended or kind == "end"
        return runs

    def check_starts(self) -> None:
        for key, run in self.runs().items():
            if len(run.starts) != 1:
                raise AssertionError(f"job, task, attempt {key} started {len(run.starts)} times")

    def check_room(self, cpus: dict) -> None:
        """No node ever ran more tasks of one CPU than it offers."""
        nodes = collections.defaultdict(list)
        for key, run in self.runs().items():
            nodes[run.node].append((key, run.starts[0], run.last))
        for node, runs in nodes.items():
            for key, at, _ in runs:
                others = [run for run in runs if run[1] < at < run[2]]
                if len(others) >= cpus[node]:
                    raise AssertionError(f"{node} has {cpus[node]} cpus, but when {key} started in "
                                         f"line {at}, these ran: {others}")

    def check_one_at_a_time(self, job: int) -> None:
        """Two attempts of one task never ran at the same time."""
        attempts = collections.defaultdict(list)
        for (of_job, task, _), run in self.runs().items():
            if of_job == job:
                attempts[task].append((run.starts[0], run.last))
        for task, spans in attempts.items():
            spans.sort()
            for (_, end), (start, _) in zip(spans, spans[1:]):
                if start < end:
                    raise AssertionError(f"two attempts of task {task} overlap: {spans}")


def expected_output(task: int, attempt: int, lines: int) -> str:
    lines *= 200 if task % BIG_EVERY == 0 else 1
    return "".join(f"task {task} attempt {attempt} line {number:05}\n"
                   for number in range(1, lines * 2 + 1))


class FaultTest(SystemTest):
    """Workers, a ledger, and ways to hurt them. Whatever still runs is ended by process id."""

    def setUp(self):
        self.addCleanup(self.end_leftover_tasks)  # after the cluster's own end
        super().setUp()
        self.cpus: dict = {}
        self.slaves: dict = {}
        self.let_tasks_pass()
        self.ledger = Ledger(self.cluster.logs / "ledger")
        self.task = self.cluster.folder / "task.sh"
        self.task.write_text(TASK.replace("@BIG", str(BIG_EVERY)), encoding="ascii")
        self.task.chmod(0o755)

    def let_tasks_pass(self) -> None:
        """Tasks run as another user, who has to get through to the ledger."""
        folder = self.cluster.folder
        made_by_run = list(folder.parents)[:2] if "RPIC_TEST_MARKER" in os.environ else []
        for each in [folder, self.cluster.logs, *made_by_run]:
            each.chmod(each.stat().st_mode & 0o777 | 0o011)

    # ------------------------------------------------------------------------------------ programs

    def start_worker(self, name: str, cpus: int = 2, *args, **keywords) -> Program:
        self.cpus[name] = cpus
        self.slaves[name] = self.cluster.start_worker(name, *args, cpus=cpus, **keywords)
        return self.slaves[name]

    def start_cluster(self, *names: str, cpus: int = 2) -> None:
        self.cluster.start_master()
        for name in names:
            self.start_worker(name, cpus)
        self.cluster.wait_online(*names)

    def kill_runner(self, node: str) -> bool:
        folder = str(self.cluster.slave_state(node))
        commands = dict(all_processes())
        pids = [pid for pid in self.cluster.runner_pids() if folder in commands.get(pid, "")]
        for pid in pids:
            kill_quietly(pid)
        return bool(pids)

    def task_pids(self, job=None, task=None, attempt=None) -> list:
        """Processes of tasks, by what the cluster put into their environment."""
        found = set(pid for pid, _ in processes_with_environment(f"LEDGER={self.ledger.path}"))
        for name, value in (("JOB", job), ("TASK", task), ("ATTEMPT", attempt)):
            if value is not None:
                found &= {pid for pid, _ in processes_with_environment(f"RPIC_{name}={value}")}
        return sorted(found)

    def end_leftover_tasks(self) -> None:
        """Runners end their tasks when they are told to end."""
        try:
            wait_for(lambda: not self.task_pids(), 2, "all tasks have ended")
        finally:
            for pid in self.task_pids():
                kill_quietly(pid)

    # ---------------------------------------------------------------------------------------- jobs

    def submit_arguments(self, *options, ticks=2, lines: int = 10, command=None) -> list:
        command = command or [str(self.task), str(ticks), str(lines)]
        return ["submit", "--env", f"LEDGER={self.ledger.path}", *options, "--", *command]

    def submit(self, *options, **keywords) -> int:
        return int(self.cluster.cli_ok(*self.submit_arguments(*options, **keywords)))

    def job(self, job: int) -> dict:
        return self.cluster.cli_json("job", job)["job"]

    def tasks(self, job: int) -> list:
        return self.cluster.cli_json("job", job)["tasks"]

    def the_task(self, job: int) -> dict:
        return self.tasks(job)[0]

    def counters(self) -> dict:
        return self.cluster.cli_json("status")["counters"]

    def wait_ended(self, *jobs: int, timeout: float = 20) -> list:
        def ended():
            views = [self.job(job) for job in jobs]
            return views if all(view["state"] in ENDED for view in views) else None
        return wait_for(ended, timeout, f"jobs {jobs} have ended")

    def wait_started(self, job: int, task: int = 0, attempt: int | None = None,
                     timeout: float = 10) -> list:
        """The ledger's start line of that attempt, or of any."""
        return wait_for(lambda: self.ledger.lines("start", job, task, attempt), timeout,
                        f"task {task} of job {job} starts (attempt {attempt or 'any'})")[-1]

    def outputs(self, job: int) -> dict:
        """task -> what it printed"""
        outputs = collections.defaultdict(str)
        for line in self.cluster.cli_ok("-o", "jsonl", "logs", job).splitlines():
            piece = json.loads(line)
            outputs[piece["task"]] += piece["text"]
        return outputs

    # --------------------------------------------------------------------------------------- audit

    def audit(self, job: int, indices: range, lines: int = 10) -> None:
        """Each task of the job is done, with one result, which is that of an attempt that ran to
        its end, and with all of that attempt's output."""
        view, tasks = self.job(job), self.tasks(job)
        self.assertEqual(view["state"], "done", view)
        self.assertEqual([task["index"] for task in tasks], list(indices))
        self.assertEqual(view["tasks"]["done"], len(indices), view)
        runs, outputs = self.ledger.runs(), self.outputs(job)
        for task in tasks:
            self.assertEqual((task["state"], task["exit_code"]), ("done", 0), task)
            run = runs.get((job, task["index"], task["attempt"]))
            self.assertIsNotNone(run, f"the attempt of {task} never ran")
            self.assertTrue(run.ended, f"the attempt of {task} did not run to its end")
            self.assertEqual(run.node, task["node"], task)
            expected = expected_output(task["index"], task["attempt"], lines)
            if outputs[task["index"]] != expected:
                self.fail(f"output of {task}: {len(outputs[task['index']])} characters, "
                          f"expected {len(expected)}: {outputs[task['index']][:200]!r}")

    def audit_ledger(self) -> None:
        self.ledger.check_starts()
        self.ledger.check_room(self.cpus)


def try_results(test: FaultTest, jobs: list) -> dict:
    """(job, task) -> attempt of every result that can be read now; a master that is away has none."""
    found = {}
    for job in jobs:
        with contextlib.suppress(CliFailed):
            found.update({(job, task["index"]): task["attempt"] for task in test.tasks(job)
                          if task["state"] == "done"})
    return found
