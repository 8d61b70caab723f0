"""A backup of the running master, restored elsewhere with a new epoch."""

from __future__ import annotations

import tarfile

from cluster import SystemTest, time_limit, wait_for


class Backup(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")

    def backup(self):
        path = self.cluster.folder / "cluster.tar"
        self.cluster.cli_ok("backup", path)
        return path

    def restore(self, path) -> None:
        """The first master's machine is gone; another one takes its address."""
        self.cluster.master.kill()
        self.cluster.master_state = self.cluster.folder / "restored"
        result = self.cluster.cli("restore", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.cluster.restart_master()

    def test_what_is_in_it(self):
        path = self.backup()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with tarfile.open(path) as archive:
            self.assertIn("SHA256SUMS", archive.getnames()[-1])

    @time_limit(90)
    def test_one_after_a_restart_does_not_hold_the_one_before(self):
        job = self.cluster.submit("--out", "f", "--", "sh", "-c", "head -c 3000000 /dev/zero > f")
        self.cluster.wait_job(job, "done")
        before = self.backup().stat().st_size
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.assertLess(self.backup().stat().st_size, before * 1.5)

    @time_limit(90)
    def test_everything_is_there_again(self):
        (self.cluster.folder / "file").write_text("from a file\n")
        large = self.cluster.submit("--", "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x")
        files = self.cluster.submit("--out", "f", "--", "sh", "-c", "echo kept > f; echo said")
        held = self.cluster.submit("--hold", "--in", self.cluster.folder / "file", "--", "cat",
                                   "file")
        for job in (large, files):
            self.cluster.wait_job(job, "done")
        before = {job: self.cluster.cli_json("job", job) for job in (large, files, held)}
        path = self.backup()
        later = self.cluster.submit("true")
        self.cluster.wait_job(later, "done")
        self.restore(path)
        for job, told in before.items():
            self.assertEqual(self.cluster.cli_json("job", job), told)
        self.assertEqual(len(self.cluster.cli_ok("logs", large)), 300_000)
        self.cluster.cli_ok("fetch", files, "--to", self.cluster.folder / "home")
        self.assertEqual((self.cluster.folder / "home" / "f").read_text(), "kept\n")
        # What came after it is not known, and its number is not given again.
        self.assertEqual(self.cluster.cli("job", later).returncode, 3)
        fresh = self.cluster.submit("true")
        self.assertGreater(int(fresh), int(later))
        # The node finds the restored master by itself, with its key, and works.
        self.cluster.wait_online("pi1", timeout=20)
        self.cluster.wait_job(fresh, "done")
        self.cluster.cli_ok("release", held)
        self.cluster.wait_job(held, "done")
        self.assertEqual(self.cluster.cli_ok("logs", held), "from a file\n")

    @time_limit(120)
    def test_attempt_numbers_are_not_given_again(self):
        """The tasks themselves write down their attempt numbers."""
        ledger = self.cluster.folder / "ledger"
        ledger.touch()
        ledger.chmod(0o666)
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--array", "1-2", "--hold", "--", "sh", "-c",
                                  f"echo $RPIC_TASK.$RPIC_ATTEMPT >> {ledger}; "
                                  f"while [ ! -e {go} ]; do sleep 0.1; done")
        path = self.backup()
        self.cluster.cli_ok("release", job)
        wait_for(lambda: len(ledger.read_text().split()) == 2, 10, "both run")
        self.restore(path)
        # As it was: held. What runs of it is unknown to this master, and is ended.
        self.assertEqual(self.cluster.job(job)["state"], "held")
        self.cluster.wait_online("pi1", timeout=20)
        self.cluster.cli_ok("release", job)
        wait_for(lambda: len(ledger.read_text().split()) == 4, 30, "both run again")
        go.touch()
        self.cluster.wait_job(job, "done", 30)
        attempts = ledger.read_text().split()
        self.assertEqual(len(set(attempts)), 4, attempts)
        self.assertEqual(self.cluster.job(job)["tasks"]["done"], 2)

    @time_limit(90)
    def test_a_task_that_runs_across_the_restore_is_adopted(self):
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--", "sh", "-c", f"echo $RPIC_ATTEMPT; while [ ! -e {go} ]; do "
                                  "sleep 0.1; done; echo end")
        self.cluster.wait_job(job, "running")
        path = self.backup()
        self.restore(path)
        self.cluster.wait_online("pi1", timeout=20)
        go.touch()
        self.cluster.wait_job(job, "done", 30)
        self.assertEqual(self.cluster.task(job)["attempt"], 1)
        self.assertEqual(self.cluster.cli_ok("logs", job), "1\nend\n")

    def test_refusals(self):
        path = self.backup()
        # Over a master that is there, running or not.
        for _ in range(2):
            result = self.cluster.cli("restore", path)
            self.assertEqual(result.returncode, 1)
            self.assertTrue(result.stderr.strip())
            if self.cluster.master.alive():
                self.cluster.master.stop()
        damaged = self.cluster.folder / "damaged.tar"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        damaged.write_bytes(data)
        cut = self.cluster.folder / "cut.tar"
        cut.write_bytes(path.read_bytes()[:-4096 * 3])
        noise = self.cluster.folder / "noise.tar"
        noise.write_bytes(b"this is no backup" * 1000)
        for bad in (damaged, cut, noise, self.cluster.folder / "nothing.tar"):
            state = self.cluster.folder / f"into-{bad.stem}"
            result = self.cluster.cli("restore", bad, state_dir=state)
            self.assertEqual(result.returncode, 1, bad)
            self.assert_one_line(result.stderr, bad.name)
            self.assertEqual([found for found in state.rglob("*.db*")], [], bad)
        state = self.cluster.folder / "into-good"
        told = self.cluster.cli_json("restore", path, state_dir=state)
        self.assertEqual((told["file"], told["state_dir"]), (str(path), str(state)))
        self.cluster.restart_master()
        self.assertEqual(self.cluster.cli("backup", "/no/such/folder/b").returncode, 1)
