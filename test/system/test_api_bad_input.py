"""What every operation of web/openapi.json answers to what it should not be sent: the right status,
and a problem document that says what to do instead. Whoever adds an operation, a parameter or a
member adds its row here: a test counts them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import re
import socket
import unittest

from cluster import time_limit, wait_for
from openapi import DOCUMENT, check_answer, operations, problems, resolve
from web_api import Answer, ApiTest

RANK = {"none": 0, "viewer": 1, "submit": 2, "admin": 3}
ORDER = ("viewer", "submit", "admin")
NO_TOKEN = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
HASH = "0" * 64
LONG = "9" * 30
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")

# A body with which nothing is wrong, so that something else must be.
BODIES = {
    "login": {"token": NO_TOKEN}, "submitJob": {"command": ["true"]}, "labelNode": {"a": "b"},
    "setPriority": {"priority": 1}, "drainNode": {}, "cancelJob": {}, "retryJob": {},
}

# Parameter of a path -> what there is not: (value, status, word of the detail).
IDS = {
    "node": [("nobody", 404, "/api/v1/nodes"), ("a%0Ab", 404, "\"a?b\""), ("%ff", 400, "UTF-8"),
             ("%00", 400, "UTF-8"), ("%z", 400, "percent-encoded")],
    "job": [("999", 404, "job 999"), ("0", 404, "numbers"), ("-1", 404, "numbers"),
            ("x", 404, "/api/v1/jobs"), ("1x", 404, "numbers"), (LONG, 404, "numbers"),
            ("%ff", 400, "UTF-8")],
    "task": [("77", 404, "77"), ("-1", 404, "index"), ("x", 404, "index"), (LONG, 404, "index"),
             ("%00", 400, "UTF-8")],
    "path": [("none", 404, "lists those that are"), ("..%2F..%2Fetc%2Fpasswd", 404, "no file"),
             ("a/%ff", 400, "UTF-8")],
    "file": [("short", 400, "SHA-256"), ("A" * 64, 400, "lower-case"), ("%00" * 64, 400, "UTF-8")],
}

# Parameter of a query -> what it cannot be, and a word of the detail.
QUERIES = {
    "wait": (("soon", "-1s", "1y", "", "1e3"), "duration such as 30s"),
    "limit": (("0", "1001", "x", "1.5", "", LONG), "whole number from 1 to 1000"),
    "cursor": (("x", "-1", "", LONG), "whole number"),
    "state": (("odd", "RUNNING", "done,failed"), "expected one of"),
    "tasks": (("x", "3-1", "1-"), "1,3,5-8"),
    "stream": (("both",), "all|out|err"),
}

# Operation -> (members, status, word of the detail). Wrong types are not here: those follow from
# the schema.
MEMBERS = {
    "login": [({"token": ""}, 400, "token"), ({"token": NO_TOKEN}, 401, "token create"),
              ({"token": "x" * 300}, 401, "mistyped"), ({"token": "\0"}, 401, "mistyped")],
    "drainNode": [({"deadline": value}, 400, "duration such as")
                  for value in ("soon", -1, 0, "-5s", 1e10)],
    "labelNode": [({}, 400, "expected"), ({"a b": "x"}, 400, "letters, digits"),
                  ({"": "x"}, 400, "letters, digits"), ({"a": 1}, 400, "null to remove it"),
                  ({"a": "x" * 300}, 400, "too long"), ({"a": "x\n"}, 400, "control characters"),
                  ({f"l{n}": "v" * 250 for n in range(20)}, 507, "4096 bytes"),
                  ({f"l{n}": "v" * 250 for n in range(300)}, 413, "64K")],
    "cancelJob": [({"tasks": ""}, 400, "1,3,5-8"), ({"tasks": "x"}, 400, "1,3,5-8"),
                  ({"tasks": "1-"}, 400, "1,3,5-8"), ({"tasks": "1," * 40_000}, 413, "64K")],
    "retryJob": [],
    "setPriority": [({"priority": value}, 400, "priority")
                    for value in (1_000_001, -1_000_001, -2 ** 63, 1.5, 1e300)],
    "submitJob": [({"command": ["true"], **members}, status, word)
                  for members, status, word in [
                      ({"command": []}, 400, "list of words"),
                      ({"command": ""}, 400, "list of words"),
                      ({"command": ["", "x"]}, 400, "list of words"),
                      ({"command": ["a\0b"]}, 400, "NUL"),
                      ({"command": ["x" * 50_000]}, 400, "file"),
                      ({"command": ["x" * 500_000]}, 400, "file"),
                      ({"name": "x" * 50_000}, 400, "40K"),
                      ({"name": "x" * 257}, 400, "at most 256"),
                      ({"name": "two\nlines"}, 400, "control"),
                      ({"array": "5-1"}, 400, "1-100"), ({"array": "1-"}, 400, "1-100"),
                      ({"array": "1-99999999999"}, 400, "split the job"),
                      ({"array": "1-2", "items": ["a"]}, 400, "not two"),
                      ({"items": []}, 400, "empty"), ({"items": ["a\0"]}, 400, "NUL"),
                      ({"items": ["a"], "items_file": HASH}, 400, "either"),
                      ({"items_file": "x"}, 400, "SHA-256"),
                      ({"items_file": HASH}, 400, "send it before"),
                      ({"items": ["a"], "limit": -1}, 400, "1 or more"),
                      ({"cpus": -1}, 400, "0 to"), ({"cpus": 1e9}, 400, "0 to"),
                      ({"mem": "lots"}, 400, "512M"), ({"mem": -1}, 400, "512M"),
                      ({"resource": {"gpu": 0}}, 400, "at least 1"),
                      ({"resource": {"a b": 1}}, 400, "NAME=COUNT"),
                      ({"where": "arch=="}, 400, "where: column"),
                      ({"where": "x" * 5000}, 400, "label"),
                      ({"priority": 10**7}, 400, "1000000"),
                      ({"time_limit": "soon"}, 400, "10m"), ({"time_limit": 0}, 400, "10m"),
                      ({"retries": -1}, 400, "0 to 1000"), ({"retries": 10**6}, 400, "0 to 1000"),
                      ({"max_fails": -1}, 400, "0 or more"),
                      ({"after": ["x"]}, 400, "ok:ID"), ({"after": ["999"]}, 404, "job 999"),
                      ({"in": ["x"]}, 400, "path"),
                      ({"in": [{"path": "../x", "file": HASH, "size": 1}]}, 400, "../x"),
                      ({"in": [{"path": "/x", "file": HASH, "size": 1}]}, 400, "absolute"),
                      ({"in": [{"path": "x", "file": "1", "size": 1}]}, 400, "SHA-256"),
                      ({"in": [{"path": "x", "file": HASH, "size": -1}]}, 400, "size"),
                      ({"in": [{"path": "x", "file": HASH, "size": 1}]}, 400, "before the job"),
                      ({"in": [{"path": "x", "fil": HASH, "size": 1}]}, 400, "did you mean file?"),
                      ({"in_arch": {"vax": [{"path": "x", "file": HASH, "size": 1}]}}, 400,
                       "before the job"),
                      ({"out": ["/etc/*"]}, 400, "relative"), ({"out": ["../x"]}, 400, "leads out"),
                      ({"env": {"A=B": "x"}}, 400, "NAME=VALUE"),
                      ({"env": {"A": "\0"}}, 400, "NAME=VALUE"),
                      ({"stdin": "x"}, 400, "SHA-256"), ({"stdin": HASH}, 400, "send it before"),
                      ({"cwd": "/tmp\0"}, 400, "NUL"),
                      ({"notify": "x" * 100_000}, 400, "40K"),
                      ({"on_disconnect": "maybe"}, 400, "keep or stop"),
                      ({"lost_after": "90s"}, 400, "on-disconnect stop"),
                      ({"lost_after": 5, "on_disconnect": "stop"}, 400, "at least"),
                      ({"idempotency_key": "k" * 300}, 400, "256"),
                      ({"hodl": True}, 400, "did you mean hold?"),
                  ]],
}

# Operation -> (job, body, fields, word of the detail): what cannot be done as things are.
CONFLICTS = {
    "submitJob": [("", {"command": ["false"]}, {"Idempotency-Key": "taken"}, "belongs to job"),
                  ("", {"command": ["true"], "cpus": 2}, {"Idempotency-Key": "taken"}, "of its own"),
                  ("", {"command": ["false"], "idempotency_key": "taken"}, {}, "belongs to job")],
    "cancelJob": [("done", {}, {}, "nothing left to cancel"),
                  ("failed", {"tasks": "1"}, {}, "has ended (failed)")],
    "retryJob": [("running", {}, {}, "no task"), ("done", {}, {}, "no task"),
                 ("held", {"cancelled": True}, {}, "no task")],
    "holdJob": [("done", None, {}, "has ended (done)"), ("failed", None, {}, "/retry")],
    "releaseJob": [("done", None, {}, "has ended (done)"),
                   ("cancelled", None, {}, "has ended (cancelled)")],
    "setPriority": [("failed", {"priority": 2}, {}, "has ended (failed)")],
    "putFile": [("", b"other", {}, "has the SHA-256"), ("", b"", {}, "has the SHA-256")],
}


def parameters(operation: dict, place: str) -> list:
    found = (resolve(entry) for entry in operation.get("parameters", ()))
    return [entry["name"] for entry in found if entry["in"] == place]


def body_schema(operation: dict) -> dict | None:
    """Of a body in JSON; None if there is none."""
    content = operation.get("requestBody", {}).get("content", {})
    return resolve(content["application/json"]["schema"]) if "application/json" in content else None


def takes_bytes(operation: dict) -> bool:
    return "application/octet-stream" in operation.get("requestBody", {}).get("content", {})


def wrong_types(schema: dict) -> list:
    """(member, value): each described member with a value of a type that it cannot have."""
    values = (7, "x", True, [], {"x": 1}, [[]], None)
    found = []
    for name, entry in schema.get("properties", {}).items():
        found += [(name, next(value for value in values if is_wrong(value, entry)))]
    return found


def is_wrong(value, schema: dict) -> bool:
    return any(" is no " in text or "of oneOf" in text for text in problems(value, schema))


class Tables(unittest.TestCase):
    def test_every_operation_is_in_the_tables(self):
        with_json = {o["operationId"] for _, _, o in operations() if body_schema(o) is not None}
        self.assertEqual(set(BODIES), with_json)
        self.assertEqual(set(MEMBERS), with_json)
        with_conflict = {o["operationId"] for _, _, o in operations() if "409" in o["responses"]}
        self.assertEqual(set(CONFLICTS), with_conflict)
        for place, table in (("path", IDS), ("query", QUERIES)):
            self.assertEqual({name for _, _, o in operations() for name in parameters(o, place)},
                             set(table))
        self.assertLessEqual({o["x-role"] for _, _, o in operations()}, set(RANK))
        for _, pattern, operation in operations():
            self.assertEqual(re.findall(r"\{(\w+)\}", pattern), parameters(operation, "path"))


class BadInput(ApiTest):
    def setUp(self):
        super().setUp()
        self.sources = (f"127.1.{n // 250}.{n % 250 + 1}" for n in itertools.count())
        self.jobs = {"done": self.submit(command=["true"], array="1-2"),
                     "failed": self.submit(command=["false"], array="1-2"),
                     "held": self.submit(command=["true"], hold=True),
                     "cancelled": self.submit(command=["true"], hold=True)}
        self.ok("POST", f"/api/v1/jobs/{self.jobs['cancelled']}/cancel", "submit")
        for state in ("done", "failed", "cancelled"):
            self.ended(self.jobs[state], state)
        self.jobs["running"] = self.submit(command=["sleep", "600"])
        wait_for(lambda: self.state_of("running") == "running", 10, "one runs")
        self.values = {"node": "pi1", "job": self.jobs["done"], "task": "1", "path": "a",
                       "file": HASH}
        self.before = self.picture()

    def state_of(self, name: str) -> str:
        return self.ok("GET", f"/api/v1/jobs/{self.jobs[name]}")["job"]["state"]

    def picture(self) -> tuple:
        """All that a request could have changed."""
        jobs = self.ok("GET", "/api/v1/jobs")["jobs"]
        nodes = self.ok("GET", "/api/v1/nodes")["nodes"]
        return ([(job["id"], job["state"], job["priority"], job["tasks"]) for job in jobs],
                [(node["name"], node["draining"], node["labels"], node["reconnects"])
                 for node in nodes])

    def assert_untouched(self) -> None:
        self.assertEqual(self.picture(), self.before, "a request that was refused changed something")
        self.assertEqual(self.web.log_lines("lost the master"), [])

    def path_of(self, pattern: str, **values) -> str:
        known = {**self.values, **values}
        return re.sub(r"\{(\w+)\}", lambda found: known[found.group(1)], pattern)

    def ask(self, method: str, path: str, role: str | None = None, body=None, fields=None,
            source: str = "127.0.0.1") -> Answer:
        """One request on a connection of its own; its answer must be as the document says. A body
        that is no bytes is sent as JSON; a number of bytes is promised and not sent."""
        lines = {"Host": "localhost", **(fields or {})}
        if role:
            lines.setdefault("Authorization", f"Bearer {self.tokens[role]}")
        if body is not None and not isinstance(body, (bytes, int)):
            body = json.dumps(body).encode()
            lines.setdefault("Content-Type", "application/json")
        if body is not None:
            lines["Content-Length"] = str(len(body) if isinstance(body, bytes) else body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30,
                                                source_address=(source, 0))
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in lines.items():
                connection.putheader(name, value)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body if isinstance(body, bytes) else None)
            found = connection.getresponse()
            told = {name.lower(): value for name, value in found.getheaders()}
            answer = Answer(found.status, told, found.read())
        if method != "HEAD":
            check_answer(method, path.split("?")[0], answer.status, told.get("content-type", ""),
                         answer.body)
        return answer

    def refused(self, status: int, word: str, method: str, path: str, role: str | None = None,
                body=None, fields=None, source: str = "127.0.0.1") -> Answer:
        """It is refused with that status, and told what to do in words that hold this one."""
        answer = self.ask(method, path, role, body, fields, source)
        case = (method, path[:200], str(body)[:100], str(fields)[:100], answer.body[:400])
        self.assertEqual(answer.status, status, case)
        told = answer.json()
        self.assertTrue(told["title"], case)
        self.assertGreater(len(told["detail"].split()), 3, case)
        self.assertIn(word, told["detail"], case)
        self.assertLess(len(answer.body), 2000, "what was sent is not repeated at full length")
        self.assertEqual(answer.fields["cache-control"], "no-store", case)
        if status == 401:
            self.assertTrue(answer.fields["www-authenticate"].startswith("Bearer"), case)
        if status in (429, 503):
            self.assertGreaterEqual(int(answer.fields["retry-after"]), 1, case)
        return answer

    def good_body(self, operation: dict):
        return b"x" if takes_bytes(operation) else BODIES.get(operation["operationId"])

    def role_of(self, operation: dict) -> str | None:
        return None if operation["x-role"] == "none" else operation["x-role"]

    # ------------------------------------------------------------------------------ who may do it

    @time_limit(180)
    def test_who_may_not(self):
        join_key = self.cluster.cli_json("token")["join_key"]
        for method, pattern, operation in operations():
            role, path = operation["x-role"], self.path_of(pattern)
            body = self.good_body(operation)
            if role == "none":
                continue
            if RANK[role] > 1:
                self.refused(401, "rpicluster token create", method, path, None, body)
            for less in ORDER[:RANK[role] - 1]:
                self.refused(403, f"the role {role}", method, path, less, body)
            bearers = (NO_TOKEN, join_key, b"\xff\xfe\x80", "x" * 300, "\N{SNOWMAN}".encode())
            for token in bearers:
                value = b"Bearer " + (token if isinstance(token, bytes) else token.encode())
                self.refused(401, "rpicluster token create", method, path, None, body,
                             {"Authorization": value}, next(self.sources))
            basic = base64.b64encode(b"me:\xff\xfe").decode()
            self.refused(401, "mistyped", method, path, None, body,
                         {"Authorization": "Basic " + basic}, next(self.sources))
            # No token at all is what a viewer on this machine needs.
            for value in ("Bearer", "Bearer ", "Digest x", "Basic !"):
                if RANK[role] > 1:
                    self.refused(401, "rpicluster token create", method, path, None, body,
                                 {"Authorization": value})
        self.assert_untouched()

    def test_whoami_says_nobody_to_a_wrong_token(self):
        for token in (NO_TOKEN.encode(), b"\xff"):
            told = self.ask("GET", "/api/v1/whoami", fields={"Authorization": b"Bearer " + token},
                            source=next(self.sources))
            self.assertEqual((told.status, told.json()["role"]), (200, None))
        self.assert_untouched()

    def test_what_other_pages_send(self):
        login = self.ask("POST", "/api/v1/login", body={"token": self.tokens["admin"]})
        cookie = login.fields["set-cookie"].partition(";")[0]
        csrf = login.json()["csrf"]
        good = base64.b64encode(f"me:{self.tokens['admin']}".encode()).decode()
        for method, pattern, operation in operations():
            path, body = self.path_of(pattern), self.good_body(operation)
            role = self.role_of(operation)
            for host in ("evil.example", "10.1.2.3", "localhost.evil.example"):
                self.refused(421, "allowed_hosts", method, path, role, body, {"Host": host})
            if method == "GET":
                continue
            for fields in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                           {"Sec-Fetch-Site": "cross-site"}):
                self.refused(403, "another site", method, path, role, body, fields)
            if role is None and operation["operationId"] == "login":
                continue
            for token in ({}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": b"\xff"}):
                self.refused(403, "X-CSRF-Token", method, path, None, body,
                             {"Cookie": cookie, **token})
            if role is not None:
                self.refused(403, "Bearer TOKEN", method, path, None, body,
                             {"Authorization": "Basic " + good})
        self.assert_untouched()

    # -------------------------------------------------------------------- the shape of a request

    @time_limit(120)
    def test_methods_targets_and_headers(self):
        known: dict = {}
        for method, pattern, _ in operations():
            known.setdefault(pattern, []).append(method)
        for pattern, methods in known.items():
            allow = ", ".join(methods) + (", HEAD" if "GET" in methods else "")
            path = self.path_of(pattern)
            for method in METHODS:
                if method not in methods:
                    answer = self.refused(405, methods[0], method, path, "admin")
                    self.assertEqual(sorted(answer.fields["allow"].split(", ")),
                                     sorted(allow.split(", ")))
            if path.startswith("/api/") and not pattern.endswith("{path}"):
                self.refused(404, "/api/openapi.json", "GET", path + "/", "admin")
        for method, pattern, operation in operations():
            path, role = self.path_of(pattern), self.role_of(operation)
            body = self.good_body(operation)
            self.refused(431, "8.0K", method, path + "?x=" + "y" * 9000, role, body)
            self.refused(431, "8.0K", method, path, role, body, {"X-Long": "y" * 9000})
            self.refused(400, "Host", method, path, role, body, {"Host": "a b"})
            self.refused(400, "UTF-8", method, path + "?x=%ff", role, body)
            self.refused(400, "UTF-8", method, path + "?%z=1", role, body)
            # Whatever somebody would rather have: what went wrong is told in one form.
            self.refused(400, "UTF-8", method, path + "?x=%ff", role, body,
                         {"Accept": "text/html, image/png;q=0.5"})
        self.assert_untouched()

    def test_bodies_that_nobody_asked_for(self):
        for method, pattern, operation in operations():
            path, role = self.path_of(pattern), self.role_of(operation)
            if body_schema(operation) is not None or takes_bytes(operation):
                self.refused(411, "Content-Length", method, path, role, None,
                             {"Transfer-Encoding": "chunked"})
                continue
            self.refused(413, "without one", method, path, role, {})
            self.refused(413, "without one", method, path, role, 10**15)
            self.refused(413, "without one", method, path, role, None,
                         {"Transfer-Encoding": "chunked"})
        self.assert_untouched()

    @time_limit(120)
    def test_bodies_that_are_no_json(self):
        for method, pattern, operation in operations():
            path, role = self.path_of(pattern), self.role_of(operation)
            if takes_bytes(operation):
                self.refused(413, "larger than", method, path, role, 10**14)
                self.refused(411, "Content-Length", method, path, role)
                continue
            if body_schema(operation) is None:
                continue
            as_json = {"Content-Type": "application/json"}
            needed = operation["requestBody"]["required"]
            if needed:
                self.refused(411, "Content-Length", method, path, role, None, as_json)
                self.refused(400, "JSON object", method, path, role, b"", as_json)
            for body in (b"{", b"\xff", b'{"a":"\xff"}', b"nonsense", b"[" * 500, b"{}}",
                         b"\xef\xbb\xbf{}", b"{'a':1}", b'{"a":1e}'):
                self.refused(400, "not JSON", method, path, role, body, as_json)
            for body in (b"[]", b"null", b"7", b'"x"'):
                self.refused(400, "no JSON object", method, path, role, body, as_json)
            for kind in ("text/plain", "", "application/jsonx", "application/json-patch+json",
                         "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
                self.refused(415, "Content-Type: application/json", method, path, role, b"{}",
                             {"Content-Type": kind})
            self.refused(413, "1.0M", method, path, role, (1 << 20) + 1, as_json)
            self.refused(413, "1.0M", method, path, role, 10**15, as_json)
        self.assert_untouched()

    # ----------------------------------------------------------------------- what there is not

    @time_limit(120)
    def test_ids_of_nothing(self):
        for method, pattern, operation in operations():
            for name in parameters(operation, "path"):
                for value, status, word in IDS[name]:
                    path = self.path_of(pattern, **{name: value})
                    self.refused(status, word, method, path, self.role_of(operation),
                                 self.good_body(operation))
                    if method == "GET":
                        head = self.ask("HEAD", path)
                        self.assertEqual((head.status, head.body), (status, b""), path)
        for path in ("/api", "/api/", "/api/v1", "/api/v2/nodes", "/api/v1/nodes/pi1/x",
                     "/api//v1/nodes", "/api/v1/jobs/1//tasks"):
            self.refused(404, "/api/openapi.json", "GET", path)
        self.assert_untouched()

    def test_queries(self):
        for method, pattern, operation in operations():
            for name in parameters(operation, "query"):
                values, word = QUERIES[name]
                for value in values:
                    self.refused(400, word, method, f"{self.path_of(pattern)}?{name}={value}")
        self.assert_untouched()

    # ------------------------------------------------------------------------- what is in bodies

    @time_limit(120)
    def test_members(self):
        for method, pattern, operation in operations():
            schema, name = body_schema(operation), operation["operationId"]
            if schema is None:
                continue
            path = self.path_of(pattern, job=self.jobs["held"])
            role = self.role_of(operation)
            for member, value in wrong_types(schema):
                body = {**BODIES[name], member: value}
                self.refused(400, member, method, path, role, body)
            for member in schema.get("required", ()):
                body = {key: value for key, value in BODIES[name].items() if key != member}
                self.refused(400, member, method, path, role, body)
            if schema.get("additionalProperties") is False:
                self.refused(400, 'unknown member "no such"', method, path, role,
                             {**BODIES[name], "no such": 1})
            for body, status, word in MEMBERS[name]:
                self.refused(status, word, method, path, role, body, None, next(self.sources))
        self.assert_untouched()

    def test_idempotency_keys(self):
        for key, word in (("k" * 300, "256"), (b"\xff\xfe", "UTF-8")):
            self.refused(400, word, "POST", "/api/v1/jobs", "submit", {"command": ["true"]},
                         {"Idempotency-Key": key})
        self.assert_untouched()

    def test_places_in_streams(self):
        """What a browser was told elsewhere, or never, begins anew and harms nobody."""
        for path in ("/api/v1/events", f"/api/v1/jobs/{self.jobs['done']}/tasks/1/log/events"):
            for place in ("x", "0-0", "-1--1", LONG + "-" + LONG, b"\xff", "a" * 4000):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                with contextlib.closing(connection):
                    connection.request("GET", path, headers={"Last-Event-ID": place})
                    answer = connection.getresponse()
                    self.assertEqual(answer.status, 200)
                    self.assertRegex(answer.readline().decode(), r"^(id|event|:)")
        self.assert_untouched()

    # ---------------------------------------------------------------------------------- conflicts

    def test_conflicts(self):
        taken = self.ask("POST", "/api/v1/jobs", "submit", {"command": ["true"]},
                         {"Idempotency-Key": "taken"})
        self.ended(taken.json()["job"]["id"])
        before = self.picture()
        for method, pattern, operation in operations():
            for job, body, fields, word in CONFLICTS.get(operation["operationId"], ()):
                path = self.path_of(pattern, job=self.jobs.get(job, ""))
                self.refused(409, word, method, path, self.role_of(operation), body, fields)
        self.assertEqual(self.picture(), before)
        # What is so already is no conflict.
        for job, verb in (("cancelled", "cancel"), ("held", "hold"), ("running", "release")):
            answer = self.ask("POST", f"/api/v1/jobs/{self.jobs[job]}/{verb}", "submit")
            self.assertEqual(answer.status, 200, answer.body)
        answer = self.ask("POST", "/api/v1/nodes/pi1/undrain", "admin")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.picture(), before)

    def test_a_key_is_remembered_by_the_next_master(self):
        spec = {"command": ["true"], "cpus": 0.1, "time_limit": 0.3, "lost_after": 60.7,
                "on_disconnect": "stop", "env": {"A": "\N{SNOWMAN}"}}
        key = {"Idempotency-Key": "kept"}
        first = self.ask("POST", "/api/v1/jobs", "submit", spec, key)
        self.assertEqual(first.status, 201)
        self.cluster.master.stop()
        self.cluster.restart_master()
        wait_for(lambda: self.call("GET", "/api/v1/jobs").status == 200, 20, "the master is back")
        again = wait_for(lambda: self.submitted(spec, key), 20, "the token is known again")
        self.assertEqual(again.fields["location"], first.fields["location"])
        self.refused(409, "belongs to job", "POST", "/api/v1/jobs", "submit",
                     {**spec, "cpus": 0.2}, key)

    def submitted(self, spec: dict, fields: dict) -> Answer | None:
        answer = self.ask("POST", "/api/v1/jobs", "submit", spec, fields)
        return answer if answer.status == 201 else None

    # ------------------------------------------------------------------------ who does not read

    @time_limit(120)
    def test_who_stops_reading_a_file_is_dropped(self):
        content = bytes(range(256)) * (48 << 10)  # 12 MiB
        name = hashlib.sha256(content).hexdigest()
        self.assertEqual(self.ask("PUT", f"/api/v1/files/{name}", "submit", content).status, 201)
        job = self.submit(command=["true"], hold=True,
                          **{"in": [{"path": "a", "file": name, "size": len(content)}]})
        descriptors = f"/proc/{self.web.pid}/fd"
        before, memory = len(os.listdir(descriptors)), self.web.rss_bytes()
        lazy = []
        for _ in range(12):
            peer = socket.socket()
            self.addCleanup(peer.close)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", self.port))
            peer.sendall(f"GET /api/v1/jobs/{job}/files/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
                         .encode())
            self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 200"))
            lazy.append(peer)
        # Meanwhile others get what they ask for.
        self.assertEqual(self.ask("GET", f"/api/v1/jobs/{job}").status, 200)
        wait_for(lambda: len(os.listdir(descriptors)) <= before, 60, "they are dropped")
        self.assertLess(self.web.rss_bytes() - memory, 24 << 20)
        for peer in lazy:
            peer.settimeout(10)
            came = 0
            with contextlib.suppress(ConnectionResetError):
                while part := peer.recv(1 << 20):
                    came += len(part)
            self.assertLess(came, len(content), "it got all of it")


if __name__ == "__main__":
    unittest.main()
