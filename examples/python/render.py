#!/usr/bin/env python3
"""Renders a picture on all nodes, in tiles: a program that travels, files that come back.

    examples/python/render.py picture.png
"""

import argparse
import collections
import pathlib
import subprocess
import tempfile
import time

import rpicluster

WIDTH, HEIGHT = 960, 640


def main() -> None:
    parser = argparse.ArgumentParser(description="Render a picture on all nodes.")
    parser.add_argument("picture", type=pathlib.Path, help="where to write it (PNG)")
    parser.add_argument("--tiles", type=int, default=24)
    parser.add_argument("--samples", type=int, default=48, help="rays through each pixel")
    parser.add_argument("--program", type=pathlib.Path, default="build/bin/rpicluster-render")
    options = parser.parse_args()

    began = time.monotonic()
    done = 0

    def tell(task: rpicluster.TaskResult) -> None:
        nonlocal done
        done += 1
        print(f"{done} of {options.tiles} tiles, the last from {task.task['node']}", flush=True)

    with tempfile.TemporaryDirectory() as folder, rpicluster.Cluster() as cluster:
        sizes = f"{options.tiles} {WIDTH} {HEIGHT} {options.samples}"
        completed = cluster.run(
            f"./{options.program.name} $RPIC_TASK {sizes} tile-$RPIC_TASK.ppm",
            name="render", array=f"0-{options.tiles - 1}", files=[options.program.resolve()],
            out=["tile-*.ppm"], to=folder, retries=3, on_task=tell)
        subprocess.run([options.program, "--join", str(options.tiles), str(WIDTH), str(HEIGHT),
                        folder, options.picture], check=True)
    shares = collections.Counter(task.task["node"] for task in completed.tasks)
    print(f"{options.picture} after {time.monotonic() - began:.1f} s; tiles of each node:",
          ", ".join(f"{name} {count}" for name, count in sorted(shares.items())))


if __name__ == "__main__":
    main()
