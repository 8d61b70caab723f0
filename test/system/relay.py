"""A TCP relay in front of a port: a network whose cable a test can pull, or a slow one."""

from __future__ import annotations

import collections
import select
import socket
import threading
import time


class Relay:
    """Counts connections. While `dead` is set nothing passes: no byte, no close, as if the cable
    were out. Connections that were open at that time stay dead for ever. What comes, ends too, is
    passed on `delay` seconds later, in order."""

    def __init__(self, port: int):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.pairs: dict = {}
        self.sleeping: set = set()
        self.dead = False
        self.delay = 0.0
        self.held: collections.deque = collections.deque()  # (due, from, data); no data: its end
        self.wake, self.waker = socket.socketpair()
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def pull_cable(self) -> None:
        self.dead = True

    def plug_in(self) -> None:
        """New connections work again, the old ones stay dead."""
        self.sleeping = set(self.pairs)
        self.dead = False

    def stop(self) -> None:
        self.stopping = True
        self.waker.send(b"x")
        self.thread.join()
        for entry in [self.listener, self.wake, self.waker, *self.pairs]:
            entry.close()

    def run(self) -> None:
        while not self.stopping:
            # The time limit lets a change of `dead` be seen.
            sources = [self.wake]
            if not self.dead:
                ended = {source for _, source, data in self.held if not data}
                sources += [self.listener, *(set(self.pairs) - self.sleeping - ended)]
            for ready in select.select(sources, [], [], 0.01 if self.held else 0.05)[0]:
                if ready is self.listener:
                    self.accept()
                elif ready in self.pairs:
                    self.receive(ready)
            while self.held and self.held[0][0] <= time.monotonic():
                _, source, data = self.held.popleft()
                if source in self.pairs and not self.dead:
                    self.forward(source, data)

    def accept(self) -> None:
        near, _ = self.listener.accept()
        self.connections += 1
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        self.pairs[near], self.pairs[far] = far, near

    def receive(self, source: socket.socket) -> None:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if self.delay > 0 or self.held:
            # Never before what came earlier, also if the delay was made shorter since then.
            earliest = self.held[-1][0] if self.held else 0.0
            self.held.append((max(earliest, time.monotonic() + self.delay), source, data))
        else:
            self.forward(source, data)

    def forward(self, source: socket.socket, data: bytes) -> None:
        try:
            if data:
                self.pairs[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            other = self.pairs.pop(source)
            self.pairs.pop(other, None)
            source.close()
            other.close()
