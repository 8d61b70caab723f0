"""A network of its own for each node: places (network namespaces) on one switch, made without a
trace outside of them. Cables can be cut in either direction, and addresses change. Needs root and
nft(8).

A place lives as long as a process in it, so nothing has to be removed after a crash of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from cluster import Cluster

PREFIX = "10.77.0."
MASTER_NAME = "chaos-master"  # found in the hosts file that the slaves see
NSENTER = "/usr/bin/nsenter"

# A name whose address changes: the slave sees another hosts file, which is written anew in place.
WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


def may_make_networks() -> bool:
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("ip", "nft", "nsenter")):
        return False
    command = ["unshare", "--net", "--mount", "sh", "-c",
               "nft add table bridge probe && ip link add name probe type bridge"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Place:
    """A network namespace, held by a process that ends when its standard input does."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        self.holder.stdin.write(b"x")
        self.holder.stdin.flush()
        self.holder.stdout.read(1)  # now it is there
        self.run("ip", "link", "set", "lo", "up")

    def inside(self, *command) -> list:
        return [NSENTER, "-t", str(self.holder.pid), "--net", *map(str, command)]

    def run(self, *command, text: str | None = None) -> str:
        done = subprocess.run(self.inside(*command), input=text, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


class Board(Place):
    """A place with a cable to the switch."""

    def __init__(self, network: Network, number: int):
        super().__init__()
        self.network = network
        self.port = f"port{number}"
        network.switch.run("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0",
                           "netns", self.holder.pid)
        network.switch.run("ip", "link", "set", self.port, "master", "switch", "up")
        self.run("ip", "link", "set", "eth0", "up")
        self.address = ""
        self.move()

    def move(self) -> None:
        """To an address that nobody had before; connections of the old one hang, as after DHCP."""
        old, self.address = self.address, self.network.next_address()
        if old:  # before the new one, which would be its second, and go with it
            self.run("ip", "addr", "del", f"{old}/24", "dev", "eth0")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")

    def cut(self, direction: str) -> None:
        """`in`: it hears nothing, `out`: it is not heard, `both`. Nobody is told."""
        self.network.cuts[self.port] = direction
        self.network.apply_cuts()

    def heal(self) -> None:
        self.network.cuts.pop(self.port, None)
        self.network.apply_cuts()

    def reset_connections(self, port: int) -> None:
        """Until stop_resets(): each packet of a connection to that port is answered by a reset."""
        rules = "".join(f"chain {hook} {{ type filter hook {hook} priority 0\n"
                        f"tcp {field} {port} reject with tcp reset\n}}\n"
                        for hook, field in (("input", "sport"), ("output", "dport")))
        self.run("nft", "-f", "-", text=f"table inet chaos {{\n{rules}}}\n")

    def stop_resets(self) -> None:
        self.run("nft", "delete", "table", "inet", "chaos")


class Network:
    """The switch, whose ports drop what a cut cable would not carry."""

    def __init__(self):
        self.switch = Place()
        self.switch.run("ip", "link", "add", "name", "switch", "type", "bridge")
        self.switch.run("ip", "link", "set", "switch", "up")
        self.boards: list = []
        self.cuts: dict = {}
        self.addresses = 0

    def next_address(self) -> str:
        self.addresses = self.addresses % 254 + 1
        return f"{PREFIX}{self.addresses}"

    def add_board(self) -> Board:
        self.boards.append(Board(self, len(self.boards)))
        return self.boards[-1]

    def apply_cuts(self) -> None:
        rules = []
        for port, direction in self.cuts.items():
            rules += [f'oifname "{port}" drop'] if direction in ("in", "both") else []
            rules += [f'iifname "{port}" drop'] if direction in ("out", "both") else []
        lines = ["table bridge chaos", "delete table bridge chaos", "table bridge chaos {",
                 "chain forward { type filter hook forward priority 0", *rules, "}", "}", ""]
        self.switch.run("nft", "-f", "-", text="\n".join(lines))

    def close(self) -> None:
        for place in [*self.boards, self.switch]:
            place.close()


class NetworkCluster(Cluster):
    """A cluster whose master and slaves are boards of one network. The master's name stays, its
    address may change. Commands run on the master's board."""

    def __init__(self):
        super().__init__()
        self.network = Network()
        self.boards: dict = {}
        self.bind = "0.0.0.0"
        self.hosts = self.folder / "hosts"
        self.tell_address()

    def board(self, name: str) -> Board:
        if name not in self.boards:
            self.boards[name] = self.network.add_board()
        return self.boards[name]

    def command(self, name: str, program: str, args: tuple) -> list:
        words = super().command(name, program, args)
        if program != "rpicluster-slave":
            return self.board("master").inside(*words)
        return self.board(name).inside("unshare", "--mount", "--propagation", "private", "sh", "-c",
                                       WITH_HOSTS, self.hosts, *words)

    def tell_address(self) -> None:
        """What a name server would say now."""
        master = self.board("master").address
        self.hosts.write_text(f"127.0.0.1 localhost\n{master} {MASTER_NAME}\n", encoding="ascii")
        self.hosts.chmod(0o644)

    def move_master(self) -> None:
        self.board("master").move()
        self.tell_address()

    def master_address(self) -> str:
        return f"{MASTER_NAME}:{self.port}"

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.network.close()
