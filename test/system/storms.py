"""What storms are made of: a crowd of live sessions whose heartbeats are measured, thousands of
bare connections, and the master's accounts before and after."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import socket
import subprocess
import time

from cluster import SystemTest, tell, wait_for

LIVE = 100           # encrypted sessions that must not notice
BEAT = 0.5           # seconds between two heartbeats of each
GROSS_P99 = 1.0      # seconds; on a machine that does nothing else it is some milliseconds
MEBIBYTE = 1 << 20


def raise_descriptors() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def address_of(number: int) -> str:
    """A loopback address of its own for each number up to 64,000."""
    return f"127.9.{number // 250}.{number % 250 + 1}"


class Crowd:
    """The load generator: joined nodes that beat and measure the answers."""

    def __init__(self, cluster, connections: int, *options, mode: str = "hold"):
        self.connections = connections
        command = [cluster.bin / "rpicluster-bench-load", mode, "--port", cluster.port,
                   "--key-file", cluster.join_key_file(), "--connections", connections, *options]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True,
                                        env=cluster.environment())

    def wait_all(self) -> None:
        self.next("online")

    def next(self, event: str) -> dict:
        """Bounded by the time limit of the test."""
        for line in self.process.stdout:
            told = json.loads(line)
            if told["event"] == event:
                return told
        raise AssertionError(f"the load generator ended without \"{event}\"")

    def end(self) -> dict:
        self.process.terminate()
        return self.next("end")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Connections:
    """Bare connections started at once, each from an address of its own or all from one."""

    def __init__(self, port: int, count: int, own_addresses: bool = True,
                 first: bytes = b"", offset: int = 0):
        self.selector = selectors.DefaultSelector()
        self.open: set = set()
        self.came_through = 0
        self.first = first
        for number in range(count):
            each = socket.socket()
            each.setblocking(False)
            each.bind((address_of(offset + number) if own_addresses else "127.8.0.1", 0))
            with contextlib.suppress(BlockingIOError):
                each.connect(("127.0.0.1", port))
            self.open.add(each)
            self.selector.register(each, selectors.EVENT_WRITE)

    def watch(self, seconds: float) -> None:
        """Notes who gets through and who is closed."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self.open:
                time.sleep(left)
                return
            for key, events in self.selector.select(left):
                self.take(key.fileobj, events)

    def take(self, each: socket.socket, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                if each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                    return self.drop(each)
                self.came_through += 1
                self.selector.modify(each, selectors.EVENT_READ)
                each.send(self.first)
            elif not each.recv(4096):
                self.drop(each)
        except OSError:
            self.drop(each)
        return None

    def send(self, data: bytes) -> None:
        for each in list(self.open):
            try:
                each.send(data)
            except BlockingIOError:
                continue
            except OSError:
                self.drop(each)

    def drop(self, each: socket.socket) -> None:
        self.selector.unregister(each)
        self.open.discard(each)
        each.close()

    def close(self) -> None:
        for each in list(self.open):
            self.drop(each)
        self.selector.close()


class StormTest(SystemTest):
    """A master with live sessions; what a storm did to them."""

    def setUp(self):
        super().setUp()
        raise_descriptors()

    def start(self, *args, **keywords) -> None:
        self.master = self.cluster.start_master(*args, **keywords)
        self.begin()

    def begin(self) -> None:
        """Once the master runs: the live sessions, first for a while without a storm."""
        calm = self.crowd(LIVE, "--heartbeat", BEAT, "--first", LIVE)
        calm.wait_all()
        time.sleep(3)  # the length of the measurement
        self.calm = calm.end()["answer_seconds"]
        self.live = self.crowd(LIVE, "--heartbeat", BEAT)
        self.live.wait_all()
        self.descriptors = self.count_descriptors()
        self.rss = self.master.rss_bytes()
        self.highest = self.rss
        self.most_descriptors = self.descriptors

    def crowd(self, *args, **keywords) -> Crowd:
        crowd = Crowd(self.cluster, *args, **keywords)
        self.addCleanup(crowd.close)
        return crowd

    def connections(self, *args, **keywords) -> Connections:
        connections = Connections(self.cluster.port, *args, **keywords)
        self.addCleanup(connections.close)
        return connections

    def count_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.master.pid}/fd"))

    def look(self) -> None:
        """Keeps the most that the master's memory and descriptors ever were."""
        self.highest = max(self.highest, self.master.rss_bytes())
        self.most_descriptors = max(self.most_descriptors, self.count_descriptors())

    def watch(self, storm: Connections, seconds: float) -> None:
        for _ in range(int(seconds / 0.5)):
            storm.watch(0.5)
            self.look()

    def check_storm(self, name: str, growth: int, **figures) -> None:
        """After the storm: no live session was dropped or had to wait, memory grew by no more than
        `growth` bytes, descriptors come back, and somebody new gets in."""
        self.look()
        end = self.live.end()
        storm = end["answer_seconds"]
        began = time.monotonic()
        self.cluster.start_slave("newcomer")
        self.cluster.wait_online("newcomer", timeout=30)
        # The live sessions are gone by now.
        wait_for(lambda: self.count_descriptors() <= self.descriptors - LIVE + 8, 40,
                 f"descriptors come back to about {self.descriptors - LIVE}")
        tell(count=1, storm=name, calm_p99_ms=round(self.calm["p99"] * 1000, 2),
             p99_ms=round(storm["p99"] * 1000, 2), max_ms=round(storm["max"] * 1000, 2),
             beats=storm["count"], rss_growth_mib=round((self.highest - self.rss) / MEBIBYTE, 1),
             newcomer_seconds=round(time.monotonic() - began, 1), **figures)
        self.assertEqual(end["dropped"], 0, end)
        self.assertGreater(storm["count"], LIVE)
        self.assertLess(storm["p99"], GROSS_P99, storm)
        if not self.cluster.sanitized():
            self.assertLess(self.highest - self.rss, growth)

