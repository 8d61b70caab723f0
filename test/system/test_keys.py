"""Keys and tokens: who gets in, who does not, and where secrets may be."""

from __future__ import annotations

import fcntl
import glob
import os
import pathlib
import pty
import re
import signal
import stat
import subprocess
import termios
import unittest

from cluster import SystemTest, free_port, holds_for, time_limit, wait_for
from relay import Relay

WRONG_KEY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
REFUSED = "key"


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_below(folder: pathlib.Path) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


class Files(SystemTest):
    def test_modes_of_keys_whatever_the_umask(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.cluster.start_master()
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        join_key = self.cluster.cli_json("token")["join_key"]
        holding = [path for path in files_below(self.cluster.master_state)
                   if join_key.encode() in path.read_bytes()]
        self.assertTrue(holding, "no file holds the join key")
        state_dirs = (self.cluster.master_state, self.cluster.slave_state("pi1"))
        for state_dir in state_dirs:
            files = files_below(state_dir)
            self.assertTrue(files)
            for path in files:
                secret = path in holding or "key" in path.name or path.suffix in (".db", ".sqlite")
                if secret:
                    self.assertEqual(mode(path), 0o600, path)
                    self.assertEqual(mode(path.parent), 0o700, path.parent)
                self.assertFalse(mode(path) & 0o022, f"{path} is writable for others")

    def test_join_key_is_strong_and_typeable(self):
        self.cluster.start_master()
        key = self.cluster.cli_json("token")["join_key"]
        self.assertRegex(key, "^[A-Za-z0-9]{5}(-[A-Za-z0-9]{5})+$")
        self.assertGreaterEqual(len(key.replace("-", "")), 20)  # 5 bits each
        self.assertEqual(self.cluster.cli_json("token")["join_key"], key)
        self.assertIn(key, self.cluster.cli_ok("token"))

    def test_secrets_stay_out_of_logs_and_command_lines(self):
        master = self.cluster.start_master("--log-level", "debug")
        slave = self.cluster.start_slave("pi1", "--log-level", "debug")
        web, _ = self.cluster.start_webserver("web", "--log-level", "debug")
        self.cluster.wait_online("pi1", "web")
        secrets = {self.cluster.cli_json("token")["join_key"],
                   self.cluster.cli_json("token", "create", "--role", "admin")["token"]}
        for folder in (self.cluster.master_state, self.cluster.slave_state("pi1"),
                       self.cluster.slave_state("web")):
            for path in files_below(folder):
                if "key" in path.name and path.stat().st_size < 4096:
                    text = path.read_text(errors="replace")
                    secrets |= set(re.findall(r"[A-Za-z0-9+/-]{20,}", text))
        self.assertGreaterEqual(len(secrets), 4, "this test does not find the keys any more")
        for program in (master, slave, web):
            command = pathlib.Path(f"/proc/{program.pid}/cmdline").read_bytes().decode()
            environment = pathlib.Path(f"/proc/{program.pid}/environ").read_bytes().decode()
            for secret in secrets:
                for place in (program.log(), command, environment):
                    self.assertNotIn(secret, place)
                    self.assertNotIn(secret.replace("-", ""), place)


class WrongKeys(SystemTest):
    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master()
        self.wrong = self.cluster.write_key(self.cluster.folder / "wrong-key", WRONG_KEY)

    def test_slave_with_a_wrong_join_key(self):
        slave = self.cluster.start_slave("pi1", key_file=self.wrong)
        self.wait_log(slave, REFUSED, f"127.0.0.1:{self.cluster.port}")
        self.wait_log(self.master, REFUSED, "127.0.0.1")
        holds_for(slave.alive, 2, "it does not give up")
        self.assertEqual(self.cluster.nodes(), {})

    @time_limit(120)
    def test_a_refused_key_is_tried_again_once_a_minute(self):
        relay = Relay(self.cluster.port)
        self.addCleanup(relay.stop)
        self.cluster.start_slave("pi1", key_file=self.wrong, master=f"127.0.0.1:{relay.port}")
        wait_for(lambda: relay.connections == 1, 10, "the first try")
        holds_for(lambda: relay.connections == 1, 25, "no second try so early")
        wait_for(lambda: relay.connections == 2, 60, "the second try")

    def test_slave_without_any_key(self):
        result = self.cluster.run("rpicluster-slave", "--state-dir", self.cluster.slave_state("x"),
                                  "--master", f"127.0.0.1:{self.cluster.port}")
        self.assertEqual(result.returncode, 78)
        self.assert_one_line(result.stderr, "key")

    def test_key_file_that_is_not_there(self):
        result = self.cluster.run("rpicluster-slave", "--state-dir", self.cluster.slave_state("x"),
                                  "--master", "127.0.0.1:1", "--key-file", "/nonexistent/key")
        self.assertEqual(result.returncode, 78)
        self.assert_one_line(result.stderr, "/nonexistent/key")

    def test_cli_with_a_wrong_key(self):
        result = self.cluster.cli("--master", f"127.0.0.1:{self.cluster.port}",
                                  "--key-file", self.wrong, "nodes")
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assert_one_line(result.stderr, "key")

    def test_cli_with_nobody_listening(self):
        port = free_port()
        result = self.cluster.cli("--master", f"127.0.0.1:{port}", "nodes", timeout=15)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assert_one_line(result.stderr, str(port))

    def test_join_key_is_no_key_for_people(self):
        result = self.cluster.cli("--master", f"127.0.0.1:{self.cluster.port}",
                                  "--key-file", self.cluster.join_key_file(), "nodes")
        self.assertIn(result.returncode, (1, 5), result.stderr)
        self.assertEqual(result.stdout, "")

    def test_rotated_join_key(self):
        self.cluster.start_slave("old")
        before = self.cluster.wait_online("old")["old"]
        old_key = self.cluster.cli_json("token")["join_key"]
        new_key = self.cluster.cli_json("token", "--rotate")["join_key"]
        self.assertNotEqual(new_key, old_key)
        self.assertEqual(self.cluster.cli_json("token")["join_key"], new_key)
        late = self.cluster.start_slave("late")  # its key file still holds the old one
        self.wait_log(late, REFUSED)
        self.assertEqual(list(self.cluster.nodes()), ["old"])
        fresh = self.cluster.write_key(self.cluster.folder / "new-key", new_key)
        self.cluster.start_slave("fresh", key_file=fresh)
        self.cluster.wait_online("old", "fresh")
        # The old node comes back with its own key, also after a restart of the master.
        self.master.stop()
        self.cluster.restart_master()
        self.assertEqual(self.cluster.wait_online("old", timeout=15)["old"]["id"], before["id"])
        self.assertEqual(self.cluster.cli_json("token")["join_key"], new_key)


class Removal(SystemTest):
    def setUp(self):
        super().setUp()
        self.master = self.cluster.start_master()

    def test_removed_node_stays_away_until_it_rejoins(self):
        slave = self.cluster.start_slave("pi1")
        self.cluster.start_slave("pi2")
        self.cluster.wait_online("pi1", "pi2")
        self.wait_log(slave, "joined")  # and has a key of its own
        self.cluster.cli_ok("remove", "pi1")
        self.assertNotEqual(self.cluster.state_of("pi1"), "online")
        self.wait_log(slave, "removed")
        self.assertNotIn(self.cluster.state_of("pi1"), ("online", "suspect"))
        # Neither by itself nor with a restart, although its flags still name the join key.
        slave.stop()
        again = self.cluster.start_slave("pi1")
        self.wait_log(again, REFUSED)
        self.assertNotIn(self.cluster.state_of("pi1"), ("online", "suspect"))
        again.stop()
        self.cluster.start_slave("pi1", "--rejoin")
        self.cluster.wait_online("pi1", "pi2")

    def test_remove_by_id_and_of_a_lost_node(self):
        slave = self.cluster.start_slave("pi1")
        node = self.cluster.wait_online("pi1")["pi1"]
        slave.kill()
        self.cluster.wait_state("pi1", "suspect")
        self.cluster.cli_ok("remove", node["id"])
        self.assertIn(self.cluster.state_of("pi1"), (None, "removed"))
        self.master.stop()
        self.cluster.restart_master()
        self.assertIn(self.cluster.state_of("pi1"), (None, "removed"))

    def test_remove_of_an_unknown_node(self):
        result = self.cluster.cli("remove", "nobody")
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, "nobody")

    def test_rejoin_flag_is_harmless_later(self):
        """A unit file that keeps --rejoin must not make a new node with every start."""
        slave = self.cluster.start_slave("pi1", "--rejoin")
        self.cluster.wait_online("pi1")
        slave.stop()
        self.cluster.start_slave("pi1", "--rejoin")
        self.cluster.wait_online("pi1")
        self.assertEqual(list(self.cluster.nodes()), ["pi1"])


