"""Programs for ARM, by qemu-user: clusters of each architecture and of all of them together, what
their packages depend on, and whether they compute the same.

Full runs alone. What scripts/cross has not built is skipped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import unittest

from cluster import ROOT, SystemTest, time_limit, wait_for
from foreign import CPUS, ForeignCluster, emulator, missing, programs_of, sysroot
from ledger import full_only

# Where shared libraries of the programs come from.
PACKAGE_OF = {"libc.so.6": "libc6", "libm.so.6": "libc6", "ld-linux-aarch64.so.1": "libc6",
              "ld-linux-armhf.so.3": "libc6", "libssl.so.3": "libssl3", "libcrypto.so.3": "libssl3",
              "libsqlite3.so.0": "libsqlite3-0"}
TILES = 12


def output_of(*command, **keywords) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          **keywords)
    if done.returncode != 0:
        raise AssertionError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def may_make_boards() -> bool:
    if os.geteuid() != 0:
        return False
    words = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "binfmt_misc",
             "binfmt_misc", "/proc/sys/fs/binfmt_misc"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class ArmTest(SystemTest):
    cluster_type = ForeignCluster

    def need(self, *archs: str) -> None:
        if reason := missing(*archs):
            self.skipTest(reason)


@full_only
class Builds(ArmTest):
    def needed(self, program) -> set:
        """Packages of the shared libraries that a program is linked with."""
        found = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "--dynamic", program))
        return {PACKAGE_OF[name] for name in found}

    def check_packages(self, arch: str) -> None:
        """What is written by hand is what the programs need, for each package."""
        self.need(arch)
        folder = ROOT / f"build-{arch}" / "packages"
        for package, programs in (("rpicluster-slave", ("rpicluster-slave", "rpicluster-runner")),
                                  ("rpicluster", ("rpicluster-master", "rpicluster",
                                                  "rpicluster-render"))):
            file, = folder.glob(f"{package}_*_{arch}.deb")
            self.assertEqual(output_of("dpkg-deb", "--field", file, "Architecture").strip(), arch)
            depends = output_of("dpkg-deb", "--field", file, "Depends")
            written = dict(re.findall(r"([a-z0-9-]+)(?: \(>= ([0-9.]+)\))?", depends))
            libraries = set(written) & set(PACKAGE_OF.values())
            needed = set()
            for program in programs:
                needed |= self.needed(programs_of(arch) / program)
            self.assertEqual(libraries, needed, package)
            if arch == "armel":  # runs on a system whose libraries are of another kind
                self.assertEqual(needed, set())
            for program in programs:
                versions = output_of("readelf", "--version-info", programs_of(arch) / program)
                newest = max([tuple(map(int, text.split(".")))
                              for text in re.findall(r"GLIBC_([0-9.]+)", versions)], default=())
                floor = tuple(map(int, written.get("libc6", "").split("."))) if newest else ()
                self.assertLessEqual(newest, floor, program)
        slave, = folder.glob(f"rpicluster-slave_*_{arch}.deb")
        installed = int(output_of("dpkg-deb", "--field", slave, "Installed-Size"))
        # KiB. All static, and in the longer instructions of ARMv6, armel cannot be as small.
        self.assertLessEqual(installed, 9_000 if arch == "armel" else 5_000)

    def test_packages_arm64(self):
        self.check_packages("arm64")

    def test_packages_armhf(self):
        self.check_packages("armhf")

    def test_packages_armel(self):
        self.check_packages("armel")

    @unittest.skipUnless(shutil.which("lintian"), "no lintian")
    @time_limit(300)
    def test_lintian(self):
        archs = [arch for arch in CPUS if not missing(arch)]
        if not archs:
            self.skipTest(missing("armel"))
        files = [path for arch in archs
                 for path in (ROOT / f"build-{arch}" / "packages").glob(f"*_{arch}.deb")]
        self.assertEqual(len(files), 2 * len(archs))
        output_of("lintian", "--fail-on", "error,warning", "--allow-root", *files,
                  env=dict(os.environ, TMPDIR=str(self.cluster.folder)))  # it leaves files there

    def test_armel_has_no_instruction_of_later_processors(self):
        """What a Pi 1 lacks would only be found out there, and only where it is reached. In a whole
        program it cannot be seen: libatomic has several of each function, and asks the kernel."""
        self.need("armel")

        def processors(path) -> set:
            return set(re.findall(r"Tag_CPU_arch: (\S+)", output_of("readelf", "-A", path)))
        own = list(programs_of("armel").parent.glob("librpic_*.a"))
        self.assertGreaterEqual(len(own), 5)
        for library in own:
            self.assertEqual(processors(library), {"v6"}, library)
        for name in ("c", "ssl", "crypto", "sqlite3", "boost_json", "boost_container"):
            library, = sysroot("armel").glob(f"usr/lib/*/lib{name}.a")
            self.assertLessEqual(processors(library), {"v4T", "v5T", "v5TE", "v6"}, library)
        tags = output_of("readelf", "-A", programs_of("armel") / "rpicluster-slave")
        self.assertNotIn("Tag_ABI_VFP_args", tags)

    @time_limit(300)
    def test_the_same_picture_everywhere(self):
        """The tiles of the demo may come from any node: no edge may be seen where they meet."""
        archs = [arch for arch in CPUS if not missing(arch)]
        if not archs:
            self.skipTest(missing("arm64"))
        sums = {}
        for arch in ["native", *archs]:
            words = [] if arch == "native" else emulator(arch)
            folder = self.cluster.bin if arch == "native" else programs_of(arch)
            for tile in (0, 7):
                picture = self.cluster.folder / f"{arch}-{tile}.ppm"
                output_of(*words, folder / "rpicluster-render", tile, TILES, 320, 240, 4, picture)
                sums.setdefault(tile, {})[arch] = hashlib.sha256(picture.read_bytes()).hexdigest()
        for tile, of_arch in sums.items():
            self.assertEqual(len(set(of_arch.values())), 1, (tile, of_arch))


@full_only
@unittest.skipUnless(may_make_boards(), "needs root and a binfmt_misc of its own (Linux 6.7)")
class Clusters(ArmTest):
    def run_picture(self, *archs: str) -> str:
        """A job of a tile for each task, by the program of the node's architecture; its id. The
        tiles are those of this machine."""
        folder = self.cluster.folder / "tiles"
        folder.mkdir()
        files = [f"{arch}={programs_of(arch) / 'rpicluster-render'}" for arch in archs]
        line = f"./rpicluster-render $RPIC_TASK {TILES} 96 72 2 tile-$RPIC_TASK.ppm"
        job = self.cluster.submit("--array", f"0-{TILES - 1}", "--in-arch", *files,
                                  "--out", "tile-*.ppm", "--", "sh", "-c", line)
        self.cluster.wait_job(job, "done", timeout=120)
        self.cluster.cli_ok("fetch", job, "--to", folder)
        for tile in range(TILES):
            own = self.cluster.folder / "own.ppm"
            output_of(self.cluster.bin / "rpicluster-render", tile, TILES, 96, 72, 2, own)
            found, = folder.rglob(f"tile-{tile}.ppm")
            self.assertEqual(found.read_bytes(), own.read_bytes(), tile)
        return job

    def check_cluster(self, arch: str) -> None:
        """Master, two workers and the command, all of them foreign."""
        self.need(arch)
        cluster = self.cluster
        cluster.use(master=arch, pi1=arch, pi2=arch, rpicluster=arch)
        cluster.start_master()
        cluster.start_worker("pi1")
        first = cluster.start_worker("pi2")
        nodes = cluster.wait_online("pi1", "pi2", timeout=40)
        self.assertEqual({node["arch"] for node in nodes.values()}, {arch})
        job = self.run_picture(arch)
        self.assertEqual({task["node"] for task in cluster.tasks(job).values()}, {"pi1", "pi2"})

        # A task survives its slave, and its output is complete.
        go = cluster.folder / "go"
        waiting = cluster.submit("--where", "name==pi2", "--", "sh", "-c",
                                 f"echo begun; while [ ! -e {go} ]; do sleep 0.2; done; echo end")
        wait_for(lambda: "begun" in cluster.cli_ok("logs", waiting), 30, "it runs")
        first.kill()
        cluster.start_worker("pi2")
        cluster.wait_online("pi2", timeout=40)
        go.touch()
        cluster.wait_job(waiting, "done", timeout=40)
        self.assertEqual(cluster.cli_ok("logs", waiting), "begun\nend\n")
        self.assertEqual(cluster.task(waiting)["attempt"], 1)

        # So does everything survive the master.
        cluster.master.kill()
        cluster.restart_master()
        cluster.wait_online("pi1", "pi2", timeout=40)
        self.assertEqual(cluster.job(job)["tasks"]["done"], TILES)
        again = cluster.cli("run", "--", "sh", "-c", "exit 7", timeout=40)
        self.assertEqual(again.returncode, 7, again.stderr)

    @time_limit(300)
    def test_two_nodes_arm64(self):
        self.check_cluster("arm64")

    @time_limit(300)
    def test_two_nodes_armhf(self):
        self.check_cluster("armhf")

    @time_limit(300)
    def test_two_nodes_armel(self):
        self.check_cluster("armel")

    @time_limit(300)
    def test_one_job_on_every_architecture(self):
        self.need(*CPUS)
        cluster = self.cluster
        cluster.use(pi3="arm64", pi2="armhf", pi1="armel")
        cluster.start_master()
        for name in ("pi1", "pi2", "pi3"):
            cluster.start_worker(name, cpus=1)
        nodes = cluster.wait_online("pi1", "pi2", "pi3", timeout=40)
        self.assertEqual({name: nodes[name]["arch"] for name in cluster.archs}, cluster.archs)
        job = self.run_picture(*CPUS)
        self.assertEqual({task["node"] for task in cluster.tasks(job).values()},
                         set(cluster.archs))

        # Each had the program that was meant for it.
        files = [f"{arch}={programs_of(arch) / 'rpicluster-render'}" for arch in CPUS]
        told = cluster.cli_ok("exec", "--in-arch", *files, "--", "sh", "-c",
                              "echo =$RPIC_NODE= $(sha256sum < rpicluster-render)", timeout=60)
        for name, arch in cluster.archs.items():
            program = (programs_of(arch) / "rpicluster-render").read_bytes()
            self.assertRegex(told, rf"={name}= {hashlib.sha256(program).hexdigest()}")

        # None for the master's own kind: nobody could run it.
        refused = cluster.submit("--in-arch", files[0].replace("arm64=", "amd64="), "--", "true")
        self.assertIn("brings no files for", cluster.cli_json("explain", refused)["reason"])


@unittest.skipUnless(shutil.which("cmake"), "no cmake")
class Presets(unittest.TestCase):
    def test_each_architecture_has_a_preset_and_a_toolchain(self):
        listed = output_of("cmake", "-S", ROOT, "--list-presets")
        for arch in CPUS:
            self.assertIn(f'"{arch}"', listed)
            self.assertTrue((ROOT / "etc" / "toolchains" / f"{arch}.cmake").exists())
