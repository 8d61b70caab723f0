"""A connection that says exactly what a test wants, byte by byte, in the seeds' protocol."""

from __future__ import annotations

import json
import select
import socket
import time


def frame(kind: str, payload) -> bytes:
    return json.dumps({"type": kind, "payload": payload}, ensure_ascii=False).encode() + b"\r"


class PlainPeer:
    """source: another 127.0.0.x makes it another machine for the master's once-a-minute logs."""

    def __init__(self, port: int, source: str = "127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10,
                                               source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.socket.getsockname())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_in_pieces(self, data: bytes, size: int, pause: float = 0.002) -> None:
        """The pause makes it likely that the other side reads every piece by itself."""
        for start in range(0, len(data), size):
            self.socket.sendall(data[start:start + size])
            time.sleep(pause)

    def receive_bytes(self, timeout: float) -> bytes | None:
        """What came next; empty when the other side has closed, None when nothing came."""
        readable, _, _ = select.select([self.socket], [], [], max(0.0, timeout))
        if not readable:
            return None
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def receive(self, timeout: float = 5) -> dict:
        """The next message."""
        deadline = time.monotonic() + timeout
        while b"\r" not in self.buffer:
            data = self.receive_bytes(deadline - time.monotonic())
            if data is None:
                raise AssertionError(f"no message within {timeout:g} s, only {self.buffer!r}")
            if not data:
                raise AssertionError(f"closed by the other side, after {self.buffer!r}")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\r", 1)
        return json.loads(text.decode("utf-8"))

    def ask(self, topic, timeout: float = 5) -> dict:
        self.send(frame("info", topic))
        return self.receive(timeout)

    def uuid(self, timeout: float = 5) -> str:
        """Asks for the uuid, passing over what else the master still had to say."""
        self.send(frame("info", "uuid"))
        while True:
            message = self.receive(timeout)
            if message["type"] == "uuid":
                return message["payload"]

    def rest(self, timeout: float) -> bytes:
        """Everything until the other side closes, which it must do in time."""
        deadline = time.monotonic() + timeout
        received = self.buffer
        while True:
            data = self.receive_bytes(deadline - time.monotonic())
            if data is None:
                raise AssertionError(f"still open after {timeout:g} s; received {received!r}")
            if not data:
                return received
            received += data
