"""Processes of this machine, as /proc tells of them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time

POLL = 0.1  # seconds between two looks


def processes_with_environment(entry: str) -> list:
    """(pid, command line) of every process, apart from this one, started with this NAME=VALUE."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:  # it ended, or it is somebody else's
            continue
        if entry.encode() in environment and command:
            found.append((int(folder.name), command.decode(errors="replace").strip()))
    return found


def all_processes() -> list:
    """(pid, command line) of every process."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(folder.name), command.decode(errors="replace").strip()))
    return found


def kill_quietly(pid: int, how: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def processes_below(folder: pathlib.Path) -> list:
    """(pid, command line) of every process, apart from this one, that names the folder or works in
    it. Runners and tasks are found so: they know nothing of the environment of who started them."""
    found = []
    for pid, command in all_processes():
        there = ""
        with contextlib.suppress(OSError):
            there = os.readlink(f"/proc/{pid}/cwd")
        if pid != os.getpid() and (str(folder) in command or there.startswith(str(folder))):
            found.append((pid, command))
    return found


def end_processes_below(folder: pathlib.Path, timeout: float = 10) -> list:
    """Kills them until there are none; what they were. Again and again: a runner or a task may just
    have started another one."""
    ended: dict = {}
    deadline = time.monotonic() + timeout
    while left := processes_below(folder):
        ended.update(left)
        for pid, _ in left:
            kill_quietly(pid)
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    return sorted(ended.items())
