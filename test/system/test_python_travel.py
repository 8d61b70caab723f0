"""The Python interface: what travels to the nodes, programs and their files, the examples."""

from __future__ import annotations

import pathlib
import textwrap
import threading

import python_calls
from cluster import ROOT, wait_for
from python_test import PythonTest, rpicluster


class Travelling(PythonTest):
    nodes = ("pi1",)

    def test_script_with_module_and_package(self):
        """All that is the user's own travels, whoever imports it; tracebacks name that file."""
        self.script("def double(number):\n    return 2 * number\n", "helper.py")
        self.script("", "parts/__init__.py")
        self.script("from .inner import add\n", "parts/outer.py")
        self.script("def add(one, other):\n    return one + other\n", "parts/inner.py")
        script = self.script("""
            import dataclasses
            import rpicluster
            from helper import double

            @dataclasses.dataclass
            class Point:
                x: int

            def work(point):
                import parts.outer
                if point.x == 3:
                    raise KeyError(point)
                return Point(parts.outer.add(double(point.x), 1))

            import parts.outer

            if __name__ == "__main__":
                with rpicluster.Cluster() as cluster:
                    points = list(cluster.map(work, [Point(1), Point(2)]))
                    assert all(type(point) is Point for point in points)
                    print(points)
                    cluster.submit(work, Point(3)).result()
            """)
        done = self.run_python(script)
        self.assertEqual(done.stdout, "[Point(x=3), Point(x=5)]\n", done.stderr)
        self.assertIn(str(script), done.stderr)
        self.assertIn("raise KeyError(point)", done.stderr)

    def test_script_run_as_module_of_a_package(self):
        self.script("", "tool/__init__.py")
        self.script("FACTOR = 3\n", "tool/factor.py")
        script = self.script("""
            import rpicluster
            from .factor import FACTOR

            class Box:
                def __init__(self, value):
                    self.value = value

            def work(box):
                return Box(box.value * FACTOR)

            if __name__ == "__main__":
                with rpicluster.Cluster() as cluster:
                    box = cluster.submit(work, Box(2)).result()
                    print(box.value, type(box) is Box)
            """, "tool/main.py")
        done = self.run_python("-m", "tool.main", cwd=script.parent.parent)
        self.assertEqual(done.stdout, "6 True\n", done.stderr)

    def test_script_without_the_guard_does_not_start_itself_for_ever(self):
        script = self.script("""
            import rpicluster

            def work(number):
                return number

            with rpicluster.Cluster() as cluster:
                print(cluster.submit(work, 1).result())
            """)
        done = self.run_python(script)
        self.assertEqual(done.returncode, 1)
        self.assertIn('below if __name__ == "__main__"', done.stderr)
        self.assertEqual(len(self.cluster.cli_json("jobs")["jobs"]), 1)

    def test_interactive_session(self):
        done = self.run_python("-c", textwrap.dedent("""
            import rpicluster
            def work(number):
                return number
            with rpicluster.Cluster() as cluster:
                print(cluster.submit(divmod, 7, 2).result())
                cluster.submit(work, 1)
            """))
        self.assertEqual(done.stdout, "(3, 1)\n")
        self.assertIn("interactive session", done.stderr)

    def test_module_that_is_installed_here_and_not_there(self):
        """Such a one is named in the error, and travels when it is asked to."""
        site = self.cluster.folder / "project" / "site-packages"
        self.script("def triple(number):\n    return 3 * number\n", "site-packages/lonely.py")
        script = self.script(f"""
            import site, sys
            site.getsitepackages = lambda: [{str(site)!r}]
            sys.path.append({str(site)!r})
            import rpicluster
            import lonely
            if __name__ == "__main__":
                with rpicluster.Cluster(modules=["lonely"]) as cluster:
                    print(cluster.submit(lonely.triple, 2).result())
                with rpicluster.Cluster() as cluster:
                    cluster.submit(lonely.triple, 2).result()
            """)
        done = self.run_python(script)
        self.assertEqual(done.stdout, "6\n", done.stderr)
        self.assertIn("No module named 'lonely'", done.stderr)

    def test_shared_things(self):
        path = self.cluster.folder / "words.txt"
        path.write_text("some words", encoding="utf-8")
        with self.executor() as cluster:
            numbers = cluster.put(list(range(1000)))
            self.assertEqual(list(cluster.map(python_calls.add_all, [numbers] * 5, range(5))),
                             [499500 + more for more in range(5)])
            self.assertEqual(cluster.submit(python_calls.read, cluster.put(path)).result(20),
                             ("words.txt", "some words"))
            with self.assertRaises(rpicluster.CannotTravelError):
                cluster.put(threading.Lock())
            with self.assertRaises(FileNotFoundError):
                cluster.put(pathlib.Path("/no/such/file"))


