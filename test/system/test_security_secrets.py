"""Secrets that are used in every way that there is, then looked for where they have no business."""

from __future__ import annotations

import base64
import http.client
import json
import os
import pathlib
import resource
import signal

from cluster import SystemTest, wait_for
from test_security import keys_below

WRONG = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"  # nobody's: as secret as a right one that was mistyped


class Used(SystemTest):
    def setUp(self):
        super().setUp()
        self.debug = ("--log-level", "debug")
        self.cluster.start_master(*self.debug)
        self.join_key = self.cluster.cli_json("token")["join_key"]

    def admin_key(self) -> str:
        return (self.cluster.master_state / "master" / "admin.key").read_text().strip()

    def assert_nowhere(self, secrets: set, but: tuple = ()) -> None:
        """Not in a log, in the folder of a slave, or in what is said of a process."""
        places = {str(program.log_file): program.log_file.read_bytes()
                  for program in self.cluster.programs}
        for state in self.cluster.folder.glob("state-*"):
            places |= {str(path): path.read_bytes() for path in state.rglob("*")
                       if path.is_file() and path.name not in but}
        folder = str(self.cluster.folder).encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            ours = folder in command or self.cluster.marker.encode() in environment
            if ours and int(process.name) != os.getpid():
                places[f"{process} {command!r}"] = command + environment
        for where, text in places.items():
            for secret in secrets:
                for form in (secret, secret.replace("-", ""), secret.lower()):
                    self.assertNotIn(form.encode(), text, where)

    def test_a_token_in_every_field_of_a_request(self):
        web, port = self.cluster.start_webserver("web", *self.debug)
        self.cluster.wait_online("web")
        token = self.cluster.cli_json("token", "create", "--role", "submit")["token"]

        def ask(method: str, path: str, body: dict | None = None, **fields) -> tuple:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            self.addCleanup(connection.close)
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer, answer.read()

        secrets = {self.join_key, self.admin_key(), token, WRONG}
        for key in (token, WRONG):
            basic = base64.b64encode(f"ann:{key}".encode()).decode()
            secrets.add(basic)
            for field in (f"Bearer {key}", f"Basic {basic}", key):
                ask("GET", "/api/v1/nodes", Authorization=field)
            for path in (f"/api/v1/nodes?token={key}", f"/{key}", f"/api/v1/{key}"):
                ask("GET", path)
            ask("POST", "/api/v1/jobs", {"command": [key], "x": key})
        answer, body = ask("POST", "/api/v1/login", {"token": WRONG})
        self.assertIn(answer.status, (401, 429), body)
        answer, body = ask("POST", "/api/v1/login", {"token": token})
        self.assertEqual(answer.status, 200, body)
        cookie = answer.getheader("Set-Cookie").split(";")[0]
        csrf = json.loads(body)["csrf"]
        secrets |= {cookie.split("=")[1], csrf}
        answer, body = ask("POST", "/api/v1/jobs", {"command": ["true"]}, Cookie=cookie,
                           X_CSRF_Token=csrf)
        self.assertEqual(answer.status, 201, body)
        self.assertNotIn(token.encode(), body)
        self.assert_nowhere(secrets)
        self.assertTrue(web.alive())

    def test_keys_on_the_command_line_of_people(self):
        """What is mistyped is shown to nobody else; what is right is not, either."""
        user = self.cluster.folder / "state-user"
        token = self.cluster.cli_json("token", "create", "--role", "viewer")["token"]
        address = f"127.0.0.1:{self.cluster.port}"
        for key, code in ((WRONG, 5), (token, 0)):
            result = self.cluster.cli("login", address, state_dir=user, stdin=key + "\n")
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertNotIn(key, result.stdout + result.stderr)
        self.assertEqual(self.cluster.cli("status", state_dir=user).returncode, 0)
        self.cluster.start_slave("pi1", *self.debug, key_file=self.cluster.write_key(
            self.cluster.folder / "wrong", WRONG))
        wait_for(lambda: self.cluster.cli_json("status")["counters"]["key_refused"] > 1, 10,
                 "the slave is refused")
        self.assert_nowhere({WRONG, token, self.join_key, self.admin_key()}, but=("login",))

    def test_a_join_key_in_the_environment_stays_with_its_slave(self):
        """Who configures it so has shown it to his own user; runner and tasks see none of it."""
        slave = self.cluster.start(
            "rpicluster-slave", "--state-dir", self.cluster.slave_state("pi1"), "--name", "pi1",
            "--cpus", "2", "--master", self.cluster.master_address(), *self.debug, name="pi1",
            env={"RPICLUSTER_SLAVE_JOIN_KEY": self.join_key})
        self.cluster.wait_online("pi1")
        job = self.cluster.submit("--", "sh", "-c",
                                  "cat /proc/self/environ /proc/$PPID/environ; env; sleep 600")
        wait_for(lambda: "PWD" in self.cluster.cli_ok("logs", job), 15, "the task runs")
        secrets = {self.join_key, *keys_below(self.cluster.slave_state("pi1"))}
        self.assertEqual(len(secrets), 2, "a node has one key, and keeps no other")
        output = self.cluster.cli_bytes("logs", job).stdout
        runner = self.cluster.runner_pids()[0]
        for secret in secrets:
            self.assertNotIn(secret.encode(), output)
            self.assertNotIn(secret.encode(), slave.log_file.read_bytes())
            self.assertNotIn(secret.encode(), pathlib.Path(f"/proc/{runner}/environ").read_bytes())
        self.cluster.cli_ok("cancel", job)


class CoreFiles(SystemTest):
    def test_where_the_limit_does_not_count(self):
        """As where the kernel hands core files to a program: what is written holds no memory."""
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if pattern.startswith(("|", "/")) or os.geteuid() != 0:
            self.skipTest(f"core files do not come to where this test is ({pattern})")
        folder = self.cluster.folder / "cores"
        folder.mkdir()
        here = os.getcwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, here)
        self.cluster.start_master()
        worker = self.cluster.start_worker("pi1")
        web, _ = self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")
        secrets = keys_below(self.cluster.folder)
        self.assertGreaterEqual(len(secrets), 4)
        everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        written = 0
        for program in (web, worker, self.cluster.master):
            resource.prlimit(program.pid, resource.RLIMIT_CORE, everything)
            program.send(signal.SIGSEGV)
            self.assertEqual(program.wait(), -signal.SIGSEGV)
            self.cluster.programs.remove(program)  # this crash was asked for
            for path in folder.iterdir():
                data = path.read_bytes()
                written += 1
                for secret in secrets:
                    self.assertNotIn(secret.encode(), data, program.name)
                path.unlink()
        if written == 0:
            self.skipTest("this kernel writes no core files here")

    def test_tasks_may_have_core_files(self):
        self.cluster.start_workers("pi1")
        result = self.cluster.cli_bytes("run", "--", "cat", "/proc/self/coredump_filter")
        self.assertEqual(int(result.stdout, 16), 0x33, result)
