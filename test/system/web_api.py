"""A browser's or a program's side of the HTTP API, by the real curl; each answer is held to
web/openapi.json."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import threading
import unittest

from cluster import SystemTest, wait_for
from openapi import check_answer, check_event


class Answer:
    def __init__(self, status: int, fields: dict, body: bytes):
        self.status = status
        self.fields = fields
        self.body = body

    def json(self) -> dict:
        return json.loads(self.body)


class EventStream:
    """Reads server-sent events in the background; each is held to its schema."""

    def __init__(self, port: int, path: str, **fields):
        self.path = path
        self.events: list = []  # (type, data, id)
        self.failure = None
        self.ended = False
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        event: dict = {}
        try:
            for raw in self.answer:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                    continue
                if "data" in event:
                    data = json.loads(event["data"])
                    check_event(self.path, event["event"], data)
                    self.events.append((event["event"], data, event.get("id")))
                elif "id" in event:
                    self.events.append(("", None, event["id"]))
                event = {}
        except AssertionError as error:
            self.failure = error
        except (OSError, ValueError, AttributeError):
            pass  # closed by close()
        self.ended = True

    def all(self, kind: str) -> list:
        if self.failure:
            raise self.failure
        return [data for name, data, _ in list(self.events) if name == kind]

    def wait(self, kind: str, matches=lambda data: True, timeout: float = 10) -> dict:
        return wait_for(lambda: next((d for d in self.all(kind) if matches(d)), None), timeout,
                        f"an event {kind} on {self.path}")

    def last_id(self) -> str:
        return [number for _, _, number in list(self.events) if number][-1]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.answer.close()
            self.connection.close()


class ApiTest(SystemTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("curl"):
            raise unittest.SkipTest("there is no curl")
        self.cluster.start_workers("pi1")
        self.web, self.port = self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")
        self.tokens = {role: self.cluster.cli_json("token", "create", "--role", role, "--name",
                                                   role)["token"]
                       for role in ("viewer", "submit", "admin")}
        wait_for(lambda: len(self.call("GET", "/api/v1/nodes").json()["nodes"]) == 2, 10,
                 "the webserver knows both nodes")

    def curl(self, *args, stdin: bytes = b"") -> subprocess.CompletedProcess:
        return subprocess.run(["curl", "-sS", "--max-time", "40", *args], input=stdin,
                              capture_output=True, timeout=50, check=False)

    def call(self, method: str, path: str, role: str | None = None, body=None, fields=(),
             raw: bytes | None = None) -> Answer:
        """One request; its answer must be as the document says."""
        args = ["-i", "-X", method] if method != "HEAD" else ["-I"]
        if role:
            args += ["-H", f"Authorization: Bearer {self.tokens[role]}"]
        stdin = raw or b""
        if body is not None:
            args += ["-H", "Content-Type: application/json"]
            stdin = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None or raw is not None:
            args += ["--data-binary", "@-"]
        for field in fields:
            args += ["-H", field]
        result = self.curl(*args, f"http://127.0.0.1:{self.port}{path}", stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        head, rest = b"HTTP/1.1 100", result.stdout
        while head.startswith(b"HTTP/1.1 100"):
            head, _, rest = rest.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields_told = {name.lower(): value for name, _, value in
                       (line.partition(": ") for line in lines[1:])}
        answer = Answer(int(lines[0].split()[1]), fields_told, rest)
        check_answer(method, path.split("?")[0], answer.status,
                     fields_told.get("content-type", ""), rest)
        return answer

    def ok(self, method: str, path: str, role: str | None = None, body=None, **keywords) -> dict:
        answer = self.call(method, path, role, body, **keywords)
        self.assertIn(answer.status, (200, 201), (method, path, answer.body))
        return answer.json()

    def submit(self, **spec) -> str:
        return self.ok("POST", "/api/v1/jobs", "submit", spec)["job"]["id"]

    def ended(self, job: str, state: str = "done") -> dict:
        told = self.ok("GET", f"/api/v1/jobs/{job}?wait=30s")["job"]
        self.assertEqual(told["state"], state, told)
        return told

    def stream(self, path: str, **fields) -> EventStream:
        stream = EventStream(self.port, path, **fields)
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, 200)
        return stream
