"""What of the Python interface runs on a node: a task that makes some calls, one after the other.

It travels with every job of rpicluster.Cluster, as does the user's own code, so a node needs Python
3.9 or later and nothing else. It imports little: a task of a small call is mostly its imports.
"""

from __future__ import annotations

import binascii
import os
import pickle
import sys
import time
import typing

CALLS_FILE = "rpicluster-calls"  # holds what does not fit into the item of a task
RESULT_FILES = "rpicluster-result-"  # results that are too large for the output of a task
LOADING = "RPICLUSTER_LOADING"  # in the environment while the user's module is imported
PROTOCOL = 5  # of pickle, as every Python since 3.8 has it
LINE_BYTES = 256 * 1024  # a larger result goes into a file,
OUTPUT_BYTES = 1024 * 1024  # as do those that come when this much has been printed

Payload = typing.Tuple[str, bytes, typing.List[bytes]]  # main module, function, arguments of calls


class Shared:
    """Something that was `put` into the cluster: an argument like any other. The call gets the
    value, or the path of its node's copy where a file was put."""

    def __init__(self, path: str, is_file: bool):
        self.path = path  # from the folder of the job's files
        self.is_file = is_file

    def __reduce__(self) -> typing.Tuple[typing.Any, ...]:
        return load_shared, (self.path, self.is_file)

    def __repr__(self) -> str:
        return f"<{'file' if self.is_file else 'value'} shared as {self.path}>"


_loaded: typing.Dict[str, typing.Any] = {}


def load_shared(path: str, is_file: bool) -> typing.Any:
    """What a call gets for a Shared: read once in a task."""
    if path not in _loaded:
        if is_file:
            import pathlib

            _loaded[path] = pathlib.Path(path).absolute()
        else:
            with open(path, "rb") as file:
                _loaded[path] = pickle.load(file)
    return _loaded[path]


def encode_payload(payload: bytes) -> str:
    import zlib

    return binascii.b2a_base64(zlib.compress(payload, 1), newline=False).decode("ascii")


def _decode_item(item: str) -> bytes:
    """An item is the payload itself, or says where in the file it is: @OFFSET+LENGTH."""
    if item.startswith("@"):
        offset, length = map(int, item[1:].split("+"))
        with open(CALLS_FILE, "rb") as file:
            file.seek(offset)
            return file.read(length)
    import zlib

    return zlib.decompress(binascii.a2b_base64(item))


class _Results:
    """Lines on the task's standard output: what the calls themselves print goes to stderr."""

    def __init__(self) -> None:
        self.descriptor = os.dup(1)
        os.dup2(2, 1)
        self.room = OUTPUT_BYTES
        self.files = 0

    def write(self, record: typing.Tuple[typing.Any, ...]) -> None:
        data = pickle.dumps(record, PROTOCOL)
        line = binascii.b2a_base64(data)
        if len(line) > min(self.room, LINE_BYTES):
            name = f"{RESULT_FILES}{os.environ.get('RPIC_TASK', '')}-{self.files}"
            self.files += 1
            with open(name, "wb") as file:
                file.write(data)
            line = f"@{name}\n".encode("ascii")
        self.room = max(0, self.room - len(line))
        while line:
            line = line[os.write(self.descriptor, line):]


def _failure(error: BaseException, seconds: float) -> typing.Tuple[typing.Any, ...]:
    """(False, seconds, the error if it can travel, its type's name, its text, its traceback)"""
    import traceback

    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    try:
        pickled = pickle.dumps(error.with_traceback(None), PROTOCOL)
        pickle.loads(pickled)
    except Exception:  # whatever its methods do: its text travels in any case
        pickled = b""
    name = type(error).__qualname__
    try:
        message = str(error)
    except Exception:
        message = "(its text cannot be made)"
    return False, seconds, pickled, name, message, text


def _load(main: str, function: bytes) -> typing.Any:
    """Imports the user's module, too, which must not start the cluster's work again."""
    import importlib

    os.environ[LOADING] = "1"
    try:
        if main:
            sys.modules["__main__"] = importlib.import_module(main)
        return pickle.loads(function)
    finally:
        del os.environ[LOADING]


def _call(function: typing.Any, arguments: bytes) -> typing.Tuple[typing.Any, ...]:
    began = time.perf_counter()
    try:
        args, kwargs = pickle.loads(arguments)
        result = function(*args, **kwargs)
    except BaseException as error:  # SystemExit is an answer, too
        return _failure(error, time.perf_counter() - began)
    return True, time.perf_counter() - began, result


def main() -> int:
    results = _Results()
    payload: Payload = pickle.loads(_decode_item(sys.argv[1]))
    main_module, function_bytes, calls = payload
    try:
        function = _load(main_module, function_bytes)
    except BaseException as error:
        for _ in calls:
            results.write(_failure(error, 0.0))
        return 0
    for arguments in calls:
        record = _call(function, arguments)
        try:
            results.write(record)
        except Exception as error:
            kind = type(record[2]).__qualname__
            problem = TypeError(f"the result, of type {kind}, cannot travel: {error}")
            results.write(_failure(problem, record[1]))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # at once: threads that a call left behind must not keep the task
