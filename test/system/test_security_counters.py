"""Each line of the first table of docs/security.md, done to a real master: the answer that it says,
and its counter in `status`, which grows by as much as was done."""

from __future__ import annotations

import contextlib
import json
import ssl

from cluster import SystemTest, time_limit, wait_for
from keyed_peer import KeyedPeer, client_peer, digest, worker_peer
from plain_peer import PlainPeer


class Counters(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.join_key = self.cluster.join_key_file().read_text().strip()
        self.admin_key = (self.cluster.master_state / "master" / "admin.key").read_text().strip()

    def counters(self) -> dict:
        return self.cluster.cli_json("status")["counters"]

    @contextlib.contextmanager
    def grows(self, by: int, *names: str):
        """What is done within makes these counters, taken together, grow by so much."""
        before = self.counters()
        yield

        def grown() -> int:
            after = self.counters()
            return sum(after[name] - before[name] for name in names)

        wait_for(lambda: grown() >= by, 10, f"{names} have grown by {by}")
        self.assertEqual(grown(), by, names)

    def keyed(self, key: str) -> KeyedPeer:
        peer = KeyedPeer(self.cluster.port, key)
        self.addCleanup(peer.close)
        return peer

    def hello(self, key: str, role: str = "", fingerprint: str = "board:x") -> tuple:
        """The answer to a greeting, of a client unless a role of a node is given."""
        peer = self.keyed(key)
        greeting: dict = {"protocol": 1, "peer": "node" if role else "client"}
        if role:
            greeting |= {"role": role, "name": "x", "fingerprint": fingerprint, "boot_id": "x",
                         "cpus": 1, "heartbeat_seconds": 5, "memory_bytes": 1 << 30,
                         "machine": {"hostname": "x", "arch": "arm64", "cpu_cores": 1,
                                     "ram_bytes": 1 << 30}}
        peer.send("hello", greeting)
        kind, payload, _ = peer.receive()
        return kind, payload

    def test_handshakes(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.grows(2, "handshake_failed"), self.grows(0, "key_refused"):
            for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
                context.minimum_version = context.maximum_version = version
                with PlainPeer(self.cluster.port) as peer, self.assertRaises(ssl.SSLError):
                    context.wrap_socket(peer.socket)
        wrong = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
        with self.grows(1, "handshake_failed"), self.grows(1, "key_refused"):
            self.assertRaises((AssertionError, BrokenPipeError), self.hello, wrong)

    def test_keys_for_what_they_are_not_for(self):
        _, node_key = worker_peer_of(self, "pi1")
        viewer = self.cluster.cli_json("token", "create", "--role", "viewer")["token"]
        for key, role in ((self.join_key, ""), (node_key, ""), (node_key, "webserver"),
                          (self.admin_key, "worker"), (viewer, "worker"), (viewer, "webserver")):
            with self.grows(1, "role_refused"):
                kind, refusal = self.hello(key, role)
                self.assertEqual((kind, refusal["code"]), ("refused", "role"), (role, refusal))
                self.assertTrue(refusal["reason"])
        peer = client_peer(self.cluster.port, viewer)
        self.addCleanup(peer.close)
        with self.grows(1, "role_refused"):
            peer.send("create_token", {"id": 3, "role": "admin", "name": "mine"})
            kind, answer, _ = peer.receive()
            self.assertEqual((kind, answer["code"], answer["id"]), ("failed", "forbidden", 3))
        self.assertEqual(len(self.cluster.cli_json("token", "list")["tokens"]), 1)

    def test_first_bytes(self):
        message = b'{"type":"message","payload":"x"}\r'
        request = b"GET / HTTP/1.1\r\n\r\n"
        for first, counter, answer in ((message, "refused_plain", b""),
                                       (request, "refused_http", b"HTTP/1.1 426"),
                                       (b"\x00", "refused_noise", b""),
                                       (b"\xff" * 100, "refused_noise", b"")):
            with self.grows(1, counter), PlainPeer(self.cluster.port, "127.0.6.1") as peer:
                peer.send(first)
                said = peer.rest(4)
                self.assertEqual(said[:len(answer)] if answer else said, answer, first)

    def test_silence_and_crowds(self):
        with self.grows(1, "closed_unauthenticated"), \
                PlainPeer(self.cluster.port, "127.0.6.2") as peer:
            self.assertEqual(peer.rest(8), b"")
        crowd = []
        self.addCleanup(lambda: [peer.socket.close() for peer in crowd])
        with self.grows(3, "closed_crowded"):
            for _ in range(16 + 3):
                crowd.append(PlainPeer(self.cluster.port, "127.0.6.3"))
            for peer in crowd[:3]:
                self.assertEqual(peer.rest(4), b"")

    def test_broken_frames(self):
        deep = "[" * 17 + "]" * 17
        frames = {"64 KiB": b'{"type":"' + b"x" * (64 << 10) + b'"}\r',
                  "depth": f'{{"type":"list_nodes","payload":{deep}}}\r'.encode(),
                  "no JSON": b"{nodes}\r", "no UTF-8": b'{"type":"\xff"}\r'}
        for what, frame in frames.items():
            peer = client_peer(self.cluster.port, self.admin_key)
            self.addCleanup(peer.close)
            with self.grows(1, "broken_frames"):
                with contextlib.suppress(BrokenPipeError):
                    peer.process.stdin.write(frame)
                    peer.process.stdin.flush()
                self.assertRaises(AssertionError, peer.receive, 8)
                peer.process.wait(8)
            self.assertIsNotNone(peer.process.returncode, what)

    def test_messages_that_are_none(self):
        peer, _ = worker_peer_of(self, "pi1")
        for kind, payload in (("frobnicate", {}), ("create_token", {"id": 1, "role": "admin"}),
                              ("remove_node", {"id": 1, "node": "pi1"}),
                              ("get_join_key", {"id": 1}),
                              ("attempts_started", {"attempts": 7}),
                              ("submit", {"id": 1, "spec": {"command": ["true"]}})):
            with self.grows(1, "bad_messages"):
                peer.send(kind, payload)
                answer, _ = peer.wait_for("bad_message")
                self.assertTrue(answer["reason"], kind)
        self.assertEqual(self.cluster.state_of("pi1"), "online")
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    @time_limit(90)
    def test_who_does_not_read(self):
        peer = client_peer(self.cluster.port, self.admin_key)
        self.addCleanup(peer.close)
        job = self.cluster.submit("--array", "1-3000", "--hold", "--", "true")
        with self.grows(1, "closed_not_reading"):
            request = {"type": "get_job", "payload": {"id": 1, "job": job}}
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                peer.process.stdin.write((json.dumps(request) + "\r").encode() * 300)
                peer.process.stdin.flush()
            wait_for(lambda: self.counters()["closed_not_reading"] > 0, 40, "it is closed")

    def test_a_key_on_two_boards(self):
        _, node_key = worker_peer_of(self, "pi1")
        with self.grows(1, "clones"):
            kind, welcome = self.hello(node_key, "worker", "board:another")
            self.assertEqual((kind, welcome["name"]), ("welcome", "x"))
        self.assertNotIn(welcome["node_key"], ("", node_key))
        self.wait_log(self.cluster.master, "pi1", "key")
        self.assertEqual(len(self.cluster.nodes()), 2)

    @time_limit(120)
    def test_too_many_tokens(self):
        peer = client_peer(self.cluster.port, self.admin_key)
        self.addCleanup(peer.close)
        with self.grows(1, "requests_failed"):
            for number in range(1000 + 1):
                peer.send("create_token", {"id": number, "role": "viewer", "name": f"t{number}"})
                kind, answer, _ = peer.receive()
                if kind == "failed":
                    break
            self.assertEqual((kind, answer["code"], number), ("failed", "full", 1000))


def worker_peer_of(test: Counters, name: str) -> tuple:
    peer, key = worker_peer(test.cluster.port, test.join_key, name)
    test.addCleanup(peer.close)
    test.assertNotEqual(digest("id", key), digest("id", test.join_key))
    return peer, key
