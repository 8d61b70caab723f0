"""Fixtures of the system tests: real programs in a temporary directory, on loopback.

A test derives from SystemTest and uses self.cluster:

    self.cluster.start_master()
    self.cluster.start_slave("pi1")
    self.cluster.wait_online("pi1")

Whatever was started is ended, by process id, when the test ends. A program that crashed, ended
when nobody asked, or had to be killed because it did not stop makes the test fail.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

from processes import all_processes, kill_quietly, processes_with_environment

STOP_LIMIT = 5.0  # the contract says 2 s, which test_stop.py measures; here the machine may be busy
POLL = 0.1
ROOT = pathlib.Path(__file__).resolve().parents[2]


class CliFailed(AssertionError):
    """The command line program ended with another code than 0. wait_for() tries again."""


def time_limit(seconds: float):
    """A test that may take longer than the runner's 60 s."""
    def mark(method):
        method.time_limit = seconds
        return method
    return mark


def rounds(default: int) -> int:
    """How often a test that repeats itself does so; the long run sets it."""
    return int(os.environ.get("RPIC_TEST_ROUNDS", default))


def seconds(default: float) -> float:
    """Likewise, how long a test lasts that has no rounds."""
    return float(os.environ.get("RPIC_TEST_SECONDS", default))


def tell(**figures) -> None:
    """What a test has counted or measured: printed, and a line of JSON for the long run."""
    line = json.dumps(figures)
    print(line, flush=True)
    if "RPIC_TEST_REPORT" in os.environ:
        with open(os.environ["RPIC_TEST_REPORT"], "a", encoding="ascii") as report:
            report.write(line + "\n")


def copy_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    """As onto another card: without the sockets of what runs."""
    def sockets(folder, names):
        return [name for name in names if (pathlib.Path(folder) / name).is_socket()]
    shutil.copytree(source, target, ignore=sockets)


def wait_for(predicate, timeout: float, what: str):
    """Polls until the predicate gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except CliFailed as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last seen: {last!r})")
        time.sleep(POLL)


def holds_for(predicate, seconds: float, what: str) -> None:
    """The predicate must stay true all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not predicate():
            raise AssertionError(f"did not last {seconds:g} s: {what}")
        time.sleep(POLL)


def free_port() -> int:
    """A port that nobody has, below those that the kernel gives to outgoing connections: one of these
    could be taken by a neighbour's connection before the program under test has bound it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
        first_outgoing = int(limits.read().split()[0])
    for _ in range(100):
        port = random.randrange(10000, max(first_outgoing, 10001))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("no free port found in 100 attempts")


def is_listening(port: int, pid: int | str = "self") -> bool:
    """Reads the kernel's table, that of the network of this process or another: a connection only
    to see would itself be an event at the master."""
    for table in (f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(table, encoding="ascii") as lines:
            for line in list(lines)[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


class Program:
    """One started program; its standard output and error go to a log file."""

    def __init__(self, name: str, command: list, log_file: pathlib.Path, env: dict,
                 errors: int | None = None):
        self.name = name
        self.command = command
        self.log_file = log_file
        self.end_was_expected = False
        with open(log_file, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT if errors is None else errors,
                                            env=env,
                                            start_new_session=True)
        self.pid = self.process.pid

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def log_lines(self, *words: str) -> list:
        """Lines of the log that contain all the words, whatever their case."""
        return [line for line in self.log().splitlines()
                if all(word.lower() in line.lower() for word in words)]

    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9: the program gets no chance to say goodbye."""
        self.end_was_expected = True
        self.process.kill()
        self.process.wait()

    def wait(self, timeout: float = 10) -> int:
        """The exit code of a program that is expected to end."""
        self.end_was_expected = True
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout:g} s") from None

    def stop(self, number: int = signal.SIGTERM, timeout: float = STOP_LIMIT) -> int:
        """Asks it to stop; the exit code."""
        self.end_was_expected = True
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        return self.wait(timeout)

    def close(self) -> list:
        """Ends it in any case; what was wrong with it."""
        code = self.process.poll()
        if code is not None:
            ended_badly = code < 0 and code not in (-signal.SIGKILL, -signal.SIGTERM,
                                                    -signal.SIGINT)
            if ended_badly or not self.end_was_expected:
                return [f"{self.name} ended by itself with {code}"]
            return []
        try:
            code = self.stop()
        except AssertionError:
            self.kill()
            return [f"{self.name} did not end within {STOP_LIMIT:g} s of SIGTERM"]
        return [f"{self.name} ended with {code} after SIGTERM"] if code != 0 else []

    def rss_bytes(self) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} is gone")


