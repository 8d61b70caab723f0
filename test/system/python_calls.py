"""Functions that test_python.py calls on the cluster: a user's module, which travels by itself."""

from __future__ import annotations

import os
import pathlib
import sys
import threading
import time


def square(number):
    return number * number


def keywords(*args, **kwargs):
    return args, kwargs


def fail(text):
    raise ValueError(text)


class OddError(Exception):
    """Pickles, but cannot be made again from that."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


def fail_oddly():
    raise OddError("first", "second")


def leave(code):
    sys.exit(code)


def lock():
    return threading.Lock()


def die_at(number, worst):
    if number == worst:
        print("going down", file=sys.stderr, flush=True)
        os._exit(9)
    return number


def zeros(count):
    return bytes(count)


def length(data):
    return len(data)


def print_and_return(number):
    print("printed", number)
    os.write(1, b"written\n")
    return number


def wait_for_file(path, answer=None):
    while not os.path.exists(path):
        time.sleep(0.05)
    return answer


def note(path, answer=None):
    """Says that it has begun, and takes its time."""
    pathlib.Path(path).touch()
    time.sleep(60)
    return answer


def add_all(numbers, more):
    return sum(numbers) + more


def read(path):
    return path.name, path.read_text(encoding="utf-8")


def pid_and_node(_):
    return os.getpid(), os.environ["RPIC_NODE"]


class Counter:
    def __init__(self, start):
        self.start = start

    def up(self, by):
        return self.start + by
