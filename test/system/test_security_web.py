"""Every kind of request for every host from every page: what the webserver slave answers."""

from __future__ import annotations

import http.client

from cluster import SystemTest

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROB")
PATHS = ("/", "/app.js", "/api/v1/nodes", "/api/v1/master")


class Matrix(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.web, self.port = self.cluster.start_webserver("web")
        self.cluster.wait_online("web")

    def hosts(self) -> dict:
        """Host -> status before anything else is looked at; 200: it is ours."""
        return {f"127.0.0.1:{self.port}": 200, "localhost": 200, f"LOCALHOST:{self.port}": 200,
                f"[::1]:{self.port}": 200, "localhost.": 200, "evil.example": 421,
                f"evil.example:{self.port}": 421, "127.0.0.1.evil.example": 421,
                f"localhost:{self.port + 1}": 421, "10.0.0.1": 421, "0.0.0.0": 421,
                "localhost@evil.example": 400, "": 421, "localhost:0": 400, "localhost:99999": 400,
                "[::1": 400, "local host": 400, "localhost/": 400}

    def origins(self) -> tuple:
        own = f"http://localhost:{self.port}"
        return (None, own, "null", "http://evil.example", own + ".evil.example",
                "https://localhost")

    def ask(self, connection, method: str, path: str, host: str, origin: str | None,
            token: str = "") -> tuple:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if token:
            connection.putheader("Authorization", f"Bearer {token}")
        if origin is not None:
            connection.putheader("Origin", origin)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        if answer.getheader("Connection", "").lower() == "close":
            connection.close()
        return answer, body

    def test_every_method_for_every_host_from_every_origin(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        before = self.cluster.cli_json("jobs"), sorted(self.cluster.nodes())
        asked = 0
        for host, verdict in self.hosts().items():
            for origin in self.origins():
                for method in METHODS:
                    path = PATHS[asked % len(PATHS)]
                    asked += 1
                    answer, body = self.ask(connection, method, path, host, origin)
                    case = (method, path, host, origin, answer.status)
                    reads = method in ("GET", "HEAD")
                    expected = verdict if verdict != 200 or reads else 405
                    self.assertEqual(answer.status, expected, case)
                    if expected == 405:
                        self.assertEqual(answer.getheader("Allow"), "GET, HEAD", case)
                    if method == "HEAD":
                        self.assertEqual(body, b"", case)
                    self.assert_gives_nothing_away(answer, case)
        self.assertEqual(asked, 18 * 6 * 9)
        self.assertEqual((self.cluster.cli_json("jobs"), sorted(self.cluster.nodes())), before)

    def test_a_good_token_does_not_make_a_foreign_page_ours(self):
        """The same where there is something to change, with a token that may do everything."""
        token = self.cluster.cli_json("token", "create", "--role", "admin")["token"]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        counts: dict = {}
        for host, verdict in self.hosts().items():
            for origin in self.origins():
                own = origin in (None, f"http://{host.lower()}", f"https://{host.lower()}")
                for method in METHODS:
                    answer, body = self.ask(connection, method, "/api/v1/jobs", host, origin, token)
                    case = (method, host, origin, answer.status, body[:100])
                    expected = verdict
                    if verdict == 200 and method == "POST":
                        expected = 411 if own else 403  # only then its body is looked at
                    elif verdict == 200 and method not in ("GET", "HEAD"):
                        expected = 405
                    self.assertEqual(answer.status, expected, case)
                    self.assert_gives_nothing_away(answer, case)
                    counts[expected] = counts.get(expected, 0) + 1
        self.assertEqual(set(counts), {200, 400, 403, 405, 411, 421}, counts)
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def assert_gives_nothing_away(self, answer, case: tuple) -> None:
        """No other page may read it, frame it or have it run."""
        names = [name.lower() for name, _ in answer.getheaders()]
        self.assertEqual([name for name in names if name.startswith("access-control")], [], case)
        self.assertNotIn("set-cookie", names, case)
        self.assertIn("default-src 'none'", answer.getheader("Content-Security-Policy"), case)
        self.assertIn("frame-ancestors 'none'", answer.getheader("Content-Security-Policy"), case)
        self.assertEqual(answer.getheader("X-Content-Type-Options"), "nosniff", case)
        self.assertEqual(answer.getheader("Cross-Origin-Resource-Policy"), "same-origin", case)

    def test_targets_that_are_no_paths(self):
        for method, target in (("OPTIONS", "*"), ("CONNECT", "127.0.0.1:22"), ("GET", "x"),
                               ("GET", "http://evil.example/"), ("GET", "//evil.example/"),
                               ("GET", "http://localhost@evil.example/")):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.addCleanup(connection.close)
            answer, _ = self.ask(connection, method, target, "localhost", None)
            self.assertIn(answer.status, (400, 404, 421), (method, target))
            self.assert_gives_nothing_away(answer, (method, target))
