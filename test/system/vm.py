"""A whole Debian in an emulated computer: a real kernel, a real systemd, and a plug to pull.

What the base of it needs (a minimal Debian, Debian's kernel, a first file system that finds the
disk) is made once for a build folder, and kept in its folder vm.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from cluster import wait_for

# Without dbus: what the services need of systemd has to work through its own socket.
PACKAGES = ("adduser", "busybox-static", "init-system-helpers", "libsqlite3-0", "libssl3", "systemd",
            "systemd-sysv")
KERNEL = "linux-image-cloud-amd64"
# In the order in which they need one another.
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
           "virtio_blk")
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs",
         "dpkg-deb": "dpkg", "apt-get": "apt"}
DISK_MIB = 1024
MEMORY_MIB = 768
BOOT_LIMIT = 600  # seconds until the emulated computer answers
# What a booted system does and these tests do not need, since all of it is slow here.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer", "modprobe@.service", "systemd-modules-load.service",
          "systemd-logind.service", "systemd-random-seed.service", "systemd-remount-fs.service",
          "systemd-sysusers.service", "systemd-tmpfiles-clean.timer",
          "systemd-tmpfiles-setup-dev.service", "systemd-update-utmp.service",
          "systemd-user-sessions.service", "dev-hugepages.mount", "dev-mqueue.mount",
          "sys-kernel-debug.mount", "sys-kernel-tracing.mount")

INIT = """#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
for module in {modules}; do busybox insmod /$module.ko; done
until [ -b /dev/vda ]; do busybox sleep 0.1; done
busybox mount -t ext4 /dev/vda /root && busybox mount --move /dev /root/dev
exec busybox switch_root /root /lib/systemd/systemd
"""

# Takes lines "NUMBER SECONDS BASE64-OF-A-COMMAND", gives "NUMBER CODE BASE64-OF-ITS-OUTPUT".
AGENT = r"""#!/bin/bash
exec </dev/ttyS1 >/dev/ttyS1 2>/dev/null
stty raw -echo
echo 0 0 =
while read -r number seconds text; do
    command=$(base64 -d <<<"$text")
    output=$( (timeout "$seconds" bash -c "$command"; echo $? >/run/agent.code) </dev/null 2>&1 | base64 -w 0)
    echo "$number $(</run/agent.code) ${output:-=}"
done
"""

AGENT_UNIT = """[Unit]
Description=commands of the test
[Service]
ExecStart=/usr/local/sbin/agent
Restart=always
OOMScoreAdjust=-900
[Install]
WantedBy=multi-user.target
"""


def missing() -> str:
    """Why no computer can be emulated here; empty if one can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    if not kernel_package():
        return f"apt knows no {KERNEL}: needs Debian 12 for amd64 and its list of packages"
    return ""


def output_of(*command, **keywords) -> str:
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, **keywords)
    if done.returncode != 0:
        raise AssertionError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@functools.lru_cache(maxsize=None)
def kernel_package() -> str:
    """The package with the kernel itself, which the one without a version in its name leads to."""
    with contextlib.suppress(AssertionError):
        found = re.search(r"Depends: (linux-image-\S+)", output_of("apt-cache", "depends", KERNEL))
        return found[1] if found else ""
    return ""


def archive(entries: dict) -> bytes:
    """Files as the kernel takes them for its first file system (cpio, "newc")."""
    parts = []
    for number, (name, (mode, content)) in enumerate([*entries.items(), ("TRAILER!!!", (0, b""))]):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        parts += [head, b"\0" * (-len(head) % 4), content, b"\0" * (-len(content) % 4)]
    return b"".join(parts)


