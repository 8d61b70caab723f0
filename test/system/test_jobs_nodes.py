"""Which node a task goes to: --where, labels, resources, drain and undrain; `exec` on many."""

from __future__ import annotations

import json
import time

from cluster import SystemTest, time_limit, wait_for


class Placing(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.cluster.start_worker("pi1", "--label", "room=attic")
        self.cluster.start_worker("pi2", "--label", "room=cellar", "--resource", "gpu=1")
        self.cluster.wait_online("pi1", "pi2")

    def node_of(self, *args) -> str:
        job = self.cluster.submit(*args, "--", "true")
        self.cluster.wait_job(job, "done")
        return self.cluster.task(job)["node"]

    def test_where(self):
        for expression, node in (("room==cellar", "pi2"), ('room=="attic"', "pi1"),
                                 ("room!=attic", "pi2"), ("name==pi1", "pi1"),
                                 ("!(room==cellar)", "pi1"), ("gpu>=1", "pi2"),
                                 ("room==nowhere || (cores>0 && name==pi2)", "pi2"),
                                 ("ram>=64M && room==attic", "pi1")):
            for _ in range(2):
                self.assertEqual(self.node_of("--where", expression), node, expression)

    def test_labels_that_change(self):
        self.cluster.cli_ok("label", "pi1", "disk=ssd", "room=")
        node = self.cluster.nodes()["pi1"]
        self.assertEqual(node["labels"].get("disk"), "ssd")
        self.assertEqual(self.node_of("--where", "disk==ssd"), "pi1")
        job = self.cluster.submit("--where", "colour==red", "--", "true")
        self.assertEqual(self.cluster.job(job)["state"], "queued")
        self.cluster.cli_ok("label", "pi2", "colour=red")
        self.cluster.wait_job(job, "done")
        self.assertEqual(self.cluster.task(job)["node"], "pi2")
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.cluster.wait_online("pi1", "pi2")
        self.assertEqual(self.cluster.nodes()["pi2"]["labels"].get("colour"), "red")
        for args in (("label", "pi1"), ("label", "pi1", "x"), ("label",),
                     ("label", "pi1", "a b=1")):
            self.assertEqual(self.cluster.cli(*args).returncode, 2, args)
        self.assertEqual(self.cluster.cli("label", "nobody", "a=b").returncode, 3)

    def test_resources_are_not_promised_twice(self):
        jobs = [self.cluster.submit("--resource", "gpu=1", "--", "sleep", "0.5") for _ in range(3)]
        most = 0

        def all_done() -> bool:
            nonlocal most
            states = [job["state"] for job in self.cluster.cli_json("jobs")["jobs"]]
            most = max(most, states.count("running"))
            return states == ["done"] * 3
        wait_for(all_done, 20, "all are done")
        self.assertEqual(most, 1)
        starts = sorted(self.cluster.cli_json("job", job)["tasks"][0]["node"] for job in jobs)
        self.assertEqual(starts, ["pi2"] * 3)

    def test_cpus_are_not_promised_twice(self):
        place = self.cluster.folder / "running"
        place.mkdir()
        place.chmod(0o777)
        script = "touch $0/$RPIC_TASK; ls $0 | wc -l; sleep 0.3; rm $0/$RPIC_TASK"
        job = self.cluster.submit("--array", "1-12", "--where", "name==pi1", "--", "sh", "-c",
                                  script, place)
        self.cluster.wait_job(job, "done")
        self.assertEqual(max(int(n) for n in self.cluster.cli_ok("logs", job).split()), 2)

    def test_drain_and_undrain(self):
        go = self.cluster.folder / "go"
        running = self.cluster.submit("--where", "name==pi1", "--", "sh", "-c",
                                      f"while [ ! -e {go} ]; do sleep 0.1; done; exit 0")
        self.cluster.wait_job(running, "running")
        self.cluster.cli_ok("drain", "pi1")
        self.assertTrue(self.cluster.nodes()["pi1"]["draining"])
        job = self.cluster.submit("--array", "1-8", "--", "true")
        self.cluster.wait_job(job, "done")
        self.assertEqual({task["node"] for task in self.cluster.tasks(job).values()}, {"pi2"})
        # What runs there ends in peace.
        self.assertEqual(self.cluster.job(running)["state"], "running")
        go.touch()
        self.cluster.wait_job(running, "done")
        waiting = self.cluster.submit("--where", "name==pi1", "--", "true")
        self.assertIn("drained", self.cluster.cli_json("explain", waiting)["reason"])
        self.cluster.cli_ok("undrain", "pi1")
        self.cluster.wait_job(waiting, "done")
        self.assertFalse(self.cluster.nodes()["pi1"]["draining"])

    @time_limit(90)
    def test_drain_with_a_deadline_moves_what_runs(self):
        job = self.cluster.submit("--", "sh", "-c", "test $RPIC_ATTEMPT -gt 1 || sleep 600")
        self.cluster.wait_job(job, "running")
        node = self.cluster.task(job)["node"]
        self.cluster.cli_ok("drain", node, "--deadline", "1")
        self.cluster.wait_job(job, "done", 40)
        task = self.cluster.task(job)
        self.assertNotEqual(task["node"], node)
        self.assertEqual(task["attempt"], 2)

    def test_drain_survives_restarts(self):
        self.cluster.cli_ok("drain", "pi1")
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.cluster.wait_online("pi1", "pi2")
        self.assertTrue(self.cluster.nodes()["pi1"]["draining"])

    def test_drain_of_nobody(self):
        for verb in ("drain", "undrain"):
            result = self.cluster.cli(verb, "nobody")
            self.assertEqual(result.returncode, 3)
            self.assert_one_line(result.stderr, "nobody")
            self.assertEqual(self.cluster.cli(verb).returncode, 2)
        self.assertEqual(self.cluster.cli("drain", "pi1", "--deadline", "soon").returncode, 2)

    def test_several_nodes_at_once(self):
        self.cluster.cli_ok("drain", "pi[1-2]")
        self.assertEqual({node["draining"] for node in self.cluster.node_list()}, {True})
        self.assertEqual(self.cluster.cli_ok("undrain", "pi[1-2]"), "pi[1,2] get work again.\n")
        self.cluster.cli_ok("undrain", "all")
        self.assertEqual({node["draining"] for node in self.cluster.node_list()}, {False})


class Exec(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_workers("pi1", "pi2", "pi3", cpus=1)

    def test_equal_outputs_are_folded(self):
        text = self.cluster.cli_ok("exec", "--", "echo", "same")
        self.assertEqual(text, "pi[1-3] (3):\nsame\n")
        text = self.cluster.cli_ok("exec", "-w", "pi[1-2]", "--", "sh", "-c", "echo $RPIC_NODE")
        self.assertEqual(text, "pi1 (1):\npi1\npi2 (1):\npi2\n")
        text = self.cluster.cli_ok("exec", "-x", "pi2", "--", "echo", "x")
        self.assertEqual(text, "pi[1,3] (2):\nx\n")

    def test_codes(self):
        script = 'case $RPIC_NODE in pi2) exit 3;; pi3) exit 5;; esac'
        result = self.cluster.cli("exec", "--", "sh", "-c", script)
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertIn("exit code 3", result.stdout)
        self.assertEqual(self.cluster.cli("exec", "-w", "pi1", "--", "no-such-cmd").returncode, 127)

    def test_json(self):
        result = self.cluster.cli("-o", "json", "exec", "--", "sh", "-c", "echo $RPIC_NODE; echo "
                                  "e >&2")
        value = json.loads(result.stdout)
        self.assertEqual([(node["node"], node["exit_code"], node["stdout"], node["stderr"])
                          for node in value["nodes"]],
                         [(name, 0, name + "\n", "e\n") for name in ("pi1", "pi2", "pi3")])

    def test_does_not_wait_for_work(self):
        jobs = [self.cluster.submit("sleep", "600") for _ in range(3)]
        for job in jobs:
            self.cluster.wait_job(job, "running")
        self.assertIn("(3)", self.cluster.cli_ok("exec", "--", "uptime", "-V"))

    @time_limit(120)
    def test_a_node_that_gets_lost_is_named_and_holds_nothing_back(self):
        process = self.cluster.started_cli("exec", "--", "sh", "-c", "echo same; "
                                           "if [ $RPIC_NODE = pi2 ]; then sleep 600; fi")
        # What the others printed is there although the job goes on.
        self.assertEqual([process.stdout.readline() for _ in range(2)],
                         [b"pi[1,3] (2):\n", b"same\n"])
        note = process.stderr.readline().decode()
        for word in ("pi2, which still runs it", "Ctrl-C", "rpicluster cancel 1"):
            self.assertIn(word, note)
        self.cluster.programs[2].kill()
        self.assertIn("waits for pi2, which does not answer", process.stderr.readline().decode())
        self.cluster.cli_ok("cancel", "1")
        self.cluster.start_slave("pi2")
        output, errors = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 125, errors)
        self.assertIn(b"pi2 (1):", output)

    def test_lines_of_json_come_as_the_nodes_end(self):
        process = self.cluster.started_cli("-o", "jsonl", "exec", "-w", "pi[1-2]", "--", "sh", "-c",
                                           "if [ $RPIC_NODE = pi1 ]; then sleep 600; fi")
        self.assertEqual(json.loads(process.stdout.readline())["node"], "pi2")
        self.cluster.cli_ok("cancel", "last")
        output, _ = process.communicate(timeout=20)
        self.assertEqual(json.loads(output)["node"], "pi1")

    def test_a_node_that_is_away_is_named(self):
        self.cluster.programs[2].stop()
        self.cluster.wait_state("pi2", "suspect")
        result = self.cluster.cli("exec", "-w", "pi[1-2]", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assert_one_line(result.stderr, "pi2")
        # Of all nodes those are meant that are there.
        self.assertIn("pi[1,3] (2):", self.cluster.cli_ok("exec", "--", "echo", "x"))


class Demo(SystemTest):
    def test_a_picture_made_by_all(self):
        self.cluster.start_workers("pi1", "pi2")
        picture = self.cluster.folder / "picture.png"
        text = self.cluster.cli_ok("demo", "--tiles", "4", "--samples", "1", "--picture", picture,
                                   timeout=50)
        for word in ("pi1", "pi2"):
            self.assertIn(word, text)
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertIn(b"IEND", picture.read_bytes()[-12:])


class SickNode(SystemTest):
    @time_limit(120)
    def test_tasks_that_fail_there_alone_put_it_into_quarantine(self):
        self.cluster.start_workers("pi1", "pi2")
        script = 'test "$RPIC_NODE" = pi2'
        for number in range(20):
            job = self.cluster.submit("--array", "1-6", "--retries", "3", "--", "sh", "-c", script)
            self.cluster.cli("wait", job, timeout=100)
            if self.cluster.nodes()["pi1"]["quarantined"]:
                break
        node = self.cluster.nodes()["pi1"]
        self.assertTrue(node["quarantined"])
        self.assertFalse(self.cluster.nodes()["pi2"]["quarantined"])
        self.assertIn("quarantine", json.dumps(node["unwell"]) + self.cluster.cli_ok("nodes"))
        waiting = self.cluster.submit("--where", "name==pi1", "--", "true")
        self.assertIn("quarantine", self.cluster.cli_json("explain", waiting)["reason"])
        self.cluster.cli_ok("undrain", "pi1")
        self.cluster.wait_job(waiting, "done")


class Power(SystemTest):
    def test_reboot_and_poweroff_drain_first(self):
        self.cluster.start_master()
        for action, name in (("reboot", "pi1"), ("poweroff", "pi2")):
            done = self.cluster.folder / f"done-{action}"
            config = self.cluster.folder / f"{name}.cfg"
            config.write_text(f"[slave]\n{action}_command = touch {done}\n")
            self.cluster.start_worker(name, "--config", config)
            self.cluster.wait_online(name)
            go = self.cluster.folder / f"go-{action}"
            job = self.cluster.submit("--where", f"name=={name}", "--", "sh", "-c",
                                      f"while [ ! -e {go} ]; do sleep 0.1; done")
            self.cluster.wait_job(job, "running")
            told = self.cluster.cli_ok("node", action, name)
            self.assertIn(f"rpicluster undrain {name}", told)
            self.assertTrue(self.cluster.nodes()[name]["draining"])
            self.assertFalse(done.exists())
            go.touch()
            self.cluster.wait_job(job, "done")
            wait_for(done.exists, 10, "the command was run")
        self.assertEqual(self.cluster.cli("node", "explode", "pi1").returncode, 2)
        self.assertEqual(self.cluster.cli("node", "reboot", "nobody").returncode, 3)
        self.cluster.start_webserver("web")
        self.cluster.wait_online("web")
        told = self.cluster.cli("node", "reboot", "web")
        self.assertNotEqual(told.returncode, 0)
        self.assert_one_line(told.stderr, "only workers")
        self.assertFalse(self.cluster.nodes()["web"]["draining"])

    def test_a_master_that_restarts_forgets_no_reboot_and_repeats_none(self):
        self.cluster.start_master()
        done = self.cluster.folder / "reboots"
        config = self.cluster.folder / "pi1.cfg"
        config.write_text(f"[slave]\nreboot_command = echo reboot >> {done}\n", encoding="utf-8")
        self.cluster.start_worker("pi1", "--config", config)
        self.cluster.wait_online("pi1")
        go = self.cluster.folder / "go"
        job = self.cluster.submit("--", "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.1; done")
        self.cluster.wait_job(job, "running")
        self.cluster.cli_ok("node", "reboot", "pi1")
        self.cluster.master.kill()
        self.cluster.restart_master()
        self.cluster.wait_online("pi1")
        self.assertFalse(done.exists())
        go.touch()
        wait_for(done.exists, 10, "the command was run")
        self.cluster.master.stop()
        self.cluster.restart_master()
        self.cluster.wait_online("pi1")
        self.assertTrue(self.cluster.nodes()["pi1"]["draining"])
        time.sleep(1)  # in which it would be ordered again
        self.assertEqual(done.read_text(encoding="utf-8"), "reboot\n")
