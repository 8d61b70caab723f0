"""Disks that are full, on the master and on a node. Each is a small tmpfs in a mount namespace of its
own, where the program under test runs: that needs root."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import unittest

from cluster import Program, free_port, is_listening, wait_for
from ledger import FaultTest

MEBIBYTE = 1 << 20
NEEDED = 64  # MiB that the master wants to have free before it takes a job


def may_mount() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True,
                              check=False).returncode == 0
    except FileNotFoundError:
        return False


class SmallDisk:
    """A tmpfs at a folder that only those see who are started beside the process that holds it."""

    def __init__(self, folder: pathlib.Path, size: int):
        folder.mkdir(mode=0o711, exist_ok=True)
        script = f'mount -t tmpfs -o mode=0711,size={size} none "$1" && echo && exec sleep 600'
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.path = pathlib.Path(f"/proc/{self.holder.pid}/root{folder}")
        self.filler = self.path / "filler"

    def beside(self, *command) -> list:
        """The words of the command as it has to be started to see the disk."""
        return ["/usr/bin/nsenter", "-t", self.holder.pid, "-m", "--", *command]

    def leave_free(self, free: int) -> None:
        self.filler.unlink(missing_ok=True)
        state = os.statvfs(self.path)
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - free)

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@unittest.skipUnless(may_mount(), "needs root and unshare(1)")
class FullDisk(FaultTest):
    def small_disk(self, folder: pathlib.Path, size: int) -> SmallDisk:
        disk = SmallDisk(folder, size)
        self.addCleanup(disk.close)
        return disk

    def start_master_on(self, disk: SmallDisk, folder: pathlib.Path) -> Program:
        cluster = self.cluster
        cluster.port = cluster.port or free_port()
        cluster.master = cluster.start(
            *disk.beside(cluster.bin / "rpicluster-master", "--state-dir", folder,
                         "--bind", "127.0.0.1", "--port", cluster.port), name="master")
        wait_for(lambda: is_listening(cluster.port), 10, "the master listens")
        cluster.master_state = disk.path
        wait_for(lambda: cluster.cli_ok("status"), 10, "the master answers")
        return cluster.master

    def start_worker_on(self, disk: SmallDisk, name: str) -> None:
        self.cpus[name] = 1
        self.slaves[name] = self.cluster.start(
            *disk.beside(self.cluster.bin / "rpicluster-slave", "--state-dir",
                         self.cluster.slave_state(name), "--name", name, "--role", "worker",
                         "--cpus", 1, "--master", f"127.0.0.1:{self.cluster.port}",
                         "--key-file", self.cluster.join_key_file()), name=name)

    def check_works(self, *options) -> None:
        job = self.submit(*options)
        self.wait_ended(job)
        self.audit(job, range(0, 1))

    def test_full_disk_of_the_master(self):
        """Below 64 MiB free: no new jobs, but what runs is recorded."""
        folder = self.cluster.master_state
        disk = self.small_disk(folder, (NEEDED + 32) * MEBIBYTE)
        self.start_master_on(disk, folder)
        self.start_worker("pi1")
        self.cluster.wait_online("pi1")
        key = ["--idempotency-key", "known"]
        running = self.submit("--array", "1-8", *key, ticks=30)
        self.wait_started(running, 1)
        disk.leave_free((NEEDED - 1) * MEBIBYTE)
        refused = wait_for(lambda: self.refusal(), 5, "a job is refused")
        self.assertEqual(refused.returncode, 1)
        self.assert_one_line(refused.stderr, "disk", "master", "64M")
        disk.leave_free(24 * MEBIBYTE)
        # What is known already is no new job.
        self.assertEqual(self.submit("--array", "1-8", *key, ticks=30), running)
        self.wait_ended(running)
        self.audit(running, range(1, 9))
        # As soon as there is room jobs are taken again, by a master that had nothing else to do.
        disk.filler.unlink()
        wait_for(lambda: self.refusal() is None, 5, "jobs are taken again")
        self.check_works()

    def refusal(self):
        """How a submit was refused, or nothing if it was not."""
        result = self.cluster.cli(*self.submit_arguments(ticks=0))
        return result if result.returncode != 0 else None

    def test_disk_of_the_master_full_to_the_last_byte(self):
        """The master ends rather than forget; once there is room all is there."""
        folder = self.cluster.master_state
        disk = self.small_disk(folder, (NEEDED + 32) * MEBIBYTE)
        master = self.start_master_on(disk, folder)
        self.start_worker("pi1")
        self.cluster.wait_online("pi1")
        job = self.submit("--array", "6-13", ticks=10)
        self.wait_started(job, 6)
        master.end_was_expected = True
        disk.leave_free(0)
        wait_for(lambda: not master.alive(), 20, "the master ends")
        self.assertEqual(master.process.returncode, 1, master.log())
        self.assertTrue(master.log_lines("store", "full"), master.log())
        disk.filler.unlink()
        self.start_master_on(disk, folder)
        self.wait_ended(job, timeout=30)
        self.audit(job, range(6, 14))
        self.audit_ledger()

    def test_full_disk_of_a_node(self):
        """Its tasks run elsewhere, it is put into quarantine, and says why."""
        self.cluster.start_master()
        disk = self.small_disk(self.cluster.slave_state("pi1"), 8 * MEBIBYTE)
        self.start_worker_on(disk, "pi1")
        self.start_worker("pi2", 1)
        self.cluster.wait_online("pi1", "pi2")
        self.check_works("--where", "name==pi1")
        disk.leave_free(0)
        job = self.submit("--array", "1-12", ticks=6)
        self.wait_ended(job, timeout=30)
        self.audit(job, range(1, 13))
        self.audit_ledger()
        node = self.cluster.nodes()["pi1"]
        self.assertTrue(node["quarantined"], node)
        self.assertTrue(any("space" in reason for reason in node["unwell"]), node["unwell"])
        disk.filler.unlink()
        self.cluster.cli_ok("undrain", "pi1")
        self.check_works("--where", "name==pi1")

    def test_a_task_that_fills_the_disk_of_its_node(self):
        """It gets its result, whatever becomes of its output, and the node goes on."""
        self.cluster.start_master()
        disk = self.small_disk(self.cluster.slave_state("pi1"), 8 * MEBIBYTE)
        self.start_worker_on(disk, "pi1")
        self.cluster.wait_online("pi1")
        job = self.submit(command=["sh", "-c", "head -c 20000000 /dev/zero; echo over; exit 3"])
        self.assertEqual(self.wait_ended(job)[0]["state"], "failed")
        task = self.the_task(job)
        self.assertEqual((task["exit_code"], task["attempt"]), (3, 1), task)
        self.check_works()

    def test_cached_inputs_make_room_for_others(self):
        """What no task needs any more does not keep a full disk from taking what one needs."""
        self.cluster.start_master()
        # Of this size a tenth may be cached: one of the two files.
        disk = self.small_disk(self.cluster.slave_state("pi1"), 160 * MEBIBYTE)
        self.start_worker_on(disk, "pi1")
        self.cluster.wait_online("pi1")
        files = []
        for fill in "ab":
            files.append(self.cluster.folder / fill)
            files[-1].write_text(fill * 12 * MEBIBYTE)

        def run_with(file: pathlib.Path) -> None:
            job = self.submit("--in", file, command=["test", "-s", file.name])
            self.assertEqual(self.wait_ended(job)[0]["state"], "done", self.the_task(job))
            self.assertEqual(self.the_task(job)["attempt"], 1)
            wait_for(lambda: not any(disk.path.rglob(file.name)), 10, "the task's copy is gone")

        def is_cached(file: pathlib.Path) -> bool:
            blob = hashlib.sha256(file.read_bytes()).hexdigest()
            return any(disk.path.rglob(f"cache/{blob[:2]}/{blob[2:]}"))

        run_with(files[0])
        self.assertTrue(is_cached(files[0]))
        disk.leave_free((NEEDED + 4) * MEBIBYTE)
        run_with(files[1])
        self.assertEqual([is_cached(file) for file in files], [False, True])
