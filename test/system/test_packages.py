"""The Debian packages: what is in them, and their life in a system of their own (a chroot).

They need root, Debian's mmdebstrap and its archive, and a minute for the chroot: full runs alone.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from chroot import Chroot, output_of
from cluster import ROOT, SystemTest, kill_quietly, tell, time_limit, wait_for
from ledger import full_only

PACKAGES = ("rpicluster-slave", "rpicluster", "python3-rpicluster")


class PackageTest(SystemTest):
    def setUp(self):
        super().setUp()
        build = self.cluster.bin.parent
        complete = (build / "packaging" / "slave" / "changelog.gz").exists()
        if not complete or shutil.which("cpack") is None:
            self.skipTest(f"{build} is no complete build")

    def packages(self, version: str = "") -> dict:
        """Name -> file, as cpack makes them."""
        folder = self.cluster.folder / f"packages{version}"
        changes = []
        if version:  # of the same programs
            depends = f"libc6, libssl3, libsqlite3-0, rpicluster-slave (= {version})"
            changes = ["-D", f"CPACK_PACKAGE_VERSION={version}",
                       "-D", f"CPACK_DEBIAN_CLUSTER_PACKAGE_DEPENDS={depends}"]
        output_of("cpack", "-G", "DEB", "-B", folder, *changes, cwd=self.cluster.bin.parent)
        return {path.name.split("_")[0]: path for path in folder.glob("*.deb")}


class Contents(PackageTest):
    def test_names_sizes_and_dependencies(self):
        version = (ROOT / "VERSION").read_text(encoding="ascii").strip()
        made = self.packages()
        self.assertEqual(sorted(made), sorted(PACKAGES))
        arch = output_of("dpkg", "--print-architecture").strip()
        self.assertEqual(made["rpicluster"].name, f"rpicluster_{version}_{arch}.deb")
        self.assertEqual(made["python3-rpicluster"].name, f"python3-rpicluster_{version}_all.deb")
        sizes = {name: int(output_of("dpkg-deb", "--field", path, "Installed-Size"))
                 for name, path in made.items()}
        tell(installed_kib=sizes, package_bytes={name: path.stat().st_size
                                                 for name, path in made.items()})
        self.assertLessEqual(sizes["rpicluster-slave"] * 1024, 5_000_000)
        depends = output_of("dpkg-deb", "--field", made["rpicluster"], "Depends")
        self.assertIn(f"rpicluster-slave (= {version})", depends)
        listed = output_of("dpkg-deb", "--contents", made["rpicluster-slave"])
        self.assertNotIn("rpicluster-master", listed)
        for unit in ("slave", "runner", "webserver"):
            self.assertIn(f"/systemd/system/rpicluster-{unit}.service", listed)

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "no dpkg-shlibdeps")
    def test_written_dependencies_are_those_of_the_programs(self):
        """Nobody finds them out for a foreign architecture, so they are written down."""
        folder = self.cluster.folder / "source"
        (folder / "debian").mkdir(parents=True)
        (folder / "debian" / "control").write_text("Source: x\n", encoding="ascii")
        made = self.packages()
        for package, programs in (("rpicluster-slave", ("slave", "runner")),
                                  ("rpicluster", ("master",))):
            files = [self.cluster.bin / f"rpicluster-{name}" for name in programs]
            found = output_of("dpkg-shlibdeps", "-O", *files, cwd=folder).partition("=")[2]
            written = output_of("dpkg-deb", "--field", made[package], "Depends").split(", ")
            for entry in found.strip().split(", "):
                self.assertIn(entry, [word.strip() for word in written])

    @unittest.skipUnless(shutil.which("lintian"), "no lintian")
    def test_lintian(self):
        done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root",
                               *self.packages().values()], capture_output=True, text=True,
                              env=dict(os.environ, TMPDIR=str(self.cluster.folder)), check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_manual_pages_are_what_the_programs_say(self):
        done = subprocess.run([ROOT / "scripts" / "manpages", "--check", "--bin", self.cluster.bin],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
class Units(SystemTest):
    def exposure(self, unit: str) -> float:
        text = output_of("systemd-analyze", "security", "--offline=true", ROOT / "etc" / unit)
        return float(re.search(r"exposure level for \S+: ([0-9.]+)", text)[1])

    def test_hardening(self):
        most = {"master": 2.0, "webserver": 2.0, "slave": 6.0}
        found = {unit: self.exposure(f"rpicluster-{unit}.service") for unit in most}
        tell(exposure=found)
        for unit, value in found.items():
            self.assertLessEqual(value, most[unit], unit)

    def test_units_are_sound(self):
        folder = self.cluster.folder / "units"
        folder.mkdir()
        (folder / "bin").symlink_to(self.cluster.bin)
        for path in (ROOT / "etc").glob("*.service"):
            # A link, since a unit would have to quote a path with a space.
            text = path.read_text(encoding="ascii").replace("/usr/bin", str(folder / "bin"))
            # Manual pages are looked for, which are not installed here.
            text = "".join(line for line in text.splitlines(True) if "Documentation" not in line)
            (folder / path.name).write_text(text, encoding="ascii")
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", folder / path.name],
                                  capture_output=True, text=True, check=False)
            self.assertNotIn(path.name, done.stderr)


@full_only
@unittest.skipUnless(os.geteuid() == 0 and shutil.which("mmdebstrap"), "needs root and mmdebstrap")
class Life(PackageTest):
    def setUp(self):
        super().setUp()
        self.chroot = Chroot(self.cluster.folder)
        self.addCleanup(self.chroot.close)
        made = self.packages()
        self.chroot.install(made["rpicluster-slave"], made["rpicluster"])

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.chroot.root / path.lstrip("/"))

    def only_slave(self) -> list | None:
        """The slave, once those that cron has started beside it have left."""
        slaves = self.chroot.processes("rpicluster-slave")
        return slaves if len(slaves) == 1 else None

    def start_task(self) -> str:
        """A task that waits for /tmp/go; its job."""
        job = self.chroot.run("rpicluster", "submit", "--", "sh", "-c",
                              "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end"
                              ).strip()
        wait_for(lambda: "begun" in self.chroot.run("rpicluster", "logs", job), 20, "it runs")
        return job

    def end_task(self, job: str) -> None:
        """It was run once, and all of its output is there."""
        (self.chroot.root / "tmp" / "go").touch()
        self.chroot.run("rpicluster", "wait", job)
        self.assertEqual(self.chroot.run("rpicluster", "logs", job), "begun\nend\n")
        self.assertIn('"attempt":1,', self.chroot.run("rpicluster", "-o", "json", "job", job))

    @time_limit(600)
    def test_install_upgrade_remove_purge(self):
        chroot = self.chroot
        self.assertIn("rpicluster-task", chroot.run("getent", "passwd", "rpicluster-task"))
        state = chroot.root / "var/lib/rpicluster"
        self.assertEqual((state.stat().st_mode & 0o777, state.stat().st_uid), (0o711, 0))
        wants = "/etc/systemd/system/multi-user.target.wants"
        self.assertTrue(self.exists(f"{wants}/rpicluster-slave.service"))
        self.assertFalse(self.exists(f"{wants}/rpicluster-master.service"))

        with open(chroot.root / "etc/rpicluster/rpicluster.cfg", "a", encoding="utf-8") as file:
            file.write(f"[slave]\nmaster_ip = 127.0.0.1:{chroot.port}\n")
        chroot.start_master()
        slave = chroot.start("rpicluster-slave")
        wait_for(lambda: chroot.nodes_online() == 1, 20, "the node is online")
        job = self.start_task()
        owner = pathlib.Path(f"/proc/{chroot.processes('sleep')[0]}").stat().st_uid
        self.assertNotEqual(owner, 0)

        newer = self.packages("9.9.9")
        chroot.install(newer["rpicluster-slave"], newer["rpicluster"])
        self.assertIn("9.9.9", chroot.run("dpkg", "-s", "rpicluster-slave"))
        self.assertIn(f"127.0.0.1:{chroot.port}",
                      (chroot.root / "etc/rpicluster/rpicluster.cfg").read_text(encoding="utf-8"))
        slave.terminate()  # which is what a restart of its unit begins with
        slave.wait()
        chroot.start("rpicluster-slave")
        wait_for(lambda: chroot.nodes_online() == 1, 20, "the node is online again")
        self.end_task(job)

        for process in reversed(chroot.started):
            process.terminate()
            process.wait()
        chroot.run("dpkg", "-r", "rpicluster", "rpicluster-slave")
        self.assertFalse(self.exists("/usr/bin/rpicluster-slave"))
        self.assertTrue(self.exists("/var/lib/rpicluster/slave-worker"))
        self.assertTrue(self.exists("/etc/rpicluster/rpicluster.cfg"))
        chroot.run("dpkg", "-P", "rpicluster", "rpicluster-slave")
        for path in ("/var/lib/rpicluster", "/etc/rpicluster",
                     f"{wants}/rpicluster-slave.service"):
            self.assertFalse(self.exists(path), path)
        self.assertNotIn("rpicluster-task",
                         (chroot.root / "etc/passwd").read_text(encoding="utf-8"))

    @time_limit(600)
    def test_cron(self):
        """@reboot starts the slave, the other line starts it again; neither writes a mail."""
        chroot = self.chroot
        mail = chroot.root / "usr/sbin/sendmail"
        mail.write_text("#!/bin/sh\ncat >> /tmp/mail\n", encoding="ascii")
        mail.chmod(0o755)
        table = (ROOT / "etc" / "rpicluster.cron").read_text(encoding="ascii")
        self.assertIn("\n*/5 * * * * root", table)
        (chroot.root / "etc/cron.d/rpicluster").write_text(
            table.replace("*/5 * * * *", "* * * * *"), encoding="ascii")  # sooner, for the test
        chroot.start_master()
        chroot.start("cron", "-f")
        wait_for(lambda: chroot.nodes_online() == 1, 20, "@reboot has started the slave")
        job = self.start_task()
        first, = chroot.processes("rpicluster-slave")
        # As after a power cut: nothing was cleaned up.
        kill_quietly(first)
        wait_for(lambda: set(chroot.processes("rpicluster-slave")) - {first}, 90,
                 "cron has started it again")
        wait_for(lambda: chroot.nodes_online() == 1, 20, "the node is online again")
        self.end_task(job)
        second, = wait_for(self.only_slave, 20, "one slave is left")
        # The next minute finds it running, leaves it alone and says nothing.
        ran = chroot.root / "tmp" / "ran"
        line = re.search(r"^\*/5 \* \* \* \* root +(.*)$", table, re.MULTILINE)[1]
        (chroot.root / "etc/cron.d/again").write_text(
            f"* * * * * root {line} && touch /tmp/{ran.name}\n", encoding="ascii")
        wait_for(ran.exists, 130, "cron has run once more")
        self.assertEqual(wait_for(self.only_slave, 20, "one slave is left"), [second])
        self.assertFalse(self.exists("/tmp/mail"))
