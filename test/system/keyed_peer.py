"""A connection in the cluster's own protocol that says just what a test wants: an honest key, and a
liar behind it. openssl(1) does the encryption, since Python's ssl knows no pre-shared keys."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import subprocess
import time
import unittest


def digest(purpose: str, key: str) -> str:
    return hashlib.sha256(f"rpicluster-{purpose}{key}".encode()).hexdigest()


class KeyedPeer:
    def __init__(self, port: int, key: str):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl program here")
        self.buffer = b""
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-quiet",
             "-psk", digest("psk", key), "-psk_identity", digest("id", key)[:16]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def send(self, kind: str, payload: dict | None = None, raw: bytes = b"") -> None:
        text = json.dumps({"type": kind, "payload": payload or {}})
        if raw:
            text = f'{{"raw":{len(raw)},' + text[1:]
        self.process.stdin.write(text.encode() + b"\r" + raw)
        self.process.stdin.flush()

    def receive(self, timeout: float = 10) -> tuple:
        """(type, payload, raw tail) of the next frame."""
        deadline = time.monotonic() + timeout
        while True:
            end = self.buffer.find(b"\r")
            if end >= 0:
                frame = json.loads(self.buffer[:end])
                size = end + 1 + frame.get("raw", 0)
                if len(self.buffer) >= size:
                    raw, self.buffer = self.buffer[end + 1:size], self.buffer[size:]
                    return frame["type"], frame["payload"], raw
            readable, _, _ = select.select([self.process.stdout], [], [],
                                           max(0.0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not data:
                raise AssertionError(f"no frame, only {self.buffer!r}")
            self.buffer += data

    def wait_for(self, kind: str, timeout: float = 10) -> tuple:
        """(payload, raw tail) of the next frame of a type; others are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            found, payload, raw = self.receive(deadline - time.monotonic())
            if found == kind:
                return payload, raw

    def put_blob(self, data: bytes) -> str:
        """Sends a file; its name."""
        name = hashlib.sha256(data).hexdigest()
        self.send("put_chunk", {"id": 1, "blob": name, "size": len(data), "offset": 0}, data)
        answer, _ = self.wait_for("chunk_stored")
        assert answer["received"] == len(data), answer
        return name


def client_peer(port: int, key: str) -> KeyedPeer:
    """A client that was welcomed."""
    peer = KeyedPeer(port, key)
    peer.send("hello", {"protocol": 1, "peer": "client"})
    peer.wait_for("welcome")
    return peer


def worker_peer(port: int, join_key: str, name: str) -> tuple:
    """A node that was welcomed and has told that it runs nothing, and its key."""
    peer = KeyedPeer(port, join_key)
    peer.send("hello", {"protocol": 1, "peer": "node", "role": "worker", "name": name, "cpus": 1,
                        "fingerprint": f"board:{name}", "boot_id": name, "heartbeat_seconds": 5,
                        "machine": {"hostname": name, "arch": "arm64", "cpu_cores": 1,
                                    "ram_bytes": 1 << 30}, "memory_bytes": 1 << 30})
    welcome, _ = peer.wait_for("welcome")
    peer.send("key_stored")
    peer.send("resync", {"attempts": []})
    peer.wait_for("resynced")
    return peer, welcome["node_key"]
