"""How a program reaches its cluster: an interface, and the command `rpicluster` behind it. The
other implementation is in https.py."""

from __future__ import annotations

import abc
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import typing

Json = typing.Dict[str, typing.Any]
STDERR_CHARS = 4000  # of what a program said last, in an error's text


class ClusterError(Exception):
    """The cluster cannot do it, or cannot be reached. `code` is the command's exit code: 3 not
    found, 4 master unreachable, 5 key refused."""

    def __init__(self, text: str, code: int = 1):
        super().__init__(text)
        self.code = code


class TaskFailedError(ClusterError):
    """A task ended otherwise than it should: `task` says how, `stderr` what it printed."""

    def __init__(self, job: str, task: Json, stderr: str):
        if task.get("reason"):
            how = str(task["reason"])
        elif task.get("signal"):
            how = f"ended by signal {task['signal']}"
        else:
            how = f"exit code {task.get('exit_code')}"
        where = f" on {task['node']}" if task.get("node") else ""
        said = stderr.strip()[-STDERR_CHARS:]
        said = f"\n{said}" if said else ""
        super().__init__(f"task {job}.{task['index']}{where}: {how}{said}")
        self.job = job
        self.task = task
        self.stderr = stderr


@dataclasses.dataclass
class JobOptions:
    """What a job may ask for, under the names of `rpicluster submit --help`."""

    name: str = ""
    cpus: float = 1  # of each task
    memory: str = ""  # of each task: 512M, 2G
    resources: typing.Mapping[str, int] = dataclasses.field(default_factory=dict)
    where: str = ""  # on which nodes: "arch==arm64 && ram>=2G"
    priority: int = 0
    retries: int = 0
    time_limit: float = 0  # seconds; 0: none
    env: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def words(self) -> typing.List[str]:
        words = ["--cpus", f"{self.cpus:g}", "--priority", str(self.priority),
                 "--retries", str(self.retries)]
        for flag, value in (("--name", self.name), ("--mem", self.memory), ("--where", self.where)):
            words += [flag, value] if value else []
        if self.time_limit:
            words += ["--time-limit", f"{self.time_limit}"]
        for name, count in self.resources.items():
            words += ["--resource", f"{name}={count}"]
        for name, text in self.env.items():
            words += ["--env", f"{name}={text}"]
        return words

    def body(self) -> Json:
        """The same for the HTTP API."""
        body: Json = {"cpus": self.cpus, "priority": self.priority, "retries": self.retries}
        given: Json = {"name": self.name, "mem": self.memory, "where": self.where,
                       "time_limit": self.time_limit, "resource": dict(self.resources),
                       "env": dict(self.env)}
        body.update((name, value) for name, value in given.items() if value)
        return body


Path = typing.Union[str, "os.PathLike[str]"]


@dataclasses.dataclass
class Job:
    """A job to be started. With `items` it has a task for each of them, {} in the command; with
    `array` one for each number; else one."""

    command: typing.List[str]
    options: JobOptions
    array: str = ""
    items: typing.Optional[typing.Sequence[str]] = None
    files: typing.List[Path] = dataclasses.field(default_factory=list)  # that travel along
    files_by_arch: typing.Mapping[str, Path] = dataclasses.field(default_factory=dict)
    out: typing.Sequence[str] = ()  # patterns of files that come back,
    to: Path = "."  # into this folder
    folder: typing.Optional[pathlib.Path] = None  # relative `files` are there; None: where we are


