"""What Prometheus reads and InfluxDB gets, held to the real promtool and a real InfluxDB."""

from __future__ import annotations

import json
import re
import shutil
import socketserver
import subprocess
import threading
import unittest
import urllib.parse
import urllib.request

from cluster import SystemTest, free_port, is_listening, time_limit, wait_for


def values(text: str) -> dict:
    """Name with its labels -> value."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


class Prometheus(SystemTest):
    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
            return answer.read().decode()

    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", "pi2")
        self.web, self.port = self.cluster.start_webserver("web")
        self.cluster.wait_online("pi1", "web")

    @time_limit(90)
    def test_figures_and_promtool(self):
        job = self.cluster.submit("--array", "1-4", "--", "sh", "-c", "sleep 0.05")
        self.cluster.wait_job(job, "done")
        bad = self.cluster.submit("--", "false")
        self.cluster.wait_job(bad, "failed")
        wait_for(lambda: values(self.metrics()).get('rpicluster_tasks{state="failed"}') == 1, 15,
                 "the failed task is counted")
        text = self.metrics()
        told = values(text)
        self.assertEqual(told["rpicluster_master_up"], 1)
        self.assertEqual(told['rpicluster_nodes{state="online"}'], 3)
        self.assertEqual(told['rpicluster_node_up{node="pi1"}'], 1)
        self.assertEqual(told['rpicluster_tasks{state="done"}'], 4)
        self.assertEqual(told["rpicluster_tasks_done_total"], 4)
        self.assertEqual(told["rpicluster_task_attempts_total"], 5)
        self.assertEqual(told["rpicluster_task_duration_seconds_count"], 5)
        self.assertEqual(told['rpicluster_task_duration_seconds_bucket{le="+Inf"}'], 5)
        self.assertLessEqual(told['rpicluster_task_duration_seconds_bucket{le="0.03"}'], 1)
        self.assertGreater(told["rpicluster_task_duration_seconds_sum"], 0.2)
        self.assertEqual(told["rpicluster_scheduling_delay_seconds_count"], 5)
        self.assertEqual(told["rpicluster_late_results_total"], 0)
        self.assertGreater(told["rpicluster_master_written_bytes_total"], 0)
        self.assertEqual(told['rpicluster_node_reconnects_total{node="pi1"}'], 0)
        self.assertLess(told['rpicluster_node_heartbeat_age_seconds{node="pi1"}'], 15)
        for name in ("cpu_ratio", "memory_bytes", "memory_available_bytes", "swap_bytes",
                     "disk_bytes", "disk_free_bytes", "clock_set", "unwell"):
            self.assertIn(f'rpicluster_node_{name}{{node="pi1"}}', told)
        if not shutil.which("promtool"):
            self.skipTest("there is no promtool")
        result = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                capture_output=True, timeout=30, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    @time_limit(90)
    def test_a_node_that_comes_back(self):
        slave = next(entry for entry in self.cluster.programs if entry.name == "pi1")
        slave.kill()
        wait_for(lambda: values(self.metrics()).get('rpicluster_node_up{node="pi1"}') == 0, 10,
                 "it is down")
        self.cluster.start_worker("pi1")
        came_back = 'rpicluster_node_reconnects_total{node="pi1"}'
        wait_for(lambda: values(self.metrics()).get(came_back) == 1, 20, "it has come back once")

    def test_the_dashboard_knows_no_other_names(self):
        from cluster import ROOT
        dashboard = (ROOT / "etc" / "grafana-dashboard.json").read_text(encoding="utf-8")
        panels = json.loads(dashboard)["panels"]
        self.assertGreaterEqual(len(panels), 10)
        wait_for(lambda: "rpicluster_jobs" in self.metrics(), 15, "figures of the master")
        known = set(re.findall(r"^# TYPE (\S+)", self.metrics(), re.M))
        for panel in panels:
            for target in panel.get("targets", []):
                used = set(re.findall(r"rpicluster_\w+", target["expr"]))
                self.assertTrue(used, panel["title"])
                for name in used:
                    plain = re.sub(r"_(bucket|sum|count)$", "", name)
                    self.assertTrue(name in known or plain in known, name)


class Sink(socketserver.ThreadingTCPServer):
    """Takes POSTs, as InfluxDB would; answers with `status`."""
    allow_reuse_address = True
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            self.server.posts.append((head.decode(), self.rfile.read(length).decode()))
            self.wfile.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % self.server.status)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.posts: list = []
        self.status = b"204 No Content"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Influx(SystemTest):
    def start(self, url: str, env: dict | None = None) -> None:
        self.cluster.start_workers("pi1")
        settings = {"RPICLUSTER_WEBSERVER_INFLUXDB_URL": url,
                    "RPICLUSTER_WEBSERVER_INFLUXDB_INTERVAL": "1", **(env or {})}
        self.web, self.port = self.cluster.start_webserver("web", env=settings)
        self.cluster.wait_online("pi1", "web")

    def sink(self) -> Sink:
        sink = Sink()
        self.addCleanup(sink.server_close)
        self.addCleanup(sink.shutdown)
        return sink

    def test_one_post_for_all(self):
        sink = self.sink()
        token = self.cluster.write_key(self.cluster.folder / "influx", "user:secret")
        self.start(f"http://127.0.0.1:{sink.server_address[1]}/write?db=x",
                   {"RPICLUSTER_WEBSERVER_INFLUXDB_TOKEN_FILE": str(token)})
        head, body = wait_for(lambda: next((post for post in sink.posts if "node=pi1" in post[1]),
                                           None), 15, "a POST")
        self.assertTrue(head.startswith("POST /write?db=x HTTP/1.1\r\n"))
        self.assertIn("Authorization: Token user:secret\r\n", head)
        for line in body.splitlines():
            self.assertRegex(line, r"^(cpu|ram|swap),node=\S+ [a-z0-9_]+=[0-9.e+-]+i?"
                                   r"(,[a-z0-9_]+=[0-9.e+-]+i?)* \d{19}$")
        self.assertEqual({line.split()[0] for line in body.splitlines()
                          if "pi1" in line} - {"swap,node=pi1"}, {"cpu,node=pi1", "ram,node=pi1"})

    def test_without_a_clock_there_is_no_time_stamp(self):
        if self.cluster.sanitized() or not shutil.which("faketime"):
            self.skipTest("needs faketime, and no sanitizer")
        sink = self.sink()
        found = subprocess.run(["faketime", "1970-02-01 00:00:00", "env"], capture_output=True,
                               text=True, check=True).stdout
        fake = dict(line.split("=", 1) for line in found.splitlines()
                    if line.startswith(("LD_PRELOAD=", "FAKETIME")))
        fake["DONT_FAKE_MONOTONIC"] = "1"
        self.start(f"http://127.0.0.1:{sink.server_address[1]}/write?db=x", fake)
        _, body = wait_for(lambda: next((post for post in sink.posts if "node=pi1" in post[1]),
                                        None), 15, "a POST")
        for line in body.splitlines():
            self.assertEqual(len(line.split()), 2, line)

    def test_a_database_that_is_away_or_refuses(self):
        sink = self.sink()
        sink.status = b"500 Internal Server Error"
        self.start(f"http://127.0.0.1:{sink.server_address[1]}/write?db=x")
        wait_for(lambda: self.web.log_lines("influxdb", "500"), 15, "the log says why")
        sink.shutdown()
        sink.server_close()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            self.assertEqual(answer.status, 200)

    def test_bad_settings(self):
        result = self.cluster.run("rpicluster-slave", "--role", "webserver", "--state-dir",
                                  self.cluster.folder / "state",
                                  env={"RPICLUSTER_WEBSERVER_INFLUXDB_URL": "https://x"})
        self.assertEqual(result.returncode, 78, result.stderr)
        self.assertIn("influxdb_url", result.stderr)

    @time_limit(120)
    def test_a_real_database(self):
        if not shutil.which("influxd"):
            self.skipTest("there is no influxd")
        folder = self.cluster.folder / "influxdb"
        folder.mkdir()
        port, internal = free_port(), free_port()
        config = folder / "influxdb.conf"
        config.write_text(f"""
            reporting-disabled = true
            bind-address = "127.0.0.1:{internal}"
            [meta]
            dir = "{folder}/meta"
            [data]
            dir = "{folder}/data"
            wal-dir = "{folder}/wal"
            [http]
            bind-address = "127.0.0.1:{port}"
            """, encoding="utf-8")
        database = subprocess.Popen([shutil.which("influxd"), "-config", str(config)],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    env=self.cluster.environment())
        self.addCleanup(database.wait)
        self.addCleanup(database.terminate)
        wait_for(lambda: is_listening(port), 30, "InfluxDB listens")

        def query(text: str) -> list:
            url = f"http://127.0.0.1:{port}/query?db=rpicluster"
            data = urllib.parse.urlencode({"q": text}).encode()
            with urllib.request.urlopen(url, data, timeout=10) as answer:
                return json.load(answer)["results"][0].get("series", [])
        query("CREATE DATABASE rpicluster")
        self.start(f"http://127.0.0.1:{port}/write?db=rpicluster")

        def nodes_of(measurement: str) -> set:
            return {series["tags"]["node"]
                    for series in query(f"SELECT * FROM {measurement} GROUP BY node")}
        wait_for(lambda: nodes_of("cpu") == {"pi1", "web"}, 30, "cpu of both nodes")
        self.assertEqual(nodes_of("ram"), {"pi1", "web"})
        series = query("SELECT total_bytes, used_bytes FROM ram WHERE node = 'pi1'")[0]
        self.assertEqual(series["values"][0][1], self.cluster.nodes()["pi1"]["ram_bytes"])


if __name__ == "__main__":
    unittest.main()
