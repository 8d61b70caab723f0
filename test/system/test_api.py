"""The HTTP API on a real cluster, asked by curl: every operation of web/openapi.json."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import time
import unittest

from cluster import holds_for, time_limit, wait_for
from openapi import operations
from web_api import ApiTest


class Looking(ApiTest):
    def test_what_everybody_may_see(self):
        document = self.ok("GET", "/api/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(self.ok("GET", "/api/v1/whoami")["role"], "viewer")
        for role in self.tokens:
            who = self.ok("GET", "/api/v1/whoami", role)
            self.assertEqual((who["role"], who["name"]), (role, role))
        state = self.ok("GET", "/api/v1/state")
        self.assertEqual({node["name"] for node in state["nodes"]}, {"pi1", "web"})
        self.assertEqual(state["verdict"], {"tone": "good", "text": "All well: 1 node online."})
        self.assertTrue(state["connected"])
        self.assertEqual(self.ok("GET", "/api/v1/master")["master"]["nodes"]["online"], 2)
        node = self.ok("GET", "/api/v1/nodes/pi1")["node"]
        self.assertEqual(self.ok("GET", f"/api/v1/nodes/{node['id']}")["node"]["name"], "pi1")
        self.assertEqual(node["reconnects"], 0)
        head = self.call("HEAD", "/api/v1/nodes")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_a_job_from_submit_to_its_end(self):
        answer = self.call("POST", "/api/v1/jobs", "submit",
                           {"command": ["sh", "-c", "echo out; echo err >&2; echo $RPIC_TASK"],
                            "array": "1-3", "name": "trio"})
        self.assertEqual(answer.status, 201)
        job = answer.json()["job"]["id"]
        self.assertEqual(answer.fields["location"], f"/api/v1/jobs/{job}")
        told = self.ended(job)
        self.assertEqual(told["tasks"], {"queued": 0, "running": 0, "done": 3, "failed": 0,
                                         "cancelled": 0})
        spec = self.ok("GET", answer.fields["location"])["spec"]
        self.assertEqual((spec["array"], spec["name"]), ("1-3", "trio"))
        tasks = self.ok("GET", f"/api/v1/jobs/{job}/tasks?limit=2")
        self.assertEqual([task["index"] for task in tasks["tasks"]], [1, 2])
        rest = self.ok("GET", f"/api/v1/jobs/{job}/tasks?limit=2&cursor={tasks['next']}")
        self.assertEqual(([task["index"] for task in rest["tasks"]], rest["next"]), ([3], None))
        chosen = self.ok("GET", f"/api/v1/jobs/{job}/tasks?tasks=2-3&state=done")["tasks"]
        self.assertEqual([task["index"] for task in chosen], [2, 3])
        task = self.ok("GET", f"/api/v1/jobs/{job}/tasks/2")["task"]
        self.assertEqual((task["state"], task["exit_code"], task["node"]), ("done", 0, "pi1"))
        log = f"/api/v1/jobs/{job}/tasks/2/log"
        self.assertEqual(sorted(self.call("GET", log).body.split()), [b"2", b"err", b"out"])
        self.assertEqual(self.call("GET", log + "?stream=out").body, b"out\n2\n")
        self.assertEqual(self.call("GET", log + "?stream=err").body, b"err\n")
        self.assertIn("ended", self.ok("GET", f"/api/v1/jobs/{job}/explain")["reason"])
        self.assertEqual(self.ok("GET", f"/api/v1/jobs/{job}/files")["files"], [])
        self.assertEqual(self.ok("GET", f"/api/v1/jobs/{job}/tasks/2/files")["files"], [])

    def test_pages_of_jobs(self):
        jobs = [self.submit(command=["true"], hold=number == 2) for number in range(5)]
        first = self.ok("GET", "/api/v1/jobs?limit=3")
        self.assertEqual([job["id"] for job in first["jobs"]], jobs[:1:-1])
        rest = self.ok("GET", f"/api/v1/jobs?limit=3&cursor={first['next']}")
        self.assertEqual(([job["id"] for job in rest["jobs"]], rest["next"]),
                         (jobs[1::-1], None))
        held = self.ok("GET", "/api/v1/jobs?state=held")["jobs"]
        self.assertEqual([job["id"] for job in held], [jobs[2]])

    def test_etags(self):
        job = self.submit(command=["true"])
        self.ended(job)
        for path in (f"/api/v1/jobs/{job}", "/api/v1/jobs", f"/api/v1/jobs/{job}/tasks",
                     f"/api/v1/jobs/{job}/tasks/0"):
            tag = self.call("GET", path).fields["etag"]
            answer = self.call("GET", path, fields=[f"If-None-Match: {tag}"])
            self.assertEqual((answer.status, answer.body), (304, b""), path)
            self.assertEqual(self.call("GET", path, fields=['If-None-Match: "x"']).status, 200)

    def test_waiting(self):
        tag = self.call("GET", "/api/v1/jobs").fields["etag"]
        start = time.monotonic()
        fields = [f"If-None-Match: {tag}"]
        self.assertEqual(self.call("GET", "/api/v1/jobs?wait=1s", fields=fields).status, 304)
        self.assertGreaterEqual(time.monotonic() - start, 1)
        job = self.submit(command=["sleep", "2"])
        self.assertEqual(self.call("GET", "/api/v1/jobs?wait=30s", fields=fields).status, 200)
        tag = self.call("GET", f"/api/v1/jobs/{job}").fields["etag"]
        fields = [f"If-None-Match: {tag}"]
        news = self.call("GET", f"/api/v1/jobs/{job}?wait=30s", fields=fields)
        self.assertEqual(news.status, 200)
        self.assertNotEqual(news.fields["etag"], tag)
        self.ended(job)


class Changing(ApiTest):
    def test_idempotency_key(self):
        spec = {"command": ["true"]}
        key = ["Idempotency-Key: once"]
        first = self.call("POST", "/api/v1/jobs", "submit", spec, key)
        second = self.call("POST", "/api/v1/jobs", "submit", spec, key)
        self.assertEqual((first.status, second.status), (201, 201))
        self.assertEqual(first.fields["location"], second.fields["location"])
        other = self.call("POST", "/api/v1/jobs", "admin", spec, key)
        self.assertNotEqual(first.fields["location"], other.fields["location"])

    def test_hold_release_priority_cancel_retry(self):
        job = self.submit(command=["false"], hold=True)
        path = f"/api/v1/jobs/{job}"
        self.assertEqual(self.ok("GET", path)["job"]["state"], "held")
        self.assertIn("held", self.ok("GET", path + "/explain")["reason"])
        told = self.ok("PUT", path + "/priority", "submit", {"priority": 7})["job"]
        self.assertEqual(told["priority"], 7)
        self.ok("POST", path + "/release", "submit")
        self.ended(job, "failed")
        self.assertEqual(self.call("POST", path + "/retry", "submit").status, 200)
        self.ended(job, "failed")
        long = self.submit(command=["sleep", "60"], array="1-3")
        path = f"/api/v1/jobs/{long}"
        self.ok("POST", path + "/hold", "submit")
        self.ok("POST", path + "/cancel", "submit", {"tasks": "2"})
        wait_for(lambda: self.ok("GET", path)["job"]["tasks"]["cancelled"] == 1, 10,
                 "one task is cancelled")
        self.ok("POST", path + "/cancel", "submit")
        self.ended(long, "cancelled")
        again = self.call("POST", path + "/retry", "submit")
        self.assertEqual((again.status, again.json()["code"]), (409, "conflict"))
        self.ok("POST", path + "/retry", "submit", {"cancelled": True})
        self.ok("POST", path + "/cancel", "submit")
        self.ended(long, "cancelled")

    def test_only_ones_own_jobs(self):
        job = self.ok("POST", "/api/v1/jobs", "admin", {"command": ["sleep", "60"]})["job"]["id"]
        refused = self.call("POST", f"/api/v1/jobs/{job}/cancel", "submit")
        self.assertEqual((refused.status, refused.json()["code"]), (403, "forbidden"))
        self.ok("POST", f"/api/v1/jobs/{job}/cancel", "admin")

    def test_nodes(self):
        self.assertTrue(self.ok("POST", "/api/v1/nodes/pi1/drain", "admin")["node"]["draining"])
        wait_for(lambda: self.ok("GET", "/api/v1/nodes/pi1")["node"]["draining"], 5, "draining")
        job = self.submit(command=["true"])
        self.assertIn("drained", self.ok("GET", f"/api/v1/jobs/{job}/explain")["reason"])
        self.ok("POST", "/api/v1/nodes/pi1/undrain", "admin")
        self.ended(job)
        self.ok("POST", "/api/v1/nodes/pi1/drain", "admin", {"deadline": "1h"})
        labels = {"room": "attic", "shelf": "2"}
        told = self.ok("PATCH", "/api/v1/nodes/pi1/labels", "admin", labels)["node"]["labels"]
        self.assertEqual(told, labels)
        told = self.ok("PATCH", "/api/v1/nodes/pi1/labels", "admin", {"shelf": None})
        self.assertEqual(told["node"]["labels"], {"room": "attic"})
        wait_for(lambda: self.ok("GET", "/api/v1/nodes/pi1")["node"]["labels"] ==
                 {"room": "attic"}, 5, "the labels are there")
        key = self.ok("GET", "/api/v1/join-key", "admin")
        self.assertEqual(key["join_key"], self.cluster.cli_json("token")["join_key"])
        self.assertTrue(key["address"].endswith(f":{self.cluster.port}"))

    def test_login_by_cookie(self):
        jar = self.cluster.folder / "cookies"
        base = f"http://127.0.0.1:{self.port}"

        def curl(*args) -> tuple:
            result = self.curl("-b", str(jar), "-c", str(jar), "-w", "\n%{http_code}", *args)
            text, _, status = result.stdout.decode().rpartition("\n")
            return int(status), json.loads(text) if text else None
        kind = ("-H", "Content-Type: application/json")
        status, told = curl(*kind, "-d", json.dumps({"token": self.tokens["submit"].lower()}),
                            base + "/api/v1/login")
        self.assertEqual((status, told["role"], told["session"]), (200, "submit", True))
        self.assertNotIn(self.tokens["submit"], jar.read_text())
        job = ("-d", '{"command":["true"]}', base + "/api/v1/jobs")
        self.assertEqual(curl(*kind, *job)[0], 403)
        csrf = ("-H", "X-CSRF-Token: " + told["csrf"])
        status, submitted = curl(*kind, *csrf, *job)
        self.assertEqual((status, submitted["job"]["submitter"]), (201, "submit"))
        self.assertEqual(curl(*csrf, "-X", "POST", base + "/api/v1/logout")[0], 204)
        self.assertEqual(curl(base + "/api/v1/whoami")[1]["session"], False)


class Files(ApiTest):
    def put(self, content: bytes, name: str | None = None):
        name = name or hashlib.sha256(content).hexdigest()
        return name, self.call("PUT", f"/api/v1/files/{name}", "submit", raw=content,
                               fields=["Content-Type: application/octet-stream"])

    def test_files_in_and_out(self):
        large = bytes(range(256)) * 12_000  # several parts
        name, answer = self.put(large)
        self.assertEqual((answer.status, answer.json()["size"]), (201, len(large)))
        self.assertEqual(self.put(large)[1].status, 200)
        empty, answer = self.put(b"")
        self.assertEqual(answer.status, 201)
        files = [{"path": "in/a b.bin", "file": name, "size": len(large)},
                 {"path": "run", "file": self.put(b"#!/bin/sh\ncat in/*.bin > out.bin\n")[0],
                  "size": 33, "mode": 0o755},
                 {"path": "nothing", "file": empty, "size": 0}]
        job = self.submit(command=["./run"], out=["out.bin"], **{"in": files})
        self.ended(job)
        listed = self.ok("GET", f"/api/v1/jobs/{job}/files")["files"]
        self.assertEqual([file["path"] for file in listed], ["in/a b.bin", "nothing", "run"])
        self.assertEqual(self.call("GET", listed[0]["href"]).body, large)
        self.assertEqual(self.call("GET", listed[1]["href"]).body, b"")
        came = self.ok("GET", f"/api/v1/jobs/{job}/tasks/0/files")["files"]
        self.assertEqual([(file["path"], file["size"]) for file in came],
                         [("out.bin", len(large))])
        answer = self.call("GET", came[0]["href"])
        self.assertEqual(answer.body, large)
        self.assertIn("attachment", answer.fields["content-disposition"])
        tag = answer.fields["etag"]
        self.assertEqual(self.call("GET", came[0]["href"], fields=[f"If-None-Match: {tag}"]).status,
                         304)
        self.assertEqual(self.call("HEAD", came[0]["href"]).fields["content-length"],
                         str(len(large)))
        self.assertTrue(self.ok("GET", f"/api/v1/jobs/{job}/tasks/0")["task"]["files"])

    def test_an_interrupted_upload_goes_on(self):
        content = hashlib.sha256(b"seed").digest() * 100_000
        name = hashlib.sha256(content).hexdigest()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as broken:
            broken.sendall(f"PUT /api/v1/files/{name} HTTP/1.1\r\nHost: localhost\r\n"
                           f"Authorization: Bearer {self.tokens['submit']}\r\n"
                           f"Content-Length: {len(content)}\r\n\r\n".encode() +
                           content[:1_000_000])
            incoming = self.cluster.master_state / "master" / "blobs" / "incoming"
            wait_for(lambda: any(file.stat().st_size >= 500_000 for file in incoming.iterdir())
                     if incoming.is_dir() else False, 10, "a part of it has arrived")
        self.assertEqual(self.put(content)[1].status, 201)

    def test_a_file_that_the_master_has_is_taken_again_from_a_slow_browser(self):
        content = hashlib.sha256(b"known").digest() * 10_000
        name = self.put(content)[0]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as peer:
            peer.sendall(f"PUT /api/v1/files/{name} HTTP/1.1\r\nHost: localhost\r\n"
                         f"Authorization: Bearer {self.tokens['submit']}\r\n"
                         f"Content-Length: {len(content)}\r\n\r\n".encode())
            # It sends for longer than the server waits for the end of what it has refused.
            for start in range(0, len(content), 20_000):
                time.sleep(0.15)
                peer.sendall(content[start:start + 20_000])
            self.assertEqual(peer.recv(4096).split()[1], b"200")
            # The same connection goes on.
            peer.sendall(b"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(peer.recv(4096).split()[1], b"200")

    def test_a_list_of_files_that_is_too_long(self):
        deep = self.cluster.folder / "deep"
        folder = deep.joinpath(*[letter * 200 for letter in "abcd"])
        folder.mkdir(parents=True)
        for number in range(10_000):  # about 9 MiB of list
            (folder / str(number)).touch()
        job = self.cluster.submit("--hold", "--in", deep, "--", "true", timeout=50)
        for path in ("", "/a"):
            answer = self.call("GET", f"/api/v1/jobs/{job}/files{path}")
            self.assertEqual((answer.status, answer.json()["code"]), (413, "too_large"))
            self.assertIn("rpicluster fetch", answer.json()["detail"])

    def test_what_is_wrong_with_files(self):
        name, answer = self.put(b"other", hashlib.sha256(b"this").hexdigest())
        self.assertEqual((answer.status, answer.json()["code"]), (409, "conflict"))
        self.assertEqual(self.put(b"x", "short")[1].status, 400)
        answer = self.call("PUT", "/api/v1/files/" + "0" * 64, "viewer", raw=b"x")
        self.assertEqual(answer.status, 403)
        missing = {"path": "a", "file": "1" * 64, "size": 1}
        answer = self.call("POST", "/api/v1/jobs", "submit",
                           {"command": ["true"], "in": [missing]})
        # The master has the list, and not the file that it names: the task says so.
        self.assertIn(answer.status, (201, 400))
        self.assertEqual(self.call("GET", "/api/v1/jobs/1/files/none").status, 404)
        for length in ("Content-Length: 99999999999999", "Transfer-Encoding: chunked"):
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as peer:
                peer.sendall(f"PUT /api/v1/files/{'0' * 64} HTTP/1.1\r\nHost: localhost\r\n"
                             f"Authorization: Bearer {self.tokens['submit']}\r\n{length}\r\n\r\n"
                             .encode())
                status = peer.recv(4096).split()[1]
                self.assertEqual(status, b"413" if "9" in length else b"411")


class Streams(ApiTest):
    def test_what_happens_is_told(self):
        stream = self.stream("/api/v1/events")
        first = stream.wait("state")
        self.assertEqual({node["name"] for node in first["nodes"]}, {"pi1", "web"})
        start = time.monotonic()
        job = self.submit(command=["sleep", "1"])
        stream.wait("jobs", lambda data: any(j["id"] == job for j in data["changed"]))
        running = stream.wait("tasks", lambda data: any(
            t["job"] == job and t["state"] == "running" for t in data["tasks"]))
        self.assertLess(time.monotonic() - start, 3)
        stream.wait("nodes", lambda data: any(n["running_tasks"] == 1 for n in data["changed"]))
        stream.wait("verdict", lambda data: "1 task running" in data["text"])
        done = stream.wait("tasks", lambda data: any(
            t["job"] == job and t["state"] == "done" for t in data["tasks"]))
        bar = next(task for task in done["tasks"] if task["job"] == job)
        self.assertAlmostEqual(bar["ended"] - bar["started"], 1, delta=0.7)
        begun = next(task for task in running["tasks"] if task["job"] == job)
        self.assertEqual((begun["node"], begun["ended"]), ("pi1", None))
        self.assertAlmostEqual(begun["started"], bar["started"], delta=0.5)
        stream.wait("events", lambda data: any(e["kind"] == "job_ended" for e in data["events"]))
        state = self.ok("GET", "/api/v1/state")
        self.assertIn(job, [entry["id"] for entry in state["jobs"]])
        self.assertIn(job, [entry["job"] for entry in state["tasks"]])
        self.assertLessEqual(bar["ended"], state["clock"])

    def test_short_tasks_are_told_once(self):
        stream = self.stream("/api/v1/events")
        stream.wait("state")
        job = self.submit(command=["true"], array="1-20")
        self.ended(job)
        wait_for(lambda: len({t["task"] for data in stream.all("tasks") for t in data["tasks"]
                              if t["job"] == job and t["state"] == "done"}) == 20, 10,
                 "each of them is told")

    @time_limit(120)
    def test_a_dead_node_and_what_ran_there(self):
        self.cluster.start_worker("pi2", cpus=1)
        self.cluster.wait_online("pi2")
        stream = self.stream("/api/v1/events")
        job = self.submit(command=["sleep", "300"], where="name==pi2 || name==pi1", cpus=2)
        # Only pi1 has two cpus; its end is seen by all that follows.
        stream.wait("tasks", lambda data: any(t["job"] == job for t in data["tasks"]))
        slave = next(entry for entry in self.cluster.programs if entry.name == "pi1")
        slave.kill()
        stream.wait("nodes", lambda data: any(n["state"] == "suspect" for n in data["changed"]))
        stream.wait("verdict", lambda data: "not answering" in data["text"])
        stream.wait("tasks", lambda data: any(t["job"] == job and t["state"] == "lost"
                                              for t in data["tasks"]), 40)
        stream.wait("events", lambda data: any(e["kind"] == "node_lost" for e in data["events"]))
        self.ok("POST", f"/api/v1/jobs/{job}/cancel", "submit")
        for pid in self.cluster.runner_pids():
            self.cluster.adopt(pid)

    def test_coming_back(self):
        stream = self.stream("/api/v1/events")
        stream.wait("state")
        job = self.submit(command=["true"])
        stream.wait("jobs", lambda data: any(j["id"] == job for j in data["changed"]))
        last = stream.last_id()
        stream.close()
        second = self.submit(command=["true"])
        self.ended(second)
        again = self.stream("/api/v1/events", Last_Event_ID=last)
        again.wait("jobs", lambda data: any(j["id"] == second for j in data["changed"]))
        self.assertEqual(again.all("state"), [])
        unknown = self.stream("/api/v1/events", Last_Event_ID="0-0")
        unknown.wait("state")

    def test_a_new_link_to_the_master_is_a_new_state(self):
        stream = self.stream("/api/v1/events")
        stream.wait("state")
        self.cluster.master.kill()
        stream.wait("master", lambda data: not data["connected"] and data["trouble"])
        stream.wait("verdict", lambda data: data["tone"] == "bad")
        self.assertEqual(self.call("GET", "/api/v1/jobs").status, 503)
        self.assertEqual(self.ok("GET", "/api/v1/state")["connected"], False)
        self.cluster.restart_master()
        wait_for(lambda: len(stream.all("state")) >= 2, 20, "the new picture")
        stream.wait("master", lambda data: data["connected"], 20)

    def test_following_a_log(self):
        job = self.submit(command=["sh", "-c", "printf 'a\\303'; sleep 1; printf '\\244b\\377';"
                                              "echo e >&2; sleep 1; echo end"])
        path = f"/api/v1/jobs/{job}/tasks/0/log/events"
        stream = self.stream(path)
        stream.wait("out", lambda data: data["text"].startswith("a"), 15)
        place = stream.last_id()
        stream.wait("end", timeout=20)
        self.assertEqual(stream.all("attempt"), [{"attempt": 1}])
        text = "".join(data["text"] for data in stream.all("out"))
        self.assertEqual(text, "a\u00e4b\ufffdend\n")
        self.assertEqual(stream.all("err"), [{"text": "e\n"}])
        wait_for(lambda: stream.ended, 5, "the server ends the stream")
        rest = self.stream(path, Last_Event_ID=place)
        rest.wait("end")
        self.assertEqual(rest.all("attempt"), [])
        self.assertFalse("".join(d["text"] for d in rest.all("out")).startswith("a"))
        for nonsense in ("1-3", "9-99999", "x", "-1--1"):
            again = self.stream(path, Last_Event_ID=nonsense)
            wait_for(lambda: again.ended, 10, "it ends")

    def test_a_log_for_http_1_0_ends_with_the_connection(self):
        """Such as nginx and old programs speak: without a length only the end can tell the end."""
        job = self.submit(command=["echo", "hello"])
        self.ended(job)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as peer:
            peer.sendall(f"GET /api/v1/jobs/{job}/tasks/0/log HTTP/1.0\r\nHost: localhost\r\n"
                         "Connection: keep-alive\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: peer.recv(4096), b"")).partition(b"\r\n\r\n")
        self.assertIn(b"\r\nConnection: close", head)
        self.assertEqual(body, b"hello\n")

    @time_limit(120)
    def test_who_does_not_read_is_dropped(self):
        # One that opens the stream and never reads; the cluster is busy enough to fill its buffers.
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.addCleanup(lazy.close)
        lazy.connect(("127.0.0.1", self.port))
        lazy.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = self.stream("/api/v1/events")
        before = self.web.rss_bytes()

        def viewers() -> int:
            text = self.call("GET", "/metrics").body.decode()
            return int(re.search(r"^rpicluster_web_viewers (\d+)$", text, re.M).group(1))
        wait_for(lambda: viewers() == 2, 5, "both watch")
        # A long command is in every event about its job.
        filler = "x" * 250
        for _ in range(20):
            for _ in range(10):
                self.submit(command=["sh", "-c", "sleep 0.2", filler], array="1-5")
            if viewers() == 1:
                break
        wait_for(lambda: viewers() == 1, 60, "the lazy one is dropped")
        self.assertFalse(reader.ended)
        self.assertLess(self.web.rss_bytes() - before, 16 * 1024 * 1024)


class Refusals(ApiTest):
    """Every operation with everything that can be wrong with a request."""

    VALUES = {"node": "pi1", "job": "1", "task": "0", "path": "a", "file": "0" * 64}
    BODIES = {"login": {"token": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"}, "submitJob": {"command": ["true"]},
              "labelNode": {"a": "b"}, "setPriority": {"priority": 1}}

    def path_of(self, pattern: str, **values) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: {**self.VALUES, **values}[found.group(1)], pattern)

    def test_what_holds_no_token_is_no_viewer(self):
        self.assertEqual(self.call("GET", "/api/v1/nodes").status, 200)
        for value in (";", ": Digest x", ": Bearer", ": Bearer ", ": Basic", ": Basic !!!!", ": x"):
            answer = self.call("GET", "/api/v1/nodes", fields=["Authorization" + value])
            self.assertEqual(answer.status, 401, value)
            self.assertIn(b"holds no token", answer.body)

    @time_limit(120)
    def test_every_operation_refuses_what_is_wrong(self):
        self.submit(command=["true"])
        order = {"none": 0, "viewer": 1, "submit": 2, "admin": 3}
        for method, pattern, operation in operations():
            path = self.path_of(pattern)
            role = operation["x-role"]
            name = operation["operationId"]
            self.wait_for_good_tokens()
            with self.subTest(operation=name):
                if order[role] >= 2:
                    self.assertEqual(self.call(method, path).status, 401)
                for less in ("viewer", "submit"):
                    if order[less] < order[role]:
                        self.assertEqual(self.call(method, path, less).status, 403)
                if role != "none":
                    wrong = ["Authorization: Bearer AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"]
                    self.assertIn(self.call(method, path, fields=wrong).status, (401, 429))
                self.assertEqual(self.call("DELETE", path, "admin").status, 405)
                self.assertEqual(self.call(method, path, "admin", fields=["Host: evil"]).status, 421)
                if method != "GET":
                    cross = ["Origin: http://evil.example"]
                    self.assertEqual(self.call(method, path, "admin", fields=cross).status, 403)

    def wait_for_good_tokens(self) -> None:
        """Wrong tokens are limited in time: good ones must not be refused for that reason."""
        for role in self.tokens:
            wait_for(lambda: self.call("GET", "/api/v1/nodes", role).status == 200, 15,
                     "this address may show a token again")

    @time_limit(120)
    def test_unknown_things(self):
        self.submit(command=["true"])
        unknown = {"node": "nobody", "job": "999", "task": "77", "path": "none"}
        for method, pattern, operation in operations():
            for name in re.findall(r"\{(\w+)\}", pattern):
                if name == "file":
                    continue
                path = self.path_of(pattern, **{name: unknown[name]})
                with self.subTest(path=path):
                    body = self.BODIES.get(operation["operationId"])
                    answer = self.call(method, path, "admin", body)
                    self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))
        for path in ("/api", "/api/", "/api/v1", "/api/v2/nodes", "/api/v1/jobs/1/x",
                     "/api/v1/nodes/pi1/x"):
            self.assertEqual(self.call("GET", path, "admin").status, 404, path)

    def test_malformed_and_oversize_bodies(self):
        job = self.submit(command=["true"], hold=True)
        for method, pattern, operation in operations():
            content = operation.get("requestBody", {}).get("content", {})
            path = self.path_of(pattern, job=job)
            with self.subTest(path=path):
                if "application/json" in content:
                    for body in (b"{", b"[]", b"\xff", b"nonsense", b"[" * 500,
                                 b'{"no_such_member":1}' if "labels" not in path else b'{"":1}'):
                        answer = self.call(method, path, "admin", body)
                        self.assertEqual(answer.status, 400, (path, body, answer.body))
                    large = b'{"a":"' + b"x" * (1 << 20) + b'"}'
                    self.assertEqual(self.call(method, path, "admin", large).status, 413)
                    plain = self.call(method, path, "admin", raw=b"{}",
                                      fields=["Content-Type: text/plain"])
                    self.assertEqual(plain.status, 415)
                elif not content:
                    self.assertEqual(self.call(method, path, "admin", {}).status, 413)

    def test_what_the_master_refuses(self):
        for spec, status in (({"command": ["true"], "array": "1-"}, 400),
                             ({"command": ["true"], "where": "arch=="}, 400),
                             ({"command": ["true"], "cpus": -1}, 400),
                             ({"command": ["true"], "after": ["999"]}, 404),
                             ({"command": ["true"], "array": "1-2", "items": ["a"]}, 400),
                             ({"command": ["x" * 50_000]}, 400)):
            answer = self.call("POST", "/api/v1/jobs", "submit", spec)
            self.assertEqual(answer.status, status, (str(spec)[:80], answer.body))

    def test_headers(self):
        answer = self.call("GET", "/api/v1/nodes", fields=["X-Long: " + "x" * 9000])
        self.assertEqual((answer.status, answer.json()["code"]), (431, "header_too_large"))
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as peer:
            peer.sendall(b"NONSENSE\r\n\r\n")
            self.assertIn(b"application/problem+json", peer.recv(4096))

    def test_while_the_master_is_away(self):
        self.cluster.master.kill()
        for method, pattern, operation in operations():
            if operation["operationId"] in ("streamEvents", "getMetrics", "logout", "whoAmI"):
                continue
            path = self.path_of(pattern)
            role = operation["x-role"] if operation["x-role"] != "none" else None
            with self.subTest(path=path):
                body = self.BODIES.get(operation["operationId"])
                answer = self.call(method, path, role, body)
                self.assertLess(answer.status, 504)
                if answer.status == 503:
                    self.assertGreaterEqual(int(answer.fields["retry-after"]), 1)
        self.assertEqual(self.call("POST", "/api/v1/jobs", "submit", {"command": ["true"]}).status,
                         503)
        self.assertEqual(self.ok("GET", "/api/v1/state")["connected"], False)

    def test_many_at_once_leave_room(self):
        """More requests than may ask the master at once: the others are told to come again."""
        job = self.submit(command=["sleep", "60"])
        path = f"/api/v1/jobs/{job}/tasks/0/log/events"
        streams = []
        statuses = []
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request("GET", path)
            streams.append(connection.getresponse())
            statuses.append(streams[-1].status)
            self.addCleanup(streams[-1].close)
        self.assertEqual(statuses.count(200), 16)
        self.assertEqual(statuses.count(503), 4)
        self.assertEqual(self.call("GET", "/api/v1/jobs").status, 200)
        for stream in streams:
            stream.close()
        wait_for(lambda: self.free_again(path), 30, "their places are free again")
        self.ok("POST", f"/api/v1/jobs/{job}/cancel", "submit")

    def free_again(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        finally:
            connection.close()


if __name__ == "__main__":
    unittest.main()
