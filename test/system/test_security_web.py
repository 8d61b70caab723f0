"""Every kind of request for every host from every page: what the webserver slave answers."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl

from cluster import SystemTest, time_limit
from elsewhere import ElsewhereTest, own_address
from test_security import faked

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROB")
PATHS = ("/", "/app.js", "/api/v1/nodes", "/api/v1/master")


class WebTest(SystemTest):
    def ask(self, connection, method: str, path: str, host: str, origin: str | None,
            token: str = "", **fields) -> tuple:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if token:
            connection.putheader("Authorization", f"Bearer {token}")
        if origin is not None:
            connection.putheader("Origin", origin)
        for name, value in fields.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        if answer.getheader("Connection", "").lower() == "close":
            connection.close()
        return answer, body

    def assert_gives_nothing_away(self, answer, case: tuple) -> None:
        """No other page may read it, frame it or have it run."""
        names = [name.lower() for name, _ in answer.getheaders()]
        self.assertEqual([name for name in names if name.startswith("access-control")], [], case)
        self.assertNotIn("set-cookie", names, case)
        self.assertIn("default-src 'none'", answer.getheader("Content-Security-Policy"), case)
        self.assertIn("frame-ancestors 'none'", answer.getheader("Content-Security-Policy"), case)
        self.assertEqual(answer.getheader("X-Content-Type-Options"), "nosniff", case)
        self.assertEqual(answer.getheader("Cross-Origin-Resource-Policy"), "same-origin", case)


class Matrix(WebTest):
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

    def test_targets_that_are_no_paths(self):
        for method, target in (("OPTIONS", "*"), ("CONNECT", "127.0.0.1:22"), ("GET", "x"),
                               ("GET", "http://evil.example/"), ("GET", "//evil.example/"),
                               ("GET", "http://localhost@evil.example/")):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.addCleanup(connection.close)
            answer, _ = self.ask(connection, method, target, "localhost", None)
            self.assertIn(answer.status, (400, 404, 421), (method, target))
            self.assert_gives_nothing_away(answer, (method, target))


class MatrixElsewhere(ElsewhereTest, WebTest):
    """The same for a browser on another machine, over HTTPS, that has logged in."""

    def setUp(self):
        super().setUp()
        self.connection = http.client.HTTPSConnection(self.address, self.port, timeout=10,
                                                      context=self.context)
        self.addCleanup(self.connection.close)

    def hosts(self) -> dict:
        return {f"{self.address}:{self.port}": True, self.address: True,
                f"{socket.gethostname()}:{self.port}": True, "evil.example": False,
                f"{self.address}.evil.example:{self.port}": False,
                f"{self.address}:{self.port + 1}": False}

    def login(self) -> dict:
        """The fields of a browser that has logged in."""
        token = self.cluster.cli_json("token", "create", "--role", "admin")["token"]
        self.connection.request("POST", "/api/v1/login", json.dumps({"token": token}),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        told = json.loads(answer.read())
        self.assertEqual((answer.status, told["role"]), (200, "admin"))
        cookie = answer.getheader("Set-Cookie")
        for word in ("HttpOnly", "SameSite=Strict", "Secure"):
            self.assertIn(word, cookie)
        return {"Cookie": cookie.split(";")[0], "X_CSRF_Token": told["csrf"]}

    def test_every_method_for_every_host_from_every_origin(self):
        logged_in = self.login()
        without_sign = {"Cookie": logged_in["Cookie"]}
        wrong_sign = {**logged_in, "X_CSRF_Token": "x" * len(logged_in["X_CSRF_Token"])}
        counts: dict = {}
        for host, ours in self.hosts().items():
            for origin in (None, f"https://{host}", "null", "https://evil.example",
                           f"https://{self.address}:{self.port + 1}"):
                own = origin in (None, f"https://{host}")
                for method in METHODS:
                    for fields in ({}, logged_in, without_sign, wrong_sign):
                        answer, body = self.ask(self.connection, method, "/api/v1/jobs", host,
                                                origin, **fields)
                        case = (method, host, origin, sorted(fields), answer.status, body[:100])
                        self.assertIn(answer.status, self.verdicts(ours, own, method, fields,
                                                                   logged_in), case)
                        self.assert_gives_nothing_away(answer, case)
                        counts[answer.status] = counts.get(answer.status, 0) + 1
        self.assertEqual(set(counts), {200, 401, 403, 405, 411, 421}, counts)
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def verdicts(self, ours: bool, own: bool, method: str, fields: dict, logged_in: dict) -> tuple:
        if not ours:
            return (421,)
        if method not in ("GET", "HEAD", "POST"):
            return (401, 405)
        if method != "POST":
            return (200,) if fields else (401,)
        if not fields:
            return (401,)
        if not own:
            return (403,)
        return (411,) if fields == logged_in else (403,)


class Paths(WebTest):
    """Paths that want to get out of what the page has, and out of a work folder."""

    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.web, self.port = self.cluster.start_webserver("web")
        self.cluster.wait_online("web")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(self.connection.close)

    def test_of_the_page(self):
        up = "../" * 12
        for path in (f"/{up}etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                     "/static/../../etc/passwd", "//etc/passwd", "/app.js/../web.key", "/web.key",
                     "/..\\..\\etc\\passwd", "/app.js%00.html", f"/api/v1/files/{up}etc/passwd",
                     "/api/v1/jobs/..%2f..%2fetc%2fpasswd", "/api/v1/nodes/../master"):
            answer, body = self.ask(self.connection, "GET", path, "localhost", None)
            self.assertIn(answer.status, (400, 404), path)
            self.assertNotIn(b"root:", body, path)
            self.assert_gives_nothing_away(answer, (path,))

    def test_of_files_of_a_job(self):
        self.cluster.start_worker("pi1")
        self.cluster.wait_online("pi1")
        victim = self.cluster.folder / "victim"
        victim.write_text("as it was\n")
        victim.chmod(0o666)
        token = self.cluster.cli_json("token", "create", "--role", "submit")["token"]
        contents = b"changed by a stranger\n"
        name = hashlib.sha256(contents).hexdigest()
        fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        self.connection.request("PUT", f"/api/v1/files/{name}", contents, fields)
        answer = self.connection.getresponse()
        self.assertEqual(answer.status, 201, answer.read())
        answer.read()
        fields["Content-Type"] = "application/json"
        up = "../" * 12 + str(victim).lstrip("/")
        for more in ({"in": [{"path": up, "file": name, "size": len(contents)}]},
                     {"in": [{"path": str(victim), "file": name, "size": len(contents)}]},
                     {"in": [{"path": "a/../../x", "file": name, "size": len(contents)}]},
                     {"in": [{"path": "", "file": name, "size": len(contents)}]},
                     {"in": [{"path": "x", "file": "../" * 21 + "y", "size": 1}]},
                     {"out": ["../*"]}, {"out": ["/etc/passwd"]}, {"out": ["a/../../b"]}):
            job = {"command": ["true"], **more}
            self.connection.request("POST", "/api/v1/jobs", json.dumps(job), fields)
            answer = self.connection.getresponse()
            body = answer.read()
            self.assertIn(answer.status, (400, 404, 422), (more, body))
            self.assertTrue(json.loads(body)["detail"], more)
        self.assertEqual(victim.read_text(), "as it was\n")
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])


class ClockOfThePage(WebTest):
    """A certificate that is made, and a login that lasts, while the clock is wrong."""

    @time_limit(90)
    def test_in_1970_and_in_2099(self):
        address = own_address()
        times = {"early": faked(self, "1970-01-01 00:00:10"),
                 "late": faked(self, "2099-12-31 23:59:50")}
        self.cluster.start_master()
        token = self.cluster.cli_json("token", "create", "--role", "submit")["token"]
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for name, env in times.items():
            web, port = self.cluster.start_webserver(name, "--web-bind", "0.0.0.0", env=env)
            self.cluster.wait_online(name)
            self.wait_log(web, "joined")
            connection = http.client.HTTPSConnection(address, port, timeout=10, context=context)
            self.addCleanup(connection.close)
            connection.request("POST", "/api/v1/login", json.dumps({"token": token}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            csrf = json.loads(answer.read())["csrf"]
            fields = {"Cookie": answer.getheader("Set-Cookie").split(";")[0],
                      "X-CSRF-Token": csrf, "Content-Type": "application/json"}
            for _ in range(2):
                connection.request("POST", "/api/v1/jobs",
                                   json.dumps({"command": ["true"], "hold": True}), fields)
                answer = connection.getresponse()
                self.assertEqual(answer.status, 201, answer.read())
                answer.read()
            self.assertIn("1970" if name == "early" else "2099", web.log())
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 4)
