"""A cluster in containers, of what etc/Dockerfile makes. Full runs alone: it takes minutes."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import containers
import foreign
from cluster import ROOT, SystemTest, free_port, is_listening, tell, time_limit, wait_for
from ledger import full_only

MIB = 1024 * 1024


def children(pid: int) -> dict:
    """pid -> state of the child processes of one."""
    found = {}
    for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
        status = pathlib.Path(f"/proc/{word}/stat").read_text("ascii")
        found[int(word)] = status.rpartition(")")[2].split()[0]
    return found


@full_only
@unittest.skipIf(containers.missing(), containers.missing())
class Containers(SystemTest):
    def setUp(self):
        super().setUp()
        self.engine = containers.Engine(self.cluster.folder)
        self.addCleanup(self.engine.close)
        self.engine.make_base()

    def command(self, *words, check: bool = True):
        """The command, in the master's container."""
        return self.engine.podman("exec", "master", "/usr/bin/rpicluster", *words, check=check)

    def nodes(self) -> dict:
        told = self.command("-o", "json", "nodes", check=False)
        if told.returncode != 0:
            return {}
        return {node["name"]: node for node in json.loads(told.stdout)["nodes"]}

    def online(self, *names: str) -> dict:
        def found():
            nodes = self.nodes()
            states = [nodes.get(name, {}).get("state") for name in names]
            return nodes if set(states) == {"online"} else None
        return wait_for(found, 60, f"online: {names}")

    def healthy(self, name: str) -> bool:
        return self.engine.podman("healthcheck", "run", name, check=False).returncode == 0

    def start(self, name: str, image: str, *options, role: str = "worker") -> None:
        key = self.cluster.folder / "join-key"
        key.chmod(0o644)
        self.engine.run(name, image, "--name", name, options=(
            "--env", f"RPICLUSTER_SLAVE_MASTER_IP=127.0.0.1:{self.port}",
            "--env", "RPICLUSTER_SLAVE_KEY_FILE=/run/join-key",
            "--env", f"RPICLUSTER_SLAVE_ROLE={role}",
            "--volume", f"{key}:/run/join-key:ro", *options))

    def stop(self, name: str) -> float:
        """By the signal that `docker stop` sends; how long it took."""
        init = self.engine.pid(name)
        began = time.monotonic()
        os.kill(init, signal.SIGTERM)
        wait_for(lambda: not pathlib.Path(f"/proc/{init}").exists(), 10, f"{name} has ended")
        took = time.monotonic() - began
        wait_for(lambda: self.engine.inspect("container", name)["State"]["Status"] == "exited", 20,
                 "podman knows it")
        self.assertEqual(self.engine.inspect("container", name)["State"]["ExitCode"], 0)
        return took

    def start_master(self, image: str) -> None:
        self.port = free_port()
        self.engine.run("master", image, "--bind", "127.0.0.1", "--port", str(self.port))
        wait_for(lambda: self.healthy("master"), 30, "the master is healthy")
        key = json.loads(self.command("-o", "json", "token").stdout)["join_key"]
        self.cluster.write_key(self.cluster.folder / "join-key", key)

    @time_limit(900)
    def test_a_cluster(self):
        engine = self.engine
        context = engine.context("native", containers.static_programs())
        images = {target: engine.build(target, context) for target in ("master", "slave", "worker")}
        sizes = {target: engine.inspect("image", tag)["Size"] for target, tag in images.items()}
        tell(image_bytes=sizes)
        self.assertLess(sizes["slave"], 20 * MIB)
        self.start_master(images["master"])

        # What the container may use is what the node has.
        self.start("worker", images["worker"], "--cpus", "0.5", "--memory", "200m")
        web_port = free_port()
        self.start("web", images["slave"], "--env",
                   f"RPICLUSTER_WEBSERVER_WEBSERVER_PORT={web_port}", role="webserver")
        node = self.online("worker", "web")["worker"]
        self.assertEqual((node["ram_bytes"], node["cpu_cores"]), (200 * MIB, 1))
        wait_for(lambda: self.healthy("worker") and self.healthy("web"), 20, "both are healthy")
        self.assertTrue(is_listening(web_port))
        told = self.command("run", "--where", "name==worker", "--", "sh", "-c",
                            "id -u; touch /x 2>/dev/null || echo read-only").stdout
        self.assertEqual(told, "12345\nread-only\n")

        # The first process is a good init: orphans are collected, and the runner once it has ended.
        init = engine.pid("worker")
        engine.podman("exec", "worker", "sh", "-c", "(sleep 0.1 &)")
        # Without a task, and with its slave there, the runner ends after a minute.
        wait_for(lambda: len(children(init)) == 1, 150, "the slave alone is left")
        self.assertNotIn("Z", children(init).values())

        # In an image of nothing but the slave, tasks bring what they need.
        self.start("bare", images["slave"])
        self.online("bare")
        admin = json.loads(self.command("-o", "json", "token", "create", "--role", "admin").stdout)
        key = self.cluster.write_key(self.cluster.folder / "admin-key", admin["token"])
        render = self.cluster.bin / "rpicluster-render"
        self.cluster.cli_ok("--master", f"127.0.0.1:{self.port}", "--key-file", key, "run",
                            "--where", "name==bare", "--in", render, "--", "./rpicluster-render",
                            "0", "4", "32", "24", "1", "x.ppm", timeout=60)

        # Its state is in its volume: another container with that is the same node.
        took = {"worker": self.stop("worker")}
        engine.podman("rm", "worker")
        self.start("worker", images["worker"])
        self.assertEqual(self.online("worker")["worker"]["id"], node["id"])

        took["master"] = self.stop("master")
        wait_for(lambda: not self.healthy("worker"), 20, "without a master it is not healthy")
        took["web"] = self.stop("web")
        tell(stop_seconds=took)
        self.assertLess(max(took.values()), 2)

    @time_limit(900)
    def test_images_for_arm(self):
        """Of programs that were built for it; no process of another architecture takes part but
        those programs, which an emulator starts."""
        platforms = {"armel": "linux/arm/v6", "armhf": "linux/arm/v7", "arm64": "linux/arm64"}
        here = {arch: platform for arch, platform in platforms.items()
                if (foreign.static_programs_of(arch) / "rpicluster").exists()}
        if not here:
            self.skipTest("not built; scripts/cross --static arm64 armhf armel does that")
        sizes = {}
        for arch, platform in here.items():
            programs = foreign.static_programs_of(arch)
            context = self.engine.context(arch, programs)
            for target in ("master", "slave"):
                tag = self.engine.build(target, context, platform)
                image = self.engine.inspect("image", tag)
                self.assertEqual(image["Architecture"], arch if arch == "arm64" else "arm")
                sizes.setdefault(platform, {})[target] = image["Size"]
            for program in containers.PROGRAMS:
                told = subprocess.run([*foreign.emulator(arch), programs / program, "--version"],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(told.returncode, 0, told)
        tell(arm_image_bytes=sizes)


class Compose(unittest.TestCase):
    @unittest.skipUnless(shutil.which("docker-compose"), "no docker-compose")
    def test_the_oldest_program_that_is_around_reads_the_file(self):
        """That of Debian 12, version 1.29. Newer ones take what it takes."""
        told = subprocess.run(["docker-compose", "-f", ROOT / "etc" / "compose.yml", "config"],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertEqual(told.stderr, "")
        for service in ("master", "worker", "web"):
            self.assertIn(f"\n  {service}:\n", told.stdout)
        # Each of the three runs as the containers above do.
        for line in ("    read_only: true\n", "    cap_drop:\n    - ALL\n",
                     "    - no-new-privileges:true\n", "    - /tmp:mode=1777\n"):
            self.assertEqual(told.stdout.count(line), 3, line)
