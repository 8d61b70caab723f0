"""The seed peers against each other: what the other tests rely on."""

from __future__ import annotations

import subprocess
import sys
import unittest

import seed_peers
from cluster import ROOT, free_port, is_listening, wait_for
from plain_peer import PlainPeer, frame
from seed_peers import RpiBasicSlaveThread, RpiMaster, RpiOldSlaveThread, RpiWebserverSlaveThread


class SeedPeers(unittest.TestCase):
    def master(self, **keywords) -> RpiMaster:
        master = RpiMaster(**keywords).start()
        self.addCleanup(master.stop)
        return master

    def slave(self, kind, master: RpiMaster, **keywords):
        slave = kind("127.0.0.1", master.port, heartbeat=0.1, retry=0.1, **keywords)
        slave.start()
        self.addCleanup(slave.stop)
        return slave

    def test_slave_joins_and_beats(self):
        master = self.master()
        messages = []
        master.on_message = lambda sender, message: messages.append(message)
        slave = self.slave(RpiBasicSlaveThread, master)
        wait_for(lambda: slave.actions >= 3, 5, "three heartbeats")
        self.assertRegex(slave.uuid, "^[0-9a-f]{32}$")
        self.assertEqual(set(slave.master_details), {"hostname", "cpu_percent_used", "ram", "cpu",
                                                     "cpu_cores"})
        self.assertIn({"type": "message", "payload": f"I am still alive, client: {slave.uuid}"},
                      messages)

    def test_webserver_slave_sees_all_slaves(self):
        master = self.master()
        first = self.slave(RpiBasicSlaveThread, master)
        web = self.slave(RpiWebserverSlaveThread, master)
        wait_for(lambda: len(web.current_slave_details or {}) == 2, 5, "both slaves are known")
        self.assertEqual(set(web.current_slave_details), {first.uuid, web.uuid})

    def test_old_slave_sends_machine_details(self):
        master = self.master()
        slave = self.slave(RpiOldSlaveThread, master)
        wait_for(lambda: [client for client in list(master.connected_clients.values())
                          if client.node_specifications == slave.details], 5, "details arrive")

    def test_slave_comes_back_when_the_master_restarts(self):
        master = RpiMaster().start()
        slave = self.slave(RpiBasicSlaveThread, master)
        wait_for(lambda: slave.actions, 5, "a heartbeat")
        master.stop()
        self.master(socket_port=master.port)
        wait_for(lambda: slave.times_connected == 2, 5, "the slave is back")

    def test_older_masters(self):
        with PlainPeer(self.master(knows="info").port) as peer:
            self.assertEqual(peer.ask("uuid"), {"type": "bad_message", "payload": "unknown"})
            self.assertEqual(peer.ask("computer_details")["type"], "master_info")
        with PlainPeer(self.master(knows="nothing").port) as peer:
            peer.send(frame("info", "uuid"))
            self.assertIsNone(peer.receive_bytes(0.3))

    def test_as_programs(self):
        port = free_port()
        program = [sys.executable, seed_peers.__file__]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
        master = subprocess.Popen([*program, "master", "--port", str(port)], **quiet)
        self.addCleanup(master.wait)
        self.addCleanup(master.terminate)
        wait_for(lambda: is_listening(port), 5, "the master listens")
        slave = subprocess.Popen([*program, "slave", "--port", str(port), "--heartbeat", "0.1"],
                                 **quiet)
        self.addCleanup(slave.wait)
        self.addCleanup(slave.terminate)
        with PlainPeer(port) as peer:
            wait_for(lambda: len(peer.ask("slave_details")["payload"]) == 2, 5, "it has joined")
