"""What the long run has done so far, in a file that is written after each part, for people to read.

Of each case: what is wanted, what is done, in how many seconds, the result, and its parts, each
with date, version of the code, count, seconds and result. Parts of one day and version are put
together.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib

PASSED, PARTLY, FAILED = "passed", "partly", "failed"
FIGURES_KEPT = 20  # of a part, the latest


class Record:
    def __init__(self, path: pathlib.Path):
        self.path = path
        self.cases: dict = {}
        self.read()

    def read(self) -> None:
        if self.path.exists():
            known = json.loads(self.path.read_text(encoding="utf-8"))
            self.cases = {case["name"]: case for case in known["cases"]}

    @contextlib.contextmanager
    def latest(self):
        """What other runs have written is read before, and they wait until this is written."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            self.read()
            yield
            self.write()
        finally:
            os.close(folder)

    def done(self, name: str) -> int:
        return self.cases.get(name, {}).get("done", 0)

    def result(self, name: str) -> str:
        return self.cases.get(name, {}).get("result", "not begun")

    def forget(self, name: str) -> None:
        """The case begins anew, as after a fix."""
        with self.latest():
            self.cases.pop(name, None)

    def add(self, name: str, unit: str, wanted: int, part: dict) -> None:
        """part: date, version, count, seconds, result (passed or failed), and perhaps figures and
        text. A failure stays the result of its case until the case is forgotten."""
        with self.latest():
            case = self.cases.setdefault(name, {"name": name, "parts": []})
            case["unit"], case["wanted"] = unit, wanted
            parts = case["parts"]
            same = ("date", "version", "result")
            if parts and part["result"] == PASSED and all(parts[-1][k] == part[k] for k in same):
                last = parts[-1]
                last["count"] += part["count"]
                last["seconds"] = round(last["seconds"] + part["seconds"], 1)
                figures = last.get("figures", []) + part.get("figures", [])
                if figures:
                    last["figures"] = figures[-FIGURES_KEPT:]
            else:
                parts.append(part)
            case["done"] = sum(each["count"] for each in parts)
            case["seconds"] = round(sum(each["seconds"] for each in parts), 1)
            case["date"], case["version"] = part["date"], part["version"]
            if any(each["result"] == FAILED for each in parts):
                case["result"] = FAILED
            else:
                case["result"] = PASSED if case["done"] >= wanted else PARTLY

    def write(self) -> None:
        """At once and as a whole: a run that is killed here loses nothing."""
        order = ("name", "result", "done", "wanted", "unit", "seconds", "date", "version", "parts")
        cases = [{key: case[key] for key in order} for case in self.cases.values()]
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"version": 1, "cases": cases}, indent=1) + "\n",
                       encoding="utf-8")
        os.replace(new, self.path)
