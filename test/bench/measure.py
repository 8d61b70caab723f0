"""What the figures are measured with: the load generator, the kernel's accounts, and the output."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import cluster  # noqa: E402  (found only after the path is set)

TICKS = os.sysconf("SC_CLK_TCK")


def now() -> float:
    """The clock of the programs."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads; in steps of a clock tick (10 ms)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> dict:
    """VmRSS, RssAnon, RssFile ... of a process in bytes."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "VmRSS" or name.startswith("Rss"):
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes


def written_bytes(pid: int) -> int:
    """Bytes that the process caused to be written to a disk; a tmpfs does not count (proc(5))."""
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise AssertionError("no write_bytes in /proc/PID/io")


def pin(pid: int, core: int) -> None:
    """Binds a process to one core, if there are two; threads made later inherit that."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[core % len(cores)]})


def descriptors() -> int:
    """How many descriptors a program started from here may have; raises the soft limit to that."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def percentile(values: list, percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def kib(size: float) -> str:
    return f"{size / 1024:.1f} KiB"


def mib(size: float) -> str:
    return f"{size / 1024 / 1024:.2f} MiB"


class Load:
    """The load generator, running."""

    def __init__(self, bench: cluster.Cluster, mode: str, **flags):
        program = bench.bin / "rpicluster-bench-load"
        self.command = [str(program), mode, "--port", str(bench.port)]
        for name, value in flags.items():
            self.command += ["--" + name.replace("_", "-")]
            self.command += [] if value is True else [str(value)]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, env=bench.environment())
        self.events: queue.Queue = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def wait(self, event: str, timeout: float) -> dict:
        """The next event of that name."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = self.events.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no \"{event}\" in {timeout:g} s: {self.shown()}") from None
            if found is None:
                raise AssertionError(f"the load generator ended: {self.shown()}")
            if found["event"] == event:
                return found

    def go(self) -> None:
        """The line for which --wait waits."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, timeout: float = 30) -> dict:
        """Stops a crowd; what it saw."""
        self.process.terminate()
        end = self.wait("end", timeout)
        self.process.wait(timeout)
        return end

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def shown(self) -> str:
        return " ".join([pathlib.Path(self.command[0]).name, *self.command[1:]])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Report:
    """Prints the figures; remembers what is so bad that the run fails."""

    def __init__(self):
        self.failures: list = []
        self.missed: list = []

    def title(self, text: str) -> None:
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"\n{text}  [load of the machine: {load}]", flush=True)

    def command(self, text: str) -> None:
        print(f"    $ {text}", flush=True)

    def figure(self, name: str, value: str, target: str = "", reached: bool = True) -> None:
        verdict = f"  (target {target}: {'reached' if reached else 'MISSED'})" if target else ""
        print(f"  {name}: {value}{verdict}", flush=True)
        if not reached:
            self.missed.append(f"{name}: {value}, target {target}")

    def gate(self, good: bool, what: str) -> None:
        """A gross thing, which makes the run fail."""
        if not good:
            print(f"  FAILED: {what}", flush=True)
            self.failures.append(what)

    def close(self) -> int:
        print()
        for miss in self.missed:
            print(f"missed: {miss}")
        for failure in self.failures:
            print(f"failed: {failure}")
        print(f"bench: {len(self.missed)} targets missed, {len(self.failures)} failures")
        return 1 if self.failures else 0
