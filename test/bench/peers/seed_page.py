#!/usr/bin/env python3
"""The tutorials' webserver slave with its Bottle page, as their texts have it: every five seconds it
asks the master for all slaves, and each request is answered with what it learnt, as JSON in a page.

    seed_page.py MASTER_PORT WEB_PORT
"""

from __future__ import annotations

import http.server
import json
import pathlib
import sys
import wsgiref.simple_server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))
from bottle import route, run, template  # noqa: E402  (found only after the path is set)
from seed_peers import RpiWebserverSlaveThread  # noqa: E402

PAGE = """<html><head><title>Cluster</title></head><body>
<h2>Master Information</h2><pre>{{masterinfo}}</pre>
<h2>Slave Information</h2><pre>{{slaveinfo}}</pre></body></html>"""

slave = RpiWebserverSlaveThread("127.0.0.1", int(sys.argv[1]))


@route("/")
def index():
    return template(PAGE,
                    masterinfo=json.dumps(slave.master_details, indent=4, sort_keys=True),
                    slaveinfo=json.dumps(slave.current_slave_details, indent=4, sort_keys=True))


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    """Bottle's server ends each connection, as HTTP/1.0 does. This one goes on with who asks for
    that: else the benchmark would compare how connections are made."""

    protocol_version = "HTTP/1.1"

    def handle(self):
        http.server.BaseHTTPRequestHandler.handle(self)

    def handle_one_request(self):
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        handler = wsgiref.simple_server.ServerHandler(
            self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=False)
        handler.http_version = "1.1"
        handler.request_handler = self
        handler.run(self.server.get_app())

    def log_message(self, *_):
        """Bottle's `quiet`."""


slave.daemon = True
slave.start()
run(host="127.0.0.1", port=int(sys.argv[2]), quiet=True, handler_class=Handler)
