#!/usr/bin/env python3
"""Runs scripts/demo to its end and with every kind of early end, side by side, and asserts that no
process and no file stays behind.

Ends with one line, `N passed, N failed`, like every suite of scripts/test.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

DEMO = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "demo"
TIME_LIMIT = 600  # seconds; the first one may have to build


demos = set()  # that run now


def give_up(*_):
    """Ends the demos, which clean up behind themselves and count as failed."""
    for demo in list(demos):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGTERM)


def processes_of(session, folder):
    """Command lines of the living processes of a session, and of those that work below a folder or
    name it: runners and tasks have sessions of their own."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            words = stat.with_name("cmdline").read_text().replace("\0", " ")
            there = folder in words or os.readlink(stat.with_name("cwd")).startswith(folder)
            if (int(its_session) == session or there) and state != "Z":
                found.append(words)
        except OSError:
            pass  # it has just ended
    return found


def run(arguments, expected_code, until=None, signals=()):
    """Starts a demo, sends signals to its process group, as a terminal does, as soon as its output
    contains `until`; gives its output and what is wrong with its end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rpicluster-demo-test.") as folder:
        environment = dict(os.environ, TMPDIR=folder)
        demo = subprocess.Popen(
            [DEMO, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            text=True,
        )
        demos.add(demo)
        output = ""
        for line in demo.stdout:
            output += line
            if until and until in line:
                for number in signals:
                    os.killpg(demo.pid, number)
        code = demo.wait()
        demos.discard(demo)
        wrong = [f"still running: {process}" for process in processes_of(demo.pid, folder)]
        wrong += [f"left behind: {name}" for name in os.listdir(folder)]
        if code != expected_code:
            wrong.append(f"exit code {code} instead of {expected_code}")
        if until and until not in output:
            wrong.append(f"never said: {until}")
    return output + f"(after {time.monotonic() - began:.1f} s)\n", wrong


def whole():
    output, wrong = run(["--once"], 0)
    story = ["all of them are online", "tiles are done", "beta is suspect", "beta is lost",
             "the picture is complete", "here again are the same", "with the same id"]
    return output, wrong + [f"never said: {line}" for line in story if line not in output]


CASES = {
    "by itself": whole,
    "Ctrl-C at the end": lambda: run([], 0, "Ctrl-C ends everything", [signal.SIGINT]),
    "Ctrl-C twice": lambda: run([], 130, "beta is suspect", [signal.SIGINT, signal.SIGINT]),
    "SIGTERM": lambda: run([], 143, "loses its power", [signal.SIGTERM]),
    "hangup": lambda: run([], 129, "Starting", [signal.SIGHUP]),
}


def main():
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, give_up)
    signal.alarm(TIME_LIMIT)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
        runs = {name: pool.submit(case) for name, case in CASES.items()}
        for name, future in runs.items():
            output, wrong = future.result()
            print(f"{'FAILED' if wrong else 'passed'}: {name} {output.splitlines()[-1]}")
            if wrong:
                failed += 1
                print("".join(f"    {line}\n" for line in wrong + output.splitlines()))
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
