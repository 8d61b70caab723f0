"""Who may do what: viewers look, submitters have their own jobs, admins rule."""

from __future__ import annotations

from cluster import SystemTest


class Roles(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", cpus=1)
        self.viewer = self.cluster.token("viewer", "vera")
        self.ann = self.cluster.token("submit", "ann")
        self.bob = self.cluster.token("submit", "bob")

    def denied(self, key, *args, code: int = 5) -> str:
        result = self.cluster.cli("--key-file", key, *args)
        self.assertEqual(result.returncode, code, (args, result.stdout, result.stderr))
        self.assertEqual(result.stdout, "", args)
        self.assertTrue(result.stderr.strip(), args)
        return result.stderr

    def test_viewer(self):
        job = self.cluster.submit("--", "sh", "-c", "echo seen")
        self.cluster.wait_job(job, "done")

        def look(*args) -> str:
            return self.cluster.cli_ok("--key-file", self.viewer, *args)

        self.assertEqual(look("logs", job), "seen\n")
        for args in (("jobs",), ("job", job), ("explain", job), ("nodes",), ("status",),
                     ("events",), ("top",), ("wait", job), ("fetch", job, "--to",
                                                            self.cluster.folder)):
            look(*args)
        before = self.cluster.cli_json("jobs")
        for args in (("submit", "true"), ("cancel", job), ("retry", job, "--failed"),
                     ("hold", job), ("release", job), ("priority", job, "5"), ("drain", "pi1"),
                     ("undrain", "pi1"), ("label", "pi1", "a=b"), ("node", "reboot", "pi1"),
                     ("token",), ("remove", "pi1"), ("backup", self.cluster.folder / "b")):
            self.assertIn("viewer", self.denied(self.viewer, *args))
        for args in (("run", "true"), ("map", "echo", ":::", "x"), ("exec", "true")):
            self.denied(self.viewer, *args, code=125)
        self.assertEqual(self.cluster.cli_json("jobs"), before)
        self.assertFalse((self.cluster.folder / "b").exists())
        self.assertEqual(self.cluster.nodes()["pi1"]["labels"], {})

    def test_a_viewer_brings_no_files(self):
        path = self.cluster.folder / "file"
        path.write_text("x")
        self.denied(self.viewer, "submit", "--in", path, "--", "true")

    def test_submitters_have_their_own_jobs(self):
        mine = self.cluster.submit("--key-file", self.ann, "--hold", "--", "true")
        self.assertEqual(self.cluster.job(mine)["submitter"], "ann")
        for args in (("cancel", mine), ("hold", mine), ("release", mine), ("priority", mine, "9"),
                     ("retry", mine, "--failed")):
            self.assertIn("ann", self.denied(self.bob, *args))
        self.assertEqual(self.cluster.job(mine)["state"], "held")
        self.assertEqual(self.cluster.job(mine)["priority"], 0)
        # "all" means all that one may change.
        his = self.cluster.submit("--key-file", self.bob, "--hold", "--", "true")
        self.cluster.cli_ok("--key-file", self.bob, "cancel", "all")
        self.assertEqual(self.cluster.job(his)["state"], "cancelled")
        self.assertEqual(self.cluster.job(mine)["state"], "held")
        self.cluster.cli_ok("--key-file", self.ann, "release", mine)
        self.cluster.wait_job(mine, "done")
        other = self.cluster.submit("--key-file", self.ann, "--hold", "--", "true")
        self.cluster.cli_ok("cancel", other)  # an admin

    def test_the_last_job_is_named(self):
        mine = self.cluster.submit("--key-file", self.ann, "--hold", "--", "true")
        his = self.cluster.submit("--key-file", self.bob, "--hold", "--", "true")
        # Of one's own jobs where one may not change those of others.
        self.assertEqual(self.cluster.cli_ok("--key-file", self.ann, "cancel", "last"),
                         f"job {mine}: cancelled\n")
        self.assertEqual(self.cluster.cli_ok("--key-file", self.ann, "hold", "last"),
                         f"job {mine}: nothing to do, it has ended\n")
        self.assertEqual(self.cluster.job(his)["state"], "held")
        self.assertEqual(self.cluster.cli_ok("priority", "last", "3"), f"job {his}: changed\n")
        self.assertEqual(self.cluster.cli_json("cancel", "last"),
                         {"version": 1, "cancelled": his})

    def test_submitters_do_not_rule_the_cluster(self):
        for args in (("drain", "pi1"), ("undrain", "pi1"), ("label", "pi1", "a=b"),
                     ("node", "poweroff", "pi1"), ("token",), ("token", "list"),
                     ("remove", "pi1"), ("backup", self.cluster.folder / "b")):
            self.assertIn("admin", self.denied(self.ann, *args))
        result = self.cluster.cli("--key-file", self.ann, "run", "--", "echo", "works")
        self.assertEqual((result.returncode, result.stdout), (0, "works\n"))
        self.assertIn("(1)", self.cluster.cli_ok("--key-file", self.ann, "exec", "--", "true"))

    def test_a_revoked_token(self):
        process = self.cluster.started_cli("--key-file", self.ann, "run", "--", "sh", "-c",
                                           "echo on; sleep 600")
        self.assertEqual(process.stdout.readline(), b"on\n")
        self.cluster.cli_ok("token", "revoke", "ann")
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 125)
        self.denied(self.ann, "submit", "true")
        # The job is not hers to lose: it goes on until somebody ends it.
        self.assertEqual(self.cluster.job("last")["state"], "running")

    def test_a_node_key_is_no_key_for_people(self):
        key = next(path for path in self.cluster.slave_state("pi1").rglob("*key*")
                   if path.is_file())
        copy = self.cluster.write_key(self.cluster.folder / "copy", key.read_text().strip())
        result = self.cluster.cli("--key-file", copy, "submit", "true")
        self.assertEqual(result.returncode, 5, result.stderr)
