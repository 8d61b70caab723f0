"""What a peer may send without harm to anybody but itself. Each bad peer has an address of its own,
because the master logs each kind of trouble once a minute and address."""

from __future__ import annotations

import os
import random
import re
import socket
import time

from cluster import SystemTest, holds_for, time_limit, wait_for
from plain_peer import PlainPeer, frame

UUID = frame("info", "uuid")
SIZE = "long|large|big|limit|bytes|kib"
DEPTH = "deep|depth|nest"


def nested(depth: int) -> bytes:
    return b'{"type":"message","payload":' + b"[" * depth + b"]" * depth + b"}\r"


class BadPlainPeers(SystemTest):
    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master(plain=True)
        self.good = PlainPeer(self.cluster.port, "127.0.0.99")
        self.addCleanup(self.good.socket.close)
        self.good_uuid = self.good.uuid()

    def assert_closed_with_reason(self, source: str, data: bytes, why: str,
                                  after_hello: bool = True) -> None:
        with PlainPeer(self.cluster.port, source) as peer:
            if after_hello:
                peer.uuid()
            try:
                peer.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # closed before it had taken everything
            peer.rest(4)  # below the 5 s after which a silent newcomer is closed anyway
        # At most three lines about it: that it came, why it was closed, that it is gone.
        wait_for(lambda: [line for line in self.master.log_lines(f"{source}:")
                          if re.search(why, line.lower())], 3,
                 f"a log line about {source} that says {why}")
        self.assertLessEqual(len(self.master.log_lines(f"{source}:")), 3)
        self.assertEqual(self.good.uuid(), self.good_uuid)

    def test_broken_json(self):
        broken = [b'{"type":', b"{nonsense}", b'{"type":"message"', b'{"a":1}}', b'{"a":01}',
                  b"{'type':'message','payload':1}"]
        for number, text in enumerate(broken):
            self.assert_closed_with_reason(f"127.0.1.{number + 1}", text + b"\r", "json")

    def test_broken_json_as_first_frame(self):
        self.assert_closed_with_reason("127.0.1.20", b"{nonsense}\r", "json",
                                       after_hello=False)

    def test_frame_of_70_kib(self):
        self.assert_closed_with_reason("127.0.1.30", frame("message", "x" * 70 * 1024), SIZE)

    def test_frame_that_never_ends(self):
        endless = b'{"type":"message","payload":"' + b"x" * 80_000
        self.assert_closed_with_reason("127.0.1.31", endless, SIZE)

    def test_first_frame_of_5_kib(self):
        self.assert_closed_with_reason("127.0.1.32", frame("message", "x" * 5 * 1024),
                                       SIZE, after_hello=False)

    def test_depth_40(self):
        self.assert_closed_with_reason("127.0.1.40", nested(40), DEPTH)
        self.assert_closed_with_reason("127.0.1.41", nested(30_000), DEPTH)

    def test_binary_noise(self):
        noise = random.Random(1)
        for number in range(5):
            data = noise.getrandbits(8 * 2000).to_bytes(2000, "big") + b"\r"
            self.assert_closed_with_reason(f"127.0.1.{50 + number}", data,
                                           "json|utf|character|byte")

    def test_invalid_utf8(self):
        data = b'{"type":"computer_details","payload":{"hostname":"\xff\xfe\xc0","cpu":"x"}}\r'
        self.assert_closed_with_reason("127.0.1.60", data, "utf|json")

    def test_allowed_sizes_are_allowed(self):
        with PlainPeer(self.cluster.port) as peer:
            peer.send(frame("message", "first, " + "x" * 3500))
            before = peer.uuid()
            peer.send(frame("message", "x" * 60 * 1024))
            peer.send(nested(10))
            self.assertEqual(peer.uuid(), before)

    @time_limit(120)
    def test_peer_that_never_reads(self):
        peer = PlainPeer(self.cluster.port, "127.0.1.70")
        self.addCleanup(peer.socket.close)
        peer.socket.settimeout(1)
        question = frame("info", "slave_details") * 500
        slowest = 0.0
        deadline = time.monotonic() + 90
        try:
            while True:
                self.assertLess(time.monotonic(), deadline, "it was never closed")
                try:
                    peer.socket.send(question)
                except socket.timeout:
                    pass  # the master takes nothing from it now
                asked = time.monotonic()
                self.assertEqual(self.good.uuid(), self.good_uuid)
                slowest = max(slowest, time.monotonic() - asked)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertLess(slowest, 1.0, "others had to wait for it")
        if not self.cluster.sanitized():
            self.assertLess(self.master.rss_bytes(), 64 * 2 ** 20)
        self.wait_log(self.master, "127.0.1.70")

    def test_peer_that_only_connects(self):
        started = time.monotonic()
        with PlainPeer(self.cluster.port, "127.0.1.80") as peer:
            self.assertEqual(peer.rest(10), b"")
        self.assertTrue(4 < time.monotonic() - started < 8, time.monotonic() - started)

    def test_peer_that_drips(self):
        """A byte now and then does not buy more time than 5 s."""
        with PlainPeer(self.cluster.port, "127.0.1.81") as peer:
            started = time.monotonic()
            closed = False
            for byte in UUID:
                try:
                    peer.send(bytes([byte]))
                except OSError:
                    closed = True
                    break
                if peer.receive_bytes(0.5) is not None:
                    closed = True
                    break
            self.assertTrue(closed, "it was never closed")
            self.assertLess(time.monotonic() - started, 8)

    def test_valid_plain_peer_may_be_quiet(self):
        with PlainPeer(self.cluster.port) as peer:
            before = peer.uuid()
            holds_for(lambda: peer.receive_bytes(0) is None, 8, "the connection is open")
            self.assertEqual(peer.uuid(), before)

    def test_crowd_that_only_connects(self):
        """16 from one address may wait; more cost only that address its oldest."""
        crowd = [PlainPeer(self.cluster.port, "127.0.1.90") for _ in range(60)]
        try:
            with PlainPeer(self.cluster.port, "127.0.1.91") as newcomer:
                self.assertRegex(newcomer.uuid(), "^[0-9a-f]{32}$")
            self.assertEqual(self.good.uuid(), self.good_uuid)
            started = time.monotonic()
            for peer in crowd[:40]:
                self.assertEqual(peer.rest(10), b"")
            self.assertLess(time.monotonic() - started, 4.5, "the oldest were not closed early")
        finally:
            for peer in crowd:
                peer.socket.close()

    def test_connections_cut_off_at_any_point(self):
        data = frame("computer_details", {"hostname": "h"}) + UUID
        for length in range(0, len(data), 3):
            with PlainPeer(self.cluster.port) as peer:
                peer.send(data[:length])
                if length % 2:
                    linger = b"\x01\0\0\0\0\0\0\0"  # struct linger{1, 0}: a reset, no orderly end
                    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.assertEqual(self.good.uuid(), self.good_uuid)

    def test_half_closed_peer_still_gets_its_answers(self):
        with PlainPeer(self.cluster.port) as peer:
            peer.send(UUID)
            peer.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(peer.receive()["type"], "uuid")
            self.assertEqual(peer.rest(5), b"")

    def test_log_cannot_be_flooded(self):
        for _ in range(200):
            with PlainPeer(self.cluster.port, "127.0.1.100") as peer:
                peer.send(b"{nonsense}\r")
                peer.rest(5)
        with PlainPeer(self.cluster.port, "127.0.1.100") as peer:
            peer.send(frame("strange", 1) * 2000)
            peer.uuid()
        self.assertLess(len(self.master.log_lines("127.0.1.100")), 20)
        self.assertLess(len(self.master.log()), 64 * 1024)


class PlainPeersAtAnEncryptedMaster(SystemTest):
    def test_brace_is_closed_unanswered(self):
        master = self.cluster.start_master()
        for source in ("127.0.2.1", "127.0.2.2"):
            with PlainPeer(self.cluster.port, source) as peer:
                peer.send(UUID)
                self.assertEqual(peer.rest(3), b"")
            self.wait_log(master, source)
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        self.assertEqual(list(self.cluster.nodes()), ["pi1"])

    def test_noise_of_any_first_byte(self):
        master = self.cluster.start_master()
        for first in range(256):
            with PlainPeer(self.cluster.port, f"127.0.3.{first or 1}") as peer:
                try:
                    peer.send(bytes([first]) + os.urandom(200))
                    peer.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    continue  # closed at its first byte, before the rest was sent
                peer.rest(8)
        self.assertTrue(master.alive())
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
