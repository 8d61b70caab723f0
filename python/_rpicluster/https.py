"""A cluster that is reached by its HTTP API, where the command `rpicluster` is not installed."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import socket
import threading
import time
import typing
import urllib.parse
import uuid

from _rpicluster.files import TravellingFile, bring_home, scan_files, scan_text
from _rpicluster.transport import ClusterError, Job, Json, Path, Stream, Transport, selector
from _rpicluster.web import UNREACHABLE, Web

PAGE = 1000  # tasks or jobs of one answer
RANGES = 200  # of indexes in one question
LOOK_SECONDS = 2  # the webserver waits for news that long
LOOK_PAUSE = 0.05  # at least, between two looks at the tasks
FIRST_RETRY, LAST_RETRY = 0.2, 5.0  # while webserver or master is away
SENT_SECONDS = 30.0  # the same file is not offered again
ITEMS_INLINE = 64 * 1024  # bytes; more travel as a file
T = typing.TypeVar("T")
ENDED = ("done", "failed", "cancelled")


def _quoted(text: str) -> str:
    return urllib.parse.quote(str(text), safe="")


class Https(Transport):
    """The HTTP API of the cluster's webserver: Https("https://pi0:8123", token=...).

    The webserver makes its own certificate and prints its fingerprint: name it as `fingerprint`, or
    name the file of the certificate, or of an authority, as `ca_file`. Without either the
    certificate has to be one that this machine trusts. `token_file` holds the token, which
    `rpicluster token create --role submit` makes. What is not named comes from the environment:
    RPICLUSTER_API_URL, _TOKEN, _TOKEN_FILE, _FINGERPRINT, _CA_FILE.
    """

    def __init__(self, url: str = "", *, token: str = "", token_file: typing.Optional[Path] = None,
                 fingerprint: str = "", ca_file: typing.Optional[Path] = None):
        def setting(name: str) -> str:
            return os.environ.get(f"RPICLUSTER_API_{name}", "")

        url = url or setting("URL")
        if not url:
            raise ValueError("url: expected https://HOST:PORT, as an argument or in "
                             "RPICLUSTER_API_URL")
        if not token and not token_file:
            token, token_file = setting("TOKEN"), setting("TOKEN_FILE") or None
        if token_file:
            token = pathlib.Path(token_file).read_text(encoding="utf-8")
        if not fingerprint and not ca_file:
            fingerprint, ca_file = setting("FINGERPRINT"), setting("CA_FILE") or None
        self._web = Web(url, token.strip(), fingerprint, ca_file)
        self._lock = threading.Lock()
        self._sent: typing.Dict[str, float] = {}

    def _pages(self, path: str, name: str) -> typing.Iterator[Json]:
        cursor = ""
        while True:
            sign = "&" if "?" in path else "?"
            page = self._web.ask("GET", f"{path}{sign}limit={PAGE}{cursor}").json()
            yield from page[name]
            if page["next"] is None:
                return
            cursor = f"&cursor={_quoted(page['next'])}"

    def nodes(self) -> typing.List[Json]:
        return list(self._web.ask("GET", "nodes").json()["nodes"])

    def jobs(self) -> typing.List[Json]:
        return list(self._pages("jobs", "jobs"))[::-1]  # oldest first, as the command tells them

    def start(self, job: Job) -> Stream:
        return _ApiStream(self, job)

    def queued(self, job: str) -> typing.List[int]:
        return [int(task["index"])
                for task in self._pages(f"jobs/{_quoted(job)}/tasks?state=queued", "tasks")]

    def cancel(self, job: str, tasks: typing.Sequence[int] = ()) -> None:
        body = {"tasks": selector(tasks)} if tasks else {}
        # 409: it has ended by itself, which is as good, and what the command says as well.
        self._web.ask("POST", f"jobs/{_quoted(job)}/cancel", body, accepted=409)

    def fetch(self, job: str, to: Path, by_task: bool) -> int:
        files = 0
        for task in self._pages(f"jobs/{_quoted(job)}/tasks", "tasks"):
            if task["files"]:
                folder = pathlib.Path(to, str(task["index"])) if by_task else pathlib.Path(to)
                files += self.fetch_task(job, int(task["index"]), folder)
        return files

    # What a stream needs.

    def fetch_task(self, job: str, index: int, folder: pathlib.Path) -> int:
        listed = self._web.ask("GET", f"jobs/{_quoted(job)}/tasks/{index}/files").json()
        if listed["more"]:
            raise ClusterError(f"task {job}.{index} made more files than the HTTP API lists; the "
                               "command `rpicluster fetch` brings all")
        return bring_home(self._web, listed["files"], folder)

    def send(self, file: TravellingFile) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._sent.get(file.name, -SENT_SECONDS) < SENT_SECONDS:
                return
        with file.open() as content:
            self._web.upload(file.name, file.size, content)
        with self._lock:
            self._sent = {name: at for name, at in self._sent.items() if now - at < SENT_SECONDS}
            self._sent[file.name] = now

    def submit(self, job: Job, key: str) -> Json:
        """Sends what belongs to the job, and the job; gives it."""
        body = job.options.body()
        files = scan_files(job.files, job.folder)
        by_arch = {arch: scan_files([path], job.folder)
                   for arch, path in job.files_by_arch.items()}
        for file in [*files, *(file for some in by_arch.values() for file in some)]:
            self.send(file)
        if files:
            body["in"] = [file.entry() for file in files]
        if by_arch:
            body["in_arch"] = {arch: [file.entry() for file in some]
                               for arch, some in by_arch.items()}
        if job.out:
            body["out"] = list(job.out)
        if job.array:
            body["array"] = job.array
        if job.items is not None:
            self._add_items(body, job.items)
        body["command"] = _command(job)
        answer = self._web.ask("POST", "jobs", body, {"Idempotency-Key": key})
        return dict(answer.json()["job"])

    def _add_items(self, body: Json, items: typing.Sequence[str]) -> None:
        if sum(map(len, items)) < ITEMS_INLINE:
            body["items"] = list(items)
            return
        file = scan_text(b"".join(item.encode() + b"\0" for item in items))
        self.send(file)
        body["items_file"] = file.name

    def look(self, job: str, tag: str) -> typing.Tuple[typing.Optional[Json], str]:
        """The job when it is another than that of the tag, and its tag; nothing if it stays the
        same for some seconds."""
        fields = {"If-None-Match": tag} if tag else {}
        wait = f"?wait={LOOK_SECONDS}s" if tag else ""
        answer = self._web.ask("GET", f"jobs/{_quoted(job)}{wait}", headers=fields)
        if answer.status == 304:
            return None, tag
        return dict(answer.json()["job"]), answer.tag

    def tasks(self, job: str, question: str) -> typing.Tuple[typing.List[Json], bool]:
        """A page of tasks, and whether there are more."""
        answer = self._web.ask("GET", f"jobs/{_quoted(job)}/tasks?limit={PAGE}&{question}").json()
        return list(answer["tasks"]), answer["next"] is not None

    def log(self, job: str, index: int, stream: str) -> str:
        answer = self._web.ask("GET", f"jobs/{_quoted(job)}/tasks/{index}/log?stream={stream}")
        return answer.body.decode(errors="replace")


def _command(job: Job) -> typing.Union[str, typing.List[str]]:
    """A line for sh is a text. What a task of items runs has a mark where its item goes."""
    words = list(job.command)
    line = ""
    if job.items is not None and len(words) == 1:
        line = words[0]
    elif job.items is None and words[:2] == ["/bin/sh", "-c"] and len(words) == 3:
        line = words[2]
    marked = any(mark in word for word in words for mark in ("{}", "{.}", "{/}"))
    if job.items is None or marked:
        return line or words
    return f"{line} {{}}" if line else [*words, "{}"]


class _Ended:
    """Finds the tasks of a job that have ended since the last look, without asking again and again
    for those that had ended before."""

    def __init__(self, api: Https, job: str):
        self._api = api
        self._job = job
        self._last = -1  # up to here every task has ended, or was passed over
        self._passed_over: typing.Set[int] = set()

    def look(self) -> typing.Iterator[Json]:
        yield from self._look_at_passed_over()
        while True:
            cursor = f"cursor={self._last}" if self._last >= 0 else ""
            tasks, more = self._api.tasks(self._job, cursor)
            ended = [place for place, task in enumerate(tasks) if task["state"] in ENDED]
            if not ended:
                return
            for task in tasks[:ended[-1] + 1]:
                self._last = int(task["index"])
                if task["state"] in ENDED:
                    yield task
                else:
                    self._passed_over.add(self._last)
            if not more or ended[-1] + 1 < len(tasks):
                return

    def _look_at_passed_over(self) -> typing.Iterator[Json]:
        left = sorted(self._passed_over)
        while left:
            some, left = left[:PAGE], left[PAGE:]
            ranges = selector(some).split(",")
            if len(ranges) > RANGES:
                last = int(ranges[RANGES - 1].split("-")[-1])
                some, left = ([index for index in some if index <= last],
                              [index for index in some if index > last] + left)
            tasks, _ = self._api.tasks(self._job, f"tasks={_quoted(selector(some))}")
            for task in tasks:
                if task["state"] in ENDED:
                    self._passed_over.discard(int(task["index"]))
                    yield task


class _ApiStream(Stream):
    """A thread that sends the job and follows it; the socket says when there is something to
    read."""

    def __init__(self, api: Https, job: Job):
        self._api = api
        self._job = job
        self._near, self._far = socket.socketpair()
        self._lock = threading.Lock()
        self._lines: typing.Deque[Json] = collections.deque()
        self._problem: typing.Optional[ClusterError] = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rpicluster-job", daemon=True)
        self._thread.start()

    # For who reads.

    def fileno(self) -> int:
        return self._near.fileno()

    def read(self) -> typing.Optional[typing.List[Json]]:
        alive = self._near.recv(4096)
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
        return lines if alive or lines else None

    def end(self) -> typing.Optional[ClusterError]:
        self._thread.join()
        self._near.close()
        return self._problem

    def abandon(self) -> None:
        self._abandoned.set()
        self._near.close()

    # The thread.

    def _tell(self, line: Json) -> None:
        with self._lock:
            self._lines.append(line)
        with contextlib.suppress(OSError):  # abandoned: nobody listens any more
            self._far.send(b"!")

    def _work(self) -> None:
        try:
            self._follow()
        except ClusterError as error:
            self._problem = error
        except Exception as error:  # an answer without what it must have, a file that is not there
            self._problem = ClusterError(f"{type(error).__name__}: {error}")
        finally:
            self._far.close()

    def _follow(self) -> None:
        job = self._api.submit(self._job, f"python-{uuid.uuid4().hex}")
        self._tell({"job": job})
        ident = str(job["id"])
        ended = _Ended(self._api, ident)
        tag = ""
        while not self._abandoned.is_set():
            found, tag = self._patiently(lambda: self._api.look(ident, tag))
            if found is None:
                continue
            began = time.monotonic()
            self._hand_out(ident, ended)
            if found["state"] in ENDED:
                self._tell({"job": found})
                return
            self._abandoned.wait(max(LOOK_PAUSE, time.monotonic() - began))

    def _hand_out(self, ident: str, ended: _Ended) -> None:
        """Tells the tasks that have ended; goes on where it was when the master was away."""
        tasks: typing.List[Json] = []
        self._patiently(lambda: tasks.extend(ended.look()))
        for task in tasks:
            if self._abandoned.is_set():
                return
            self._tell(self._patiently(lambda: self._line_of(ident, task)))

    def _line_of(self, ident: str, task: Json) -> Json:
        index = int(task["index"])
        if task["files"] and self._job.out:
            self._api.fetch_task(ident, index, pathlib.Path(self._job.to))
        some = task["output_bytes"] > 0
        return {"task": task, "stdout": self._api.log(ident, index, "out") if some else "",
                "stderr": self._api.log(ident, index, "err") if some else ""}

    def _patiently(self, ask: typing.Callable[[], T]) -> T:
        """A webserver or master that is away is waited for, however long."""
        pause = FIRST_RETRY
        while True:
            try:
                return ask()
            except ClusterError as error:
                if error.code != UNREACHABLE or self._abandoned.wait(pause):
                    raise
            pause = min(LAST_RETRY, 2 * pause)
