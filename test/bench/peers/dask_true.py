"""N no-op processes through Dask with two slots: prints the seconds they took."""

import subprocess
import sys
import time

from distributed import Client, LocalCluster


def run(_):
    return subprocess.run(["/bin/true"], check=True).returncode


if __name__ == "__main__":
    count = int(sys.argv[1])
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None,
                      host="127.0.0.1") as cluster, Client(cluster) as client:
        client.gather(client.map(run, range(-20, 0), pure=False))
        began = time.monotonic()
        client.gather(client.map(run, range(count), pure=False))
        print(time.monotonic() - began)