class Base:
    """What all emulated computers of a build folder have in common."""

    def __init__(self, build: pathlib.Path):
        recipe = repr((PACKAGES, kernel_package(), INIT, MODULES))
        self.folder = build / "vm" / hashlib.sha256(recipe.encode()).hexdigest()[:12]
        self.folder.parent.mkdir(exist_ok=True)
        with open(self.folder.parent / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.folder.exists():
                for old in self.folder.parent.glob("*-new"):
                    shutil.rmtree(old)
                self.make(self.folder.with_name(self.folder.name + "-new"))

    def make(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        output_of("mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io",
                  f"--include={','.join(PACKAGES)}", "bookworm", folder / "root.tar")
        # As root, since the helper of another user could not write here.
        output_of("apt-get", "download", "-o", "APT::Sandbox::User=root", kernel_package(),
                  cwd=folder)
        package, = folder.glob("*.deb")
        output_of("dpkg-deb", "--extract", package, folder / "kernel")
        output_of("tar", "-xf", folder / "root.tar", "-C", folder, "./usr/bin/busybox")
        kernel, = folder.glob("kernel/boot/vmlinuz-*")
        kernel.rename(folder / "vmlinuz")
        entries = {name: (0o40755, b"") for name in ("bin", "dev", "root")}
        entries["bin/busybox"] = (0o100755, (folder / "usr/bin/busybox").read_bytes())
        for name in MODULES:
            path, = folder.glob(f"kernel/lib/modules/*/kernel/drivers/**/{name}.ko")
            entries[f"{name}.ko"] = (0o100644, path.read_bytes())
        entries["init"] = (0o100755, INIT.format(modules=" ".join(MODULES)).encode())
        (folder / "initrd").write_bytes(archive(entries))
        package.unlink()
        for path in ("kernel", "usr"):
            shutil.rmtree(folder / path)
        folder.rename(self.folder)


class CommandFailed(AssertionError):
    """A command in the emulated computer gave another code than 0."""


class Computer:
    """One emulated computer with a disk of its own, on which Debian packages are installed."""

    def __init__(self, base: Base, folder: pathlib.Path, packages: list):
        self.base = base
        self.disk = folder / "disk"
        self.console = folder / "console"
        self.channel_path = folder / "channel"
        self.process: subprocess.Popen | None = None
        self.channel: socket.socket | None = None
        self.unread = b""
        self.number = 0
        self.boots = 0
        self.make_disk(folder / "root", packages)

    def make_disk(self, root: pathlib.Path, packages: list) -> None:
        root.mkdir()
        output_of("tar", "-xf", self.base.folder / "root.tar", "-C", root)
        (root / "packages").mkdir()
        for path in packages:
            shutil.copy(path, root / "packages")
        words = [f"/packages/{path.name}" for path in packages]
        output_of("chroot", root, "dpkg", "--force-unsafe-io", "--install", *words,
                  env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        agent = root / "usr/local/sbin/agent"
        agent.write_text(AGENT, encoding="ascii")
        agent.chmod(0o755)
        units = root / "etc/systemd/system"
        (units / "agent.service").write_text(AGENT_UNIT, encoding="ascii")
        (units / "multi-user.target.wants/agent.service").symlink_to("../agent.service")
        for unit in MASKED:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        # Logs that outlast a cut are looked at afterwards.
        (root / "var/log/journal").mkdir(exist_ok=True)
        (root / "etc/hostname").write_text("board\n", encoding="ascii")
        output_of("mke2fs", "-q", "-t", "ext4", "-d", root, self.disk, f"{DISK_MIB}M")
        shutil.rmtree(root)

    def start(self) -> None:
        """Turns it on, and waits until it answers."""
        self.boots += 1
        self.channel_path.unlink(missing_ok=True)
        words = ["-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "1", "-m", f"{MEMORY_MIB}M",
                 "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-kernel", self.base.folder / "vmlinuz", "-initrd", self.base.folder / "initrd",
                 "-append", "console=ttyS0 panic=-1 random.trust_cpu=on mitigations=off "
                 "no_timer_check nowatchdog systemd.getty_auto=0 systemd.show_status=0",
                 "-serial", f"file:{self.console}",
                 "-serial", f"unix:{self.channel_path},server=on,wait=off",
                 "-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=writeback",
                 "-device", "virtio-blk-pci,drive=disk"]
        self.process = subprocess.Popen(["nice", "-n", "10", "qemu-system-x86_64",
                                         *map(str, words)], stdin=subprocess.DEVNULL)
        wait_for(self.channel_path.exists, 20, "the emulator runs")
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.connect(str(self.channel_path))
        self.unread = b""
        try:
            self.answer(0, time.monotonic() + BOOT_LIMIT)
        except AssertionError as error:
            raise AssertionError(f"{error}; its console: {self.console_text()[-3000:]}") from error

    def console_text(self) -> str:
        return self.console.read_text(encoding="utf-8", errors="replace")

    def cut(self) -> None:
        """Pulls the plug: what the kernel has not written by now is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.channel.close()

    def answer(self, number: int, deadline: float) -> tuple:
        while b"\n" not in self.unread:
            self.channel.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                part = self.channel.recv(65536)
            except TimeoutError:
                raise AssertionError("the emulated computer does not answer") from None
            if not part:
                raise AssertionError("the emulated computer has ended")
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        words = line.split()
        # Anything else is of a command that nobody waits for any more.
        if len(words) != 3 or words[0] != b"%d" % number:
            return self.answer(number, deadline)
        code, text = words[1:]
        output = b"" if text == b"=" else base64.b64decode(text)
        return int(code), output.decode(errors="replace")

    def try_run(self, command: str, timeout: float = 300) -> tuple:
        """Exit code of a shell command, and what it said to stdout and stderr."""
        self.number += 1
        text = base64.b64encode(command.encode())
        assert len(text) < 3000, "the terminal's line would be too long"
        self.channel.settimeout(10)
        self.channel.sendall(b"%d %d %s\n" % (self.number, timeout, text))
        return self.answer(self.number, time.monotonic() + 2 * timeout)

    def run(self, command: str, timeout: float = 300) -> str:
        code, output = self.try_run(command, timeout)
        if code != 0:
            raise CommandFailed(f"{command} gave {code}: {output}")
        return output
