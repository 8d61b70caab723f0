"""Files that want to get out of their folder, from both sides, against liars too."""

from __future__ import annotations

import hashlib
import json
import os

from cluster import SystemTest, wait_for
from keyed_peer import KeyedPeer, client_peer, worker_peer

CONTENTS = b"changed by a stranger\n"
BLOB = hashlib.sha256(CONTENTS).hexdigest()


def file_line(path: str) -> dict:
    return {"path": path, "mode": 0o644, "size": len(CONTENTS), "blob": BLOB}


def escapes(victim: str) -> dict:
    """What a list of files may say to get at `victim`, which lies beside the folder."""
    up = "../" * 12 + victim.lstrip("/")
    return {
        "upwards": [file_line(up)],
        "upwards within": [file_line("a/../../" + up)],
        "absolute": [file_line(victim)],
        "in hex": [{**file_line("x"), "path_hex": up.encode().hex()}],
        "absolute in hex": [{"path_hex": victim.encode().hex(), "mode": 420,
                             "size": len(CONTENTS), "blob": BLOB}],
        "absolute link": [{"path": "a", "link": victim}, ],
        "link upwards": [{"path": "a", "link": up}],
        "through a link": [{"path": "a", "link": os.path.dirname(victim)},
                           file_line("a/" + os.path.basename(victim))],
        "link over a link": [{"path": "a", "link": "."},
                             {"path": "b", "link": "a/../" + up}],
        "file over a folder that is a link": [{"path": "a", "link": ".."}, file_line("a/x")],
        "set-user-id": [{**file_line("a"), "mode": 0o4755}],
    }


def manifest(entries: list) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


