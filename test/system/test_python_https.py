"""The Python interface over the HTTP API: all that works over the command, and whom it trusts."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import python_calls
import test_python
import test_python_travel
from cluster import ROOT, time_limit, wait_for
from python_test import PythonTest, fingerprint_of, rpicluster

from _rpicluster import files, web  # noqa: E402  (python_test has found its folder)


class OverHttps(PythonTest):
    def make_transport(self) -> rpicluster.Transport:
        self.web, self.port = self.cluster.start_webserver("web", "--web-bind", "0.0.0.0")
        self.cluster.wait_online("web", *self.nodes)
        self.url = f"https://127.0.0.1:{self.port}"
        self.token = self.cluster.cli_json("token", "create", "--role", "submit", "--name",
                                           "python")["token"]
        self.pin = fingerprint_of(self.web)
        return rpicluster.Https(self.url, token=self.token, fingerprint=self.pin)


class ExecutorOverHttps(OverHttps, test_python.Executor):
    def test_more_arguments_than_a_request_holds(self):
        sizes = [4200 + number for number in range(180)]
        with self.executor(task_seconds=0) as cluster:
            self.assertEqual(list(cluster.map(python_calls.length, map(os.urandom, sizes))), sizes)


class EndingOverHttps(OverHttps, test_python.Ending):
    nodes = ("pi1",)

    @time_limit(120)
    def test_restart_of_the_webserver_in_the_middle(self):
        go = self.cluster.folder / "go"
        with self.executor() as cluster:
            future = cluster.submit(python_calls.wait_for_file, str(go), "there")
            wait_for(lambda: future.running() and not self.nothing_runs(), 20, "it runs")
            self.web.stop()
            go.touch()
            self.cluster.start_webserver("web", "--web-bind", "0.0.0.0", port=self.port)
            self.assertEqual(future.result(60), "there")


class ErrorsOverHttps(OverHttps, test_python.Errors):
    nodes = ("pi1",)

    def test_no_command_no_master_no_key(self):
        """Instead: no webserver, no master, no good token."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"https://127.0.0.1:{unused.getsockname()[1]}"
            for transport, code, words in (
                    (rpicluster.Https(nobody, token="x", fingerprint=self.pin), 4, "not answer"),
                    (rpicluster.Https(self.url, token="A" * 25, fingerprint=self.pin), 5,
                     "token")):
                with rpicluster.Cluster(transport) as cluster:
                    for act in (cluster.nodes, lambda: cluster.run(["true"]),
                                lambda: cluster.submit(python_calls.square, 1).result(30)):
                        with self.assertRaisesRegex(rpicluster.ClusterError, words) as caught:
                            act()
                        self.assertEqual(caught.exception.code, code)
        self.cluster.master.kill()
        with self.executor() as cluster, self.assertRaises(rpicluster.ClusterError) as caught:
            cluster.run(["true"])
        self.assertEqual(caught.exception.code, 4)

    def test_viewer_may_look_and_not_call(self):
        token = self.cluster.cli_json("token", "create", "--role", "viewer", "--name",
                                      "eve")["token"]
        file = self.cluster.write_key(self.cluster.folder / "token", token)
        transport = rpicluster.Https(self.url, token_file=file, fingerprint=self.pin)
        with rpicluster.Cluster(transport) as cluster:
            self.assertIn("pi1", [node["name"] for node in cluster.nodes()])
            with self.assertRaisesRegex(rpicluster.ClusterError, "role submit"):
                cluster.submit(python_calls.square, 1).result(20)


