"""The webserver slave: the page, the API, and what it refuses."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl

from cluster import SystemTest, free_port, is_listening, time_limit, wait_for
from elsewhere import ElsewhereTest
from plain_peer import PlainPeer


class Web(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()

    def start_all(self) -> None:
        self.slave = self.cluster.start_slave("pi1")
        self.web, self.port = self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")
        wait_for(lambda: set(self.nodes()) == {"pi1", "web"}, 5, "the webserver knows both")

    def request(self, method: str, path: str, port: int | None = None, **headers) -> tuple:
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get_json(self, path: str) -> dict:
        status, headers, body = self.request("GET", path)
        self.assertEqual(status, 200, body)
        self.assertTrue(headers["Content-Type"].startswith("application/json"))
        return json.loads(body)

    def nodes(self) -> dict:
        value = self.get_json("/api/v1/nodes")
        self.assertEqual(value["version"], 1)
        return {node["name"]: node for node in value["nodes"]}

    def test_page(self):
        self.start_all()
        status, headers, body = self.request("GET", "/")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/html"))
        self.assertIn(b"<html", body.lower())
        self.assertIn(b"viewport", body, "a phone would show it tiny")
        self.assertIn("Content-Security-Policy", headers)
        self.assertNotIn(b"http://", body.replace(b"http://www.w3.org", b""), "a foreign address")
        status, headers, body = self.request("HEAD", "/")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 0)

    def test_nodes_are_those_of_the_command_line(self):
        self.start_all()
        from_master = self.cluster.nodes()
        for name, node in self.nodes().items():
            same = {key: value for key, value in node.items()
                    if key not in ("vitals", "last_seen_seconds")}
            expected = {key: from_master[name][key] for key in same}
            self.assertEqual(same, expected)
            self.assertLessEqual(set(from_master[name]), set(node))
        self.assertEqual(self.nodes()["web"]["role"], "webserver")

    def test_master(self):
        self.start_all()
        value = wait_for(lambda: self.get_json("/api/v1/master"), 5, "facts of the master")
        text = json.dumps(value)
        self.assertEqual(value["version"], 1)
        self.assertIn(json.dumps(socket.gethostname()), text)
        self.assertIn('"cpu_cores"', text)

    @time_limit(90)
    def test_a_dying_node_is_seen(self):
        self.start_all()
        self.slave.kill()
        wait_for(lambda: self.nodes()["pi1"]["state"] == "suspect", 3, "suspect on the page")
        wait_for(lambda: self.nodes()["pi1"]["state"] == "lost", 30, "lost on the page")
        self.cluster.start_slave("pi1")
        wait_for(lambda: self.nodes()["pi1"]["state"] == "online", 10, "back on the page")
        self.cluster.cli_ok("remove", "pi1")
        wait_for(lambda: self.nodes().get("pi1", {}).get("state") in (None, "removed"), 5,
                 "removed from the page")

    def test_events(self):
        self.start_all()
        with PlainPeer(self.port) as viewer:
            viewer.send(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n"
                        .encode())
            received = b""

            def has(text: bytes):
                nonlocal received
                received += viewer.receive_bytes(0.1) or b""
                return text in received
            wait_for(lambda: has(b"pi1"), 5, "the first picture")
            self.assertTrue(received.startswith(b"HTTP/1.1 200"))
            self.assertIn(b"text/event-stream", received)
            received = b""
            self.slave.kill()
            wait_for(lambda: has(b"suspect"), 3, "an event about the killed slave")

    def test_listens_before_it_joins(self):
        key = self.cluster.join_key_file()
        self.cluster.master.stop()
        self.web, self.port = self.cluster.start_webserver("web", key_file=key)
        self.assertEqual(self.request("GET", "/")[0], 200)
        status, _, body = self.request("GET", "/api/v1/nodes")
        self.assertIn(status, (200, 503))
        self.assertIsInstance(json.loads(body), dict)
        self.cluster.restart_master()
        wait_for(lambda: self.request("GET", "/api/v1/nodes")[0] == 200 and
                 self.nodes().get("web", {}).get("state") == "online", 15, "it joined")

    def test_keeps_serving_while_the_master_is_away(self):
        self.start_all()
        self.cluster.master.kill()
        self.assertEqual(self.request("GET", "/")[0], 200)
        self.assertLess(self.request("GET", "/api/v1/nodes")[0], 600)
        self.cluster.restart_master()
        wait_for(lambda: {name: node["state"] for name, node in self.nodes().items()}
                 == {"pi1": "online", "web": "online"}, 15, "the new picture")

    def test_refused_methods(self):
        self.start_all()
        for method in ("POST", "PUT", "DELETE", "PATCH", "FROB"):
            for path in ("/", "/api/v1/nodes"):
                status, headers, _ = self.request(method, path)
                self.assertEqual(status, 405, (method, path))
                self.assertIn("GET", headers.get("Allow", ""))

    def test_unknown_paths(self):
        self.start_all()
        for path in ("/nothing", "/api/v1/nothing", "/api/v2/nodes", "/../etc/passwd",
                     "/%2e%2e/etc/passwd", "/index.html/x"):
            self.assertEqual(self.request("GET", path)[0], 404, path)

    def test_host_is_checked(self):
        self.start_all()
        for host in ("evil.example", "evil.example:8123", "127.0.0.1.evil.example",
                     "localhost.evil.example"):
            self.assertEqual(self.request("GET", "/api/v1/nodes", Host=host)[0], 421, host)
            self.assertEqual(self.request("GET", "/", Host=host)[0], 421, host)
        # RFC 9110, 7.2: no valid host at all is a bad request.
        for host in ("", "127.0.0.1@evil.example", "[::1].evil.example", "a b", "127.0.0.1/x"):
            self.assertIn(self.request("GET", "/", Host=host)[0], (400, 421), host)
        for host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}", "localhost"):
            self.assertEqual(self.request("GET", "/api/v1/nodes", Host=host)[0], 200, host)

    def test_one_connection_many_requests(self):
        self.start_all()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        connection.connect()
        near = connection.sock.getsockname()
        for _ in range(50):
            connection.request("GET", "/api/v1/nodes")
            answer = connection.getresponse()
            self.assertEqual(len(json.loads(answer.read())["nodes"]), 2)
        self.assertEqual(connection.sock.getsockname(), near)

    def test_bad_requests_harm_nobody(self):
        self.start_all()
        bad = [os.urandom(500), b"\r\n" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
               b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
               b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
               b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999\r\n\r\n"]
        for data in bad:
            with PlainPeer(self.port) as peer:
                try:
                    peer.send(data)
                    peer.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # closed before it had taken everything
                answer = peer.rest(12)
                self.assertFalse(answer.startswith(b"HTTP/1.1 2"), answer[:100])
            self.assertEqual(self.request("GET", "/")[0], 200)
        self.assertTrue(self.web.alive())

    def test_slow_request_is_closed(self):
        self.start_all()
        with PlainPeer(self.port) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: ")
            peer.rest(15)

    def test_port_of_the_contract_by_itself(self):
        if is_listening(8123):
            self.skipTest("somebody here uses port 8123")
        self.cluster.start_slave("web", role="webserver")
        wait_for(lambda: is_listening(8123), 10, "port 8123 is open")
        self.port = 8123
        self.assertEqual(self.request("GET", "/")[0], 200)
        with self.assertRaises(OSError):  # only on 127.0.0.1
            socket.create_connection(("127.0.0.2", 8123), timeout=2).close()


class Elsewhere(ElsewhereTest):
    """A browser on another machine: HTTPS and a token."""

    def get(self, path: str, token: str = "") -> tuple:
        connection = http.client.HTTPSConnection(self.address, self.port, timeout=10,
                                                 context=self.context)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_token_is_needed(self):
        for path in ("/", "/api/v1/nodes", "/api/v1/master", "/api/v1/events"):
            status, body = self.get(path)
            self.assertEqual(status, 401, path)
            self.assertNotIn(socket.gethostname().encode() + b'"', body)
            self.assertEqual(self.get(path, "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")[0], 401, path)
        token = self.cluster.cli_json("token", "create", "--role", "viewer", "--name",
                                      "tablet")["token"]

        def names():
            status, body = self.get("/api/v1/nodes", token)
            self.assertEqual(status, 200)
            return [node["name"] for node in json.loads(body)["nodes"]]
        wait_for(lambda: names() == ["web"], 5, "the webserver knows itself")
        self.cluster.cli_ok("token", "revoke", "tablet")
        wait_for(lambda: self.get("/api/v1/nodes", token)[0] == 401, 20, "it is revoked")

    def test_keys_of_nodes_are_no_tokens(self):
        join_key = self.cluster.cli_json("token")["join_key"]
        self.assertEqual(self.get("/api/v1/nodes", join_key)[0], 401)

    def test_plain_http_is_not_served(self):
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", "/api/v1/nodes")
        answer = connection.getresponse()
        self.assertIn(answer.status, (301, 302, 307, 308, 400, 403))
        self.assertNotIn(b"nodes\"", answer.read())

    def test_fingerprint_of_the_certificate_is_in_the_log(self):
        served = ssl.get_server_certificate((self.address, self.port))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(served)).hexdigest()
        self.assertIn(digest, self.web.log().replace(":", "").lower())


class Bind(SystemTest):
    def test_bad_web_flags(self):
        key = self.cluster.write_key(self.cluster.folder / "key", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
        for args in (("--web-port", "banana"), ("--web-bind", "banana")):
            result = self.cluster.run("rpicluster-slave", "--role", "webserver", "--state-dir",
                                      self.cluster.folder / "state", "--master",
                                      f"127.0.0.1:{free_port()}", "--key-file", key, *args)
            self.assertEqual(result.returncode, 78, result.stderr)
            self.assert_one_line(result.stderr, "banana", args[0].lstrip("-"))