class Cluster:
    """A master, its slaves, and the command line program that belongs to them."""

    def __init__(self):
        default_bin = ROOT / "build" / "bin"
        self.bin = pathlib.Path(os.environ.get("RPIC_TEST_BIN", default_bin))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cluster-"))
        self.folder.chmod(0o711)  # as in real life: the user of tasks gets through to its folder
        self.logs = pathlib.Path(os.environ.get("RPIC_TEST_LOGS", self.folder))
        self.marker = f"RPIC_TEST_CLUSTER={uuid.uuid4().hex}"
        self.master_state = self.folder / "master-state"
        self.port = 0
        self.master = None
        self.programs: list = []
        self.adopted: set = set()
        self.runs: list = []
        self.key_file = self.folder / "join-key"
        self.bind = "127.0.0.1"
        self.prefixes: dict = {}  # program -> words to start it with, such as prlimit's
        self.errors: dict = {}    # name -> descriptor of its standard error, instead of its log

    # ------------------------------------------------------------------------------------ programs

    def sanitized(self) -> bool:
        """Built with AddressSanitizer: far more memory, and nothing may be preloaded before it."""
        return b"libasan.so" in (self.bin / "rpicluster-master").read_bytes()

    def environment(self, extra: dict | None = None) -> dict:
        """No setting and no home of the user who runs the tests may leak in, and nobody in the
        network of this machine is asked for a master: tests of that have networks of their own."""
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("RPICLUSTER_", "XDG_", "NO_COLOR"))}
        name, value = self.marker.split("=")
        env.update({name: value, "HOME": str(self.folder), "LC_ALL": "C.UTF-8",
                    "RPICLUSTER_MASTER_DISCOVERY": "no", "RPICLUSTER_SLAVE_DISCOVERY": "no"})
        env.update(extra or {})
        return env

    def command(self, name: str, program: str, args: tuple) -> list:
        """The words that start a program; name: whose it is, or the program's own."""
        words = [*self.prefixes.get(program, []), self.bin / program, *args]
        return [str(word) for word in words]

    def start(self, program: str, *args, name: str | None = None,
              env: dict | None = None) -> Program:
        """Starts any of the programs with just these arguments."""
        name = name or program
        log = self.logs / f"{len(self.programs) + 1:02}-{name}.log"
        command = self.command(name, program, args)
        self.programs.append(Program(name, command, log, self.environment(env),
                                     self.errors.get(name)))
        return self.programs[-1]

    def run(self, program: str, *args, stdin: str | None = None, env: dict | None = None,
            timeout: float = 20) -> subprocess.CompletedProcess:
        """Runs any of the programs to its end."""
        command = self.command(program, program, args)
        result = subprocess.run(command, input=stdin or "", capture_output=True, text=True,
                                env=self.environment(env), timeout=timeout, check=False)
        words = [program, *[str(argument) for argument in args], "->", str(result.returncode)]
        self.note(" ".join(words), result)
        return result

    def note(self, what: str, result: subprocess.CompletedProcess) -> None:
        """Keeps for a failure what was run: of the same thing again and again only the last."""
        what = what.replace(str(self.folder), "CLUSTER")[:1000]
        if self.runs and self.runs[-1][0] == what:
            self.runs.pop()
        self.runs.append((what, time.strftime("%H:%M:%S"), result.stdout[:1000],
                          result.stderr[:1000]))

    def start_master(self, *args, port: int | None = None, plain: bool = False,
                     env: dict | None = None) -> Program:
        """Starts the master (again, on the port that it had) and waits until it answers."""
        arguments = ["--state-dir", self.master_state, "--bind", self.bind]
        arguments += ["--plain"] if plain else []
        for _ in range(5):
            self.port = port or self.port or free_port()
            self.master = self.start("rpicluster-master", *arguments, "--port", self.port, *args,
                                     name="master", env=env)
            wait_for(lambda: is_listening(self.port, self.master.pid) or not self.master.alive(),
                     10, "the master listens")
            if self.master.alive():
                wait_for(lambda: self.cli_ok("status"), 10, "the master answers")
                return self.master
            taken = self.master.log_lines(str(self.port)) and "use" in self.master.log()
            if port or not taken:
                break
            self.master.end_was_expected = True  # somebody else took that port meanwhile
            self.port = 0
        raise AssertionError("the master did not start: " + self.master.log())

    def restart_master(self, *args, plain: bool = False) -> Program:
        return self.start_master(*args, port=self.port, plain=plain)

    def master_address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start_slave(self, name: str, *args, role: str = "basic", master: str | None = None,
                    key_file: pathlib.Path | None = None, env: dict | None = None) -> Program:
        """A slave with a state directory of its own, which a later slave of that name reuses."""
        return self.start("rpicluster-slave", "--state-dir", self.slave_state(name), "--name", name,
                          "--role", role, "--master", master or self.master_address(),
                          "--key-file", key_file or self.join_key_file(), *args, name=name, env=env)

    def start_worker(self, name: str, *args, cpus: float = 2, **keywords) -> Program:
        """A slave that runs tasks."""
        return self.start_slave(name, "--cpus", cpus, *args, role="worker", **keywords)

    def start_workers(self, *names: str, cpus: float = 2) -> None:
        """A master, and workers that are online."""
        self.start_master()
        for name in names:
            self.start_worker(name, cpus=cpus)
        self.wait_online(*names)

    def start_webserver(self, name: str = "web", *args, port: int | None = None,
                        **keywords) -> tuple:
        """A webserver slave that listens; (program, port of its pages)."""
        for _ in range(5):
            web_port = port or free_port()
            slave = self.start_slave(name, "--web-bind", "127.0.0.1", "--web-port", web_port, *args,
                                     role="webserver", **keywords)
            wait_for(lambda: is_listening(web_port) or not slave.alive(), 10,
                     "the webserver listens")
            if slave.alive():
                return slave, web_port
            slave.end_was_expected = True
        raise AssertionError("the webserver did not start: " + slave.log())

    def slave_state(self, name: str) -> pathlib.Path:
        return self.folder / f"state-{name}"

    def join_key_file(self) -> pathlib.Path:
        if not self.key_file.exists():
            # A master listens a moment before it has written down where.
            key = wait_for(lambda: self.cli_json("token")["join_key"], 10, "the master's key")
            self.write_key(self.key_file, key)
        return self.key_file

    def write_key(self, path: pathlib.Path, key: str) -> pathlib.Path:
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="ascii")
        return path

    # ---------------------------------------------------------------------------- the command line

    def cli(self, *args, state_dir: pathlib.Path | None = None,
            **keywords) -> subprocess.CompletedProcess:
        return self.run("rpicluster", "--state-dir", state_dir or self.master_state, *args,
                        **keywords)

    def cli_ok(self, *args, **keywords) -> str:
        """Standard output of a command that must succeed."""
        result = self.cli(*args, **keywords)
        if result.returncode != 0:
            raise CliFailed(f"{args} gave {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def cli_json(self, *args, **keywords) -> dict:
        value = json.loads(self.cli_ok("-o", "json", *args, **keywords))
        if value.get("version") != 1:
            raise AssertionError(f"{args}: no version 1 in {value}")
        return value

    def started_cli(self, *args, **keywords) -> subprocess.Popen:
        """The command line program, still running; the test ends it."""
        command = [str(self.bin / "rpicluster"), "--state-dir", str(self.master_state)]
        command += [str(argument) for argument in args]
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(), **keywords)

    def cli_bytes(self, *args, stdin: bytes = b"", cwd: pathlib.Path | None = None,
                  timeout: float = 50, state_dir: pathlib.Path | None = None,
                  env: dict | None = None) -> subprocess.CompletedProcess:
        """As cli(), with bytes instead of text, and from any folder."""
        command = [str(self.bin / "rpicluster"), "--state-dir", str(state_dir or self.master_state)]
        command += [part if isinstance(part, bytes) else str(part) for part in args]
        return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd,
                              env=self.environment(env), timeout=timeout, check=False)

    # ---------------------------------------------------------------------------------------- jobs

    def submit(self, *args, **keywords) -> str:
        """The id of a new job."""
        return self.cli_ok("submit", *args, **keywords).strip()

    def job(self, job: str) -> dict:
        return self.cli_json("job", job)["job"]

    def tasks(self, job: str, *args) -> dict:
        """index -> task."""
        return {task["index"]: task for task in self.cli_json("job", job, *args)["tasks"]}

    def task(self, job: str, index: int = 0) -> dict:
        return self.tasks(job)[index]

    def wait_job(self, job: str, state: str, timeout: float = 20) -> dict:
        wait_for(lambda: self.job(job)["state"] == state, timeout, f"job {job} is {state}")
        return self.job(job)

    def token(self, role: str, name: str) -> pathlib.Path:
        """A key file for somebody with this role."""
        made = self.cli_json("token", "create", "--role", role, "--name", name)
        return self.write_key(self.folder / f"token-{name}", made["token"])

    def runner_pids(self) -> list:
        """The processes that own this cluster's tasks."""
        folder = str(self.folder)
        return [pid for pid, command in all_processes()
                if "rpicluster-runner" in command and folder in command]

    def node_list(self) -> list:
        return self.cli_json("nodes")["nodes"]

    def nodes(self) -> dict:
        """name -> node; names must be unique."""
        listed = self.node_list()
        nodes = {node["name"]: node for node in listed}
        if len(nodes) != len(listed):
            raise AssertionError(f"two nodes with one name: {sorted(n['name'] for n in listed)}")
        return nodes

    def state_of(self, name: str):
        node = self.nodes().get(name)
        return node["state"] if node else None

    def wait_state(self, name: str, state: str, timeout: float = 10) -> dict:
        wait_for(lambda: self.state_of(name) == state, timeout, f"{name} is {state}")
        return self.nodes()[name]

    def wait_online(self, *names: str, timeout: float = 10) -> dict:
        """Waits until all of them are online; the nodes by name."""
        def all_online():
            nodes = self.nodes()
            states = {name: nodes[name]["state"] for name in names if name in nodes}
            return nodes if list(states.values()) == ["online"] * len(names) else None
        return wait_for(all_online, timeout, f"online: {', '.join(names)}")

    # ----------------------------------------------------------------------------------------- end

    def background(self, program: str) -> list:
        """Ids of the processes of this program which nobody here is the parent of (--ensure)."""
        known = {entry.pid for entry in self.programs}
        found = []
        for pid, command in processes_with_environment(self.marker):
            path = pathlib.Path(command.split(" --")[0])  # which may hold a space
            if pid not in known and path.name == program:
                found.append(pid)
        return found

    def adopt(self, pid: int) -> None:
        """This background process is meant to be there: ended with the cluster, no complaint."""
        self.adopted.add(pid)

    def close(self) -> None:
        problems = []
        for program in reversed(self.programs):
            problems += program.close()
        for pid in self.adopted:
            kill_quietly(pid, signal.SIGTERM)
        problems += self.end_runners()
        wait_for(lambda: not self.adopted & {pid for pid, _ in self.leftovers()}, STOP_LIMIT,
                 "background programs have ended")
        for pid, command in self.leftovers():
            problems.append(f"left alive: {pid} {command}")
            kill_quietly(pid)
        lines = [f"{at} {what}\n{out}{errors}" for what, at, out, errors in self.runs]
        (self.logs / "runs.log").write_text("".join(lines), encoding="utf-8")
        shutil.rmtree(self.folder)
        if problems:
            raise AssertionError("; ".join(problems))

    def end_runners(self) -> list:
        """They outlive their slaves as long as there is work, and end their tasks when told to."""
        for pid in self.runner_pids():
            kill_quietly(pid, signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.runner_pids(), 2 * STOP_LIMIT, "runners have ended")
        problems = []
        for pid in self.runner_pids():
            kill_quietly(pid)
            problems.append(f"runner {pid} did not end within {2 * STOP_LIMIT:g} s of SIGTERM")
        return problems

    def leftovers(self) -> list:
        return processes_with_environment(self.marker)


class SystemTest(unittest.TestCase):
    """Base of the tests: self.cluster, empty and not started."""

    maxDiff = None
    cluster_type = Cluster

    def setUp(self):
        self.cluster = self.cluster_type()
        self.addCleanup(self.cluster.close)

    def assert_one_line(self, text: str, *words: str) -> None:
        """One line that a person can act on, with these words in it."""
        lines = [line for line in text.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, text)
        for word in words:
            self.assertIn(word.lower(), lines[0].lower())

    def wait_log(self, program: Program, *words: str, timeout: float = 10) -> str:
        """The first line of its log with all these words."""
        return wait_for(lambda: program.log_lines(*words), timeout,
                        f"{words} in the log of {program.name}")[0]
