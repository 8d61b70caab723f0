"""What docs/security.md promises: its table of refusals, and secrets that stay where they are."""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import re
import resource
import signal
import stat
import unittest

from cluster import ROOT, SystemTest, holds_for, time_limit, wait_for
from plain_peer import PlainPeer

# Line of the table, as it begins there -> the counters that tell of it, and where it is tested:
# methods of this folder, or names of test cases of test/async and test/unit.
REFUSALS = {
    "TLS without a key": (
        ("handshake_failed", "key_refused"),
        ("test_security_counters.Counters.test_handshakes",
         "test_refusals.Refusals.test_openssl_without_a_key",
         "test_refusals.Refusals.test_openssl_with_a_wrong_key",
         "test_refusals.Refusals.test_openssl_with_tls_1_2",
         "pre-shared keys: the right one connects, wrong and unknown ones fail alike")),
    "a join key used by a client": (
        ("role_refused",),
        ("test_security_counters.Counters.test_keys_for_what_they_are_not_for",
         "test_keys.WrongKeys.test_join_key_is_no_key_for_people",
         "keys work for what they are for and nothing else",
         "a node's key is for the role that it joined in",
         "the keys of nodes open nothing that clients may do")),
    "the tutorials' protocol without": (
        ("refused_plain",),
        ("test_security_counters.Counters.test_first_bytes",
         "test_bad_peers.PlainPeersAtAnEncryptedMaster.test_brace_is_closed_unanswered",)),
    "HTTP on the master's port": (
        ("refused_http",),
        ("test_security_counters.Counters.test_first_bytes",
         "test_refusals.Refusals.test_http_client_is_told_what_this_is",)),
    "anything else as the first byte": (
        ("refused_noise",),
        ("test_security_counters.Counters.test_first_bytes",
         "test_refusals.Refusals.test_garbage_is_closed_counted_and_logged_once",
         "test_bad_peers.PlainPeersAtAnEncryptedMaster.test_noise_of_any_first_byte")),
    "a connection that says nothing": (
        ("closed_unauthenticated", "accept_paused"),
        ("test_security_counters.Counters.test_silence_and_crowds",
         "test_bad_peers.BadPlainPeers.test_peer_that_only_connects",
         "test_security.Crowd.test_silent_strangers_pause_accepting_for_a_second")),
    "more than 16 unproved connections": (
        ("closed_crowded",),
        ("test_security_counters.Counters.test_silence_and_crowds",
         "test_bad_peers.BadPlainPeers.test_crowd_that_only_connects",
         "strangers: one silent connection too many of an address costs the oldest its place")),
    "a frame above 64 KiB": (
        ("broken_frames",),
        ("test_security_counters.Counters.test_broken_frames",
         "test_bad_peers.BadPlainPeers.test_frame_of_70_kib",
         "test_bad_peers.BadPlainPeers.test_first_frame_of_5_kib",
         "test_bad_peers.BadPlainPeers.test_depth_40",
         "test_bad_peers.BadPlainPeers.test_broken_json",
         "test_bad_peers.BadPlainPeers.test_invalid_utf8")),
    "an unknown message": (
        ("bad_messages",),
        ("test_security_counters.Counters.test_messages_that_are_none",
         "what a node says is checked: unknown types, wrong shapes, things it may not ask",)),
    "a peer that does not read": (
        ("closed_not_reading",),
        ("test_security_counters.Counters.test_who_does_not_read",
         "test_bad_peers.BadPlainPeers.test_peer_that_never_reads",
         "a peer that never reads is closed at the outbox's limit, with that reason")),
    "the same node key from a second board": (
        ("clones",),
        ("test_security_counters.Counters.test_a_key_on_two_boards",
         "a second board with the key of a live node becomes another node",
         "another board with the key of a node that speaks is a copied card")),
    "a request above the key's role": (
        ("role_refused",),
        ("test_security_counters.Counters.test_keys_for_what_they_are_not_for",
         "each request of each role is carried out or forbidden, as the table says",
         "test_jobs_roles.Roles.test_viewer")),
    "more than 256 clients": (
        ("clients_refused", "join_refused", "requests_failed"),
        ("test_security_counters.Counters.test_too_many_tokens",
         "there is a last client and a last token",
         "a full cluster refuses new nodes and serves the known ones")),
    "a question of discovery that": (
        ("discovery_refused",),
        ("what is no question, or proves nothing, is not answered",
         "test_discovery.NotFinding.test_a_stranger_is_not_even_heard")),
    "more than 32 of them from one address": (
        ("discovery_limited",),
        ("one address gets so many answers",)),
    # The webserver answers these itself, so the master has no counters for them.
    "more than 32 requests of browsers": (
        (),
        ("test_api.Refusals.test_many_at_once_leave_room",
         "events: only so many may watch",
         "sessions end, and never become too many")),
    "a browser that does not read": (
        (),
        ("test_api.Streams.test_who_does_not_read_is_dropped",
         "events: who does not read is dropped, the others are not")),
    "a body above 1 MiB": (
        (),
        ("test_api.Refusals.test_malformed_and_oversize_bodies", "bodies that are refused")),
}


