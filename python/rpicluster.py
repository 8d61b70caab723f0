"""Python functions, programs and files on an rpicluster:

    with rpicluster.Cluster() as cluster:
        for result in cluster.map(simulate, range(1000)):
            ...

Cluster is a concurrent.futures.Executor. docs/python.md says what travels, what a call costs and
what can go wrong. Python 3.9 or later, the standard library, and the command `rpicluster` or, where
that is not installed, the HTTP API of the cluster's webserver.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
import typing
import weakref

from _rpicluster import node
from _rpicluster.calls import Call, RemoteError
from _rpicluster.code import CannotTravelError, Code, pickled, pickled_arguments, pickled_function
from _rpicluster.dispatch import Dispatcher
from _rpicluster.https import Https
from _rpicluster.node import Shared
from _rpicluster.transport import (
    ClusterError,
    Command,
    Job,
    JobOptions,
    Json,
    Path,
    TaskFailedError,
    Transport,
)

__all__ = ["CannotTravelError", "Cluster", "ClusterError", "Command", "Completed", "Https",
           "JobOptions", "RemoteError", "Shared", "TaskFailedError", "TaskResult", "Transport"]

T = typing.TypeVar("T")


@dataclasses.dataclass
class TaskResult:
    """How one task of `run` ended; `task` is what `rpicluster -o json job` says about it."""

    task: Json
    stdout: str
    stderr: str

    @property
    def index(self) -> int:
        return int(self.task["index"])

    @property
    def ok(self) -> bool:
        return bool(self.task["state"] == "done")


@dataclasses.dataclass
class Completed:
    """How a `run` ended; the tasks are in the order of their indexes."""

    job: Json
    tasks: typing.List[TaskResult]

    @property
    def ok(self) -> bool:
        return bool(self.job["state"] == "done")

    @property
    def stdout(self) -> str:
        return "".join(task.stdout for task in self.tasks)

    @property
    def stderr(self) -> str:
        return "".join(task.stderr for task in self.tasks)


def find_transport() -> Transport:
    """The command `rpicluster` if it is installed; else the HTTP API, if RPICLUSTER_API_URL says
    where it is."""
    if not shutil.which("rpicluster") and os.environ.get("RPICLUSTER_API_URL"):
        return Https()
    return Command()


class Cluster(concurrent.futures.Executor):
    """A cluster as this process sees it: calls Python functions on its nodes, and runs programs.

    The keyword arguments that are not named here are those of JobOptions (cpus, memory, where,
    retries, ...), and hold for every call. `modules` are names of installed modules that travel
    along although the nodes might have them; the user's own ones do so anyway. `python` is the
    interpreter on the nodes. Calls that take less than `task_seconds` share a task, so that its
    start (some 20 ms) is worth it; 0 gives each its own.

    `transport` is how the cluster is reached: Command(...) or Https(...). By default the command
    `rpicluster`, which finds the master and the key of this user by itself; where that is not
    installed, the HTTP API that the environment names (see Https).
    """

    def __init__(self, transport: typing.Optional[Transport] = None, *, python: str = "python3",
                 modules: typing.Iterable[str] = (), task_seconds: float = 0.5,
                 **options: typing.Any):
        if os.environ.get(node.LOADING):
            raise RuntimeError("a module that travels to the nodes makes a Cluster while it is "
                               "imported there: put that below if __name__ == \"__main__\":")
        self.transport = transport or find_transport()
        self._options = JobOptions(**options)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="rpicluster-python-"))
        self._shared = 0
        self._closed = False
        try:
            self._code = Code(self._folder, modules)
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        # A time limit is meant for a call, and has to end that call alone.
        together = 0.0 if self._options.time_limit else task_seconds
        self._dispatcher = Dispatcher(self.transport, self._options, python, together, self._code)
        weakref.finalize(self._dispatcher, shutil.rmtree, self._folder, ignore_errors=True)

    # ------------------------------------------------------------------------------ functions

    def submit(self, fn: typing.Callable[..., T], /, *args: typing.Any,
               **kwargs: typing.Any) -> concurrent.futures.Future[T]:
        """Calls a function on a node. Throws CannotTravelError at once if it, or an argument,
        cannot be sent there."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        function = pickled_function(fn)
        name = getattr(fn, "__qualname__", "") or getattr(fn, "__name__", "") or "function"
        arguments = pickled_arguments(name, args, kwargs)
        self._code.add(function.modules | arguments.modules)
        call = Call(arguments.data, function.shared | arguments.shared, self._dispatcher)
        self._dispatcher.add(function.data, name, call)
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no further calls. With cancel_futures those that no node has begun are cancelled;
        with `wait` it returns when all others have ended."""
        self._closed = True
        if cancel_futures:
            self._dispatcher.cancel_queued()
        if wait:
            self._dispatcher.join()
            shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, value: typing.Any) -> Shared:
        """Something large that many calls take as an argument: it travels once to each node. A
        pathlib.Path is a file, whose copy on the node the calls get the path of."""
        self._shared += 1
        folder = f"shared-{self._shared}"
        (self._folder / folder).mkdir()
        if isinstance(value, pathlib.Path):
            path = f"{folder}/{value.name}"
            shutil.copyfile(value, self._folder / path)
            shutil.copymode(value, self._folder / path)
            return Shared(path, is_file=True)
        data = pickled(value, "the value")
        self._code.add(data.modules)
        path = f"{folder}/value"
        (self._folder / path).write_bytes(data.data)
        return Shared(path, is_file=False)

    # ------------------------------------------------------------------------------- programs

    def run(self, command: typing.Union[str, typing.Sequence[str]], *, array: str = "",
            items: typing.Optional[typing.Iterable[str]] = None, files: typing.Sequence[Path] = (),
            files_by_arch: typing.Optional[typing.Mapping[str, Path]] = None,
            out: typing.Sequence[str] = (), to: Path = ".", check: bool = True,
            on_task: typing.Optional[typing.Callable[[TaskResult], None]] = None,
            **options: typing.Any) -> Completed:
        """Runs a program on the cluster and waits for it: a list of words, or a line for sh.

        `array` ("1-100") makes a task for each number ($RPIC_TASK), `items` one for each of them
        ({} in the command, or at its end). `files` travel along, a relative path keeps its folder;
        files that match a pattern of `out` come back into the folder `to`. `on_task` is called
        when a task has ended. With `check`, a failed task throws TaskFailedError at the end.
        Further keyword arguments are those of JobOptions. An exception, Ctrl-C too, cancels the
        job.
        """
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        listed = None
        if items is not None:
            listed = list(items)
            if any("\n" in item for item in listed):
                raise ValueError("an item must not hold a line break")
            words = [command] if isinstance(command, str) else words
            if len(words) == 1 and not isinstance(command, str):
                words.append("{}")  # a single word would be taken for a line for sh
        job = Job(words, dataclasses.replace(self._options, **options), array=array, items=listed,
                  files=list(files), files_by_arch=files_by_arch or {}, out=out, to=to)
        completed = self._follow(job, on_task)
        if check and not completed.ok:
            for task in completed.tasks:
                if not task.ok:
                    raise TaskFailedError(str(completed.job["id"]), task.task, task.stderr)
            raise ClusterError(f"job {completed.job['id']} is {completed.job['state']}")
        return completed

    def _follow(self, job: Job,
                on_task: typing.Optional[typing.Callable[[TaskResult], None]]) -> Completed:
        if job.items is not None and not job.items:
            return Completed({"state": "done", "id": ""}, [])
        stream = self.transport.start(job)
        completed = Completed({}, [])
        ended = False
        try:
            while (lines := stream.read()) is not None:
                for line in lines:
                    if "task" not in line:
                        completed.job = line["job"]
                        continue
                    result = TaskResult(line["task"], line["stdout"], line["stderr"])
                    completed.tasks.append(result)
                    if on_task:
                        on_task(result)
            ended = True
        finally:
            if not ended:
                stream.abandon()
                if completed.job:
                    with contextlib.suppress(ClusterError):  # the first trouble is the one to tell
                        self.transport.cancel(str(completed.job["id"]))
        problem = stream.end()
        if problem:
            raise problem
        completed.tasks.sort(key=lambda result: result.index)
        return completed

    def fetch(self, job: str, to: Path = ".", *, by_task: bool = False) -> int:
        """Brings the files home that the tasks of an earlier job made; how many. `by_task` gives
        each task a folder of its own."""
        return self.transport.fetch(job, to, by_task)

    # ------------------------------------------------------------------------------ the cluster

    def nodes(self) -> typing.List[Json]:
        """The nodes, as `rpicluster -o json nodes` describes them: name, state, cpus, vitals ..."""
        return self.transport.nodes()

    def jobs(self) -> typing.List[Json]:
        """The jobs, as `rpicluster -o json jobs` describes them: id, name, state, tasks ..."""
        return self.transport.jobs()

    def cancel(self, job: str) -> None:
        """Ends a job and its tasks."""
        self.transport.cancel(job)
