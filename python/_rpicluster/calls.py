"""Calls of functions, how long they take, and the jobs that they are put together to."""

from __future__ import annotations

import binascii
import collections
import concurrent.futures
import contextlib
import io
import pathlib
import pickle
import threading
import time
import typing

from _rpicluster import node
from _rpicluster.transport import Json, Stream, TaskFailedError

BATCHES = 4  # jobs of one function under way; further calls gather meanwhile
TASKS_PER_BATCH = 4000
CALLS_PER_TASK = 1000
ITEM_CHARS = 6000  # a longer payload goes into a file; the cluster's own limit is 8 KiB
PLACE_CHARS = 32  # at most, of an item that says where in the file its payload is
PAYLOAD_BYTES = 48 * 1024  # likewise, before it is made smaller
CALLS_FILE_BYTES = 16 * 1024 * 1024  # of one job, apart from a single larger call
GATHER_SECONDS = 0.002  # without a further call: what there is sets out ...
GATHER_MOST_SECONDS = 0.02  # ... and at the latest after this
PROBE_SECONDS = 0.5  # calls that take longer are not put together

NEVER = float("inf")


class Owner(typing.Protocol):
    """Of calls: the dispatcher."""

    lock: threading.Lock

    def drop(self, call: Call) -> None:
        """Nobody wants its result any more."""


class RemoteError(Exception):
    """An exception of a call whose own type could not travel."""


class _RemoteTraceback(Exception):
    """The cause of an exception that comes from a node: prints the traceback there."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class Call(concurrent.futures.Future):  # type: ignore[type-arg]
    """The future of a call. Unlike that of a thread it can be cancelled while it runs: its task is
    ended then, unless other calls share it."""

    def __init__(self, arguments: bytes, shared: typing.Set[node.Shared], owner: Owner):
        super().__init__()
        self.arguments = arguments
        self.shared = shared
        self.batch: typing.Optional[Batch] = None
        self._owner = owner
        self._settled = False

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        if self._settle():
            self.set_running_or_notify_cancel()
            self._owner.drop(self)
        return True

    def running(self) -> bool:
        return self.batch is not None and not self.done()

    def _settle(self) -> bool:
        """True once, for the one who may say how the call ended."""
        with self._owner.lock:
            settled, self._settled = self._settled, True
            return not settled

    def succeed(self, result: typing.Any) -> None:
        if self._settle() and self.set_running_or_notify_cancel():
            self.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self._settle() and self.set_running_or_notify_cancel():
            self.set_exception(error)


class _Unpickler(pickle.Unpickler):
    """What the nodes know under the name of the travelled script is this process's __main__."""

    def __init__(self, data: bytes, main: str):
        super().__init__(io.BytesIO(data))
        self._main = main

    def find_class(self, module: str, name: str) -> typing.Any:
        return super().find_class("__main__" if module == self._main else module, name)