class RefusalTable(SystemTest):
    def lines(self) -> list:
        """First cells of the tables of docs/security.md about what is refused."""
        text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
        tables = text.split("| what comes | what happens |\n|---|---|\n")[1:]
        return [line.split("|")[1].strip() for table in tables
                for line in table.split("\n\n")[0].splitlines()]

    def test_every_line_has_a_test_and_every_test_a_line(self):
        begun = dict.fromkeys(REFUSALS, 0)
        for line in self.lines():
            found = [start for start in REFUSALS if line.startswith(start)]
            self.assertEqual(len(found), 1, f"no test, or several, for the line: {line}")
            begun[found[0]] += 1
        self.assertEqual(set(begun.values()), {1}, begun)

    def test_the_tests_are_there(self):
        cases = set()
        for path in [*ROOT.glob("test/async/*.cpp"), *ROOT.glob("test/unit/*.cpp")]:
            text = re.sub(r'"\s*\n\s*"', "", path.read_text(encoding="utf-8"))
            cases |= set(re.findall(r'TEST_CASE\(\s*"([^"]+)"', text))
        for _, tests in REFUSALS.values():
            for test in tests:
                if re.fullmatch(r"test_\w+\.\w+\.\w+", test):
                    self.assertEqual(
                        unittest.defaultTestLoader.loadTestsFromName(test).countTestCases(), 1,
                        test)
                else:
                    self.assertIn(test, cases)

    def test_every_line_has_a_counter(self):
        self.cluster.start_master()
        counters = self.cluster.cli_json("status")["counters"]
        for line, (names, _) in REFUSALS.items():
            for name in names:
                self.assertIn(name, counters, line)


class Crowd(SystemTest):
    @time_limit(90)
    def test_silent_strangers_pause_accepting_for_a_second(self):
        """256 that say nothing, from many addresses: newcomers wait a second, nodes not at all."""
        self.cluster.start_master()
        self.cluster.start_slave("pi1", "--heartbeat", "500ms")
        self.cluster.wait_online("pi1")
        crowd = []
        self.addCleanup(lambda: [peer.socket.close() for peer in crowd])
        for number in range(320):
            crowd.append(PlainPeer(self.cluster.port, f"127.0.9.{number // 10 + 1}"))
        holds_for(lambda: self.cluster.state_of("pi1") == "online", 4, "the node feels nothing")
        status = self.cluster.cli_json("status")["counters"]
        self.assertGreater(status["accept_paused"], 0)
        for peer in crowd:
            self.assertEqual(peer.rest(10), b"")
        closed = self.cluster.cli_json("status")["counters"]["closed_unauthenticated"]
        self.assertGreaterEqual(closed, 300)
        self.cluster.start_slave("pi2")
        self.cluster.wait_online("pi1", "pi2")


