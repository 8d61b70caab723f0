"""Where the log goes, and in which form."""

from __future__ import annotations

import os
import re

from cluster import SystemTest

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) +\S")


class Log(SystemTest):
    def test_time_and_level_on_stderr(self):
        master = self.cluster.start_master()
        lines = master.log().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, LINE)

    def test_priorities_under_systemd(self):
        log = self.cluster.logs / "01-master.log"
        log.touch()
        status = log.stat()
        stream = f"{status.st_dev}:{status.st_ino}"
        master = self.cluster.start_master(env={"JOURNAL_STREAM": stream})
        self.assertEqual(master.log_file.stat().st_ino, status.st_ino)
        self.assertRegex(master.log(), r"^<6>rpicluster-master ")

    def test_a_journal_of_somebody_else_is_none(self):
        master = self.cluster.start_master(env={"JOURNAL_STREAM": "8:1"})
        self.assertRegex(master.log(), LINE)

    def test_file_goes_on_where_it_was(self):
        log = self.cluster.logs / "kept.log"
        for _ in range(2):
            self.cluster.start_master("--log-file", log).stop()
        lines = log.read_text().splitlines()
        self.assertEqual(len([line for line in lines if "listens on port" in line]), 2)
        for line in lines:
            self.assertRegex(line, LINE)
        self.assertEqual(log.stat().st_mode & 0o777, 0o600)

    def test_file_that_cannot_be_written(self):
        log = self.cluster.folder / "no" / "such" / "folder.log"
        result = self.cluster.run("rpicluster-master", "--state-dir", self.cluster.master_state,
                                  "--log-file", log)
        self.assertEqual(result.returncode, 78)
        self.assert_one_line(result.stderr, str(log), "--log-file")
        self.assertFalse(os.path.exists(log))

    def test_level(self):
        master = self.cluster.start_master("--log-level", "warning")
        self.assertEqual(master.log(), "")
