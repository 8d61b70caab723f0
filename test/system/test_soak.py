"""A cluster that works without a pause: descriptors stay flat, memory does not rise, and the
store keeps its size. RPIC_TEST_SECONDS says for how long; an hour proves it, seconds only that it
runs."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import statistics
import time

from cluster import SystemTest, seconds, tell, time_limit
from ledger import full_only
from storms import Crowd

SECONDS = seconds(20)
LONG = 1800          # from here on slopes mean something
FAST = ("--heartbeat", "0.05", "--reconnect-max", "1")
KEPT = 10_000        # ended jobs that the master keeps: it is filled first, or memory had to rise
AT_ONCE = 5_500      # jobs of a file
NODES = ("pi1", "pi2", "pi3")
WAL = 9 << 20        # bytes that the store's log may take at any time


def growth(values: list) -> float:
    """How far the line through the values rises from begin to end, relative to their mean."""
    slope = statistics.linear_regression(range(len(values)), values).slope
    return slope * len(values) / statistics.fmean(values)


def bytes_below(folder: pathlib.Path) -> int:
    """Of all files; those that go meanwhile count or not."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


class Soak(SystemTest):
    @full_only
    @time_limit(SECONDS + 300)
    def test_soak(self):
        self.master = self.cluster.start_master()
        self.slaves = {name: self.cluster.start_worker(name, *FAST) for name in NODES}
        self.cluster.wait_online(*NODES)
        if SECONDS >= LONG:
            self.fill_store()
        beating = Crowd(self.cluster, 50, "--heartbeat", 0.5)
        self.addCleanup(beating.close)
        beating.wait_all()
        samples = self.work()
        end = beating.end()
        self.assertEqual(end["dropped"], 0, end)
        self.judge(samples, end)

    def fill_store(self) -> None:
        """To the brim: from now on each job that ends costs an old one its place."""
        workers = Crowd(self.cluster, 4, "--first", 1000, mode="work")
        self.addCleanup(workers.close)
        workers.wait_all()
        jobs = self.cluster.folder / "jobs.json"
        jobs.write_text(json.dumps({"job": [{"name": f"job-{number}", "command": ["true"]}
                                            for number in range(AT_ONCE)]}), encoding="ascii")
        for _ in range(2 * KEPT // AT_ONCE - 1):
            self.cluster.cli_ok("submit", "--file", jobs, timeout=100)
        self.cluster.cli_ok("wait", "all", timeout=100)
        workers.end()

    def work(self) -> list:
        """Jobs with output, one after the other, until the time is over; samples of everybody."""
        samples, jobs = [], 0
        began = time.monotonic()
        next_sample = began
        while time.monotonic() < began + SECONDS:
            job = self.cluster.submit("--array", "1-40", "--", "sh", "-c", "seq $RPIC_TASK 200")
            self.assertEqual(self.cluster.cli("wait", job, timeout=60).returncode, 0)
            jobs += 1
            if time.monotonic() >= next_sample:
                next_sample += max(SECONDS / 360, 0.5)
                samples.append(self.sample())
        self.jobs = jobs
        return samples

    def sample(self) -> dict:
        """name -> {rss, descriptors}, and the store's bytes."""
        pids = {"master": self.master.pid, **{name: each.pid for name, each in self.slaves.items()}}
        found = {}
        for name, pid in pids.items():
            program = self.master if name == "master" else self.slaves[name]
            found[name] = {"rss": program.rss_bytes(),
                           "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
        folders = [self.cluster.master_state, *map(self.cluster.slave_state, NODES)]
        found["stores"] = sum(map(bytes_below, folders))
        return found

    def judge(self, samples: list, end: dict) -> None:
        self.assertGreater(len(samples), 8)
        quarter = len(samples) // 4
        warm = samples[quarter:]
        rss = {name: growth([sample[name]["rss"] for sample in warm]) for name in samples[0]
               if name != "stores"}
        descriptors = {name: [statistics.median(sample[name]["descriptors"] for sample in part)
                              for part in (samples[quarter:2 * quarter], samples[-quarter:])]
                       for name in rss}
        stores = [max(sample["stores"] for sample in part)
                  for part in (samples[:2 * quarter], samples[-quarter:])]
        tell(count=int(SECONDS), jobs=self.jobs, beats=end["beats"],
             heartbeat_p99_ms=round(end["answer_seconds"]["p99"] * 1000, 2),
             rss_growth_percent={name: round(value * 100, 2) for name, value in rss.items()},
             master_rss_mib=round(samples[-1]["master"]["rss"] / 2 ** 20, 1),
             descriptors={name: values[1] for name, values in descriptors.items()},
             stores_mib=[round(value / 2 ** 20, 1) for value in stores])
        for name, (before, after) in descriptors.items():
            self.assertLessEqual(after, before + 2, f"descriptors of {name}")
        if SECONDS < LONG:
            return
        for name, value in rss.items():
            self.assertLess(value, 0.01, f"memory of {name}")
        self.assertLess(stores[1], stores[0] * 1.1 + WAL)
