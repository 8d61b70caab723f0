#!/usr/bin/env python3
"""Programs of other architectures, as scripts/cross builds them, on this machine: by qemu-user,
each with the CPU of the smallest board of its kind.

    test/system/foreign.py ARCH PROGRAM [ARGUMENT...]

runs one. Programs that start others need more than that: ForeignCluster starts the programs of a
board in a user namespace with a table of interpreters of its own (binfmt_misc, Linux 6.7), where
execve(2) of a foreign program works as that of any other, and outside of which nothing changes.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from cluster import ROOT, Cluster

# The processor of a Pi 3 and Zero 2 W, of the first Pi 2, and of Pi 1 and Zero.
CPUS = {"arm64": ("aarch64", "cortex-a53"), "armhf": ("arm", "cortex-a7"),
        "armel": ("arm", "arm1176")}
REGISTER = "/proc/sys/fs/binfmt_misc/register"


def sysroot(arch: str) -> pathlib.Path:
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    return pathlib.Path(os.environ.get("RPIC_SYSROOTS", f"{cache}/rpicluster/sysroots")) / arch


def emulator(arch: str) -> list:
    qemu, cpu = CPUS[arch]
    return [f"/usr/bin/qemu-{qemu}-static", "-cpu", cpu, "-L", str(sysroot(arch))]


def programs_of(arch: str) -> pathlib.Path:
    return ROOT / f"build-{arch}" / "bin"


def static_programs_of(arch: str) -> pathlib.Path:
    """Those that need no library, for container images."""
    return programs_of(arch) if arch == "armel" else ROOT / f"build-static-{arch}" / "bin"


def missing(*archs: str) -> str:
    """Why programs of these cannot run here; empty if they can."""
    for arch in archs:
        if not shutil.which(emulator(arch)[0]):
            return "no qemu-user-static"
        if not (programs_of(arch) / "rpicluster").exists():
            return f"not built; scripts/cross {arch} does that"
    return ""


def magic(arch: str) -> str:
    """How binfmt_misc tells a program: class, order of bytes, kind, machine; and for 32-bit ARM the
    calling convention, which stands in the flags."""
    wide = arch == "arm64"
    head = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    head += b"\x02\x00" + (b"\xb7\x00" if wide else b"\x28\x00")
    mask = b"\xff" * 7 + bytes(9) + b"\xfe\xff\xff\xff"
    if not wide:
        head += bytes(17) + (b"\x04" if arch == "armhf" else b"\x02")
        mask += bytes(17) + b"\x06"
    return ":".join("".join(f"\\x{byte:02x}" for byte in each) for each in (head, mask))


class Boards:
    """The user namespace, held by a process that ends when its standard input does."""

    def __init__(self, folder: pathlib.Path, archs: tuple):
        self.holder = subprocess.Popen(["unshare", "--user", "--mount", "cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdin.write(b"x")
        self.holder.stdin.flush()
        self.holder.stdout.read(1)  # now it is there
        for table in ("uid_map", "gid_map"):  # every user as himself
            with open(f"/proc/{self.holder.pid}/{table}", "w", encoding="ascii") as file:
                file.write("0 0 4294967295")
        self.run("mount", "-t", "binfmt_misc", "binfmt_misc", os.path.dirname(REGISTER))
        for arch in archs:
            # A file of one word, readable by the user of tasks, as the interpreter: it adds the
            # CPU.
            script = folder / f"emulate-{arch}"
            words = " ".join(emulator(arch))
            script.write_text(f"#!/bin/sh\nexec {words} \"$@\"\n", encoding="ascii")
            script.chmod(0o755)
            self.run("sh", "-c", f"printf %s \"$1\" > {REGISTER}", "sh",
                     f":{arch}:M::{magic(arch)}:{script}:")

    def inside(self, *command) -> list:
        return ["nsenter", "-t", str(self.holder.pid), "--user", "--mount", *map(str, command)]

    def run(self, *command) -> None:
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")

    def close(self) -> None:
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


class ForeignCluster(Cluster):
    """A cluster in which names have an architecture: self.archs["pi1"] = "arm64"."""

    def __init__(self):
        super().__init__()
        self.archs: dict = {}
        self.boards = None

    def use(self, **archs: str) -> None:
        self.archs.update(archs)
        self.boards = Boards(self.folder, tuple(sorted(set(archs.values()))))

    def command(self, name: str, program: str, args: tuple) -> list:
        arch = self.archs.get(name)
        if arch is None:
            return super().command(name, program, args)
        return self.boards.inside(programs_of(arch) / program, *args)

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self.boards is not None:
                self.boards.close()


def main() -> None:
    arch, program = sys.argv[1:3]
    words = [*emulator(arch), program, *sys.argv[3:]]
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
