#!/usr/bin/env python3
"""Peers as the tutorial texts describe them, written for these tests from the texts alone.

They share no code with rpicluster: a mistake in the programs is not repeated here. Also programs:

    seed_peers.py master --port P [--knows uuid|info|nothing]
    seed_peers.py slave --port P [--kind basic|old|webserver]

The master is the one of the texts on purpose: one thread for each client, recv(512), listen(10), a
log line for each message. It is the peer of the heartbeat benchmark.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import socket
import threading
import time
import uuid

MESSAGE_SEPARATOR = "\r"
logger = logging.getLogger("seed")


class DisconnectionException(Exception):
    pass


# ------------------------------------------------------------------------------- the data packager


def create_payload(payload, payload_type="message") -> bytes:
    text = json.dumps({"type": payload_type, "payload": payload}) + MESSAGE_SEPARATOR
    return text.encode("utf-8")


def send_message(clientsocket, payload: bytes) -> None:
    try:
        clientsocket.sendall(payload)
    except OSError:
        raise DisconnectionException("Failed to send message") from None


class MessageReader:
    """Whole messages of one connection."""

    def __init__(self, clientsocket):
        self.clientsocket = clientsocket
        self.buffer = b""

    def get_message(self):
        separator = MESSAGE_SEPARATOR.encode()
        while separator not in self.buffer:
            try:
                data = self.clientsocket.recv(512)
            except OSError:
                data = b""
            if not data:
                raise DisconnectionException("Failed to receive messages, client has disconnected")
            self.buffer += data
        frame, self.buffer = self.buffer.split(separator, 1)
        return json.loads(frame.decode("utf-8"))


def get_base_machine_info() -> dict:
    """What the texts ask psutil for, from the standard library."""
    pages = os.sysconf("SC_PHYS_PAGES")
    cores = os.cpu_count() or 1
    return {
        "hostname": socket.gethostname(),
        "cpu_percent_used": min(100.0, round(100 * os.getloadavg()[0] / cores, 1)),
        "ram": pages * os.sysconf("SC_PAGE_SIZE"),
        "cpu": platform.processor(),
        "cpu_cores": cores,
    }


# -------------------------------------------------------------------------------------- the master


class RpiClusterClient(threading.Thread):
    def __init__(self, master, clientsocket, address):
        super().__init__(daemon=True)
        self.uuid = uuid.uuid4().hex
        self.master = master
        self.clientsocket = clientsocket
        self.address = address
        self.node_specifications = None

    def run(self):
        reader = MessageReader(self.clientsocket)
        try:
            while True:
                message = reader.get_message()
                if self.master.on_message:
                    self.master.on_message(self.uuid, message)
                self.handle(message)
        except DisconnectionException as e:
            logger.info("Got disconnection exception with message: %s", e)
            logger.info("Shutting down slave connection handler")
        finally:
            self.clientsocket.close()
            self.master.remove_client(self)

    def handle(self, message):
        if message["type"] == "message":
            logger.info("Received message: " + message["payload"])
        elif message["type"] in ("computer_details", "machine_details"):
            self.node_specifications = message["payload"]
            logger.info("Received Computer specifications: " + json.dumps(message["payload"]))
        elif message["type"] == "info" and self.master.knows != "nothing":
            logger.info("Slave wants to know my info about " + message["payload"])
            self.answer(message["payload"])
        else:
            logger.warning("Unknown payload type %s, payload content %s", message["type"],
                           json.dumps(message["payload"]))

    def answer(self, topic):
        if topic == "computer_details":
            reply = create_payload(get_base_machine_info(), "master_info")
        elif topic == "uuid" and self.master.knows == "uuid":
            reply = create_payload(self.uuid, "uuid")
        elif topic == "slave_details" and self.master.knows == "uuid":
            reply = create_payload(self.master.get_slave_details(), "slave_details")
        else:
            reply = create_payload("unknown", "bad_message")
        send_message(self.clientsocket, reply)


class RpiMaster:
    """knows: "uuid" as in tutorial 15, "info" as in 09 to 13 (no uuid), "nothing" as in 06."""

    def __init__(self, socket_bind_ip="127.0.0.1", socket_port=0, knows="uuid"):
        self.knows = knows
        self.on_message = None
        self.connected_clients: dict = {}
        self.listening_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening_socket.bind((socket_bind_ip, socket_port))
        self.listening_socket.listen(10)
        self.port = self.listening_socket.getsockname()[1]
        self.thread = None

    def serve(self):
        logger.info("Starting script...")
        while True:
            try:
                (clientsocket, address) = self.listening_socket.accept()
            except OSError:
                return
            logger.info("Got client at %s", address)
            rpi_client = RpiClusterClient(self, clientsocket, address)
            self.connected_clients[rpi_client.uuid] = rpi_client
            rpi_client.start()

    def start(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Goes away as a killed program does: listener and connections close."""
        self.listening_socket.shutdown(socket.SHUT_RDWR)
        self.listening_socket.close()
        self.thread.join()
        clients = list(self.connected_clients.values())
        for client in clients:
            try:
                client.clientsocket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # that one is closing by itself
        for client in clients:
            client.join()

    def remove_client(self, rpi_client):
        del self.connected_clients[rpi_client.uuid]

    def get_slave_details(self):
        return {
            client.uuid: {
                "uuid": client.uuid,
                "address": str(client.address[0]) + ":" + str(client.address[1]),
            }
            for client in list(self.connected_clients.values())
        }


