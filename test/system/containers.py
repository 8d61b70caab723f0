"""Container images as etc/Dockerfile makes them, without a registry: the base is made by
mmdebstrap, buildah builds in a chroot, podman and crun run what was built. All of it in one folder
and one mount namespace, which go with the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from cluster import ROOT, wait_for

PROGRAMS = ("rpicluster", "rpicluster-master", "rpicluster-slave", "rpicluster-runner")
TOOLS = ("buildah", "podman", "crun", "mmdebstrap", "nsenter")
BASE = "localhost/debian"
OWN_PLATFORM = "linux/amd64"  # buildah 1.28 does not say it itself


def static_programs() -> pathlib.Path:
    return ROOT / "build-static" / "bin"


def missing() -> str:
    """Why there can be no containers here; empty if there can."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in TOOLS:
        if not shutil.which(tool):
            return f"no {tool}"
    if not all((static_programs() / name).exists() for name in PROGRAMS):
        return "no static programs; scripts/build static " + " ".join(PROGRAMS) + " makes them"
    return ""


class Engine:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder / "containers"
        self.folder.mkdir()
        # podman takes no longer path than 50 characters for what it keeps while containers run.
        self.short = tempfile.TemporaryDirectory(prefix="rpic-", dir="/run")
        self.group = f"rpicluster-test-{os.getpid()}"
        # podman wants cgroups of one kind: where a v2 hierarchy lies beside those of v1, it is out
        # of sight in this namespace.
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             "umount /sys/fs/cgroup/unified 2>/dev/null; echo; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.read(1)

    def storage(self) -> list:
        return ["--root", self.folder / "root", "--runroot", self.short.name,
                "--storage-driver", "vfs"]

    def call(self, *command, check: bool = True, timeout: float = 120):
        words = ["nsenter", "-t", self.holder.pid, "--mount", *command]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False,
                              env=dict(os.environ, XDG_RUNTIME_DIR=str(self.folder)))
        if check and done.returncode != 0:
            raise AssertionError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def podman(self, *words, check: bool = True):
        return self.call("podman", *self.storage(), "--runtime", "crun", "--events-backend", "file",
                         "--cgroup-manager", "cgroupfs", "--tmpdir", self.folder / "tmp", *words,
                         check=check)

    def make_base(self) -> None:
        tar = self.folder / "base.tar"
        self.call("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", tar, timeout=600)
        self.podman("import", tar, BASE)
        tar.unlink()

    def context(self, name: str, programs: pathlib.Path) -> pathlib.Path:
        """What is left of the sources where the programs are built already."""
        folder = self.folder / name
        (folder / "etc").mkdir(parents=True)
        shutil.copy2(ROOT / "etc" / "image-programs", folder / "etc")
        (folder / "prebuilt").mkdir()
        for program in PROGRAMS:
            shutil.copy2(programs / program, folder / "prebuilt")
        return folder

    def build(self, target: str, context: pathlib.Path, platform: str = OWN_PLATFORM) -> str:
        tag = f"localhost/rpicluster-{target}-{platform.replace('/', '-')}"
        self.call("buildah", *self.storage(), "bud", "--isolation", "chroot", "--format", "docker",
                  "--platform", platform, "--pull-never", "--build-arg",
                  f"BUILDPLATFORM={OWN_PLATFORM}", "--build-arg", f"DEBIAN={BASE}",
                  "--build-arg", f"SLIM={BASE}", "--build-arg", "PREBUILT=prebuilt",
                  "--target", target, "-f", ROOT / "etc" / "Dockerfile", "-t", tag, context,
                  timeout=300)
        return tag

    def run(self, name: str, image: str, *words, options: tuple = ()) -> None:
        """As etc/compose.yml runs them: nothing can be written but the state and /tmp, and there
        are no capabilities. On the host's network, since nothing here makes another."""
        self.podman("run", "--detach", "--name", name, "--network", "host", "--read-only",
                    "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                    "--cgroup-parent", f"/{self.group}", "--tmpfs", "/tmp:mode=1777",
                    "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
                    "--volume", f"{name}:/var/lib/rpicluster", *options, image, *words)

    def inspect(self, kind: str, name: str) -> dict:
        return json.loads(self.podman(kind, "inspect", name).stdout)[0]

    def pid(self, name: str) -> int:
        return self.inspect("container", name)["State"]["Pid"]

    def close(self) -> None:
        if (self.folder / "root").exists():
            self.podman("rm", "--all", "--force", "--time", "2", check=False)
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()
        self.short.cleanup()
        wait_for(self.remove_groups, 20, "nothing is left in the containers' cgroups")

    def remove_groups(self) -> bool:
        """Whether they are gone; podman's monitors stay in them a moment longer than containers."""
        for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.group}"):
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return not list(pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.group}"))
