"""Files that travel with jobs, and those that come back."""

from __future__ import annotations

import hashlib
import os
import pathlib
import stat
import subprocess

from cluster import SystemTest, time_limit, wait_for


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class Files(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1")
        self.here = self.cluster.folder / "here"
        self.here.mkdir()
        self.home = self.cluster.folder / "home"
        self.home.mkdir()

    def run_here(self, *args, **keywords) -> subprocess.CompletedProcess:
        return self.cluster.cli_bytes("run", *args, cwd=self.here, **keywords)

    def fetch(self, job: str = "last", *args) -> pathlib.Path:
        result = self.cluster.cli_bytes("fetch", job, *args, "--to", self.home)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.home

    # ------------------------------------------------------------------------------------- there

    def test_places(self):
        """A relative path keeps its place, an absolute one lands under its last name."""
        (self.here / "data" / "deep").mkdir(parents=True)
        (self.here / "data" / "deep" / "a.txt").write_text("relative\n")
        (self.here / "data" / "empty").mkdir()
        elsewhere = self.cluster.folder / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "b.txt").write_text("absolute\n")
        result = self.run_here("--in", "data", "--in", elsewhere / "b.txt", "--in", "../elsewhere",
                               "--", "find", ".", "-mindepth", "1")
        self.assertEqual(sorted(result.stdout.decode().split()),
                         ["./b.txt", "./data", "./data/deep", "./data/deep/a.txt", "./data/empty",
                          "./elsewhere", "./elsewhere/b.txt"], result.stderr)
        result = self.run_here("--in", "data/deep/a.txt", "--", "cat", "data/deep/a.txt")
        self.assertEqual(result.stdout, b"relative\n")
        result = self.run_here("--in", ".", "--", "cat", "data/deep/a.txt")
        self.assertEqual(result.stdout, b"relative\n")

    def test_modes_and_programs(self):
        (self.here / "tool").write_text("#!/bin/sh\necho I run\n")
        (self.here / "tool").chmod(0o755)
        (self.here / "secret").write_text("x")
        (self.here / "secret").chmod(0o600)
        result = self.run_here("--in", "tool", "--in", "secret", "--", "sh", "-c",
                               "./tool; stat -c '%a %n' tool secret")
        self.assertEqual(result.stdout, b"I run\n755 tool\n600 secret\n", result.stderr)

    def test_names_with_everything_in_them(self):
        names = [b"with space", b"new\nline", b"-dash", b"quo'te\"s", b"st*r", b"\xff\xfe",
                 "grün".encode(), b"back\\slash"]
        folder = os.fsencode(self.here) + b"/odd"
        os.mkdir(folder)
        for name in names:
            with open(folder + b"/" + name, "wb") as file:
                file.write(hashlib.sha256(name).digest())
        result = self.run_here("--in", "odd", "--out", "back/**", "--", "sh", "-c",
                               "mkdir back && cp -a odd/. back/ && ls -A back | wc -l")
        self.assertEqual(result.returncode, 0, result.stderr)
        back = os.fsencode(self.here) + b"/back"
        self.assertEqual(sorted(os.listdir(back)), sorted(names))
        for name in names:
            with open(back + b"/" + name, "rb") as file:
                self.assertEqual(file.read(), hashlib.sha256(name).digest(), name)

    def test_same_file_twice_is_one_file(self):
        (self.here / "a").write_text("a")
        result = self.run_here("--in", "a", "--in", "./a", "--in", self.here / "a", "--", "ls")
        self.assertEqual(result.stdout, b"a\n", result.stderr)

    def test_what_cannot_travel(self):
        (self.here / "x").mkdir()
        (self.here / "y").mkdir()
        (self.here / "x" / "same").write_text("1")
        (self.here / "y" / "same").write_text("2")
        os.mkfifo(self.here / "pipe")
        for args, word in ((("--in", "nothing"), "nothing"), (("--in", "pipe"), "pipe"),
                           (("--in", self.here / "x" / "same", "--in", self.here / "y" / "same"),
                            "same"), (("--in", "/dev/null"), "/dev/null"), (("--in", "/"), "/")):
            result = self.cluster.cli_bytes("submit", *args, "--", "true", cwd=self.here)
            self.assertNotEqual(result.returncode, 0, args)
            self.assert_one_line(result.stderr.decode(), word)
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def test_links(self):
        (self.here / "data").mkdir()
        (self.here / "data" / "real").write_text("real\n")
        (self.here / "data" / "inside").symlink_to("real")
        outside = self.cluster.folder / "outside"
        outside.write_text("from outside\n")
        (self.here / "data" / "followed").symlink_to(outside)
        result = self.run_here("--in", "data", "--", "sh", "-c",
                               "readlink data/inside; readlink data/followed; cat data/followed")
        self.assertEqual(result.stdout, b"real\nfrom outside\n", result.stderr)
        (self.here / "data" / "away").symlink_to("/etc")
        result = self.run_here("--in", "data", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"away", result.stderr)

    def test_a_task_has_a_copy_of_its_own(self):
        (self.here / "file").write_text("as it was\n")
        for _ in range(2):
            result = self.run_here("--in", "file", "--", "sh", "-c",
                                   "cat file; echo spoilt > file")
            self.assertEqual(result.stdout, b"as it was\n", result.stderr)
        self.assertEqual((self.here / "file").read_text(), "as it was\n")

    def test_sent_once(self):
        """A second job with the same file needs nothing from the client but its name."""
        (self.here / "big").write_bytes(os.urandom(3 << 20))

        def written() -> int:
            return self.cluster.cli_json("status")["bytes_written"]

        self.run_here("--in", "big", "--", "true")
        before = written()
        result = self.run_here("--in", "big", "--", "sha256sum", "big")
        self.assertEqual(result.stdout.split()[0].decode(),
                         hashlib.sha256((self.here / "big").read_bytes()).hexdigest())
        self.assertLess(written() - before, 1 << 20)

    def test_file_for_an_architecture(self):
        (self.here / "tool").write_text("mine\n")
        arch = self.cluster.nodes()["pi1"]["arch"]
        result = self.run_here("--in-arch", f"{arch}=tool", "--", "cat", "tool")
        self.assertEqual(result.stdout, b"mine\n", result.stderr)
        other = self.cluster.cli_bytes("submit", "--in-arch", "vax=tool", "--", "true",
                                       cwd=self.here)
        self.assertEqual(other.returncode, 0, other.stderr)
        self.assertIn(b"explain", other.stderr)
        self.assertIn(arch, self.cluster.cli_json("explain", "last")["reason"])

    # -------------------------------------------------------------------------------------- back

    def test_come_back_with_modes(self):
        result = self.run_here("--out", "result*", "--out", "deep/**", "--", "sh", "-c",
                               "echo 1 > result.txt; chmod 640 result.txt; mkdir -p deep/er; "
                               "echo '#!/bin/sh' > deep/er/tool; chmod 755 deep/er/tool; "
                               "ln -s er/tool deep/link; echo not wanted > other")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(path.name for path in self.here.iterdir()), ["deep", "result.txt"])
        self.assertEqual(mode(self.here / "result.txt"), 0o640)
        self.assertEqual(mode(self.here / "deep" / "er" / "tool"), 0o755)
        self.assertEqual(os.readlink(self.here / "deep" / "link"), "er/tool")
        self.assertEqual((self.here / "result.txt").stat().st_uid, os.geteuid())

    def test_fetch(self):
        job = self.cluster.submit("--array", "1-3", "--out", "*.txt", "--", "sh", "-c",
                                  "echo $RPIC_TASK > $RPIC_TASK.txt; echo same > same.txt")
        self.cluster.wait_job(job, "done")
        self.fetch(job)
        self.assertEqual(sorted(path.name for path in self.home.iterdir()),
                         ["1.txt", "2.txt", "3.txt", "same.txt"])
        by_task = self.home / "by"
        self.cluster.cli_ok("fetch", job, "--by-task", "--to", by_task)
        self.assertEqual((by_task / "2" / "2.txt").read_text(), "2\n")
        self.assertEqual((by_task / "3" / "same.txt").read_text(), "same\n")
        one = self.home / "one"
        self.cluster.cli_ok("fetch", f"{job}.3", "--to", one)
        self.assertEqual(sorted(path.name for path in one.iterdir()), ["3.txt", "same.txt"])
        self.assertEqual(self.cluster.cli_json("fetch", job, "--to", self.home)["tasks"], 3)
        self.assertEqual(self.cluster.cli("fetch", "99999").returncode, 3)
        for words in ((f"{job}.9",), (job, "--tasks", "9")):
            missing = self.cluster.cli("fetch", *words, "--to", self.home)
            self.assertEqual(missing.returncode, 3, words)
            self.assert_one_line(missing.stderr, "no such task")
        told = self.cluster.cli_ok("fetch", f"{job}.3", "--to", self.cluster.folder / "told")
        self.assertIn("2 files, 7 bytes, in ", told)

    def test_fetch_with_the_node_gone(self):
        job = self.cluster.submit("--out", "f", "--", "sh", "-c", "echo kept > f")
        self.cluster.wait_job(job, "done")
        self.cluster.programs[1].stop()
        self.assertEqual((self.fetch(job) / "f").read_text(), "kept\n")

    def test_files_of_failed_tasks_come_too(self):
        result = self.run_here("--out", "why", "--", "sh", "-c", "echo because > why; exit 3")
        self.assertEqual(result.returncode, 3)
        self.assertEqual((self.here / "why").read_text(), "because\n")

    def test_map_brings_files_home(self):
        result = self.cluster.cli_bytes("map", "--out", "*.up", "echo {} > {}.up", ":::", "one", "two", cwd=self.here)
        self.assertEqual(sorted(path.name for path in self.here.iterdir()), ["one.up", "two.up"],
                         result.stderr)

    def test_nothing_outside_comes_back(self):
        """Links that lead out, other people's files, pipes: left behind, and said so."""
        result = self.run_here("--out", "**", "--", "sh", "-c",
                               "ln -s /etc/passwd passwd; ln -s .. up; ln -s /etc etc; "
                               "mkfifo pipe; echo good > good")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(path.name for path in self.here.iterdir()), ["good"])
        reason = self.cluster.task("last")["reason"]
        self.assertIn("passwd", reason)

    def test_patterns_that_lead_out_are_refused(self):
        for pattern in ("/etc/passwd", "../*", "a/../../b"):
            result = self.cluster.cli("submit", "--out", pattern, "--", "true")
            self.assertNotEqual(result.returncode, 0, pattern)
            self.assert_one_line(result.stderr, pattern)

    def test_what_is_in_the_way_at_home(self):
        """A link at home is not written through, and a file is replaced with a note."""
        target = self.cluster.folder / "precious"
        target.write_text("precious\n")
        (self.home / "out").symlink_to(target)
        job = self.cluster.submit("--out", "out", "--", "sh", "-c", "echo new > out")
        self.cluster.wait_job(job, "done")
        self.cluster.cli_bytes("fetch", job, "--to", self.home)
        self.assertEqual(target.read_text(), "precious\n")

    def test_large_file_there_and_back(self):
        data = os.urandom(20 << 20)
        (self.here / "data").write_bytes(data)
        result = self.run_here("--in", "data", "--out", "copy", "--", "cp", "data", "copy")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.here / "copy").read_bytes(), data)
        self.assertFalse((self.here / ".rpicluster-part").exists())

    @time_limit(120)
    def test_memory_stays_small(self):
        if self.cluster.sanitized():
            self.skipTest("AddressSanitizer keeps freed memory")
        slave = self.cluster.programs[1]
        self.run_here("--", "true")
        before = self.cluster.master.rss_bytes(), slave.rss_bytes()
        with open(self.here / "data", "wb") as file:
            for number in range(200):
                file.write(number.to_bytes(2, "big") * (1 << 19))
        result = self.run_here("--in", "data", "--out", "copy", "--", "cp", "data", "copy",
                               timeout=100)
        self.assertEqual(result.returncode, 0, result.stderr)
        after = self.cluster.master.rss_bytes(), slave.rss_bytes()
        for name, old, new in zip(("master", "slave"), before, after):
            self.assertLess(new - old, 16 << 20, name)

    def test_work_folders_are_cleaned_up(self):
        job = self.cluster.submit("--array", "1-4", "--out", "f", "--", "sh", "-c",
                                  "mkdir -p a/b; chmod 500 a; echo x > f")
        self.cluster.wait_job(job, "done")
        tasks = self.cluster.slave_state("pi1") / "tasks"
        wait_for(lambda: not list(tasks.iterdir()), 5, "no work folder is left")