# -------------------------------------------------------------------------------------- the slaves


class RpiBasicSlaveThread(threading.Thread):
    """Connects, says hello, then performs its action every few seconds; comes back when cut off."""

    def __init__(self, master_ip, socket_port, details=None, heartbeat=5.0, retry=60.0):
        super().__init__(daemon=True)
        self.server_address = (master_ip, socket_port)
        self.details = details or get_base_machine_info()
        self.heartbeat = heartbeat
        self.retry = retry
        self.sock = None
        self.reader = None
        self.uuid = None
        self.master_details = None
        self.times_connected = 0
        self.actions = 0
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.is_set():
            logger.info("Connecting to the master...")
            try:
                self.sock = socket.create_connection(self.server_address)
            except OSError:
                logger.info("Failed to connect to master, waiting and trying again")
                self.stopped.wait(self.retry)
                continue
            logger.info("Successfully connected to the master")
            self.reader = MessageReader(self.sock)
            self.times_connected += 1
            try:
                self.hello()
                while not self.stopped.is_set():
                    self.perform_action()
                    self.actions += 1
                    self.stopped.wait(self.heartbeat)
            except DisconnectionException as e:
                logger.info("Got disconnection exception with message: %s", e)
                logger.info("Slave will try and reconnect once master is back online")
            finally:
                self.sock.close()

    def ask(self, topic):
        send_message(self.sock, create_payload(topic, "info"))
        return self.reader.get_message()

    def hello(self):
        logger.info("Sending an initial hello to master")
        self.uuid = self.ask("uuid")["payload"]
        logger.info("My assigned UUID is " + self.uuid)
        send_message(self.sock, create_payload(self.details, "computer_details"))
        self.master_details = self.ask("computer_details")["payload"]
        logger.info("We have information about the master " + json.dumps(self.master_details))

    def perform_action(self):
        logger.info("Now sending a keepalive to the master")
        alive = "I am still alive, client: {num}".format(num=self.uuid)
        send_message(self.sock, create_payload(alive))

    def stop(self):
        self.stopped.set()
        if self.sock:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already
        self.join()


class RpiOldSlaveThread(RpiBasicSlaveThread):
    """Of tutorial 06: the older name of the details, and no question to the master."""

    def hello(self):
        self.uuid = "old"
        send_message(self.sock, create_payload(self.details, "machine_details"))


class RpiWebserverSlaveThread(RpiBasicSlaveThread):
    current_slave_details = None

    def perform_action(self):
        super().perform_action()
        self.master_details = self.ask("computer_details")["payload"]
        self.current_slave_details = self.ask("slave_details")["payload"]


SLAVES = {"basic": RpiBasicSlaveThread, "old": RpiOldSlaveThread,
          "webserver": RpiWebserverSlaveThread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["master", "slave"])
    parser.add_argument("--host", default="127.0.0.1", help="address to bind, or of the master")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--knows", choices=["uuid", "info", "nothing"], default="uuid")
    parser.add_argument("--kind", choices=sorted(SLAVES), default="basic")
    parser.add_argument("--heartbeat", type=float, default=5.0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if options.what == "master":
        RpiMaster(options.host, options.port, options.knows).serve()
    else:
        slave = SLAVES[options.kind](options.host, options.port, heartbeat=options.heartbeat)
        slave.start()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