class ProgramsOverHttps(OverHttps, test_python_travel.Programs):
    def test_nodes_and_jobs(self):
        cluster = self.executor()
        self.assertEqual(sorted(node["name"] for node in cluster.nodes()), ["pi1", "pi2", "web"])
        for name in ("mine", "yours"):
            cluster.run(["true"], name=name)
        over_command = rpicluster.Command(self.cluster.bin / "rpicluster",
                                          state_dir=self.cluster.master_state)
        self.assertEqual(cluster.jobs(), over_command.jobs())

    def test_files_of_all_kinds(self):
        """A folder with what is in it, modes, a large file, one by architecture; folders and links
        that come home."""
        folder = self.cluster.folder / "project"
        (folder / "deep" / "er").mkdir(parents=True)
        large = os.urandom(3_000_000)
        (folder / "deep" / "er" / "large.bin").write_bytes(large)
        (folder / "deep" / "tool").write_text("#!/bin/sh\necho tool\n", encoding="utf-8")
        (folder / "deep" / "tool").chmod(0o755)
        (folder / "deep" / "link").symlink_to("tool")
        home = self.cluster.folder / "home"
        before = os.getcwd()
        os.chdir(folder)
        try:
            cluster = self.executor()
            arch = cluster.nodes()[0]["arch"]
            done = cluster.run(
                "deep/tool && deep/link && cat large && mkdir -p out/sub out/empty &&"
                " cp deep/er/large.bin out/sub/ && ln -s sub/large.bin out/latest",
                files=["deep"], files_by_arch={arch: self.text("large", "by arch\n")},
                out=["out"], to=home)
        finally:
            os.chdir(before)
        self.assertEqual(done.stdout, "tool\ntool\nby arch\n")
        self.assertEqual((home / "out" / "latest").read_bytes(), large)
        self.assertTrue((home / "out" / "latest").is_symlink())
        self.assertEqual([path.name for path in home.rglob(".rpicluster*")], [])

    def text(self, name: str, content: str) -> pathlib.Path:
        path = self.cluster.folder / "elsewhere" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def test_files_that_are_not_there(self):
        cluster = self.executor()
        with self.assertRaisesRegex(rpicluster.ClusterError, "no file .*missing"):
            cluster.run(["true"], files=["missing"])
        (self.cluster.folder / "linked").symlink_to("/etc")
        with self.assertRaisesRegex(rpicluster.ClusterError, "link to a folder"):
            cluster.run(["true"], files=[self.cluster.folder])
        self.assertEqual(cluster.jobs(), [])

    def test_many_items_and_much_output(self):
        cluster = self.executor()
        items = [f"{number}-{'x' * 300}" for number in range(400)]
        self.assertEqual(cluster.run(["echo"], items=items).stdout.splitlines(), items)
        done = cluster.run("seq 1 200000; seq 1 100000 >&2")
        self.assertEqual((len(done.stdout), len(done.stderr)), (1288895, 588895))


class Trust(OverHttps):
    """Whom it sends the token to."""

    nodes = ("pi1",)

    def names(self, transport: rpicluster.Transport) -> list:
        return sorted(node["name"] for node in transport.nodes())

    def test_certificate(self):
        good = ["pi1", "web"]
        digits = self.pin.replace(":", "").lower()
        for pin in (self.pin, digits):
            self.assertEqual(self.names(rpicluster.Https(self.url, token=self.token,
                                                         fingerprint=pin)), good)
        file = self.cluster.folder / "web.crt"
        file.write_text(ssl.get_server_certificate(("127.0.0.1", self.port)), encoding="utf-8")
        self.assertEqual(self.names(rpicluster.Https(self.url, token=self.token, ca_file=file)),
                         good)
        both = rpicluster.Https(self.url, token=self.token, ca_file=file, fingerprint=digits)
        self.assertEqual(self.names(both), good)
        other = "0" * 64
        for wrong, words in ((rpicluster.Https(self.url, token=self.token, fingerprint=other),
                              "another certificate.*" + self.pin),
                             (rpicluster.Https(self.url, token=self.token), "not trusted"),
                             (rpicluster.Https(self.url, token=self.token, ca_file=file,
                                               fingerprint=other), "another certificate"),
                             (rpicluster.Https(self.url.replace("127.0.0.1", "127.0.0.2"),
                                               token=self.token, ca_file=file), "not trusted")):
            with self.assertRaisesRegex(rpicluster.ClusterError, words) as caught:
                wrong.nodes()
            self.assertEqual(caught.exception.code, 5)

    def test_the_token_goes_to_nobody_else(self):
        """A webserver with another certificate hears nothing."""
        heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                heard.append(self.headers)

        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj",
                            "/CN=x", "-keyout", f"{folder}/key", "-out", f"{folder}/crt"],
                           check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/crt", f"{folder}/key")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as impostor:
            impostor.socket = context.wrap_socket(impostor.socket, server_side=True)
            impostor.handle_error = lambda *_: None
            thread = threading.Thread(target=impostor.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            self.addCleanup(thread.join)
            self.addCleanup(impostor.shutdown)
            transport = rpicluster.Https(f"https://127.0.0.1:{impostor.server_port}",
                                         token=self.token, fingerprint=self.pin)
            with self.assertRaisesRegex(rpicluster.ClusterError, "another certificate"):
                transport.nodes()
            impostor.shutdown()
        self.assertEqual(heard, [])

    def test_by_itself_where_the_command_is_not_installed(self):
        script = self.script("""
            import rpicluster

            if __name__ == "__main__":
                with rpicluster.Cluster() as cluster:
                    print(type(cluster.transport).__name__, cluster.submit(pow, 2, 5).result())
            """)
        for path, expected in (("/nowhere", "Https 32\n"), (str(self.cluster.bin), "Command 32\n")):
            env = self.cluster.environment({
                "PYTHONPATH": str(ROOT / "python"), "PATH": path,
                "RPICLUSTER_CLIENT_STATE_DIR": str(self.cluster.master_state),
                "RPICLUSTER_API_URL": self.url, "RPICLUSTER_API_FINGERPRINT": self.pin,
                "RPICLUSTER_API_TOKEN_FILE": str(self.cluster.write_key(
                    self.cluster.folder / "token", self.token))})
            done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True,
                                  timeout=40, check=False)
            self.assertEqual((done.stdout, done.stderr), (expected, ""))

    def test_plain_http_on_this_machine(self):
        _, port = self.cluster.start_webserver("plain")
        transport = rpicluster.Https(f"http://127.0.0.1:{port}", token=self.token)
        wait_for(lambda: "pi1" in self.names(transport), 10, "it knows the nodes")


