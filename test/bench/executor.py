"""Figure n: functions called from Python, beside Dask in the same run."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess

import jobs

PROGRAM = pathlib.Path(__file__).resolve().parent / "peers" / "square.py"
PYTHON = "/usr/bin/python3"  # has Debian's modules
PATIENCE = 180


def measured(bench, which: str, count: int, singles: int) -> dict:
    env = bench.environment({"PATH": f"{bench.bin}:{os.environ['PATH']}",
                             "RPICLUSTER_CLIENT_STATE_DIR": str(bench.master_state)})
    done = subprocess.run([PYTHON, PROGRAM, which, str(count), str(singles)], check=True, env=env,
                          capture_output=True, text=True, timeout=PATIENCE)
    return json.loads(done.stdout.splitlines()[-1])


def calls(bench, report, sizes) -> None:
    report.title("n. calls of a Python function that squares a number, 2 slots")
    bench.start_master()
    jobs.start_worker(bench)
    has_dask = subprocess.run([PYTHON, "-c", "import distributed"], capture_output=True,
                              check=False).returncode == 0
    if not has_dask:
        report.figure("Dask", "skipped: Python has no module distributed (apt-get install"
                              " python3-distributed)")
    peers = ("rpicluster", "dask") if has_dask else ("rpicluster",)
    for count in (sizes.python_calls // 10, sizes.python_calls):
        rates = {}
        for peer in peers:
            rounds = [measured(bench, peer, count, sizes.python_singles)
                      for _ in range(sizes.rounds)]
            middle = {name: statistics.median(found[name] for found in rounds)
                      for name in rounds[0]}
            rates[peer] = count / middle["map"]
            report.figure(f"{count} calls, {peer}",
                          f"{rates[peer]:,.0f} a second, {1e6 * middle['map'] / count:,.0f} us"
                          f" each, {1e6 * middle['cpu'] / count:,.0f} us of the caller's CPU;"
                          f" one by one {1e3 * middle['single']:.1f} ms each")
        if has_dask:
            ratio = rates["rpicluster"] / rates["dask"]
            report.figure(f"{count} calls, ours / Dask", f"{ratio:.1f}", ">= 1", ratio >= 1)
