"""Configuration: the seeds' file as it is, precedence, and clear words about mistakes."""

from __future__ import annotations

import os
import pathlib
import re
import socket

from cluster import SystemTest, free_port, is_listening, wait_for

# As in the tutorials: [master] and [slave] of the ConfigParser calls, [webserver] of the page.
SEEDS_FILE = """[master]
socket_port = {port}
socket_bind_ip = 127.0.0.1

[slave]
socket_port = {port}
master_ip = 127.0.0.1

[webserver]
webserver_host = 127.0.0.1
webserver_port = {web_port}
"""


class Config(SystemTest):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.web_port = free_port()

    def write(self, text: str, newline: str = "\n", encoding: str = "utf-8") -> pathlib.Path:
        path = self.cluster.folder / "rpicluster.cfg"
        with open(path, "w", newline=newline, encoding=encoding) as file:
            file.write(text)
        return path

    def start_master(self, *args, env: dict | None = None):
        """With only these settings, so without the address that the fixture would give."""
        return self.cluster.start("rpicluster-master", "--state-dir", self.cluster.master_state,
                                  *args, name="master", env=env)

    def wait_listening(self, port: int, program) -> None:
        wait_for(lambda: is_listening(port) or not program.alive(), 10, f"port {port} is open")
        self.assertTrue(program.alive(), program.log())

    def fails_to_start(self, *args, program: str = "rpicluster-master",
                       env: dict | None = None) -> str:
        """The one line that it prints."""
        result = self.cluster.run(program, "--state-dir", self.cluster.folder / "state", *args,
                                  env=env)
        self.assertEqual(result.returncode, 78, (args, result.stderr))
        self.assertEqual(result.stdout, "")
        self.assert_one_line(result.stderr)
        return result.stderr

    def warnings(self, program) -> list:
        return [line for line in program.log_lines("warn") if "key" not in line.lower()]


class SeedsFile(Config):
    def test_master_slave_and_webserver_from_one_file(self):
        config = self.write(SEEDS_FILE.format(port=self.port, web_port=self.web_port))
        master = self.start_master("--config", config)
        self.wait_listening(self.port, master)
        self.cluster.port = self.port
        key = self.cluster.join_key_file()
        common = ["--config", config, "--key-file", key]
        slave = self.cluster.start("rpicluster-slave", *common, "--name", "pi1", "--state-dir",
                                   self.cluster.slave_state("pi1"))
        web = self.cluster.start("rpicluster-slave", *common, "--name", "web", "--state-dir",
                                 self.cluster.slave_state("web"), "--role", "webserver")
        self.wait_listening(self.web_port, web)
        self.cluster.wait_online("pi1", "web")
        for program in (master, slave, web):
            self.assertEqual(program.log_lines("unknown"), [], program.log())

    def test_every_way_to_write_it(self):
        plain = SEEDS_FILE.format(port="{port}", web_port=self.web_port)
        colons = plain.replace(" = ", ": ")
        comments = "; at the top\n# too\n\n" + plain.replace("\n\n", "\n# a comment\n  \n; more\n")
        tight = plain.replace(" = ", "=")
        ways = [("colons", colons, "\n", "utf-8"), ("comments", comments, "\n", "utf-8"),
                ("no spaces", tight, "\n", "utf-8"), ("CRLF", plain, "\r\n", "utf-8"),
                ("BOM", plain, "\n", "utf-8-sig"),
                ("all at once", comments.replace(" = ", " : "), "\r\n", "utf-8-sig"),
                ("no last newline", plain.rstrip("\n"), "\n", "utf-8")]
        for what, text, newline, encoding in ways:
            with self.subTest(what):
                port = free_port()
                config = self.write(text.replace("{port}", str(port)), newline, encoding)
                master = self.start_master("--config", config)
                self.wait_listening(port, master)
                self.assertEqual(master.log_lines("unknown"), [])
                self.assertEqual(master.stop(), 0)

    def test_empty_bind_ip_means_every_address(self):
        config = self.write(f"[master]\nsocket_port = {self.port}\nsocket_bind_ip =\n")
        self.wait_listening(self.port, self.start_master("--config", config))
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        with socket.create_connection(("127.0.0.55", self.port)):
            pass

    def test_sample_file_of_the_project_loads(self):
        sample = pathlib.Path(__file__).resolve().parents[2] / "etc" / "rpicluster.cfg"
        master = self.start_master("--config", sample, "--port", self.port)
        self.wait_listening(self.port, master)
        # Its port is open before it has taken over the signals; with this file it has.
        address = self.cluster.master_state / "master" / "address"
        wait_for(address.exists, 10, "the master serves")
        self.assertEqual(master.log_lines("unknown"), [])

    def test_settings_of_the_containers_are_known(self):
        """An environment variable with a mistake in its name would be ignored without a word."""
        root = pathlib.Path(__file__).resolve().parents[2]
        compose = (root / "etc" / "compose.yml").read_text(encoding="ascii")
        sample = (root / "etc" / "rpicluster.cfg").read_text(encoding="utf-8")
        known, section = set(), ""
        for line in sample.splitlines():
            section = line.strip("[]") if line.startswith("[") else section
            if key := re.match(r"#?([a-z_]+) =", line):
                known.add(f"RPICLUSTER_{section}_{key[1]}".upper())
        used = re.findall(r"^ +(RPICLUSTER_\w+):", compose, re.MULTILINE)
        self.assertTrue(used)
        self.assertLessEqual(set(used), known)
        stages = re.findall(r"^FROM .* AS (\w+)$", (root / "etc" / "Dockerfile").read_text("ascii"),
                            re.MULTILINE)
        self.assertLessEqual(set(re.findall(r"target: (\w+)", compose)), set(stages))


