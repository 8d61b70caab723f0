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

    def job_count(self, state: str) -> int:
        return self.cluster.cli_json("status")["jobs"].get(state, 0)
