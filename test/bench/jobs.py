"""The figures about jobs: f to l. README.md beside this file says what each one means."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

import measure
from measure import Load, cluster, memory, mib

JOB_TIME = 600.0  # for any one job of these figures, on a machine that does other things too


# ------------------------------------------------------------------------------------- what is used


def submit(bench, *options) -> str:
    """The id of a job."""
    return bench.cli_ok("submit", *options, timeout=120).strip()


def finish(bench, job: str, tasks: int) -> None:
    """Waits for a job whose tasks must all succeed."""
    result = bench.cli("wait", job, timeout=JOB_TIME)
    if result.returncode != 0:
        raise AssertionError(f"wait {job} gave {result.returncode}: {result.stderr[-300:]}")
    done = bench.cli_json("jobs", job)["jobs"][0]["tasks"]["done"]
    if done != tasks:
        raise AssertionError(f"job {job}: {done} of {tasks} tasks done")


def run_array(bench, count: int) -> float:
    """Seconds that an array of `true` takes from before its submit until it has ended."""
    began = time.monotonic()
    job = submit(bench, "--array", f"1-{count}", "--", "true")
    finish(bench, job, count)
    return time.monotonic() - began


def start_worker(bench, name: str = "worker", cpus: int = 2) -> cluster.Program:
    slave = bench.start_slave(name, "--cpus", str(cpus), role="worker")
    bench.wait_online(name)
    return slave


def spawn_limits(bench, seconds: float) -> dict:
    """What the machine can do at this moment (spawn.cpp)."""
    command = [str(bench.bin / "rpicluster-bench-spawn"), f"{seconds:g}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def thread_seconds(pid: int) -> tuple:
    """CPU seconds of the first thread of a process, which is the loop, and of all others."""
    seconds = {}
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            used = int((thread / "schedstat").read_text(encoding="ascii").split()[0])
            seconds[int(thread.name)] = used / 1e9
    loop = seconds.pop(pid)
    return loop, sum(seconds.values())


def runner_pid(slave_folder: pathlib.Path) -> int:
    """The runner of a slave: the process that was started with a folder of this state dir."""
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdigit() or (entry / "comm").read_text().strip() != "rpicluster-runn":
                continue
            if str(slave_folder).encode() in (entry / "cmdline").read_bytes():
                return int(entry.name)
    raise AssertionError("there is no runner")


class Peak:
    """The highest RSS of processes while something goes on, above what it was before."""

    def __init__(self, **pids: int):
        self.pids = pids
        self.before = {name: memory(pid)["VmRSS"] for name, pid in pids.items()}
        self.highest = dict(self.before)
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.over.wait(0.05):
            for name, pid in self.pids.items():
                self.highest[name] = max(self.highest[name], memory(pid)["VmRSS"])

    def growth(self, name: str) -> int:
        return self.highest[name] - self.before[name]

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.watcher.join()


# --------------------------------------------------------------------------------- f: real processes


def processes(bench, report, sizes) -> None:
    report.title("f. jobs of no-op processes, one slave with 2 slots, durable")
    bench.start_master()
    start_worker(bench)
    run_array(bench, 20)  # brings the runner up
    report.command(f"rpicluster-bench-spawn {sizes.spawn_seconds:g}")
    report.command(f"rpicluster submit --array 1-{sizes.spawned} -- true; rpicluster wait ID")
    rates, limits, furnished, of_limit, of_furnished = [], [], [], [], []
    for _ in range(sizes.rounds):
        # Before and after: others use the machine too.
        around = [spawn_limits(bench, sizes.spawn_seconds)]
        rates.append(sizes.spawned / run_array(bench, sizes.spawned))
        around.append(spawn_limits(bench, sizes.spawn_seconds))
        limits.append(statistics.mean(one["bare"] for one in around))
        furnished.append(statistics.mean(one["furnished"] for one in around))
        of_limit.append(100 * rates[-1] / limits[-1])
        of_furnished.append(100 * rates[-1] / furnished[-1])
    report.figure("posix_spawn + wait, 2 in flight", f"{statistics.median(limits):,.0f} a second")
    report.figure("the same with private folder, captured output and changed user",
                  f"{statistics.median(furnished):,.0f} a second")
    report.figure("tasks through master and slave", f"{statistics.median(rates):,.0f} a second")
    of_all = statistics.median(of_limit)
    report.figure("of the bare limit", f"{of_all:.0f} %", ">= 60 %", of_all >= 60)
    of_all = statistics.median(of_furnished)
    report.figure("of the furnished limit", f"{of_all:.0f} %", ">= 85 %, goal 95 %", of_all >= 85)


# ----------------------------------------------------------------------------- g: without processes


@contextlib.contextmanager
def simulated(bench, report, sizes):
    """Workers that run nothing, all online."""
    with Load(bench, "work", connections=sizes.workers, cpus=16,
              key_file=bench.join_key_file()) as load:
        report.command(load.shown())
        load.wait("online", 60)
        run_array(bench, 1000)  # brings code and tables in
        yield load
        dropped = load.end()["dropped"]
        report.gate(dropped == 0, f"{dropped} simulated workers were dropped")


def without_processes(bench, report, sizes) -> None:
    report.title(f"g. no-op tasks of {sizes.workers} simulated workers, durable")
    master = bench.start_master()
    with simulated(bench, report, sizes):
        report.command(f"rpicluster submit --array 1-{sizes.simulated} -- true;"
                       " rpicluster wait ID")
        loops, stores, rates = [], [], []
        for _ in range(sizes.rounds):
            before = thread_seconds(master.pid)
            rates.append(sizes.simulated / run_array(bench, sizes.simulated))
            after = thread_seconds(master.pid)
            loops.append((after[0] - before[0]) / sizes.simulated)
            stores.append((after[1] - before[1]) / sizes.simulated)
        loop, store = statistics.median(loops), statistics.median(stores)
        report.figure("tasks for a second of the loop's core",
                      f"{1 / loop:,.0f} ({1e6 * loop:.1f} us each)",
                      ">= 50,000, goal 100,000", 1 / loop >= 50_000)
        report.figure("tasks for a second of the other threads' CPU (store)",
                      f"{1 / store:,.0f} ({1e6 * store:.1f} us each)")
        report.figure("tasks by the clock", f"{statistics.median(rates):,.0f} a second")


# ---------------------------------------------------------------------------------- h: submit to start


def latency(bench, report, sizes) -> None:
    report.title("h. from submit to the task's first instruction, idle cluster, durable")
    bench.start_master()
    start_worker(bench)
    run_array(bench, 20)
    with Load(bench, "submit", messages=sizes.submits, one_address=True,
              key_file=bench.master_state / "master" / "admin.key",
              task=bench.bin / "rpicluster-bench-stamp") as load:
        report.command(load.shown())
        done = load.wait("done", 60 + sizes.submits)
    for name, times, targets in (("the same program by posix_spawn alone", done["spawned"], None),
                                 ("submit to answer", done["acknowledged"], None),
                                 ("submit to start", done["started"], (0.003, 0.015))):
        for index, percent in enumerate((50, 99)):
            value = measure.percentile(times, percent)
            target = f"<= {1000 * targets[index]:g} ms" if targets else ""
            report.figure(f"{name}, p{percent}", f"{1000 * value:.2f} ms", target,
                          not targets or value <= targets[index])


# ------------------------------------------------------------------------------------- i: a million


def a_million(bench, report, sizes) -> None:
    report.title(f"i. {sizes.million:,} tasks")
    master = bench.start_master()
    lines = bench.folder / "lines"
    with open(lines, "w", encoding="ascii") as file:
        file.writelines(f"frame-{number}.png\n" for number in range(sizes.million))
    with simulated(bench, report, sizes):
        for name, options, limit in (
                ("--array", ("--array", f"1-{sizes.million}", "--", "true"), 0.1),
                ("--each-line", ("--each-line", lines, "--", "true", "{}"), 3.0)):
            report.command("rpicluster submit " + " ".join(map(str, options)))
            with Peak(master=master.pid) as peak:
                began = time.monotonic()
                job = submit(bench, *options)
                accepted = time.monotonic() - began
                finish(bench, job, sizes.million)
                seconds = time.monotonic() - began
            report.figure(f"{name}, accepted after", f"{1000 * accepted:.0f} ms",
                          f"< {1000 * limit:g} ms", accepted < limit)
            growth = peak.growth("master")
            report.figure(f"{name}, RSS of the master while it runs",
                          f"{mib(growth)} above {mib(peak.before['master'])}", "<= 48 MiB",
                          growth <= 48 << 20)
            report.figure(f"{name}, all done after", f"{seconds:.1f} s,"
                          f" {sizes.million / seconds:,.0f} tasks a second")


# ---------------------------------------------------------------------------------- j: bytes written


def written(bench) -> int:
    return bench.cli_json("status")["bytes_written"]


def bytes_written(bench, report, sizes) -> None:
    report.title("j. bytes that the master writes")
    bench.start_master()
    start_worker(bench)
    run_array(bench, 20)
    time.sleep(1)
    before = written(bench)
    report.command("rpicluster submit --array 1-1000 -- true; rpicluster wait ID")
    run_array(bench, 1000)
    time.sleep(2)
    grown = written(bench) - before
    report.figure("1,000 `true` tasks", mib(grown), "<= 2 MiB", grown <= 2 << 20)
    before = written(bench)
    time.sleep(sizes.idle_seconds)
    grown = written(bench) - before
    report.figure("idle", f"{grown} bytes in {sizes.idle_seconds:g} s", "0", grown == 0)


# ------------------------------------------------------------------------------------- k: large files


def large_file(bench, report, sizes) -> None:
    report.title(f"k. a file of {sizes.file_mib} MiB there and back")
    master = bench.start_master()
    slave = start_worker(bench)
    with tempfile.TemporaryDirectory(prefix="bench-files-", dir=bench.folder) as name:
        folder = pathlib.Path(name)
        for small in (True, False):
            source = folder / ("small" if small else "large")
            with open(source, "wb") as file:
                for _ in range(1 if small else sizes.file_mib):
                    file.write(os.urandom(1 << 20))
            command = [str(bench.bin / "rpicluster"), "--state-dir", str(bench.master_state),
                       "run", "--in", source.name, "--out", "copy", "--", "cp", source.name, "copy"]
            with Peak(master=master.pid, slave=slave.pid) as peak:
                began = time.monotonic()
                subprocess.run(command, cwd=folder, env=bench.environment(), check=True,
                               timeout=JOB_TIME)
                seconds = time.monotonic() - began
            same = subprocess.run(["cmp", source, folder / "copy"], check=False).returncode == 0
            report.gate(same, "the copy differs")
            (folder / "copy").unlink()
    report.command("rpicluster " + " ".join(command[3:]))
    report.figure("there and back", f"{seconds:.1f} s, {sizes.file_mib / seconds:,.0f} MiB/s")
    for who in ("master", "slave"):
        growth = peak.growth(who)
        report.figure(f"RSS of the {who}", f"{mib(growth)} above {mib(peak.before[who])}",
                      "< 16 MiB", growth < 16 << 20)


# ------------------------------------------------------------------------------------ l: idle nodes


def idle_node(bench, report, sizes) -> None:
    report.title("l. an idle node that has run a job")
    bench.start_master()
    slave = start_worker(bench)
    before = memory(slave.pid)
    run_array(bench, 100)
    time.sleep(min(6, sizes.idle_seconds))
    after = memory(slave.pid)
    runner = memory(runner_pid(bench.slave_state("worker")))
    report.figure("slave before its first job", mib(before["VmRSS"]))
    report.figure("slave", f"{mib(after['VmRSS'])} (anonymous {mib(after['RssAnon'])})",
                  "<= 8 MiB", after["VmRSS"] <= 8 << 20)
    report.figure("runner", f"{mib(runner['VmRSS'])} (anonymous {mib(runner['RssAnon'])})")