class Precedence(Config):
    def test_flag_beats_environment_beats_file(self):
        in_file, in_environment, in_flag = free_port(), free_port(), free_port()
        config = self.write(f"[master]\nsocket_port = {in_file}\nsocket_bind_ip = 127.0.0.1\n")
        env = {"RPICLUSTER_MASTER_SOCKET_PORT": str(in_environment)}
        ways = [(in_file, [], None), (in_environment, [], env),
                (in_flag, ["--port", in_flag], env)]
        for port, args, environment in ways:
            master = self.start_master("--config", config, *args, env=environment)
            self.wait_listening(port, master)
            for other in (in_file, in_environment, in_flag):
                self.assertEqual(is_listening(other), other == port)
            self.assertEqual(master.stop(), 0)

    def test_last_of_a_repeated_flag_wins(self):
        master = self.start_master("--port", free_port(), "--port", self.port,
                                   "--bind", "127.0.0.1")
        self.wait_listening(self.port, master)

    def test_bad_value_in_the_environment(self):
        env = {"RPICLUSTER_MASTER_SOCKET_PORT": "banana"}
        self.assertIn("banana", self.fails_to_start(env=env))


class Mistakes(Config):
    def test_unknown_key_is_a_warning_with_the_nearest(self):
        config = self.write(f"[master]\nsoket_port = 1\nsocket_port = {self.port}\n"
                            "socket_bind_ip = 127.0.0.1\n")
        master = self.start_master("--config", config)
        self.wait_listening(self.port, master)
        line = self.wait_log(master, "soket_port")
        self.assertIn("socket_port", line.replace("soket_port", ""))
        self.assertIn("warn", line.lower())

    def test_bad_values(self):
        for text, words in (("socket_port = banana", ("socket_port", "banana")),
                            ("socket_port = 70000", ("socket_port", "70000")),
                            ("socket_port = -1", ("socket_port", "-1"))):
            line = self.fails_to_start("--config", self.write(f"[master]\n{text}\n"))
            for word in words:
                self.assertIn(word, line)
            self.assertIn("rpicluster.cfg", line)
        line = self.fails_to_start("--config", self.write("[master]\nsocket_bind_ip = 1.2.3\n"))
        self.assertIn("1.2.3", line)
        self.assertIn("bind", line)

    def test_file_that_is_no_configuration(self):
        line = self.fails_to_start("--config", self.write("[master\nnonsense\n"))
        self.assertIn("rpicluster.cfg", line)
        self.assertIn("/nonexistent.cfg", self.fails_to_start("--config", "/nonexistent.cfg"))
        self.fails_to_start("--config", self.cluster.folder)
        self.fails_to_start("--config", "/dev/zero")

    def test_bad_flags(self):
        for program, args, words in (
                ("rpicluster-master", ("--port", "banana"), ("port", "banana")),
                ("rpicluster-master", ("--port", "70000"), ("port", "70000")),
                ("rpicluster-master", ("--bind", "not an address"), ("bind",)),
                ("rpicluster-master", ("--log-level", "loud"), ("log-level", "loud")),
                ("rpicluster-slave", ("--role", "king"), ("role", "king")),
                ("rpicluster-slave", ("--heartbeat", "soon"), ("heartbeat", "soon")),
                ("rpicluster-slave", ("--heartbeat", "0"), ("heartbeat",)),
                ("rpicluster-slave", ("--heartbeat", "1h"), ("heartbeat",)),
                ("rpicluster-slave", ("--memory", "lots"), ("memory", "lots")),
                ("rpicluster-slave", ("--master", "host:banana"), ("banana",)),
                ("rpicluster-slave", ("--label", "novalue"), ("label", "novalue"))):
            line = self.fails_to_start(*args, program=program)
            for word in words:
                self.assertIn(word, line, args)

    def test_unknown_flag(self):
        for program in ("rpicluster-master", "rpicluster-slave"):
            result = self.cluster.run(program, "--frobnicate")
            self.assertIn(result.returncode, (1, 2, 78))
            self.assertIn("--frobnicate", result.stderr)

    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            state = self.cluster.folder / "state"
            result = self.cluster.run("rpicluster-master", "--state-dir", state, "--bind",
                                      "127.0.0.1", "--port", port)
            self.assertIn(result.returncode, (1, 78))
            self.assert_one_line(self.errors(result.stderr), str(port))
            self.cluster.start_master()
            result = self.cluster.run("rpicluster-slave", "--state-dir", state, "--master",
                                      f"127.0.0.1:{self.cluster.port}", "--key-file",
                                      self.cluster.join_key_file(), "--role", "webserver",
                                      "--web-bind", "127.0.0.1", "--web-port", port)
            self.assertIn(result.returncode, (1, 78))
            self.assert_one_line(self.errors(result.stderr), str(port))

    @staticmethod
    def errors(log: str) -> str:
        """Without the lines that say how far it came."""
        return "\n".join(line for line in log.splitlines() if "info" not in line.lower())

    def test_port_taken_by_another_master_names_the_owner(self):
        first = self.cluster.start_master()
        result = self.cluster.run("rpicluster-master", "--state-dir", self.cluster.folder / "other",
                                  "--bind", "127.0.0.1", "--port", self.cluster.port)
        self.assertIn(result.returncode, (1, 78))
        self.assert_one_line(self.errors(result.stderr), str(self.cluster.port), str(first.pid))

    def test_state_dir_that_cannot_be_written(self):
        # Below a regular file: not even root can make a folder there.
        blocker = self.cluster.folder / "a-file"
        blocker.touch()
        for program, args in (("rpicluster-master", ()),
                              ("rpicluster-slave", ("--master", "127.0.0.1:1"))):
            for state in (blocker / "state", blocker, pathlib.Path("/proc/rpicluster")):
                result = self.cluster.run(program, *args, "--state-dir", state)
                self.assertEqual(result.returncode, 78, result.stderr)
                self.assert_one_line(result.stderr, str(state))


