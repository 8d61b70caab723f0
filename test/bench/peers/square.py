"""Calls of a Python function through an executor: square.py rpicluster|dask COUNT [ONE_BY_ONE]

Prints {"map":seconds,"submit":seconds,"cpu":seconds,"single":seconds}: of a map of COUNT calls the
time until all results are here, the time until `map` or the loop of submits came back, the CPU time
of this process, and the median time of a call that is waited for before the next one is made.
"""

import contextlib
import json
import pathlib
import statistics
import sys
import time


def square(number):
    return number * number


@contextlib.contextmanager
def ours():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "python"))
    import rpicluster

    with rpicluster.Cluster() as cluster:
        yield (lambda numbers: [cluster.submit(square, number) for number in numbers],
               lambda futures: [future.result() for future in futures])


@contextlib.contextmanager
def dask():
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None,
                      host="127.0.0.1") as cluster, Client(cluster) as client:
        yield lambda numbers: client.map(square, numbers, pure=False), client.gather


def main():
    which, count, singles = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with (ours if which == "rpicluster" else dask)() as (start, gather):
        gather(start(range(20)))
        began, cpu = time.monotonic(), time.process_time()
        futures = start(range(count))
        started = time.monotonic()
        results = gather(futures)
        ended, cpu = time.monotonic(), time.process_time() - cpu
        assert results == [number * number for number in range(count)]
        times = []
        for number in range(singles):
            before = time.monotonic()
            gather(start([number]))
            times.append(time.monotonic() - before)
    print(json.dumps({"map": ended - began, "submit": started - began, "cpu": cpu,
                      "single": statistics.median(times)}))


if __name__ == "__main__":
    main()
