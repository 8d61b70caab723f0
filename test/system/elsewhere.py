"""A webserver slave for browsers on other machines. An own address that is not loopback counts as one
of those."""

from __future__ import annotations

import socket
import ssl
import unittest

from cluster import SystemTest


def own_address() -> str:
    """An address of this machine that is not loopback; no packet to it leaves the machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing: this only asks for the route
        except OSError:
            raise unittest.SkipTest("this machine has only loopback") from None
        return probe.getsockname()[0]


class ElsewhereTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.address = own_address()
        self.cluster.start_master()
        self.web, self.port = self.cluster.start_webserver("web", "--web-bind", "0.0.0.0")
        self.cluster.wait_online("web")
        self.wait_log(self.web, "joined")  # before that it cannot ask about tokens
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
