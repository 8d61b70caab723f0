"""A booted Debian: what only a kernel with cgroup v2, a systemd and a cut of the power can show.

Each test has an emulated computer of its own, one at a time, since they are slow: full runs alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import time
import unittest

from cluster import tell, time_limit, wait_for
from ledger import full_only
from test_packages import PackageTest
from vm import Base, CommandFailed, Computer, missing

TASKS = "/system.slice/rpicluster-runner.service/tasks"
PATIENCE = 300  # seconds; an emulated computer on a busy machine is slow
# Says that it runs, and ends once the file is there; never stops meanwhile.
AWAIT = "echo begun; while [ ! -e /var/tmp/go ]; do sleep 0.2; done; echo end"


@full_only
class VmTest(PackageTest):
    def setUp(self):
        super().setUp()
        reason = missing()
        if reason:
            self.skipTest(reason)
        folder = self.cluster.bin.parent / "vm"
        folder.mkdir(exist_ok=True)
        turn = open(folder / "turn", "wb")
        self.addCleanup(turn.close)
        fcntl.flock(turn, fcntl.LOCK_EX)
        made = self.packages()
        self.vm = Computer(Base(self.cluster.bin.parent), self.cluster.folder,
                           [made["rpicluster-slave"], made["rpicluster"]])
        self.addCleanup(self.vm.cut)
        self.boot()

    def boot(self) -> None:
        began = time.monotonic()
        self.vm.start()
        tell(boot_seconds=round(time.monotonic() - began))

    def start_master(self) -> None:
        # Where all is slow, systemd's own answers may come too late.
        self.eventually(lambda: self.vm.run("systemctl enable --now rpicluster-master") or True,
                        PATIENCE, "the master is started")
        self.wait_online()

    def json(self, words: str) -> dict:
        return json.loads(self.vm.run(f"rpicluster -o json {words}"))

    def eventually(self, predicate, timeout: float, what: str):
        def look():
            with contextlib.suppress(CommandFailed):
                return predicate()
        return wait_for(look, timeout, what)

    def wait_online(self) -> None:
        self.eventually(lambda: [node["state"] for node in self.json("nodes")["nodes"]] ==
                        ["online"], PATIENCE, "the node is online")

    def submit(self, words: str, script: str) -> str:
        return self.vm.run(f"rpicluster submit {words} -- sh -c '{script}'").strip()

    def task(self, job: str) -> dict:
        return self.json(f"job {job}")["tasks"][0]

    def wait_task(self, job: str, state: str, timeout: float = PATIENCE) -> dict:
        self.eventually(lambda: self.task(job)["state"] == state, timeout, f"{job} is {state}")
        return self.task(job)

    def wait_output(self, job: str, text: str) -> None:
        self.eventually(lambda: text in self.vm.run(f"rpicluster logs {job}"), PATIENCE,
                        f"{text} in the output of {job}")

    def start_waiting_task(self, words: str = "") -> str:
        job = self.submit(words, AWAIT)
        self.wait_output(job, "begun")
        return job

    def end_waiting_task(self, job: str) -> None:
        """It was run once, and all of its output is there."""
        self.vm.run("touch /var/tmp/go")
        self.assertEqual(self.wait_task(job, "done")["attempt"], 1)
        self.assertEqual(self.vm.run(f"rpicluster logs {job}"), "begun\nend\n")

    def property(self, unit: str, name: str) -> str:
        return self.vm.run(f"systemctl show --value -p {name} rpicluster-{unit}").strip()


class ControlGroups(VmTest):
    @time_limit(1500)
    def test_memory_and_trees(self):
        self.assertIn("memory", self.vm.run("cat /sys/fs/cgroup/cgroup.controllers").split())
        self.start_master()
        neighbour = self.start_waiting_task("--cpus 0.1 --mem 32M")
        with self.subTest("where the runner and its tasks are"):
            self.check_places()
        with self.subTest("the kernel ends a task that takes too much"):
            self.check_limit()
        with self.subTest("a limit below what any program needs"):
            self.check_tiny_limit()
        with self.subTest("what a task left in memory"):
            self.check_stuck_memory()
        with self.subTest("a whole tree is killed"):
            self.check_tree()
        self.end_waiting_task(neighbour)
        self.assertEqual(self.vm.run("journalctl -b -u rpicluster-runner | grep cgroups || true"),
                         "")
        self.vm.run("systemctl stop rpicluster-runner")
        self.vm.run("test ! -e /sys/fs/cgroup/system.slice/rpicluster-runner.service")

    def check_places(self) -> None:
        runner = self.property("runner", "MainPID")
        self.assertEqual(self.vm.run(f"cat /proc/{runner}/cgroup").strip(),
                         f"0::{TASKS.replace('tasks', 'runner')}")
        job = self.submit("--cpus 0.1 --mem 64M", "cat /proc/self/cgroup; " + AWAIT)
        self.wait_output(job, "begun")
        group = self.vm.run(f"rpicluster logs {job}").split()[0].removeprefix("0::")
        # As root, since tasks cannot look into it. The limit comes a moment after the program.
        place = f"/sys/fs/cgroup{group}"
        self.eventually(lambda: "max" not in self.vm.run(f"cat {place}/memory.max"), PATIENCE,
                        "the task has its limit")
        files = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
        values = self.vm.run(f"cd {place} && cat {' '.join(files)}").split()
        self.assertRegex(group, f"^{TASKS}/[0-9]+$")
        self.assertEqual(values[:3], [str(64 << 20), "0", "1"])
        self.assertTrue(values[3].isdigit(), values)
        self.vm.run(f"rpicluster cancel {job}")
        self.wait_task(job, "cancelled")
        self.vm.run("! ls -d /sys/fs/cgroup/rpicluster-*")

    def check_limit(self) -> None:
        job = self.submit("--cpus 0.1 --mem 64M", "dd if=/dev/zero of=/dev/null bs=200M count=1; "
                          "echo survived")
        task = self.wait_task(job, "failed")
        self.assertIn("it used more than the 64M that it asked for", task["reason"])
        self.assertNotIn("survived", self.vm.run(f"rpicluster logs {job}"))
        self.assertIn("Memory cgroup out of memory", self.vm.run("journalctl -b -k"))
        # As much as it asked for is no reason to end it.
        self.wait_task(self.submit("--cpus 0.1 --mem 64M",
                                   "dd if=/dev/zero of=/dev/null bs=48M count=1"), "done")

    def check_tiny_limit(self) -> None:
        runner = self.property("runner", "MainPID")
        for size, shown in (("4K", "4.0K"), ("64K", "64K"), ("256K", "256K")):
            task = self.wait_task(self.submit(f"--cpus 0.1 --mem {size}", "sleep 1; echo survived"),
                                  "failed")
            self.assertIn(f"it used more than the {shown} that it asked for", task["reason"])
        self.assertEqual(self.property("runner", "MainPID"), runner)

    def check_stuck_memory(self) -> None:
        """It does not count against the next task that gets the group."""
        full = "dd if=/dev/zero of=/dev/shm/$RPIC_JOB bs=1M count=40"
        first = self.submit("--cpus 0.1 --mem 64M", full)
        self.wait_task(first, "done")
        self.wait_task(self.submit("--cpus 0.1 --mem 64M", full), "done")
        self.vm.run("rm /dev/shm/*")

    def check_tree(self) -> None:
        deaf = "trap : TERM; while :; do sleep 0.1; done"
        script = f'setsid setsid sh -c "{deaf}" & setsid sh -c "{deaf}" & echo begun; {deaf}'
        job = self.submit("--cpus 0.1", script)
        self.wait_output(job, "begun")
        count = f"cat /sys/fs/cgroup{TASKS}/*/cgroup.procs | wc -l"
        self.assertGreaterEqual(int(self.vm.run(count)), 4)
        self.vm.run(f"rpicluster cancel {job}")
        self.wait_task(job, "cancelled")
        # The neighbour's shell and its sleep are left.
        self.eventually(lambda: int(self.vm.run(count)) <= 2, PATIENCE, "the tree is gone")


class Services(VmTest):
    @time_limit(1500)
    def test_life_under_systemd(self):
        self.start_master()
        for unit in ("master", "slave"):
            self.assertEqual(self.property(unit, "Type"), "notify")
            self.assertEqual(self.property(unit, "ActiveState"), "active")
        self.check_security()
        job = self.start_waiting_task()
        runner = self.property("runner", "MainPID")
        self.assertNotEqual(runner, "0")

        self.check_watchdog()
        self.vm.run("systemctl restart rpicluster-slave")
        self.wait_online()
        slave = self.property("slave", "MainPID")
        self.vm.run("DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /packages/*.deb", PATIENCE)
        self.assertNotEqual(self.property("slave", "MainPID"), slave)
        self.wait_online()
        self.check_kills()
        self.wait_online()
        self.assertEqual(self.property("runner", "MainPID"), runner)
        self.end_waiting_task(job)

        self.check_stop()
        self.check_journal()

    def check_security(self) -> None:
        for unit, most in (("master", 2.0), ("webserver", 2.0), ("slave", 6.0)):
            text = self.vm.run(f"systemd-analyze --no-pager security rpicluster-{unit}.service")
            value = float(re.search(r"exposure level for \S+: ([0-9.]+)", text)[1])
            tell(unit=unit, exposure=value)
            self.assertLessEqual(value, most)

    def check_watchdog(self) -> None:
        """With the periods of the units: whoever hangs is started again, and joins again."""
        before = {unit: self.property(unit, "MainPID") for unit in ("master", "slave")}
        self.vm.run(f"kill -STOP {' '.join(before.values())}")
        began = time.monotonic()
        for unit, pid in before.items():
            self.eventually(lambda: self.property(unit, "MainPID") not in ("0", pid), PATIENCE,
                            f"the watchdog has noticed the {unit}")
        tell(watchdog_seconds=round(time.monotonic() - began))
        for unit in before:
            self.assertIn("watchdog", self.vm.run(f"journalctl -b -u rpicluster-{unit}").lower())
        self.wait_online()

    def check_kills(self) -> None:
        """For ever: no count of restarts is the last one."""
        for unit in ("master", "slave"):
            self.assertEqual(self.property(unit, "StartLimitIntervalUSec"), "0")
        for _ in range(3):
            before = {unit: self.property(unit, "MainPID") for unit in ("master", "slave")}
            self.vm.run(f"kill -KILL {' '.join(before.values())}")
            for unit, pid in before.items():
                self.eventually(lambda: self.property(unit, "MainPID") not in ("0", pid) and
                                self.property(unit, "ActiveState") == "active", PATIENCE,
                                f"the {unit} is back")

    def check_stop(self) -> None:
        for unit in ("slave", "master"):
            began = time.monotonic()
            self.vm.run(f"systemctl stop rpicluster-{unit}")
            tell(unit=unit, stop_seconds=round(time.monotonic() - began, 1))
            self.assertEqual(self.property(unit, "Result"), "success")
            self.assertEqual(self.property(unit, "ExecMainStatus"), "0")

    def check_journal(self) -> None:
        """Each line has its priority, and none shows it in its text."""
        lines = self.vm.run("journalctl -b -u rpicluster-master -u rpicluster-slave -o json "
                            "--output-fields=PRIORITY,MESSAGE,_COMM").splitlines()
        ours = [entry for entry in map(json.loads, lines)
                if entry.get("_COMM", "").startswith("rpicluster-")]
        self.assertLessEqual({"4", "6"}, {entry["PRIORITY"] for entry in ours})
        for entry in ours:
            self.assertNotRegex(entry["MESSAGE"], "^<[0-9]>")
        warnings = self.vm.run("journalctl -b -u rpicluster-master -p warning -o cat").splitlines()
        quiet = {entry["MESSAGE"] for entry in ours if int(entry["PRIORITY"]) > 4}
        self.assertTrue(warnings)
        self.assertFalse(quiet & set(warnings))


class PowerCut(VmTest):
    @time_limit(1500)
    def test_nothing_acknowledged_is_lost(self):
        self.start_master()
        self.vm.run("touch /var/tmp/ledger && chmod 666 /var/tmp/ledger")
        # Only what is on the disk before the next step counts after the cut.
        script = ("echo start $RPIC_JOB $RPIC_ATTEMPT >> /var/tmp/ledger; sync /var/tmp/ledger; "
                  + AWAIT + "; echo end $RPIC_JOB $RPIC_ATTEMPT >> /var/tmp/ledger")
        keep = self.submit("--cpus 0.1", script)
        stop = self.submit("--cpus 0.1 --on-disconnect stop", script)
        finished = self.submit("--cpus 0.1", "echo result; echo once >> /var/tmp/once")
        self.vm.run(f"rpicluster wait {finished}")
        for job in (keep, stop):
            self.wait_output(job, "begun")
        acknowledged = [self.submit("--hold", f"echo {number}") for number in range(3)]
        self.vm.cut()
        self.boot()
        self.wait_online()
        self.assertEqual(self.vm.run(f"rpicluster logs {finished}"), "result\n")
        self.assertEqual(self.task(finished)["attempt"], 1)
        for job in (keep, stop):
            self.eventually(lambda: self.task(job)["attempt"] == 2, PATIENCE, f"{job} runs again")

        # Again, the moment that a job was acknowledged.
        acknowledged.append(self.submit("--hold", "echo 3"))
        self.vm.cut()
        self.boot()
        self.wait_online()
        listed = [str(job["id"]) for job in self.json("jobs")["jobs"]]
        self.assertLessEqual({keep, stop, finished, *acknowledged}, set(listed))
        self.vm.run("touch /var/tmp/go")
        for job in (keep, stop):
            self.assertEqual(self.wait_task(job, "done")["attempt"], 3)
        for number, job in enumerate(acknowledged):
            self.vm.run(f"rpicluster release {job}")
            self.wait_task(job, "done")
            self.assertEqual(self.vm.run(f"rpicluster logs {job}"), f"{number}\n")
        ledger = self.vm.run("cat /var/tmp/ledger").splitlines()
        for job in (keep, stop):
            mine = [line for line in ledger if line.split()[1] == job]
            self.assertEqual(mine[-2:], [f"start {job} 3", f"end {job} 3"], ledger)
            self.assertEqual(len(mine), 4, ledger)
        self.assertEqual(self.vm.run("cat /var/tmp/once"), "once\n")
        self.assertNotIn("EXT4-fs error", self.vm.console_text())


if __name__ == "__main__":
    unittest.main()
