#!/usr/bin/env python3
"""Measures the webserver on loopback and prints figures: test/bench/web.py [--bin DIR] [--nodes N]

Requests a second of /api/v1/nodes against the tutorials' Bottle page in the same run (needs Debian's
python3-bottle), both over one connection that is kept and both with a connection for each request; what
viewers of the event stream cost webserver and master, and its memory with the history of the nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parent))
from measure import Load, cluster, cpu_seconds, memory, mib  # noqa: E402


def read_answer(peer: socket.socket, data: bytes) -> tuple:
    """(length of the body, whether the connection ends with it)."""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            raise AssertionError("no answer")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields[b"content-length"])
    size = len(rest)
    while size < length:
        size += len(peer.recv(min(length - size, 1 << 20)))
    closes = fields.get(b"connection") == b"close" or (
        head.startswith(b"HTTP/1.0") and fields.get(b"connection") != b"keep-alive")
    return length, closes


def ask_for(seconds: float, port: int, path: str, keep_alive: bool) -> tuple:
    """Requests, one after the other; (how many, bytes of one, whether the connection was kept). The
    tutorials' page speaks HTTP/1.0, whose connections end unless both sides say otherwise."""
    field = "keep-alive" if keep_alive else "close"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {field}\r\n\r\n".encode()
    connections = 0
    end = time.monotonic() + seconds
    count, length, peer = 0, 0, None
    while time.monotonic() < end:
        if peer is None:
            peer = socket.create_connection(("127.0.0.1", port))
            connections += 1
        peer.sendall(request)
        length, closes = read_answer(peer, b"")
        count += 1
        if closes or not keep_alive:
            peer.close()
            peer = None
    return count, length, connections < count


def measure_page(name: str, pid: int, port: int, path: str, keep_alive: bool) -> float:
    ask_for(0.5, port, path, keep_alive)
    seconds = 5.0
    before = cpu_seconds(pid)
    count, length, kept = ask_for(seconds, port, path, keep_alive)
    cpu = cpu_seconds(pid) - before
    how = "one connection" if kept else "a connection for each"
    print(f"{name}, {how}: {count / seconds:.0f} requests/s of {length} bytes, "
          f"{cpu / count * 1e6:.0f} us of its CPU each; load {os.getloadavg()[0]:.1f}")
    return count / seconds


class Viewers:
    """So many who watch the event stream, and read it."""

    def __init__(self, port: int, count: int):
        self.bytes = 0
        self.open = True
        self.sockets = []
        for _ in range(count):
            peer = socket.create_connection(("127.0.0.1", port))
            peer.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            peer.setblocking(False)
            self.sockets.append(peer)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        while self.open:
            for peer in self.sockets:
                with contextlib.suppress(BlockingIOError):
                    while piece := peer.recv(1 << 20):
                        self.bytes += len(piece)
            time.sleep(0.05)

    def close(self) -> None:
        self.open = False
        self.thread.join()
        for peer in self.sockets:
            peer.close()


def measure_viewers(bench, web, port: int, count: int, seconds: float, doing: str) -> None:
    viewers = Viewers(port, count) if count else None
    time.sleep(2)
    before = cpu_seconds(web.pid), cpu_seconds(bench.master.pid)
    received = viewers.bytes if viewers else 0
    time.sleep(seconds)
    cost = [100 * (after - first) / seconds for after, first in
            zip((cpu_seconds(web.pid), cpu_seconds(bench.master.pid)), before)]
    rate = (viewers.bytes - received) / count / seconds / 1024 if viewers else 0
    print(f"{count} viewers, {doing}: webserver {cost[0]:.1f} % of a core, master {cost[1]:.1f} %, "
          f"{rate:.1f} KiB/s each; webserver {mib(memory(web.pid)['VmRSS'])} resident")
    if viewers:
        viewers.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin")
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    if options.bin:
        os.environ["RPIC_TEST_BIN"] = os.path.abspath(options.bin)
    bench = cluster.Cluster()
    try:
        bench.start_master(plain=True)
        with Load(bench, "hold", connections=options.nodes, heartbeat=5,
                  key_file=bench.join_key_file()) as load:
            load.wait("online", 60)
            web, port = bench.start_webserver("web")
            bench.wait_online("web")
            page_port = cluster.free_port()
            page = subprocess.Popen(
                ["/usr/bin/python3", str(cluster.ROOT / "test/bench/peers/seed_page.py"),
                 str(bench.port), str(page_port)], stderr=subprocess.DEVNULL,
                env=bench.environment())
            try:
                cluster.wait_for(lambda: cluster.is_listening(page_port), 10, "the Bottle page")
                time.sleep(6)  # both have asked for all nodes by now
                for keep_alive in (True, False):
                    ours = measure_page("/api/v1/nodes", web.pid, port, "/api/v1/nodes", keep_alive)
                    seeds = measure_page("the tutorials' page", page.pid, page_port, "/",
                                         keep_alive)
                    print(f"{ours / seeds:.1f} times as many")
            finally:
                page.terminate()
                page.wait()
            for count in (0, 20, 50):
                measure_viewers(bench, web, port, count, options.seconds, "heartbeats alone")
            bench.start_worker("pi1", cpus=2)
            bench.wait_online("pi1")
            bench.submit("--array", "1-100000", "--", "true")
            measure_viewers(bench, web, port, 0, options.seconds, "short tasks")
            measure_viewers(bench, web, port, 20, options.seconds, "short tasks")
            bench.cli_ok("cancel", "all")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
