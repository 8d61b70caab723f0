"""`run` is like ssh: exit codes, both streams, stdin, and what a task finds around it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from cluster import SystemTest, wait_for
from processes import all_processes, kill_quietly


class Run(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def run_job(self, *args, **keywords) -> subprocess.CompletedProcess:
        return self.cluster.cli("run", *args, **keywords)

    def test_output_and_code(self):
        result = self.run_job("--", "sh", "-c", "echo to out; echo to err >&2; exit 7")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertEqual(result.stdout, "to out\n")
        self.assertTrue(result.stderr.startswith("to err\n"), result.stderr)
        self.assertEqual(self.run_job("true").returncode, 0)
        self.assertEqual(self.run_job("false").returncode, 1)

    def test_highest_code_is_kept(self):
        self.assertEqual(self.run_job("--", "sh", "-c", "exit 255").returncode, 255)

    def test_signal(self):
        for name, number in (("KILL", 9), ("TERM", 15), ("SEGV", 11)):
            result = self.run_job("--", "sh", "-c", f"kill -{name} $$")
            self.assertEqual(result.returncode, 128 + number, result.stderr)
            task = self.cluster.task("last")
            self.assertEqual((task["signal"], task["exit_code"], task["state"]),
                             (number, None, "failed"))
            self.assertIn(str(number), task["reason"])

    def test_time_limit(self):
        started = time.monotonic()
        result = self.run_job("--time-limit", "1", "--", "sleep", "50")
        self.assertEqual(result.returncode, 124, result.stderr)
        self.assertLess(time.monotonic() - started, 20)
        self.assertIn("time limit", result.stderr)
        self.assertEqual(self.cluster.task("last")["exit_code"], 124)

    def test_time_limit_of_one_that_ignores_term(self):
        result = self.run_job("--time-limit", "500ms", "--", "sh", "-c",
                              "trap '' TERM; while :; do sleep 0.2; done")
        self.assertEqual(result.returncode, 124, result.stderr)

    def test_command_not_found(self):
        result = self.run_job("--", "no-such-command-anywhere", "x")
        self.assertEqual(result.returncode, 127)
        self.assert_one_line(result.stderr, "no-such-command-anywhere", "not found")
        task = self.cluster.task("last")
        self.assertEqual((task["state"], task["exit_code"]), ("failed", 127))
        self.assertEqual(self.run_job("--", "/no/such/program").returncode, 127)

    def test_what_cannot_be_executed(self):
        here = self.cluster.folder / "programs"
        here.mkdir()
        (here / "plain.txt").write_text("just text\n")
        (here / "data").write_bytes(b"\0\1\2\3 neither")
        (here / "data").chmod(0o755)
        (here / "script").write_text("#!/no/such/interpreter\n")
        (here / "script").chmod(0o755)
        # The header of a program for a machine that this one is not.
        foreign = bytearray((self.cluster.bin / "rpicluster").read_bytes()[:4096])
        foreign[18:20] = b"\x16\x00"  # s390
        (here / "foreign").write_bytes(foreign)
        (here / "foreign").chmod(0o755)
        for name, word in (("plain.txt", "chmod"), ("data", "neither"),
                           ("script", "/no/such/interpreter"), ("foreign", "s390x")):
            result = self.cluster.cli_bytes("run", "--in", name, "--", f"./{name}", cwd=here)
            self.assertEqual(result.returncode, 126, (name, result.stderr))
            self.assertIn(word, result.stderr.decode(), name)
            self.assertIn(name, result.stderr.decode())
            self.assertEqual(self.cluster.task("last")["exit_code"], 126)
        self.assertEqual(self.run_job("--", "/etc").returncode, 126)

    def test_own_errors_are_125(self):
        for args in (("run",), ("run", "--frobnicate", "--", "true"),
                     ("run", "--where", "((", "--", "true"), ("run", "--cpus", "-1", "--", "true"),
                     ("run", "--array", "9-1", "--", "true"), ("run", "--stdin", "/no/such",
                                                               "--", "true"),
                     ("run", "--in", "/no/such/file", "--", "true"),
                     ("run", "--after", "999999", "--", "true"),
                     ("exec", "-w", "nobody", "--", "true"), ("exec",), ("map", "x"),
                     ("wait",), ("wait", "999999"), ("wait", "banana")):
            result = self.cluster.cli(*args)
            self.assertEqual(result.returncode, 125, (args, result.stderr))
            self.assertEqual(result.stdout, "", args)
            self.assertTrue(result.stderr.strip(), args)
        self.cluster.master.stop()
        for args in (("run", "true"), ("exec", "true"), ("map", "x", ":::", "a"), ("wait", "1")):
            self.assertEqual(self.cluster.cli(*args).returncode, 125, args)

    def test_stdin_only_when_asked_for(self):
        self.assertEqual(self.run_job("cat", stdin="not for the task").stdout, "")
        result = self.run_job("--stdin", "--", "cat", stdin="for the task\n")
        self.assertEqual(result.stdout, "for the task\n")
        self.assertEqual(self.run_job("--stdin=-", "--", "wc", "-c", stdin="12345").stdout.strip(),
                         "5")
        path = self.cluster.folder / "an input"
        path.write_bytes(bytes(range(256)) * 4096)
        result = self.cluster.cli_bytes("run", "--stdin", path, "--", "cat")
        self.assertEqual(result.stdout, path.read_bytes())

    def test_output_is_live(self):
        process = self.cluster.started_cli("run", "--", "sh", "-c",
                                           "echo first; while [ ! -e go ]; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), b"first\n")
        self.assertIsNone(process.poll())
        job = self.cluster.job("last")
        self.assertEqual(job["state"], "running")
        self.cluster.cli_ok("cancel", job["id"])
        self.assertNotEqual(process.wait(20), 0)
        process.communicate()

    def test_binary_output_comes_through(self):
        program = "import os; os.write(1, bytes(range(256)) * 50); os.write(2, b'\\xff\\0\\n')"
        result = self.cluster.cli_bytes("run", "--", "python3", "-c", program)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, bytes(range(256)) * 50)
        self.assertEqual(result.stderr, b"\xff\0\n")
        logs = self.cluster.cli_bytes("logs", "last")
        self.assertEqual((logs.stdout, logs.stderr), (result.stdout, result.stderr))
        # JSON stays JSON.
        self.cluster.cli_json("logs", "last")

    def test_closes_stdout(self):
        result = self.run_job("--", "sh", "-c", "echo before; exec >&- 2>&-; sleep 0.3; exit 3")
        self.assertEqual((result.returncode, result.stdout), (3, "before\n"))

    def test_environment(self):
        result = self.run_job("--env", "GREETING=hello world", "--env", "EMPTY=", "--env", "HERE",
                              "--env", "WITH==", "--", "env", "-0", env={"HERE": "from outside",
                                                                         "ELSE": "stays"})
        env = dict(entry.split("=", 1) for entry in result.stdout.split("\0") if entry)
        self.assertEqual(env["GREETING"], "hello world")
        self.assertEqual(env["EMPTY"], "")
        self.assertEqual(env["WITH"], "=")
        self.assertEqual(env["HERE"], "from outside")
        self.assertNotIn("ELSE", env)
        job = self.cluster.job("last")["id"]
        self.assertEqual([env[f"RPIC_{name}"] for name in ("JOB", "TASK", "NODE", "ITEM")],
                         [job, "0", "pi1", ""])
        self.assertGreaterEqual(int(env["RPIC_ATTEMPT"]), 1)

    def test_env_cannot_lie_about_the_task(self):
        result = self.run_job("--env", "RPIC_JOB=77777", "--", "sh", "-c", "echo $RPIC_JOB")
        self.assertNotIn("77777", result.stdout)

    def test_no_secret_reaches_a_task(self):
        key = self.cluster.cli_json("token")["join_key"]
        secrets = [key]
        for path in self.cluster.slave_state("pi1").rglob("*key*"):
            secrets.append(path.read_text().strip())
        self.assertGreater(len(secrets), 1)
        result = self.run_job("--", "sh", "-c",
                              "env; cat /proc/self/environ /proc/$PPID/environ "
                              "/proc/*/cmdline 2>/dev/null; ls -l /proc/self/fd; exit 0")
        self.assertEqual(result.returncode, 0, result.stderr)
        for secret in secrets:
            self.assertNotIn(secret, result.stdout)
        self.assertNotIn("RPICLUSTER_KEY", result.stdout)
        self.assertNotIn(self.cluster.marker, result.stdout)
        self.assertNotIn("socket:", result.stdout)

    def test_a_task_cannot_read_the_daemons_keys(self):
        if os.geteuid() != 0:
            self.skipTest("tasks run as the same user here")
        paths = [path for path in self.cluster.slave_state("pi1").rglob("*key*")] + \
                [path for path in self.cluster.master_state.rglob("*key*")]
        self.assertTrue(paths)
        for path in paths:
            self.assertNotEqual(self.run_job("--", "cat", path).returncode, 0, path)
        self.assertNotEqual(self.run_job("id", "-u").stdout.strip(), "0")

    def test_private_folder_that_goes(self):
        first = self.run_job("--", "sh", "-c", "pwd; ls -A; touch here; echo $HOME").stdout.split()
        self.assertEqual(len(first), 2, first)
        self.assertEqual(first[0], first[1])
        self.assertIn(str(self.cluster.slave_state("pi1")), first[0])
        wait_for(lambda: not os.path.exists(first[0]), 5, "the folder is removed")
        self.assertNotEqual(self.run_job("pwd").stdout.strip(), first[0])

    def test_cwd(self):
        self.assertEqual(self.run_job("--cwd", "/usr", "--", "pwd").stdout, "/usr\n")
        result = self.run_job("--cwd", "/no/such/folder", "--", "pwd")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("/no/such/folder", result.stderr)

    def test_options_of_the_command_are_its_own(self):
        self.assertEqual(self.run_job("echo", "-o", "json", "--name", "x").stdout,
                         "-o json --name x\n")
        self.assertEqual(self.run_job("--", "echo", "--", "y").stdout, "-- y\n")

    def test_json_is_the_job_and_the_code_stays(self):
        result = self.cluster.cli("-o", "json", "run", "--", "sh", "-c", "echo x; exit 3")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn('"exit_code":3', result.stdout.replace(" ", ""))

    def test_ctrl_c_once_detaches(self):
        process = self.cluster.started_cli("run", "--", "sh", "-c",
                                           "echo ready; sleep 2; echo end; exit 4")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 125, errors)
        for word in (b"attach", b"cancel"):
            self.assertIn(word, errors)
        attached = self.cluster.cli("attach", "last")
        self.assertEqual((attached.returncode, attached.stdout), (4, "ready\nend\n"))

    def test_ctrl_c_twice_cancels(self):
        process = self.cluster.started_cli("run", "--", "sh", "-c", "echo ready; sleep 600")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        self.assertIn(b"attach", process.stderr.readline())
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        # The question for more output, which is still open, does not hold it up.
        self.assertLess(time.monotonic() - started, 5)
        self.cluster.wait_job("last", "cancelled")

    def test_reader_that_goes_away(self):
        process = self.cluster.started_cli("run", "--", "sh", "-c",
                                           "while :; do echo line; sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), b"line\n")
        process.stdout.close()
        errors = process.stderr.read()
        self.assertEqual(process.wait(20), 125, errors)
        process.stderr.close()
        self.assertEqual(self.cluster.job("last")["state"], "running")
        self.cluster.cli_ok("cancel", "last")
        self.cluster.wait_job("last", "cancelled")


class ClosedFolder(SystemTest):
    def test_state_below_a_closed_folder(self):
        """Nobody but root may enter the folder above: tasks run all the same."""
        if os.geteuid() != 0:
            self.skipTest("tasks run as the same user here")
        self.cluster.folder.chmod(0o700)
        self.cluster.start_workers("pi1")
        self.wait_log(self.cluster.programs[1], "cannot reach", "/tmp")
        (self.cluster.folder / "in").write_text("input\n")
        result = self.cluster.cli_bytes(
            "run", "--in", "in", "--out", "out", "--", "sh", "-c",
            "id -u; cat in; cp in out; echo ${TMPDIR:-none}; ls", cwd=self.cluster.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        user, *rest = result.stdout.decode().split()
        self.assertNotEqual(user, "0")
        self.assertEqual(rest, ["input", "none", "in", "out"])
        self.assertEqual((self.cluster.folder / "out").read_text(), "input\n")


class Trees(SystemTest):
    """Whatever a task starts ends with it."""

    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def living(self, mark: str) -> list:
        return [pid for pid, command in all_processes() if command == f"sleep {mark}"]

    def end_of(self, mark: str) -> None:
        try:
            wait_for(lambda: not self.living(mark), 20, "the whole tree is gone")
        finally:
            for pid in self.living(mark):
                kill_quietly(pid)

    def test_cancel_ends_grandchildren_in_their_own_sessions(self):
        job = self.cluster.submit("--", "sh", "-c",
                                  "setsid sh -c 'setsid sleep 60011 & sleep 60011' & sleep 60011")
        wait_for(lambda: len(self.living("60011")) == 3, 10, "the tree runs")
        self.cluster.cli_ok("cancel", job)
        self.end_of("60011")
        self.cluster.wait_job(job, "cancelled")

    def test_ignores_term(self):
        job = self.cluster.submit("--", "sh", "-c",
                                  "trap '' TERM HUP INT; sleep 60012 & while :; do sleep 1; done")
        wait_for(lambda: self.living("60012"), 10, "the tree runs")
        self.cluster.cli_ok("cancel", job)
        self.end_of("60012")
        self.cluster.wait_job(job, "cancelled")

    def test_what_is_left_behind_ends_too(self):
        result = self.cluster.cli("run", "--", "sh", "-c",
                                  "setsid sleep 60013 >/dev/null 2>&1 & echo started")
        self.assertEqual((result.returncode, result.stdout), (0, "started\n"), result.stderr)
        self.end_of("60013")

    def test_fork_bomb_within_its_limits(self):
        bomb = ("import os, time\n"
                "def fork():\n"
                "    try: return os.fork()\n"
                "    except OSError: return -1\n"
                "end = time.monotonic() + 40\n"
                "made = 0\n"
                "while made < 300:\n"
                "    child = fork()\n"
                "    if child == 0:\n"
                "        os.execvp('sleep', ['sleep', '60014'])\n"
                "    made += 1\n"
                "print('made', flush=True)\n"
                "time.sleep(600)\n")
        process = self.cluster.started_cli("run", "--", "python3", "-c", bomb)
        self.assertEqual(process.stdout.readline(), b"made\n")
        self.assertEqual(self.cluster.cli("run", "--", "echo", "works").stdout, "works\n")
        self.cluster.cli_ok("cancel", "1")
        self.end_of("60014")
        process.communicate(timeout=20)

    def test_memory_limit(self):
        result = self.cluster.cli("run", "--mem", "64M", "--", "python3", "-c",
                                  "x = bytearray(300 << 20); x[::4096] = b'1' * len(x[::4096]);"
                                  "import time; time.sleep(20)", timeout=50)
        self.assertNotEqual(result.returncode, 0)
        task = self.cluster.task("last")
        self.assertEqual(task["state"], "failed")
        self.assertIn("memory", task["reason"])