class Function:
    """A function that is called: its waiting calls, and how long they take."""

    def __init__(self, pickled: bytes, name: str):
        self.pickled = pickled
        self.name = name
        self.waiting: typing.Deque[Call] = collections.deque()
        self.first_at = 0.0  # when the first of the waiting calls came, and the last one
        self.last_at = 0.0
        self.batches = 0  # under way
        self.probed_at = 0.0
        self.seconds: typing.Optional[float] = None  # of a call, lately
        self.alone = False  # a call has ended its task: from then on each has one of its own

    def add(self, call: Call) -> None:
        self.last_at = time.monotonic()
        if not self.waiting:
            self.first_at = self.last_at
        self.waiting.append(call)

    def learn(self, seconds: float) -> None:
        self.seconds = seconds if self.seconds is None else 0.9 * self.seconds + 0.1 * seconds

    def ready_at(self) -> float:
        """When a batch may set out; never: not before one has ended."""
        if not self.waiting or self.batches >= BATCHES:
            return NEVER
        if self.seconds is None and self.batches:
            return self.probed_at + PROBE_SECONDS
        return min(self.last_at + GATHER_SECONDS, self.first_at + GATHER_MOST_SECONDS)

    def take(self, slots: int, task_seconds: float) -> typing.List[typing.List[Call]]:
        """The calls of each task of the next batch. While nobody knows how long a call takes, each
        has a task of its own: as many as there are slots, and the rest if these take long."""
        count, each = len(self.waiting), 1
        if self.seconds is None:
            count = count if self.batches else min(count, slots)
            self.probed_at = time.monotonic()
        elif not self.alone and self.seconds < task_seconds:
            fitting = int(task_seconds / max(self.seconds, 1e-6))
            each = max(1, min(fitting, -(-count // slots), CALLS_PER_TASK))
        tasks: typing.List[typing.List[Call]] = [[]]
        size = 0
        for _ in range(count):
            size += len(self.waiting[0].arguments)
            full = len(tasks[-1]) == each
            if size > CALLS_FILE_BYTES and tasks[0] or full and len(tasks) == TASKS_PER_BATCH:
                break
            if full:
                tasks.append([])
            call = self.waiting.popleft()
            if not call.done():
                tasks[-1].append(call)
        self.first_at = self.last_at
        return [calls for calls in tasks if calls]


class Batch:
    """A job: calls of one function, in tasks."""

    def __init__(self, function: Function, tasks: typing.List[typing.List[Call]],
                 folder: pathlib.Path, main: str):
        self.function = function
        self.tasks = dict(enumerate(tasks, 1))  # that have not ended, by their index
        self.folder = folder  # where its files are written, and come back
        self.main = main  # name of the script's module on the nodes
        self.job = ""
        self.stream: typing.Optional[Stream] = None
        self.cancelled: typing.Set[int] = set()  # tasks that nobody waits for any more
        for calls in tasks:
            for call in calls:
                call.batch = self

    def write(self, room: int) -> typing.List[str]:
        """The items of the tasks, of so many bytes at most; payloads that are too long for one, or
        for which there is no more room, go into a file."""
        items: typing.List[str] = []
        room -= PLACE_CHARS * len(self.tasks)
        with contextlib.ExitStack() as stack:
            file: typing.Optional[typing.BinaryIO] = None
            for calls in self.tasks.values():
                payload: node.Payload = (self.main, self.function.pickled,
                                         [call.arguments for call in calls])
                data = pickle.dumps(payload, node.PROTOCOL)
                item = node.encode_payload(data) if len(data) < PAYLOAD_BYTES else ""
                if not 0 < len(item) <= min(ITEM_CHARS, room):
                    if file is None:
                        file = stack.enter_context(open(self.folder / node.CALLS_FILE, "wb"))
                    item = f"@{file.tell()}+{len(data)}"
                    file.write(data)
                else:
                    room -= len(item)
                items.append(item)
        return items

    def shared(self) -> typing.Set[str]:
        return {thing.path for calls in self.tasks.values() for call in calls
                for thing in call.shared}

    def take(self, line: Json) -> typing.List[Call]:
        """A line of the job's stream; gives the calls that have to be made again."""
        if "task" not in line:
            self.job = str(line["job"]["id"])
            return []
        calls = self.tasks.pop(int(line["task"]["index"]), [])
        answers = line["stdout"].split()
        for call, text in zip(calls, answers):
            self._answer(call, text)
        rest = calls[len(answers):]
        if not rest:
            return []
        if line["task"]["state"] == "cancelled":
            for call in rest:
                call.cancel()
            return []
        # The one that was under way is to blame; those behind it have not begun.
        self.function.alone = True
        rest[0].fail(TaskFailedError(self.job, line["task"], line["stderr"]))
        return rest[1:]

    def _answer(self, call: Call, text: str) -> None:
        try:
            if text.startswith("@"):
                path = self.folder / pathlib.PurePath(text[1:]).name
                data = path.read_bytes()
                path.unlink()
            else:
                data = binascii.a2b_base64(text)
            record = _Unpickler(data, self.main).load()
            self.function.learn(record[1])
            if record[0]:
                call.succeed(record[2])
            else:
                call.fail(self._error(*record[2:]))
        except Exception as error:  # whatever the types of the result do
            call.fail(error)

    def _error(self, pickled: bytes, kind: str, message: str, trace: str) -> BaseException:
        error: BaseException = RemoteError(f"{kind}: {message}")
        with contextlib.suppress(Exception):
            error = _Unpickler(pickled, self.main).load() if pickled else error
        error.__cause__ = _RemoteTraceback(trace)
        return error

    def open_calls(self) -> typing.List[Call]:
        return [call for calls in self.tasks.values() for call in calls if not call.done()]

    def to_cancel(self) -> typing.List[int]:
        """Further tasks of which every call was cancelled."""
        found = [index for index, calls in list(self.tasks.items())
                 if index not in self.cancelled and all(call.done() for call in calls)]
        self.cancelled.update(found)
        return found
