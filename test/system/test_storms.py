"""Crowds, and peers that mean no good, in numbers: the live sessions do not notice. Each test
prints how long heartbeats took before and during its storm."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
import unittest

from cluster import time_limit, wait_for
from ledger import FaultTest, full_only
from plain_peer import frame
from storms import LIVE, MEBIBYTE, StormTest
from test_jobs_disk import SmallDisk, may_mount

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a TLS handshake begins
FEW_DESCRIPTORS = 256


class Crowds(StormTest):
    @full_only
    @time_limit(150)
    def test_ten_thousand_connections_of_as_many_addresses(self):
        self.start()
        storm = self.connections(10_000)
        self.watch(storm, 15)
        through = storm.came_through
        storm.close()
        self.check_storm("10,000 connections", 64 * MEBIBYTE, through=through)

    @full_only
    @time_limit(150)
    def test_ten_thousand_connections_of_one_address(self):
        self.start()
        storm = self.connections(10_000, own_addresses=False)
        self.watch(storm, 15)
        through = storm.came_through
        storm.close()
        self.check_storm("10,000 connections of one address", 64 * MEBIBYTE, through=through)

    @time_limit(150)
    def test_a_thousand_joins_at_once(self):
        self.start()
        began = time.monotonic()
        joins = self.crowd(1000, "--first", 1000, "--at-once", 1000, mode="return")
        joins.wait_all()
        seconds = round(time.monotonic() - began, 1)
        joins.end()
        nodes = self.cluster.cli_json("nodes")["nodes"]
        self.assertEqual(len(nodes), 1000 + 2 * LIVE, "nobody has become two nodes")
        self.check_storm("1,000 joins at once", 96 * MEBIBYTE, joined_after_seconds=seconds)


class BadCrowds(StormTest):
    @time_limit(150)
    def test_slowloris(self):
        """A byte now and then, in the middle of a handshake."""
        self.start()
        storm = self.connections(600, first=CLIENT_HELLO)
        for _ in range(20):
            self.watch(storm, 0.5)
            storm.send(b"\0")
        dripping = len(storm.open)
        storm.close()
        self.assertLess(dripping, 600, "some of them were closed by now")
        self.check_storm("slowloris", 32 * MEBIBYTE, closed=600 - dripping)

    @full_only
    @time_limit(150)
    def test_half_open_sessions(self):
        """Nodes that are there for the kernel alone, as after a crash; they are let go in time."""
        self.start()
        frozen = self.crowd(200, "--first", 1000, "--heartbeat", 0.5)
        frozen.wait_all()
        frozen.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: self.count_descriptors() <= self.descriptors + 8, 60,
                 "the master has let go of sessions that say nothing")
        frozen.close()
        self.check_storm("half-open sessions", 64 * MEBIBYTE)

    @full_only
    @time_limit(150)
    def test_peers_that_never_read(self):
        """Each asks and asks and takes no answer; 40 of them hold what 40 outboxes hold."""
        self.start(plain=True)
        peers = 40
        storm = self.connections(peers, first=frame("info", "uuid"))
        question = frame("info", "slave_details") * 200
        for each in storm.open:
            storm.selector.modify(each, 0x2)  # to write alone: nobody looks at what comes
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            storm.send(question)
            time.sleep(0.02)  # the rhythm of the storm
            self.look()
        storm.close()
        self.check_storm("peers that never read", (peers * 3 + 16) * MEBIBYTE)


class Descriptors(StormTest, FaultTest):
    @time_limit(150)
    def test_no_descriptors_are_left(self):
        """256 in all: the live sessions, the store and the results of tasks do not notice."""
        self.cluster.prefixes["rpicluster-master"] = ["prlimit", f"--nofile={FEW_DESCRIPTORS}"]
        self.start()
        self.start_worker("pi1", 2)
        self.cluster.wait_online("pi1")
        jobs = [self.submit("--array", "1-14", ticks=10) for _ in range(3)]
        storm = self.connections(400)
        self.watch(storm, 16)
        self.assertGreaterEqual(self.most_descriptors, FEW_DESCRIPTORS - 4, "it was no storm")
        storm.close()
        self.wait_ended(*jobs, timeout=40)
        for job in jobs:
            self.audit(job, range(1, 15))
        self.audit_ledger()
        self.assertGreater(self.counters()["accept_no_descriptor"], 0)
        self.descriptors += 4  # of the worker
        self.check_storm("no descriptors", 32 * MEBIBYTE)


class Logs(StormTest):
    def shout(self, offset: int) -> None:
        """A line for each of 400 addresses: about 40 KiB."""
        storm = self.connections(400, first=b"GET / HTTP/1.1\r\n\r\n", offset=offset)
        self.watch(storm, 4)
        storm.close()

    @time_limit(150)
    def test_standard_error_that_nobody_reads(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
        self.cluster.errors["master"] = writing
        self.start("--log-level", "debug")
        os.close(writing)
        self.shout(0)
        # The pipe is full. What was lost is told as soon as somebody reads again.
        os.set_blocking(reading, False)
        self.assertGreater(len(os.read(reading, 1 << 20)), 2048)
        self.shout(400)
        told = b""

        def all_is_told() -> bool:
            nonlocal told
            with contextlib.suppress(BlockingIOError):
                told += os.read(reading, 1 << 20)
            return b"lines before it were lost" in told
        wait_for(all_is_told, 10, "the master says how much of its log was lost")
        self.check_storm("nobody reads the log", 32 * MEBIBYTE)

    @full_only
    @unittest.skipUnless(may_mount(), "needs root and unshare(1)")
    @time_limit(150)
    def test_log_file_on_a_full_disk(self):
        folder = self.cluster.folder / "logs-of-master"
        disk = SmallDisk(folder, 4 * MEBIBYTE)
        self.addCleanup(disk.close)
        self.cluster.prefixes["rpicluster-master"] = disk.beside()
        disk.leave_free(8 * 1024)
        self.start("--log-level", "debug", "--log-file", folder / "master.log")
        self.shout(0)
        size = sum(log.stat().st_size for log in disk.path.glob("master.log*"))
        self.assertLess(size, 16 * 1024, "it was no storm")
        disk.filler.unlink()
        self.shout(400)
        later = sum(log.stat().st_size for log in disk.path.glob("master.log*"))
        self.assertGreater(later, size, "it writes again")
        self.assertLess(len(list(disk.path.iterdir())), 6, "no heap of empty files")
        self.check_storm("no room for the log", 32 * MEBIBYTE)