class Checks(unittest.TestCase):
    def test_what_is_refused_before_anything_is_sent(self):
        for words, arguments in (
                ("readable for everybody", {"url": "http://pi0:8123", "token": "x"}),
                ("readable for everybody", {"url": "http://127.0.0.1.evil:8123", "token": "x"}),
                ("expected https", {"url": "ftp://pi0", "token": "x"}),
                ("expected https", {"url": "https://pi0/path", "token": "x"}),
                ("64 hex digits", {"url": "https://pi0", "fingerprint": "12:34"}),
                ("RPICLUSTER_API_URL", {})):
            with self.assertRaisesRegex(ValueError, words):
                rpicluster.Https(**arguments)

    def test_names_that_lead_elsewhere(self):
        """Nodes choose the names of what comes home."""
        def listed(path, kind="file", link=""):
            return {"path": path, "kind": kind, "link": link, "href": "/none", "mode": 0o644}

        with tempfile.TemporaryDirectory() as place:
            home = pathlib.Path(place, "home")
            (home / "out").mkdir(parents=True)
            (home / "away").symlink_to(place)
            (home / "out" / "up").symlink_to("..")
            for bad in (listed("/etc/passwd"), listed("../x"), listed("a/../../x"), listed("away/x"),
                        listed("a\0b"), listed("."), listed("away/new/x"),
                        listed("l", "link", "/etc"), listed("d/l", "link", "../../x"),
                        listed("away/d", "folder")):
                with self.assertRaises(rpicluster.ClusterError, msg=bad):
                    files.bring_home(None, [bad], home)
            files.bring_home(None, [listed("d/l", "link", "../x"), listed("e", "folder")], home)
            self.assertEqual(os.readlink(home / "d" / "l"), "../x")
            self.assertEqual(sorted(os.listdir(place)), ["home"])

    def test_answers_that_break_off(self):
        """Half a file is an error, and nothing is there under its name."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve():
                with server.accept()[0] as peer:
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            thread = threading.Thread(target=serve)
            thread.start()
            api = web.Web(f"http://127.0.0.1:{server.getsockname()[1]}", "")
            entry = {"path": "x", "kind": "file", "link": "", "href": "/x", "mode": 0o644}
            with tempfile.TemporaryDirectory() as home:
                with self.assertRaisesRegex(rpicluster.ClusterError, "does not answer"):
                    files.bring_home(api, [entry], pathlib.Path(home))
                self.assertEqual(os.listdir(home), [])
            thread.join()

    def test_errors_of_this_machine_are_not_those_of_the_connection(self):
        """A full disk at home, a file that cannot be read: asking again would not help."""
        class Broken(io.BytesIO):
            def write(self, _):
                raise OSError(errno.ENOSPC, "No space left on device")

            def read(self, _):
                raise OSError(errno.EIO, "Input/output error")

        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.command)
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"file")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.handle_error = lambda *_: None
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            self.addCleanup(thread.join)
            self.addCleanup(server.shutdown)
            api = web.Web(f"http://127.0.0.1:{server.server_port}", "")
            for words, act in (("write.*No space left", lambda: api.download("/x", Broken())),
                               ("read.*Input/output", lambda: api.upload("x", 4, Broken()))):
                with self.assertRaisesRegex(rpicluster.ClusterError, words) as caught:
                    act()
                self.assertEqual(caught.exception.code, 1)
            server.shutdown()
        self.assertEqual(asked, ["GET"])

    def test_names_of_what_travels(self):
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place, "project")
            folder.mkdir()
            (folder / "real.json").write_text("{}", encoding="utf-8")
            (folder / "config.json").symlink_to("real.json")
            for path, name in (("real.json", "real.json"), ("config.json", "config.json"),
                               (folder / "config.json", "config.json"),
                               ("../project/config.json", "config.json"),
                               ("../project/..", f"{pathlib.Path(place).name}/project/real.json")):
                found = [file.path for file in files.scan_files([path], folder)]
                self.assertIn(name, found, path)
            with self.assertRaisesRegex(rpicluster.ClusterError, "no name of its own"):
                files.scan_files(["/"], None)

    def test_a_file_is_named_by_what_is_in_it(self):
        self.assertEqual(files.scan_text(b"abc").name, hashlib.sha256(b"abc").hexdigest())


if __name__ == "__main__":
    unittest.main()