class Ensure(Config):
    def one_in_the_background(self, program: str) -> int:
        pids = self.cluster.background(program)
        self.assertEqual(len(pids), 1, pids)
        self.cluster.adopt(pids[0])
        return pids[0]

    def run_silently(self, program: str, *args) -> None:
        result = self.cluster.run(program, *args, "--ensure")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_master_and_slave(self):
        self.cluster.port = self.port
        log = self.cluster.logs / "ensured.log"
        master = ("--state-dir", self.cluster.master_state, "--bind", "127.0.0.1", "--port",
                  self.port, "--log-file", log)
        self.run_silently("rpicluster-master", *master)
        self.assertTrue(is_listening(self.port), "it said that it runs")
        pid = self.one_in_the_background("rpicluster-master")
        self.assertTrue(log.read_text())
        self.run_silently("rpicluster-master", *master)
        self.assertEqual(self.one_in_the_background("rpicluster-master"), pid)

        slave = ("--state-dir", self.cluster.slave_state("pi1"), "--name", "pi1", "--master",
                 f"127.0.0.1:{self.port}", "--key-file", self.cluster.join_key_file(),
                 "--log-file", self.cluster.logs / "ensured-slave.log")
        for _ in range(2):
            self.run_silently("rpicluster-slave", *slave)
            self.cluster.wait_online("pi1")
            self.one_in_the_background("rpicluster-slave")

    def test_while_one_runs_in_the_foreground(self):
        self.cluster.start_master()
        self.run_silently("rpicluster-master", "--state-dir", self.cluster.master_state, "--bind",
                          "127.0.0.1", "--port", self.cluster.port)
        self.assertEqual(self.cluster.background("rpicluster-master"), [])

    def test_failure_is_told(self):
        result = self.cluster.run("rpicluster-master", "--ensure", "--port", "banana",
                                  "--state-dir", self.cluster.master_state)
        self.assertEqual(result.returncode, 78)
        self.assertIn("banana", result.stderr)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = self.cluster.run("rpicluster-master", "--ensure", "--port", port, "--bind",
                                      "127.0.0.1", "--state-dir", self.cluster.master_state)
            self.assertIn(result.returncode, (1, 78))
        self.assertEqual(self.cluster.background("rpicluster-master"), [])

    def test_keeps_nothing_of_its_caller_open(self):
        """cron waits until the pipe of its child is closed: a daemon must not keep it."""
        self.cluster.port = self.port
        result = self.cluster.run("rpicluster-master", "--ensure", "--state-dir",
                                  self.cluster.master_state, "--bind", "127.0.0.1", "--port",
                                  self.port, timeout=10)
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = self.one_in_the_background("rpicluster-master")
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