class Stream(abc.ABC):
    """A job that was started, as it goes on: {"job":job} as soon as it has an id,
    {"task":task,"stdout":text,"stderr":text} for each task when it has ended and its files are
    here, and {"job":job} at the end."""

    @abc.abstractmethod
    def fileno(self) -> int:
        """Readable when there is something to read."""

    @abc.abstractmethod
    def read(self) -> typing.Optional[typing.List[Json]]:
        """What has come since, waiting if it is nothing; None at the end."""

    @abc.abstractmethod
    def end(self) -> typing.Optional[ClusterError]:
        """After the end: why it came too early; None if the job has ended."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """Reads no more; the job goes on."""


class Transport(abc.ABC):
    """What a Cluster needs. All throw ClusterError."""

    @abc.abstractmethod
    def nodes(self) -> typing.List[Json]: ...

    @abc.abstractmethod
    def jobs(self) -> typing.List[Json]: ...

    @abc.abstractmethod
    def start(self, job: Job) -> Stream: ...

    @abc.abstractmethod
    def queued(self, job: str) -> typing.List[int]:
        """Indexes of the tasks that no node has begun."""

    @abc.abstractmethod
    def cancel(self, job: str, tasks: typing.Sequence[int] = ()) -> None:
        """Ends a job, or some of its tasks."""

    @abc.abstractmethod
    def fetch(self, job: str, to: Path, by_task: bool) -> int:
        """Brings the files home that its tasks made; how many."""


def selector(numbers: typing.Sequence[int]) -> str:
    """1,3,5-8"""
    ranges: typing.List[typing.List[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


class _CommandStream(Stream):
    def __init__(self, words: typing.List[str], folder: typing.Optional[pathlib.Path],
                 stdin: typing.Union[int, typing.IO[bytes]] = subprocess.DEVNULL):
        self._errors = tempfile.TemporaryFile()
        try:
            # A session of its own: Ctrl-C is for the program that uses us, which then decides.
            self._process = subprocess.Popen(words, stdin=stdin, cwd=folder,
                                             stdout=subprocess.PIPE, stderr=self._errors,
                                             start_new_session=True)
        except OSError as error:
            self._errors.close()
            raise _not_startable(words[0], error) from error
        assert self._process.stdout
        self._output = self._process.stdout.fileno()
        self._rest: typing.List[bytes] = []  # pieces of a line that is not complete
        self._ended = False

    def fileno(self) -> int:
        return self._output

    def read(self) -> typing.Optional[typing.List[Json]]:
        data = os.read(self._output, 1 << 18)
        if not data:
            return None
        end = data.rfind(b"\n")
        if end < 0:
            self._rest.append(data)
            return []
        whole = b"".join([*self._rest, data[:end]])
        self._rest = [data[end + 1:]]
        lines = [json.loads(line) for line in whole.split(b"\n")]
        for line in lines:
            state = line.get("job", {}).get("state")
            self._ended = self._ended or state in ("done", "failed", "cancelled")
        return lines

    def end(self) -> typing.Optional[ClusterError]:
        code = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()[-STDERR_CHARS:]
        self.abandon()
        if self._ended:
            return None
        return ClusterError(text or f"rpicluster ended with {code}", code)

    def abandon(self) -> None:
        if self._process.stdout:
            self._process.stdout.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def _not_startable(program: str, error: OSError) -> ClusterError:
    return ClusterError(f"cannot start {program}: {error.strerror}. Install the package "
                        "rpicluster, name the command: Cluster(Command(\"/path/to/rpicluster\")), or "
                        "use the HTTP API: Cluster(Https(\"https://HOST:8123\", token=...))")


class Command(Transport):
    """The command `rpicluster`, which finds the master and the user's key by itself; the arguments
    are its options --master, --key-file and --state-dir."""

    def __init__(self, program: Path = "rpicluster", *, master: str = "",
                 key_file: typing.Optional[Path] = None, state_dir: typing.Optional[Path] = None):
        self._words = [os.fspath(program)]
        self._words += ["--master", master] if master else []
        # The program may be started in another folder.
        self._words += ["--key-file", os.path.abspath(key_file)] if key_file else []
        self._words += ["--state-dir", os.path.abspath(state_dir)] if state_dir else []
        if os.sep in self._words[0]:
            self._words[0] = os.path.abspath(self._words[0])

    def _run(self, form: str, *words: str) -> str:
        command = [*self._words, "-o", form, *words]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  start_new_session=True, check=False)
        except OSError as error:
            raise _not_startable(command[0], error) from error
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip()
            raise ClusterError(text or f"{' '.join(command)} ended with {done.returncode}",
                               done.returncode)
        return done.stdout.decode()

    def _list(self, *words: str) -> typing.List[Json]:
        return [json.loads(line) for line in self._run("jsonl", *words).splitlines()]

    def nodes(self) -> typing.List[Json]:
        return self._list("nodes")

    def jobs(self) -> typing.List[Json]:
        return self._list("jobs")

    def start(self, job: Job) -> Stream:
        words = job.options.words()
        for path in job.files:
            words += ["--in", os.fspath(path)]
        for arch, path in job.files_by_arch.items():
            words += ["--in-arch", f"{arch}={os.fspath(path)}"]
        for pattern in job.out:
            words += ["--out", pattern]
        words += ["--to", os.path.abspath(job.to)] if job.out else []
        words += ["--array", job.array] if job.array else []
        if job.items is None:
            return _CommandStream([*self._words, "-o", "jsonl", "run", *words, "--", *job.command],
                                  job.folder)
        with tempfile.TemporaryFile() as file:
            file.writelines(item.encode() + b"\n" for item in job.items)
            file.seek(0)
            words += ["--each-line", "-", "--", *job.command]
            return _CommandStream([*self._words, "-o", "jsonl", "map", *words], job.folder, file)

    def queued(self, job: str) -> typing.List[int]:
        return [int(task["index"]) for task in self._list("job", job, "--state", "queued")]

    def cancel(self, job: str, tasks: typing.Sequence[int] = ()) -> None:
        words = ["--tasks", selector(tasks)] if tasks else []
        self._run("json", "cancel", job, *words)

    def fetch(self, job: str, to: Path, by_task: bool) -> int:
        words = ["--to", os.fspath(to), *(["--by-task"] if by_task else [])]
        return int(json.loads(self._run("json", "fetch", job, *words))["files"])