class Tokens(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()

    def token(self, role: str, *args) -> str:
        return self.cluster.cli_json("token", "create", "--role", role, *args)["token"]

    def as_user(self, token: str, *args):
        key = self.cluster.write_key(self.cluster.folder / "user-key", token)
        return self.cluster.cli("--master", f"127.0.0.1:{self.cluster.port}", "--key-file", key,
                                *args, state_dir=self.cluster.folder / "user-state")

    def test_create_list_revoke(self):
        token = self.token("viewer", "--name", "tablet")
        self.assertEqual(self.as_user(token, "nodes").returncode, 0)
        listed = self.cluster.cli_json("token", "list")
        entry = [entry for entry in listed["tokens"] if entry["name"] == "tablet"][0]
        self.assertEqual(entry["role"], "viewer")
        self.assertNotIn(token, str(listed))
        self.cluster.cli_ok("token", "revoke", "tablet")
        self.assertEqual(self.as_user(token, "nodes").returncode, 5)
        self.assertNotIn("tablet", str(self.cluster.cli_json("token", "list")))
        self.assertEqual(self.cluster.cli("token", "revoke", "tablet").returncode, 3)

    def test_token_that_expires(self):
        token = self.token("viewer", "--ttl", "3s")
        self.assertEqual(self.as_user(token, "nodes").returncode, 0)
        wait_for(lambda: self.as_user(token, "nodes").returncode == 5, 10, "the token has expired")

    def test_tokens_survive_a_master_restart(self):
        token = self.token("viewer", "--name", "tablet")
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.assertEqual(self.as_user(token, "nodes").returncode, 0)

    def test_unknown_role_is_a_usage_error(self):
        self.assertEqual(self.cluster.cli("token", "create", "--role", "king").returncode, 2)
        self.assertEqual(self.cluster.cli("token", "create").returncode, 2)

    def test_roles(self):
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        forbidden = [("remove", "pi1"), ("token",), ("token", "--rotate"), ("token", "list"),
                     ("token", "create", "--role", "admin"), ("token", "revoke", "x")]
        for role in ("viewer", "submit"):
            token = self.token(role)
            for verb in ("nodes", "status"):
                self.assertEqual(self.as_user(token, verb).returncode, 0, (role, verb))
            for command in forbidden:
                result = self.as_user(token, *command)
                self.assertIn(result.returncode, (1, 5), (role, command))
                self.assertEqual(result.stdout, "")
                self.assert_one_line(result.stderr, role)
        self.assertEqual(self.cluster.state_of("pi1"), "online")
        self.assertEqual(self.as_user(self.token("admin"), "remove", "pi1").returncode, 0)

    def test_login(self):
        self.cluster.start_slave("pi1")
        self.cluster.wait_online("pi1")
        user = self.cluster.folder / "user-state"
        address = f"127.0.0.1:{self.cluster.port}"
        token = self.token("viewer")
        result = self.cluster.cli("login", address, state_dir=user, stdin=token + "\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn(token, result.stdout + result.stderr)
        self.assertIn("pi1", self.cluster.cli_ok("nodes", state_dir=user))
        result = self.cluster.cli("remove", "pi1", state_dir=user)
        self.assertIn(result.returncode, (1, 5))
        self.assert_one_line(result.stderr, "viewer")
        for path in files_below(user):
            self.assertEqual(mode(path), 0o600, path)
            self.assertEqual(mode(path.parent), 0o700, path.parent)

    def test_login_in_the_default_state_dir(self):
        if os.geteuid() == 0:
            raise unittest.SkipTest("root's own state dir is the machine's: not to be touched")
        token = self.token("viewer")
        address = f"127.0.0.1:{self.cluster.port}"
        result = self.cluster.run("rpicluster", "login", address, stdin=token)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(files_below(self.cluster.folder / ".local" / "state" / "rpicluster"))
        self.assertEqual(self.cluster.run("rpicluster", "nodes").returncode, 0)

    def test_ctrl_c_at_the_token_leaves_the_terminal_as_it_was(self):
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        self.addCleanup(os.close, terminal)
        before = termios.tcgetattr(terminal)
        command = [str(self.cluster.bin / "rpicluster"), "login", "127.0.0.1"]
        # The terminal is its own, so that Ctrl-C there reaches it.
        with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal,
                              env=self.cluster.environment(), start_new_session=True,
                              preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as process:
            shown = b""
            while b"Token: " not in shown:
                shown += os.read(controller, 4096)
            self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
            os.write(controller, b"\x03")
            self.assertEqual(process.wait(10), -signal.SIGINT)
        self.assertEqual(termios.tcgetattr(terminal), before)

    def test_login_with_a_wrong_token_stores_nothing(self):
        user = self.cluster.folder / "user-state"
        address = f"127.0.0.1:{self.cluster.port}"
        result = self.cluster.cli("login", address, state_dir=user, stdin=WRONG_KEY + "\n")
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assert_one_line(result.stderr, REFUSED)
        self.assertNotEqual(self.cluster.cli("nodes", state_dir=user).returncode, 0)


class NoClock(SystemTest):
    def test_a_board_without_a_clock_joins(self):
        """At boot a Raspberry Pi may believe that it is 1970."""
        libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        if not libraries:
            raise unittest.SkipTest("libfaketime is not installed (Debian package libfaketime)")
        if self.cluster.sanitized():
            raise unittest.SkipTest("AddressSanitizer does not go with a preloaded library")
        self.cluster.start_master()
        self.cluster.join_key_file()
        # Only the wall clock is wrong: the monotonic one works on every board.
        env = {"LD_PRELOAD": libraries[0], "FAKETIME": "@1970-01-01 00:00:10",
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        slave = self.cluster.start_slave("no-clock", env=env)
        self.cluster.wait_online("no-clock")
        self.assertIn("1970", slave.log(), "the clock was not faked at all")
        self.cluster.master.stop()
        self.cluster.start_master(port=self.cluster.port, env=env)
        self.cluster.start_slave("clock")
        self.cluster.wait_online("no-clock", "clock", timeout=15)