def keys_below(folder: pathlib.Path) -> set:
    """All keys in files that may hold them."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            found |= set(re.findall(rb"\b[0-9A-Z]{5}(?:-[0-9A-Z]{5}){4}\b", path.read_bytes()))
    return {key.decode() for key in found}


class Canaries(SystemTest):
    """Secrets that are known here are looked for wherever they have no business."""

    def setUp(self):
        super().setUp()
        debug = ("--log-level", "debug")
        self.cluster.start_master(*debug)
        self.cluster.start_worker("pi1", *debug)
        self.cluster.start_webserver("web", *debug)
        self.cluster.wait_online("pi1", "web")
        self.token = self.cluster.cli_json("token", "create", "--role", "submit", "--name",
                                           "ann")["token"]
        self.join_key = self.cluster.cli_json("token")["join_key"]
        master = self.cluster.master_state / "master"
        self.admin_key = (master / "admin.key").read_text().strip()
        self.node_key = self.only_key("pi1")
        self.web_key = self.only_key("web")
        self.secrets = {self.token, self.join_key, self.admin_key, self.node_key, self.web_key}
        self.assertEqual(len(self.secrets), 5)

    def only_key(self, name: str) -> str:
        """A node has its own key on its disk, and no other."""
        wait_for(lambda: keys_below(self.cluster.slave_state(name)), 10, f"{name} has its key")
        keys = keys_below(self.cluster.slave_state(name))
        self.assertEqual(len(keys), 1, name)
        return keys.pop()

    def assert_clean(self, text: bytes, where: str) -> None:
        for secret in self.secrets:
            for form in (secret, secret.replace("-", ""), secret.lower()):
                self.assertNotIn(form.encode(), text, where)

    def all_of_them(self) -> list:
        """Processes of this cluster: programs, runners and tasks."""
        folder = str(self.cluster.folder).encode()
        found = []
        for process in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and int(process.name) != os.getpid() and (
                        folder in (process / "cmdline").read_bytes() or
                        folder in (process / "environ").read_bytes()):
                    found.append(process)
        return found

    def test_command_lines_environments_and_logs(self):
        job = self.cluster.submit("--env", "CANARY=here", "--", "sh", "-c",
                                  "tr '\\0' '\\n' < /proc/self/environ; echo; tr '\\0' ' ' < "
                                  "/proc/$PPID/cmdline; echo begun; exec sleep 600")
        wait_for(lambda: "begun" in self.cluster.cli_ok("logs", job), 15, "the task runs")
        output = self.cluster.cli_bytes("logs", job).stdout
        self.assertIn(b"CANARY=here", output)
        self.assertIn(b"rpicluster-runner", output)
        self.assert_clean(output, "what a task sees")
        seen = self.all_of_them()
        names = b" ".join((process / "cmdline").read_bytes() for process in seen)
        for program in (b"rpicluster-master", b"rpicluster-slave", b"rpicluster-runner", b"sleep"):
            self.assertIn(program, names)
        for process in seen:
            self.assert_clean((process / "cmdline").read_bytes(), str(process))
            self.assert_clean((process / "environ").read_bytes(), str(process))
        for program in self.cluster.programs:
            self.assert_clean(program.log_file.read_bytes(), f"the log of {program.name}")
        for name in ("events", "jobs", "nodes", "status"):
            self.assert_clean(self.cluster.cli_ok("-o", "json", name).encode(), name)
        self.assert_clean(self.cluster.cli_ok("-o", "json", "job", job).encode(), "job")
        self.cluster.cli_ok("cancel", job)

    def test_a_task_cannot_read_the_keys(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give tasks another user")
        places = [str(path) for path in self.cluster.folder.rglob("*")
                  if path.is_file() and ("key" in path.name or path.suffix == ".db")]
        self.assertGreaterEqual(len(places), 5)
        for place in (*places, *(f"/proc/{program.pid}/{file}" for program in self.cluster.programs
                                 for file in ("environ", "mem", "maps"))):
            result = self.cluster.cli_bytes("run", "--", "head", "-c", "100", place)
            self.assertNotEqual(result.returncode, 0, place)
            self.assertEqual(result.stdout, b"", place)

    def test_what_is_revoked_is_gone_from_the_disk(self):
        old_join_key = self.join_key
        self.cluster.cli_ok("token", "revoke", "ann")
        self.cluster.cli_ok("token", "--rotate")
        self.cluster.cli_ok("remove", "pi1")
        left = keys_below(self.cluster.master_state)
        self.assertNotIn(self.token, left)
        self.assertNotIn(old_join_key, left)
        self.assertNotIn(self.node_key, left)
        self.assertIn(self.admin_key, left)

    def test_core_files(self):
        """A program that crashes leaves no memory with keys in it behind."""
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))
        folder = self.cluster.folder / "cores"
        folder.mkdir()
        here = os.getcwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, here)
        self.cluster.master.stop()
        self.cluster.restart_master()
        slave = self.cluster.start_slave("pi2")
        self.cluster.wait_online("pi2")
        for program in (self.cluster.master, slave):
            limits = pathlib.Path(f"/proc/{program.pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 ")
            program.end_was_expected = True
            program.send(signal.SIGSEGV)
            self.assertEqual(program.wait(), -signal.SIGSEGV)
            self.cluster.programs.remove(program)  # this crash was asked for
        self.assertEqual(list(folder.iterdir()), [])


class Modes(SystemTest):
    def test_everything_that_is_made_is_private(self):
        """With the laxest umask: what the programs make is for their user alone."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        log = self.cluster.folder / "log-file"
        self.cluster.start_master("--log-file", log)
        self.cluster.start_worker("pi1")
        _, port = self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")
        source = self.cluster.folder / "in"
        source.write_text("x" * 100_000)
        user = self.cluster.folder / "user"
        token = self.cluster.cli_json("token", "create", "--role", "submit")["token"]
        self.cluster.cli_ok("login", f"127.0.0.1:{self.cluster.port}", state_dir=user, stdin=token)
        job = self.cluster.submit("--in", source, "--out", "out", "--", "sh", "-c",
                                  "cp in out; seq 100000")
        self.cluster.wait_job(job, "done")
        running = self.cluster.submit("--in", source, "--", "sleep", "600")
        wait_for(lambda: self.cluster.job(running)["state"] == "running", 10, "a task runs")
        backup = self.cluster.folder / "backup"
        self.cluster.cli_ok("backup", backup)
        roots = [self.cluster.master_state, user, log, backup]
        roots += [self.cluster.slave_state(name) for name in ("pi1", "web")]
        self.assertGreater(port, 0)
        seen = 0
        for root in roots:
            for path in [root, *root.rglob("*")]:
                self.assert_private(path)
                seen += 1
        self.assertGreater(seen, 30)
        self.cluster.cli_ok("cancel", running)

    def assert_private(self, path: pathlib.Path) -> None:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        state = self.cluster.slave_state("pi1")
        if stat.S_ISLNK(status.st_mode):
            return
        if path in (state, state / "tasks") and os.geteuid() == 0:
            self.assertEqual(mode & ~0o711, 0, f"{path} {mode:o}")  # tasks pass through
        elif state / "tasks" in path.parents and path.parent != state / "tasks":
            pass  # a task's own files: as its job says
        else:
            self.assertEqual(mode & 0o077, 0, f"{path} {mode:o}")


