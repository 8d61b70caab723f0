"""Strangers at the port of a master: openssl, a browser, noise. All get a clean refusal."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import unittest

from cluster import SystemTest, wait_for
from plain_peer import PlainPeer


class Refusals(SystemTest):
    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master()

    def assert_master_well(self) -> None:
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        self.assertEqual(list(self.cluster.nodes()), ["pi1"])

    def openssl(self, *args) -> subprocess.CompletedProcess:
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl program here")
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.cluster.port}",
                               *args], input="", capture_output=True, text=True, timeout=20,
                              check=False)

    def assert_handshake_refused(self, *args) -> None:
        result = self.openssl(*args)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertIn("Cipher is (NONE)", result.stdout)
        self.assertIn("alert", result.stderr, "the refusal is a TLS alert, not a cut connection")

    def test_openssl_without_a_key(self):
        self.assert_handshake_refused("-tls1_3")
        self.wait_log(self.master, "127.0.0.1")
        self.assert_master_well()

    def test_openssl_with_a_wrong_key(self):
        self.assert_handshake_refused("-tls1_3", "-psk", "00112233445566778899aabbccddeeff",
                                      "-psk_identity", "0011223344556677")
        self.wait_log(self.master, "127.0.0.1")
        self.assert_master_well()

    def test_openssl_with_tls_1_2(self):
        self.assert_handshake_refused("-tls1_2")
        self.assert_handshake_refused("-tls1_2", "-psk", "00112233445566778899aabbccddeeff")
        self.assert_master_well()

    def test_python_tls_client(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with PlainPeer(self.cluster.port) as peer, self.assertRaises(ssl.SSLError):
            context.wrap_socket(peer.socket)
        self.assert_master_well()

    def test_http_client_is_told_what_this_is(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 426)
        self.assert_one_line(answer.read().decode(), "rpicluster")
        self.assert_master_well()

    def test_http_methods_and_halves(self):
        requests = [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"G", b"GET / HTTP",
                    b"HEAD /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n"]
        for number, request in enumerate(requests):
            with PlainPeer(self.cluster.port, f"127.0.4.{number + 1}") as peer:
                try:
                    peer.send(request)
                except OSError:
                    continue  # refused before it had said everything
                answer = peer.rest(8)
            if len(request) < 10_000:
                self.assertTrue(answer.startswith(b"HTTP/1.1 426 "), (request, answer))
        self.assert_master_well()

    def test_garbage_is_closed_counted_and_logged_once(self):
        before = self.cluster.cli_json("status").get("counters", {})
        for _ in range(30):
            with PlainPeer(self.cluster.port, "127.0.5.1") as peer:
                peer.send(b"\x80\x01garbage")
                self.assertEqual(peer.rest(3), b"")
        after = self.cluster.cli_json("status")["counters"]
        grown = {name: after[name] - before.get(name, 0) for name in after}
        self.assertTrue([name for name in grown if grown[name] >= 30], grown)
        lines = wait_for(lambda: self.master.log_lines("127.0.5.1"), 3, "a log line about it")
        self.assertEqual(len(lines), 1, lines)
        self.assert_master_well()

    def test_tls_that_stops_in_the_middle(self):
        """A ClientHello cut short is closed after about 5 s and bothers nobody."""
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
        with PlainPeer(self.cluster.port, "127.0.5.2") as peer:
            peer.send(hello)
            self.cluster.start_slave("pi1")
            self.cluster.wait_online("pi1")
            peer.rest(9)