class Programs(PythonTest):
    def test_run(self):
        cluster = self.executor()
        done = cluster.run(["printf", "%s|", "a b", "$HOME"])
        self.assertEqual((done.stdout, done.ok, len(done.tasks)), ("a b|$HOME|", True, 1))
        self.assertEqual(cluster.run("echo $((1 + 2)); echo bad >&2").stderr, "bad\n")
        with self.assertRaisesRegex(rpicluster.TaskFailedError, "exit code 3"):
            cluster.run("exit 3")
        failed = cluster.run("exit 3", check=False)
        self.assertEqual((failed.ok, failed.tasks[0].task["exit_code"]), (False, 3))
        with self.assertRaises(TypeError):
            cluster.run(["true"], colour="red")

    def test_run_of_many_tasks(self):
        cluster = self.executor()
        seen = []
        done = cluster.run("echo $RPIC_TASK", array="1-20", on_task=lambda task: seen.append(
            task.index))
        self.assertEqual(done.stdout.split(), [str(number) for number in range(1, 21)])
        self.assertEqual(sorted(seen), list(range(1, 21)))
        self.assertEqual(cluster.run("echo {}-", items=["x y", "z"]).stdout, "x y-\nz-\n")
        self.assertEqual(cluster.run(["echo"], items=["$HOME"]).stdout, "$HOME\n")
        self.assertEqual(cluster.run(["echo"], items=[]).tasks, [])
        with self.assertRaises(ValueError):
            cluster.run(["echo"], items=["two\nlines"])

    def test_files(self):
        cluster = self.executor()
        (self.cluster.folder / "in.txt").write_text("abc\n", encoding="utf-8")
        home = self.cluster.folder / "home"
        done = cluster.run("tr a-z A-Z < in.txt > made-$RPIC_TASK", array="1-2", to=home,
                           files=[self.cluster.folder / "in.txt"], out=["made-*"])
        self.assertEqual([(home / f"made-{task.index}").read_text() for task in done.tasks],
                         ["ABC\n", "ABC\n"])
        again = self.cluster.folder / "again"
        self.assertEqual(cluster.fetch(done.job["id"], again, by_task=True), 2)
        self.assertEqual((again / "2" / "made-2").read_text(), "ABC\n")
        # A path from elsewhere lands under its own last name, also where it is a link.
        (self.cluster.folder / "config.json").symlink_to("in.txt")
        done = cluster.run("cat config.json", files=[self.cluster.folder / "config.json"])
        self.assertEqual(done.stdout, "abc\n")
        with self.assertRaises(rpicluster.ClusterError) as caught:
            cluster.fetch("4711")
        self.assertEqual(caught.exception.code, 3)

    def test_nodes_and_jobs(self):
        cluster = self.executor()
        self.assertEqual(sorted(node["name"] for node in cluster.nodes()), ["pi1", "pi2"])
        self.assertEqual(cluster.jobs(), [])
        cluster.run(["true"], name="mine")
        self.assertEqual([(job["name"], job["state"]) for job in cluster.jobs()],
                         [("mine", "done")])

    def test_exception_cancels_the_job(self):
        cluster = self.executor()

        def stop(_):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            cluster.run("test $RPIC_TASK = 1 || sleep 60", array="1-3", on_task=stop)
        wait_for(self.nothing_runs, 20, "its tasks have ended")
        self.assertEqual(self.cluster.job("last")["state"], "cancelled")


class Examples(PythonTest):
    def test_render(self):
        picture = self.cluster.folder / "picture.png"
        done = self.run_python(ROOT / "examples" / "python" / "render.py", "--program",
                               self.cluster.bin / "rpicluster-render", "--samples", "2", "--tiles",
                               "6", picture)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertIn("6 of 6", done.stdout)

    def test_sweep(self):
        table = self.cluster.folder / "sweep.csv"
        done = self.run_python(ROOT / "examples" / "python" / "sweep.py", "--steps", "4", "--years",
                               "5", table)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = table.read_text().splitlines()
        self.assertEqual(len(lines), 1 + 4 * 4)
        self.assertIn("best", done.stdout)
