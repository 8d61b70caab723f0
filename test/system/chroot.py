"""A small Debian in a folder of its own: entered by chroot, or booted with its own systemd."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess

from cluster import free_port, is_listening, kill_quietly, wait_for

IN_THE_CHROOT = "adduser,init-system-helpers,libssl3,libsqlite3-0,cron"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}


def output_of(*command, **keywords) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          **keywords)
    if done.returncode != 0:
        raise AssertionError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Chroot:
    """A small Debian; programs in it are ended with it."""

    def __init__(self, folder: pathlib.Path, packages: str = IN_THE_CHROOT):
        self.root = folder / "chroot"
        output_of("mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io",
                  f"--include={packages}", "bookworm", self.root)
        self.port = free_port()
        self.started: list = []

    def words(self, *command) -> list:
        """A command in it, as the same process: with /proc, and mounts that go with the process."""
        mounts = f"mount -t proc proc {self.root}/proc && exec chroot {self.root} \"$@\""
        return ["unshare", "--mount", "sh", "-c", mounts, "sh", *map(str, command)]

    def run(self, *command) -> str:
        return output_of(*self.words(*command), env=ENVIRONMENT)

    def start(self, *command) -> subprocess.Popen:
        with open(self.root / "daemons.log", "ab") as log:
            self.started.append(subprocess.Popen(self.words(*command), stdout=log, stderr=log,
                                                 stdin=subprocess.DEVNULL, env=ENVIRONMENT))
        return self.started[-1]

    def start_master(self) -> None:
        self.start("rpicluster-master", "--bind", "127.0.0.1", "--port", self.port)
        # It listens before the commands of its machine find it.
        address = self.root / "var/lib/rpicluster/master/address"
        wait_for(lambda: is_listening(self.port) and address.exists(), 10, "the master listens")

    def install(self, *packages: pathlib.Path) -> None:
        for path in packages:
            shutil.copy(path, self.root / "tmp")
        self.run("dpkg", "-i", *[f"/tmp/{path.name}" for path in packages])

    def processes(self, name: str = "") -> list:
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and os.readlink(folder / "root") == str(self.root):
                    if name in (folder / "cmdline").read_bytes().split(b"\0")[0].decode():
                        found.append(int(folder.name))
        return found

    def nodes_online(self) -> int:
        status = self.run("rpicluster", "nodes")
        return len(re.findall(r"\bonline\b", status))

    def close(self) -> None:
        def ended() -> bool:
            for pid in self.processes():
                kill_quietly(pid)
            return not self.processes()
        wait_for(ended, 20, "nothing runs in the chroot")
        for process in self.started:
            process.wait()


def cgroup2() -> pathlib.Path | None:
    """Where a hierarchy of control groups can be given to a systemd of its own."""
    for folder in (pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/unified")):
        if (folder / "cgroup.kill").exists() or (folder / "cgroup.controllers").exists():
            return folder if os.access(folder, os.W_OK) else None
    return None


# What a container manager prepares for the init of a container.
BOOT = """set -e
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
ln -s pts/ptmx dev/ptmx
mkdir dev/shm
for folder in dev/shm run; do mount -t tmpfs -o mode=755 tmpfs $folder; done
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p mnt
pivot_root . mnt
exec env -i container=rpicluster PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c "umount -l /mnt && exec /lib/systemd/systemd --system"
"""


class Booted(Chroot):
    """The same, with its own systemd, processes and network."""

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder, IN_THE_CHROOT + ",systemd,systemd-sysv")
        self.group = cgroup2() / f"rpicluster-test-{os.getpid()}"
        self.init = 0

    def boot(self) -> None:
        self.group.mkdir()
        enter = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""
        spaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup"]
        self.started.append(subprocess.Popen(
            ["sh", "-c", enter, str(self.group), "unshare", *spaces, "sh", "-c", BOOT,
             str(self.root)], stdin=subprocess.DEVNULL))
        self.init = wait_for(self.find_init, 20, "systemd runs")
        output_of("nsenter", "-t", self.init, "-n", "ip", "link", "set", "lo", "up")
        wait_for(lambda: self.systemctl("is-system-running") in ("running", "degraded"), 60,
                 "it has started")

    def find_init(self) -> int:
        """The only child of unshare(1), once it is systemd."""
        unshare = self.started[-1].pid
        children = pathlib.Path(f"/proc/{unshare}/task/{unshare}/children").read_text("ascii")
        for pid in map(int, children.split()):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text("ascii").strip() == "systemd":
                    return pid
        return 0

    def words(self, *command) -> list:
        return ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w",
                *map(str, command)]

    def processes(self, name: str = "") -> list:
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and self.contains(folder):
                    if name in (folder / "cmdline").read_bytes().split(b"\0")[0].decode():
                        found.append(int(folder.name))
        return found

    def contains(self, process: pathlib.Path) -> bool:
        space = pathlib.Path(f"/proc/{self.init}/ns/pid")
        return bool(self.init) and os.readlink(process / "ns/pid") == os.readlink(space)

    def systemctl(self, *words) -> str:
        """What it says, whatever its exit code is: for is-active that is an answer."""
        return subprocess.run(self.words("systemctl", *words), env=ENVIRONMENT, check=False,
                              capture_output=True, text=True).stdout.strip()

    def property(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", "-p", name, f"rpicluster-{unit}")

    def journal(self, unit: str, *options) -> str:
        return self.run("journalctl", "--no-pager", "-u", f"rpicluster-{unit}", *options)

    def close(self) -> None:
        if self.started:
            (self.group / "cgroup.kill").write_text("1", encoding="ascii")
        super().close()
        for folder, _, _ in os.walk(self.group, topdown=False):
            wait_for(lambda: removed(folder), 10, f"{folder} is empty")


def removed(folder: str) -> bool:
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)
