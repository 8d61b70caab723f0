"""Makes jobs of calls and hands their results out, in a thread of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import shutil
import socket
import threading
import time
import typing

from _rpicluster import node
from _rpicluster.calls import NEVER, Batch, Call, Function
from _rpicluster.code import CannotTravelError, Code
from _rpicluster.transport import ClusterError, Job, JobOptions, Transport

FUNCTIONS_KEPT = 256  # without calls; more: what is known about them is forgotten
SLOTS_SECONDS = 10.0  # between looks at how many CPUs there are
NAME_CHARS = 63  # of a job's name


class Dispatcher:
    """Its thread lives as long as there is something to do: so nothing keeps an idle interpreter,
    and one that ends waits for what is under way, as it does with other executors."""

    def __init__(self, transport: Transport, options: JobOptions, python: str, task_seconds: float,
                 code: Code):
        self.transport = transport
        self.options = options
        self.python = python
        self.task_seconds = task_seconds
        self.code = code
        self.lock = threading.Lock()
        self.functions: typing.Dict[bytes, Function] = {}
        self.batches: typing.Set[Batch] = set()
        self.dropped: typing.Set[Batch] = set()  # with calls that were cancelled
        self.thread: typing.Optional[threading.Thread] = None
        self.alarm: typing.Optional[socket.socket] = None  # wakes the thread
        self.alarmed = False
        self.cancelling = False  # what no node has begun
        self.slots = 0
        self.slots_at = 0.0
        self.batch_count = 0

    # Any thread.

    def add(self, pickled: bytes, name: str, call: Call) -> None:
        with self.lock:
            function = self.functions.get(pickled)
            if function is None:
                function = self.functions[pickled] = Function(pickled, name)
            function.add(call)
            self._wake()

    def drop(self, call: Call) -> None:
        with self.lock:
            if call.batch is not None:
                self.dropped.add(call.batch)
                self._wake()

    def _wake(self) -> None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="rpicluster")
            self.thread.start()
        elif self.alarm and not self.alarmed:
            self.alarmed = True
            self.alarm.send(b"!")

    def cancel_queued(self) -> None:
        """Cancels the calls that no node has begun."""
        with self.lock:
            self.cancelling = True
            calls = [call for function in self.functions.values() for call in function.waiting]
            batches = list(self.batches)
        for call in calls:
            call.cancel()
        for batch in batches:
            if batch.job:  # else the thread does it, once the job has its number
                self._cancel_queued_of(batch)

    def _cancel_queued_of(self, batch: Batch) -> None:
        for index in self.transport.queued(batch.job):
            for call in batch.tasks.get(index, []):
                call.cancel()

    def join(self) -> None:
        thread = self.thread
        if thread and thread is not threading.current_thread():
            thread.join()

    # The thread.

    def _run(self) -> None:
        alarm, receiver = socket.socketpair()
        with alarm, receiver, selectors.DefaultSelector() as selector:
            selector.register(receiver, selectors.EVENT_READ)
            with self.lock:
                self.alarm = alarm
            try:
                while self._start_batches(selector):
                    self._turn(selector, receiver)
            except BaseException as error:  # a future that nobody ends would be waited for for ever
                self._give_up(error)
                raise

    def _turn(self, selector: selectors.BaseSelector, receiver: socket.socket) -> None:
        with self.lock:
            at = min((function.ready_at() for function in self.functions.values()), default=NEVER)
        pause = None if at == NEVER else max(0.0, at - time.monotonic())
        for key, _ in selector.select(pause):
            if key.data:
                self._read(key.data, selector)
            else:
                receiver.recv(4096)
                with self.lock:
                    self.alarmed = False
        self._cancel_dropped()

    def _give_up(self, error: BaseException) -> None:
        with self.lock:
            calls = [call for batch in self.batches for call in batch.open_calls()]
            for function in self.functions.values():
                calls += function.waiting
            self.functions.clear()
            self.batches.clear()
            self.thread = self.alarm = None
        for call in calls:
            call.fail(error)

    def _start_batches(self, selector: selectors.BaseSelector) -> bool:
        """False: there is nothing to do, and the thread has signed off."""
        while True:
            now = time.monotonic()
            with self.lock:
                functions = list(self.functions.values())
                ready = [function for function in functions if function.ready_at() <= now]
                if not ready and not self.batches and not any(f.waiting for f in functions):
                    if len(functions) > FUNCTIONS_KEPT:
                        self.functions.clear()
                    self.thread = self.alarm = None
                    self.alarmed = False
                    return False
            if not ready:
                return True
            slots = self._count_slots(now)
            for function in ready:
                with self.lock:
                    tasks = function.take(slots, self.task_seconds)
                if tasks:
                    self._start(function, tasks, selector)

    def _start(self, function: Function, tasks: typing.List[typing.List[Call]],
               selector: selectors.BaseSelector) -> None:
        self.batch_count += 1
        batch = Batch(function, tasks, self.code.folder / f"batch-{self.batch_count}",
                      self.code.main)
        try:
            stream = self.transport.start(self._job(batch))
        except (ClusterError, CannotTravelError, OSError) as error:
            for call in batch.open_calls():
                call.fail(error)
            shutil.rmtree(batch.folder, ignore_errors=True)
            return
        batch.stream = stream
        with self.lock:
            self.batches.add(batch)
            function.batches += 1
        selector.register(stream, selectors.EVENT_READ, batch)

    def _job(self, batch: Batch) -> Job:
        batch.folder.mkdir()
        archive = self.code.archive()
        name = self.options.name or batch.function.name[:NAME_CHARS]
        options = dataclasses.replace(self.options, name=name)
        job = Job([self.python, archive.name, "{}"], options, items=batch.write(),
                  files=[archive], out=[node.RESULT_FILES + "*"], to=batch.folder,
                  folder=batch.folder)
        if (batch.folder / node.CALLS_FILE).exists():
            job.files.append(node.CALLS_FILE)
        for path in batch.shared():
            os.makedirs(os.path.dirname(batch.folder / path), exist_ok=True)
            os.link(self.code.folder / path, batch.folder / path)
            job.files.append(path)
        return job

    def _read(self, batch: Batch, selector: selectors.BaseSelector) -> None:
        assert batch.stream
        lines = batch.stream.read()
        numbered = bool(batch.job)
        for line in lines or []:
            again = batch.take(line)
            with self.lock:
                for call in reversed(again):
                    call.batch = None
                    batch.function.waiting.appendleft(call)
        if self.cancelling and batch.job and not numbered:
            with contextlib.suppress(ClusterError):
                self._cancel_queued_of(batch)
        if lines is not None:
            return
        selector.unregister(batch.stream)
        with self.lock:
            self.batches.discard(batch)
            batch.function.batches -= 1
        problem = batch.stream.end() or ClusterError(f"job {batch.job} ended without an answer")
        for call in batch.open_calls():
            call.fail(problem)
        shutil.rmtree(batch.folder, ignore_errors=True)

    def _cancel_dropped(self) -> None:
        with self.lock:
            batches = [batch for batch in self.dropped if batch.job or batch not in self.batches]
            self.dropped.difference_update(batches)
        for batch in batches:
            tasks = batch.to_cancel()
            if tasks and batch.job:
                with contextlib.suppress(ClusterError):  # it is over, or the master is away
                    self.transport.cancel(batch.job, tasks)

    def _count_slots(self, now: float) -> int:
        """How many calls can run at once, about: only to spread them."""
        if not self.slots or now - self.slots_at > SLOTS_SECONDS:
            with contextlib.suppress(ClusterError):
                cpus = sum(float(found["cpus"]) for found in self.transport.nodes()
                           if found["state"] == "online" and found["role"] == "worker")
                self.slots = int(cpus / max(self.options.cpus, 0.01))
                self.slots_at = now
        return max(1, self.slots)
