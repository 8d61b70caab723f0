#!/usr/bin/env python3
"""The tutorials' webserver slave with its Bottle page, as their texts have it: every five seconds it
asks the master for all slaves, and each request is answered with what it learnt, as JSON in a page.

    seed_page.py MASTER_PORT WEB_PORT
"""

from __future__ import annotations

import json
import pathlib
import sys

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


slave.daemon = True
slave.start()
run(host="127.0.0.1", port=int(sys.argv[2]), quiet=True)