def faked(test: SystemTest, when: str) -> dict:
    """The environment of a program for which it is then."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        test.skipTest("libfaketime is not installed (Debian package libfaketime)")
    if test.cluster.sanitized():
        test.skipTest("AddressSanitizer does not go with a preloaded library")
    # Only the wall clock is wrong: the monotonic ones work on every board.
    return {"LD_PRELOAD": libraries[0], "FAKETIME": f"@{when}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


class Clocks(SystemTest):
    """The wall clock decides nothing."""

    @time_limit(90)
    def test_a_master_that_falls_from_2099_to_1970(self):
        late, early = faked(self, "2099-12-31 23:59:50"), faked(self, "1970-01-01 00:00:10")
        self.cluster.start_master(env=late)
        self.cluster.start_worker("early", env=early)
        self.cluster.start_worker("late", env=late)
        self.cluster.start_worker("now")
        self.cluster.wait_online("early", "late", "now")
        self.assertIn("2099", self.cluster.master.log(), "the clock was not faked at all")
        jobs = {}
        for name in ("early", "late", "now"):
            jobs[name] = self.cluster.submit("--where", f"name=={name}", "--time-limit", "1h",
                                             "--", "echo", "from", name)
            self.cluster.wait_job(jobs[name], "done")
        held = self.cluster.submit("--hold", "--", "true")
        self.cluster.master.stop()
        self.cluster.start_master(port=self.cluster.port, env=early)
        self.assertIn("1970", self.cluster.master.log())
        self.cluster.wait_online("early", "late", "now", timeout=20)
        for name, job in jobs.items():
            self.assertEqual(self.cluster.cli_ok("logs", job), f"from {name}\n")
            self.assertLess(self.cluster.task(job)["duration_seconds"], 60)
        self.cluster.cli_ok("release", held)
        self.cluster.wait_job(held, "done")
        self.cluster.master.stop()
        self.cluster.start_master(port=self.cluster.port, env=late)
        self.cluster.wait_online("early", "late", "now", timeout=20)
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 4)
