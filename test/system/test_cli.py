"""The command line program: outputs for people and for machines, and exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time
import unittest

from cluster import ROOT, SystemTest, free_port, wait_for

ESCAPE = "\x1b"
VERSION = (ROOT / "VERSION").read_text(encoding="ascii").split()[0]


class WithoutCluster(SystemTest):
    def test_usage_errors(self):
        for args in ((), ("frobnicate",), ("nodes", "--frobnicate"), ("-o", "yaml", "nodes"),
                     ("remove",), ("login",), ("completion", "fortran"), ("--master",)):
            result = self.cluster.cli(*args)
            self.assertEqual(result.returncode, 2, (args, result.stderr))
            self.assertEqual(result.stdout, "", args)
            self.assertTrue(result.stderr.strip(), args)

    def test_an_unknown_option_is_named(self):
        for args in (("jobs", "--stat", "done"), ("wait", "--all"), ("explain", "--why", "3"),
                     ("events", "--folow"), ("cancel", "-a")):
            self.assert_one_line(self.cluster.cli(*args).stderr, "unknown option", args[1])

    def test_misspelt_verb_gets_a_hint(self):
        self.assertIn("nodes", self.cluster.cli("ndoes").stderr)

    def test_version(self):
        for args in (("version",), ("--version",)):
            self.assertIn(VERSION, self.cluster.cli_ok(*args))
        for program in ("rpicluster-master", "rpicluster-slave"):
            result = self.cluster.run(program, "--version")
            self.assertEqual(result.returncode, 0)
            self.assertIn(VERSION, result.stdout)

    def test_help(self):
        text = self.cluster.cli_ok("--help")
        for verb in ("nodes", "status", "token", "remove", "login", "doctor", "completion",
                     "submit", "run", "map", "exec", "jobs", "job", "logs", "wait", "attach",
                     "fetch", "cancel", "retry", "hold", "release", "priority", "explain", "drain",
                     "undrain", "label", "node", "events", "top", "backup", "restore", "demo"):
            self.assertIn(verb, text)
            self.assertIn(verb, self.cluster.cli_ok(verb, "--help"))
        for program, flag in (("rpicluster-master", "--plain"), ("rpicluster-slave", "--role")):
            result = self.cluster.run(program, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn(flag, result.stdout)
            self.assertEqual(result.stderr, "")

    def test_no_master_known(self):
        result = self.cluster.cli("nodes")
        self.assertIn(result.returncode, (1, 2, 4), result.stderr)
        self.assert_one_line(result.stderr, "--master")

    def test_unreachable_is_found_out_soon(self):
        self.cluster.start_master()
        self.cluster.master.stop()
        started = time.monotonic()
        for verb in ("nodes", "status", "token"):
            result = self.cluster.cli("-o", "json", verb)
            self.assertEqual(result.returncode, 4)
            self.assertEqual(result.stdout, "")
            self.assert_one_line(result.stderr, str(self.cluster.port))
        self.assertLess(time.monotonic() - started, 10)

    def test_name_that_does_not_resolve(self):
        self.cluster.start_master()
        key = self.cluster.join_key_file()
        result = self.cluster.cli("--master", "no-such-host.invalid", "--key-file", key, "nodes")
        self.assertEqual(result.returncode, 4)
        self.assert_one_line(result.stderr, "no-such-host.invalid")

    def test_completion_works_in_bash(self):
        if not shutil.which("bash"):
            raise unittest.SkipTest("no bash here")
        script = r"""
            set -eu
            source <(rpicluster completion bash)
            specification=$(complete -p rpicluster)
            function=$(sed -n 's/.*-F \([^ ]*\).*/\1/p' <<<"$specification")
            COMP_WORDS=(rpicluster "$1"); COMP_CWORD=1; COMP_LINE="rpicluster $1"
            COMP_POINT=${#COMP_LINE}; COMPREPLY=()
            "$function" rpicluster "$1" rpicluster || true
            echo "${COMPREPLY[@]}"
        """
        env = self.cluster.environment({"PATH": f"{self.cluster.bin}:{os.environ['PATH']}"})
        for typed, expected in (("no", {"node", "nodes"}), ("su", {"submit"}), ("r", {"run"}), ("st", {"status"}),
                                ("", {"nodes", "status", "token", "remove", "login", "doctor"})):
            result = subprocess.run(["bash", "--norc", "-c", script, "bash", typed], env=env,
                                    capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertLessEqual(expected, set(result.stdout.split()))


class WithCluster(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.slave = self.cluster.start_slave("pi1")
        self.cluster.start_slave("pi2")
        self.cluster.wait_online("pi1", "pi2")

    def terminal(self, *args, env: dict | None = None) -> str:
        """What the program writes when its output is a terminal."""
        controller, terminal = pty.openpty()
        command = [str(self.cluster.bin / "rpicluster"), "--state-dir",
                   str(self.cluster.master_state), *args]
        env = self.cluster.environment(dict({"TERM": "xterm-256color"}, **(env or {})))
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=terminal,
                              stderr=terminal, env=env) as process:
            os.close(terminal)
            text = b""
            while select.select([controller], [], [], 10)[0]:
                try:
                    text += os.read(controller, 4096)
                except OSError:  # the other end is closed
                    break
            os.close(controller)
        self.assertEqual(process.returncode, 0, text)
        return text.decode()

    def test_table(self):
        text = self.cluster.cli_ok("nodes")
        header, *rows = text.splitlines()
        self.assertEqual(header, header.upper())
        for column in ("NAME", "STATE"):
            self.assertIn(column, header.split())
        self.assertEqual(len(rows), 2)
        self.assertEqual(sorted(row.split()[0] for row in rows), ["pi1", "pi2"])
        self.assertTrue(all("online" in row for row in rows))
        # Columns stand below their headings, without borders.
        self.assertEqual({row.index("online") for row in rows}, {header.index("STATE")})
        self.assertNotRegex(text, "[|+─│]")

    def test_wide_shows_more(self):
        narrow, wide = self.cluster.cli_ok("nodes"), self.cluster.cli_ok("-o", "wide", "nodes")
        self.assertGreater(len(wide.splitlines()[0].split()), len(narrow.splitlines()[0].split()))
        self.assertIn("127.0.0.1:", wide)

    def test_colour_only_on_a_terminal(self):
        self.assertNotIn(ESCAPE, self.cluster.cli_ok("nodes"))
        self.assertNotIn(ESCAPE, self.cluster.cli_ok("status"))
        for verb in ("nodes", "status"):
            self.assertNotIn(ESCAPE, self.terminal(verb, env={"NO_COLOR": "1"}))
        self.assertIn(ESCAPE, self.terminal("nodes"))
        self.assertNotIn(ESCAPE, self.terminal("-o", "json", "nodes"))

    def test_json_is_one_value_with_a_version(self):
        for verb in ("nodes", "status", "token"):
            text = self.cluster.cli_ok("-o", "json", verb)
            self.assertEqual(json.loads(text)["version"], 1)
            # The option may also stand behind the verb.
            self.assertEqual(json.loads(self.cluster.cli_ok(verb, "-o", "json"))["version"], 1)
            self.assertEqual(self.cluster.cli(verb).stderr, "")

    def test_jsonl_is_one_node_a_line(self):
        nodes = [json.loads(line) for line in
                 self.cluster.cli_ok("-o", "jsonl", "nodes").splitlines()]
        self.assertEqual(sorted(node["name"] for node in nodes), ["pi1", "pi2"])

    def test_last_of_a_repeated_flag_wins(self):
        text = self.cluster.cli_ok("-o", "table", "-o", "json", "nodes")
        self.assertEqual(len(json.loads(text)["nodes"]), 2)

    def test_one_node(self):
        self.assertEqual([node["name"] for node in
                          self.cluster.cli_json("nodes", "pi2")["nodes"]], ["pi2"])
        result = self.cluster.cli("nodes", "nobody")
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stdout, "")
        self.assert_one_line(result.stderr, "nobody")

    def test_status(self):
        status = self.cluster.cli_json("status")
        self.assertEqual(status["nodes"]["online"], 2)
        self.assertIsInstance(status["jobs"], dict)
        self.assertTrue(2 ** 20 < status["rss_bytes"] < 2 ** 28)
        self.assertGreater(status["bytes_written"], 0)
        self.assertTrue(0 <= status["uptime_seconds"] < 60)
        text = self.cluster.cli_ok("status")
        self.assertIn("2", text.splitlines()[0])
        rss = self.cluster.master.rss_bytes()
        self.assertTrue(rss / 2 < status["rss_bytes"] < rss * 2)

    def test_status_when_a_node_is_gone(self):
        self.slave.kill()
        wait_for(lambda: self.cluster.cli_json("status")["nodes"].get("suspect") == 1, 5,
                 "one node is suspect")
        self.assertEqual(self.cluster.cli_json("status")["nodes"]["online"], 1)

    def test_idle_writes_nothing_to_disk(self):
        """Once the keys of the new nodes are stored, two heartbeats pass without a write."""
        last = {"bytes_written": 0, "uptime_seconds": 0.0}

        def quiet_for_12_s():
            nonlocal last
            status = self.cluster.cli_json("status")
            if status["bytes_written"] != last["bytes_written"]:
                last = status
            return status["uptime_seconds"] > last["uptime_seconds"] + 12
        wait_for(quiet_for_12_s, 16, "12 s without a byte written")
        self.assertGreater(last["bytes_written"], 0)

    def test_unwell_lists_only_the_unwell(self):
        for node in self.cluster.cli_json("nodes", "--unwell")["nodes"]:
            self.assertTrue(node["unwell"] or node["state"] != "online", node)

    def test_doctor(self):
        result = self.cluster.cli("doctor")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        key = next(self.cluster.master_state.rglob("admin*key*"))
        key.chmod(0o644)
        result = self.cluster.cli("doctor")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn(str(key), result.stdout + result.stderr)

    def test_doctor_leaves_files_of_tasks_alone(self):
        for place in ("tasks/x", "slave-worker/x", "slave-worker/runner/x"):
            folder = self.cluster.master_state / place
            folder.mkdir(parents=True)
            for name in ("y.key", "login", "store.db"):
                (folder / name).touch()
                (folder / name).chmod(0o644)
        result = self.cluster.cli("doctor")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        key = self.cluster.master_state / "slave-worker" / "node.key"
        key.touch()
        key.chmod(0o640)
        result = self.cluster.cli("doctor")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn(str(key), result.stdout + result.stderr)

    def test_doctor_names_a_lost_node(self):
        self.slave.kill()
        self.cluster.wait_state("pi1", "lost", 25)
        result = self.cluster.cli("doctor")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("pi1", result.stdout + result.stderr)

    def test_doctor_without_a_master(self):
        self.cluster.master.stop()
        result = self.cluster.cli("doctor")
        self.assertIn(result.returncode, (1, 4), result.stdout + result.stderr)
        self.assertIn(str(self.cluster.port), result.stdout + result.stderr)

    def test_reader_that_goes_away(self):
        """`rpicluster nodes | head -0` ends quietly."""
        command = [str(self.cluster.bin / "rpicluster"), "--state-dir",
                   str(self.cluster.master_state), "nodes"]
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True,
                                    env=self.cluster.environment(), timeout=20, check=False)
        finally:
            os.close(writing)
        self.assertLessEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_full_disk_below_stdout_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([str(self.cluster.bin / "rpicluster"), "--state-dir",
                                     str(self.cluster.master_state), "nodes"], stdout=full,
                                    stderr=subprocess.PIPE, text=True,
                                    env=self.cluster.environment(), timeout=20, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.strip())

    def test_stalled_master_does_not_hang_the_client_for_ever(self):
        self.cluster.master.send(signal.SIGSTOP)
        started = time.monotonic()
        result = self.cluster.cli("nodes", timeout=40)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertLess(time.monotonic() - started, 35)
        self.cluster.master.send(signal.SIGCONT)


class OtherAddress(SystemTest):
    def test_master_flag_with_and_without_port(self):
        self.cluster.start_master()
        key = self.cluster.folder / "admin-key"
        self.cluster.write_key(key, self.cluster.cli_json("token", "create", "--role",
                                                          "admin")["token"])
        elsewhere = self.cluster.folder / "elsewhere"
        address = f"127.0.0.1:{self.cluster.port}"
        wrong = f"127.0.0.1:{free_port()}"
        self.assertEqual(self.cluster.cli("--master", address, "--key-file", key, "status",
                                          state_dir=elsewhere).returncode, 0)
        # Several masters: the first that answers.
        self.assertEqual(self.cluster.cli("--master", wrong, "--master", address, "--key-file", key,
                                          "status", state_dir=elsewhere).returncode, 0)
        self.assertEqual(self.cluster.cli("--master", "127.0.0.1:banana", "--key-file", key,
                                          "status", state_dir=elsewhere).returncode, 2)