class Escapes(SystemTest):
    def setUp(self):
        super().setUp()
        self.cluster.start_master()
        self.victim = self.cluster.folder / "victim"
        self.victim.write_text("as it was\n")
        self.victim.chmod(0o666)
        self.admin_key = (self.cluster.master_state / "master" / "admin.key").read_text().strip()

    def client(self) -> KeyedPeer:
        peer = client_peer(self.cluster.port, self.admin_key)
        self.addCleanup(peer.close)
        return peer

    def assert_unhurt(self, what: str) -> None:
        self.assertEqual(self.victim.read_text(), "as it was\n", what)
        self.assertEqual(self.victim.stat().st_mode & 0o7777, 0o666, what)

    def test_a_lying_client_gets_nothing_out_of_a_work_folder(self):
        """Lists of files that no command would send: a worker takes none of them."""
        self.cluster.start_worker("pi1")
        self.cluster.wait_online("pi1")
        client = self.client()
        client.put_blob(CONTENTS)
        jobs = {}
        for what, entries in escapes(str(self.victim)).items():
            blob = client.put_blob(manifest(entries))
            client.send("submit", {"id": 2, "spec": {"command": ["cat", "a"], "in": [blob]}})
            kind, answer, _ = client.receive()
            if kind == "submitted":
                jobs[what] = answer["job"]["id"]
            else:
                self.assertEqual((kind, answer["code"]), ("failed", "bad_request"), what)
        for what, job in jobs.items():
            self.cluster.wait_job(str(job), "failed")
            self.assertTrue(self.cluster.task(str(job))["reason"], what)
            self.assert_unhurt(what)
            self.assertNotIn(b"as it was", self.cluster.cli_bytes("logs", str(job)).stdout, what)
        # The node still works.
        result = self.cluster.cli_bytes("run", "--", "echo", "well")
        self.assertEqual(result.stdout, b"well\n", result.stderr)

    def test_a_lying_node_gets_nothing_out_of_the_folder_at_home(self):
        """Lists of files that no worker would send: `fetch` takes none of them."""
        node, node_key = worker_peer(self.cluster.port, self.cluster.join_key_file().read_text()
                                     .strip(), "liar")
        self.addCleanup(node.close)
        for what, entries in escapes(str(self.victim)).items():
            job = self.cluster.submit("--out", "**", "--", "true")
            order, _ = node.wait_for("start_tasks")
            while not order["tasks"]:
                order, _ = node.wait_for("start_tasks")
            bulk = KeyedPeer(self.cluster.port, node_key)
            bulk.send("bulk")
            bulk.put_blob(CONTENTS)
            blob = bulk.put_blob(manifest(entries))
            bulk.close()
            task = order["tasks"][0]
            node.send("attempts_ended", {"reports": [{
                "key": {"job": int(job), "task": task["task"], "attempt": task["attempt"]},
                "outcome": "exited", "exit_code": 0, "files": blob}]})
            self.cluster.wait_job(job, "done")
            home = self.cluster.folder / f"home-{job}"
            home.mkdir()
            result = self.cluster.cli_bytes("fetch", job, "--to", home)
            self.assertNotEqual(result.returncode, 0, (what, result.stderr))
            self.assert_one_line(result.stderr.decode())
            self.assert_unhurt(what)
            left = [path for path in home.rglob("*") if ".rpicluster-part" not in str(path)]
            self.assertEqual(left, [], what)

    def test_a_link_in_the_way_of_a_task_s_output(self):
        """A task that swaps its files for links while they are collected gets nothing read that it
        could not read itself."""
        secret = self.cluster.folder / "secret"
        secret.write_text("only for its owner\n")
        secret.chmod(0o600)
        self.cluster.start_worker("pi1")
        self.cluster.wait_online("pi1")
        job = self.cluster.submit("--out", "**", "--", "sh", "-c",
                                  f"ln -s {secret} a; mkdir b; ln -s {secret} b/c; ln -s / root; "
                                  f"ln {secret} hard 2>/dev/null; echo fine > d")
        self.cluster.wait_job(job, "done")
        home = self.cluster.folder / "home"
        home.mkdir()
        self.cluster.cli_ok("fetch", job, "--to", home)
        found = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
        self.assertEqual([name for name in found if name != "b"], ["d"])

    def test_names_of_inputs_that_lead_out(self):
        """--in itself: what lies above lands under its own name, never above."""
        self.cluster.start_worker("pi1")
        self.cluster.wait_online("pi1")
        here = self.cluster.folder / "deep" / "here"
        here.mkdir(parents=True)
        (here / "up").symlink_to("..")
        (here / "away").symlink_to(self.victim)
        for args, expected in ((("--in", "../../victim"), b"victim\n"),
                               (("--in", str(self.victim)), b"victim\n"),
                               (("--in", "../here/../../victim"), b"victim\n"),
                               (("--in", "away"), b"away\n")):
            result = self.cluster.cli_bytes("run", *args, "--", "find", ".", "-type", "f",
                                            "-printf", "%P\\n", cwd=here)
            self.assertEqual(result.stdout, expected, (args, result.stderr))
        for args in (("--in", ".."), ("--in", "up/..")):
            result = self.cluster.cli_bytes("run", *args, "--", "ls", "..", cwd=here)
            self.assertNotIn(b"victim", result.stdout, args)

    def test_ids_of_blobs_are_no_paths(self):
        """A name of a file in the master's keeping that would be one on its disk."""
        client = self.client()
        for name in ("../master/admin.key", "..", "", "a" * 63, "A" * 64, "/etc/passwd",
                     "aa/../../admin.key", "a" * 62 + "/."):
            client.send("get_chunk", {"id": 3, "blob": name, "offset": 0})
            kind, answer, raw = client.receive()
            self.assertEqual((kind, raw), ("failed", b""), name)
            self.assertIn(answer["code"], ("not_found", "bad_request"), name)
            client.send("put_chunk", {"id": 4, "blob": name, "size": 1, "offset": 0}, b"x")
            kind, answer, _ = client.receive()
            self.assertEqual(kind, "failed", name)
            client.send("have_blobs", {"id": 5, "blobs": [name]})
            kind, answer, _ = client.receive()
            self.assertIn(kind, ("failed", "missing_blobs"), name)
        self.assertEqual((self.cluster.master_state / "master" / "admin.key").read_text().strip(),
                         self.admin_key)
        wait_for(lambda: self.cluster.cli_ok("status"), 5, "the master serves on")
