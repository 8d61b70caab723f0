"""Old jobs are forgotten as fast as new ones come."""

from __future__ import annotations

import json

from cluster import SystemTest, time_limit, wait_for
from ledger import full_only
from storms import Crowd

KEPT = 10_000      # ended jobs; more cost the oldest their place
SUBMITTED = 11_000
AT_ONCE = 5_500    # jobs of a file
LOOKS = 60 + 30    # seconds: the master looks once a minute


class Retention(SystemTest):
    @full_only
    @time_limit(240)
    def test_more_jobs_than_are_kept(self):
        self.cluster.start_master()
        workers = Crowd(self.cluster, 4, mode="work")  # their tasks end as soon as they are ordered
        self.addCleanup(workers.close)
        workers.wait_all()
        jobs = self.cluster.folder / "jobs.json"
        jobs.write_text(json.dumps({"job": [{"name": f"job-{number}", "command": ["true"]}
                                            for number in range(AT_ONCE)]}), encoding="ascii")
        for _ in range(SUBMITTED // AT_ONCE):
            self.cluster.cli_ok("submit", "--file", jobs, timeout=100)
        wait_for(lambda: self.job_count("done") >= KEPT, 60, "the jobs end")
        wait_for(lambda: self.job_count("done") == KEPT, LOOKS, "the oldest are forgotten")
        self.assertEqual(self.cluster.cli("job", 1).returncode, 3, "the first was forgotten")

    @full_only
    @time_limit(240)
    def test_limits_of_the_configuration(self):
        config = self.cluster.folder / "kept.cfg"
        config.write_text("[master]\nkeep_jobs = 5\nkeep_files = 1M\n", encoding="ascii")
        self.cluster.start_master("--config", config)
        self.cluster.start_worker("pi1")
        self.cluster.wait_online("pi1")
        script = "head -c 700000 /dev/urandom > made"
        large = [self.cluster.submit("--out", "made", "--", "sh", "-c", script) for _ in range(3)]
        for job in large:
            self.cluster.wait_job(job, "done")
        small = self.cluster.submit("true")
        self.cluster.wait_job(small, "done")
        # The files of three are too much, those of one are not; jobs without files stay.
        for job in large[:2]:
            wait_for(lambda job=job: self.cluster.cli("job", job).returncode == 3, LOOKS,
                     "a job with old files is forgotten")
        home = self.cluster.folder / "home"
        self.cluster.cli_ok("fetch", large[2], "--to", home)
        self.assertEqual((home / "made").stat().st_size, 700_000)
        blobs = self.cluster.master_state / "master" / "blobs"
        wait_for(lambda: sum(path.stat().st_size for path in blobs.rglob("*") if path.is_file())
                 < 1 << 20, LOOKS, "their files are gone")
        more = [self.cluster.submit("true") for _ in range(5)]
        for job in more:
            self.cluster.wait_job(job, "done")
        for job in (large[2], small):
            wait_for(lambda job=job: self.cluster.cli("job", job).returncode == 3, LOOKS,
                     "more than five jobs are not kept")
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 5)

    def job_count(self, state: str) -> int:
        return self.cluster.cli_json("status")["jobs"].get(state, 0)
