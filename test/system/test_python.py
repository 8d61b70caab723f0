"""The Python interface as an executor: python/rpicluster.py against real programs."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import sys
import threading
import time
import traceback

import python_calls
from cluster import time_limit, wait_for
from python_test import PythonTest, rpicluster


class Executor(PythonTest):
    def test_is_an_executor(self):
        with self.executor() as cluster:
            self.assertIsInstance(cluster, concurrent.futures.Executor)
            future = cluster.submit(python_calls.square, 7)
            self.assertEqual(future.result(20), 49)
            self.assertTrue(future.done())
            self.assertFalse(future.running())
            self.assertFalse(future.cancel())
            self.assertEqual(list(cluster.map(python_calls.square, range(50))),
                             [number * number for number in range(50)])
            futures = {cluster.submit(pow, 2, number): number for number in range(20)}
            for future in concurrent.futures.as_completed(futures, 20):
                self.assertEqual(future.result(), 2 ** futures[future])
            called = []
            future = cluster.submit(python_calls.square, 3)
            future.add_done_callback(called.append)
            concurrent.futures.wait([future], 20)
            wait_for(lambda: called == [future], 5, "the callback was called")
        with self.assertRaises(RuntimeError):
            cluster.submit(python_calls.square, 1)

    def test_what_can_be_called(self):
        with self.executor() as cluster:
            self.assertEqual(cluster.submit(python_calls.keywords, 1, "zwei", three=[3]).result(20),
                             ((1, "zwei"), {"three": [3]}))
            partial = functools.partial(python_calls.keywords, 1, b=2)
            self.assertEqual(cluster.submit(partial, 3).result(20), ((1, 3), {"b": 2}))
            self.assertEqual(cluster.submit(python_calls.Counter(5).up, 2).result(20), 7)
            self.assertEqual(cluster.submit(python_calls.Counter, 4).result(20).up(1), 5)
            self.assertEqual(cluster.submit(sum, [1, 2, 3]).result(20), 6)
            # What a function prints is in the logs, and not among the results.
            self.assertEqual(list(cluster.map(python_calls.print_and_return, range(4))),
                             [0, 1, 2, 3])
        logs = self.cluster.cli("logs", "last").stderr
        self.assertIn("printed 3", logs)
        self.assertIn("written", logs)

    def test_large_arguments_and_results(self):
        with self.executor() as cluster:
            sizes = [10_000, 300_000, 6_000_000]
            self.assertEqual(list(cluster.map(python_calls.length, map(os.urandom, sizes))), sizes)
            results = cluster.map(python_calls.zeros, [*sizes, *[200_000] * 20])
            self.assertEqual([len(result) for result in results], [*sizes, *[200_000] * 20])

    def test_small_calls_share_tasks(self):
        with self.executor() as cluster:
            cluster.submit(python_calls.square, 0).result(20)
            before = self.started_tasks()
            began = time.monotonic()
            self.assertEqual(sum(cluster.map(python_calls.square, range(3000))),
                             sum(number * number for number in range(3000)))
            self.assertLess(time.monotonic() - began, 15)
            self.assertLess(self.started_tasks() - before, 60)
            both = {node for _, node in cluster.map(python_calls.pid_and_node, range(200))}
            self.assertEqual(both, {"pi1", "pi2"})

    def test_long_calls_do_not_share_tasks(self):
        """None waits for another while there is room, though nobody knows how long they take."""
        go = self.cluster.folder / "go"
        with self.executor(cpus=0.1) as cluster:
            futures = [cluster.submit(python_calls.wait_for_file, str(go), number)
                       for number in range(24)]
            wait_for(lambda: sum(node["running_tasks"] for node in self.cluster.node_list()) == 24,
                     20, "all 24 run at once")
            self.assertTrue(futures[0].running())
            go.touch()
            self.assertEqual([future.result(20) for future in futures], list(range(24)))

    def test_many_threads(self):
        results = []
        with self.executor() as cluster:
            def work(first):
                results.extend(cluster.map(python_calls.square, range(first, first + 40)))
            threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 320, 40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(40)
        self.assertEqual(sorted(results), [number * number for number in range(320)])

    def test_options(self):
        with self.executor(where="name==pi2", name="chosen", env={"COLOUR": "red"}) as cluster:
            self.assertEqual(cluster.submit(python_calls.pid_and_node, 0).result(20)[1], "pi2")
            self.assertEqual(cluster.submit(os.getenv, "COLOUR").result(20), "red")
        self.assertEqual(self.cluster.job("last")["name"], "chosen")
        # Room for Python to start on a busy machine.
        with self.executor(time_limit=5) as cluster:
            futures = [cluster.submit(time.sleep, seconds) for seconds in (0, 50, 0)]
            with self.assertRaisesRegex(rpicluster.TaskFailedError, "time limit"):
                futures[1].result(20)
            self.assertIsNone(futures[0].result(20))
            self.assertIsNone(futures[2].result(20))


class Errors(PythonTest):
    nodes = ("pi1",)

    def test_exceptions_come_with_the_traceback_of_the_node(self):
        with self.executor() as cluster:
            with self.assertRaises(ValueError) as caught:
                cluster.submit(python_calls.fail, "so sad").result(20)
            text = "".join(traceback.format_exception(None, caught.exception,
                                                      caught.exception.__traceback__))
            self.assertIn("so sad", text)
            self.assertIn("in fail", text)
            self.assertIn("raise ValueError(text)", text)
            self.assertIn("python_calls.py", text)
            self.assertNotIn("_rpicluster/node.py", text)
            with self.assertRaisesRegex(rpicluster.RemoteError, "OddError: first"):
                cluster.submit(python_calls.fail_oddly).result(20)
            with self.assertRaises(SystemExit) as left:
                cluster.submit(python_calls.leave, 3).result(20)
            self.assertEqual(left.exception.code, 3)
            with self.assertRaisesRegex(TypeError, "result, of type lock, cannot travel"):
                cluster.submit(python_calls.lock).result(20)
            # One call's error is its own.
            futures = [cluster.submit(divmod, 6, number) for number in (1, 0, 2)]
            self.assertEqual(futures[2].result(20), (3, 0))
            self.assertEqual(futures[0].result(20), (6, 0))
            self.assertIsInstance(futures[1].exception(20), ZeroDivisionError)

    def test_what_cannot_travel_is_said_at_once(self):
        def local(number):
            return number

        cluster = self.executor()
        for function, args, words in (
                (lambda number: number, (1,), ["lambda", "def", "test_python.py"]),
                (local, (1,), ["local", "top level"]),
                (python_calls.square, (threading.Lock(),), ["argument 1 of square", "lock"]),
                (python_calls.keywords, (1, sys.stdout), ["argument 2", "TextIOWrapper"])):
            with self.assertRaises(rpicluster.CannotTravelError) as caught:
                cluster.submit(function, *args)
            for word in words:
                self.assertIn(word, str(caught.exception))
        with self.assertRaisesRegex(rpicluster.CannotTravelError, "argument key of"):
            cluster.submit(python_calls.keywords, key=threading.Lock())
        self.assertEqual(self.cluster.cli_json("jobs")["jobs"], [])

    def test_a_call_that_ends_its_task_is_alone_to_blame(self):
        with self.executor() as cluster:
            self.assertEqual(cluster.submit(python_calls.die_at, 0, 17).result(20), 0)
            futures = [cluster.submit(python_calls.die_at, number, 17) for number in range(40)]
            for number, future in enumerate(futures):
                if number != 17:
                    self.assertEqual(future.result(30), number)
            with self.assertRaises(rpicluster.TaskFailedError) as caught:
                futures[17].result(20)
            self.assertIn("exit code 9", str(caught.exception))
            self.assertIn("going down", str(caught.exception))
            self.assertEqual(caught.exception.task["node"], "pi1")

    def test_no_python_on_the_nodes(self):
        with self.executor(python="python-of-the-moon") as cluster:
            with self.assertRaisesRegex(rpicluster.TaskFailedError, "python-of-the-moon"):
                cluster.submit(python_calls.square, 1).result(20)

    def test_no_command_no_master_no_key(self):
        for transport, words in (
                (rpicluster.Command("/no/such/rpicluster"), "cannot start"),
                (rpicluster.Command(self.cluster.bin / "rpicluster", master="127.0.0.1:9",
                                    state_dir=self.cluster.master_state), "127.0.0.1:9"),
                (rpicluster.Command(self.cluster.bin / "rpicluster", master="127.0.0.1",
                                    state_dir=self.cluster.folder), "key")):
            with rpicluster.Cluster(transport) as cluster:
                with self.assertRaisesRegex(rpicluster.ClusterError, words):
                    cluster.submit(python_calls.square, 1).result(30)
                with self.assertRaisesRegex(rpicluster.ClusterError, words):
                    cluster.nodes()
                with self.assertRaisesRegex(rpicluster.ClusterError, words):
                    cluster.run(["true"])

    def test_viewer_may_look_and_not_call(self):
        key = self.cluster.token("viewer", "eve")
        transport = rpicluster.Command(self.cluster.bin / "rpicluster", key_file=key,
                                       master=f"127.0.0.1:{self.cluster.port}")
        with rpicluster.Cluster(transport) as cluster:
            self.assertEqual([node["name"] for node in cluster.nodes()], ["pi1"])
            with self.assertRaises(rpicluster.ClusterError):
                cluster.submit(python_calls.square, 1).result(20)

    def test_unknown_option(self):
        with self.assertRaises(TypeError):
            rpicluster.Cluster(self.transport, colour="red")


class Ending(PythonTest):
    nodes = ("pi1",)

    def test_cancel_of_a_running_call_ends_its_task(self):
        flag = self.cluster.folder / "begun"
        self.cluster.folder.chmod(0o777)
        with self.executor() as cluster:
            future = cluster.submit(python_calls.note, str(flag))
            wait_for(flag.exists, 20, "it has begun")
            self.assertTrue(future.running())
            self.assertTrue(future.cancel())
            self.assertTrue(future.cancelled())
            self.assertTrue(future.cancel())
            wait_for(self.nothing_runs, 20, "its task has ended")
        self.assertEqual(self.cluster.job("last")["tasks"]["cancelled"], 1)

    def test_shutdown_waits(self):
        go = self.cluster.folder / "go"
        cluster = self.executor()
        future = cluster.submit(python_calls.wait_for_file, str(go), "done")
        wait_for(future.running, 20, "it runs")
        cluster.shutdown(wait=False)
        self.assertFalse(future.done())
        go.touch()
        cluster.shutdown()
        self.assertEqual(future.result(0), "done")

    def test_shutdown_cancels_what_has_not_begun(self):
        go = self.cluster.folder / "go"
        cluster = self.executor(cpus=2)
        futures = [cluster.submit(python_calls.wait_for_file, str(go), number)
                   for number in range(8)]
        wait_for(lambda: futures[7].running() and not self.nothing_runs(), 20, "one runs")
        closing = threading.Thread(target=cluster.shutdown, kwargs={"cancel_futures": True})
        closing.start()
        wait_for(lambda: all(future.cancelled() for future in futures[1:]), 20, "others are not")
        go.touch()
        closing.join(20)
        self.assertEqual(futures[0].result(0), 0)
        self.assertRaises(concurrent.futures.CancelledError, futures[7].result)

    @time_limit(120)
    def test_shutdown_cancels_what_is_being_sent(self):
        """Also calls of a job that has no number yet, whatever it comes in between."""
        for pause in (0.0, 0.02, 0.05, 0.1, 0.2):
            go = self.cluster.folder / f"go-{pause}"
            cluster = self.executor(cpus=2)
            futures = [cluster.submit(python_calls.wait_for_file, str(go), number)
                       for number in range(8)]
            time.sleep(pause)
            closing = threading.Thread(target=cluster.shutdown, kwargs={"cancel_futures": True})
            closing.start()
            wait_for(lambda: all(future.cancelled() for future in futures[1:]), 20,
                     "all are cancelled but one that may run")
            go.touch()
            closing.join(20)
            self.assertFalse(closing.is_alive())

    def test_job_that_somebody_cancels(self):
        flag = self.cluster.folder / "begun"
        self.cluster.folder.chmod(0o777)
        with self.executor() as cluster:
            future = cluster.submit(python_calls.note, str(flag))
            wait_for(flag.exists, 20, "it has begun")
            self.cluster.cli_ok("cancel", "last")
            with self.assertRaises(concurrent.futures.CancelledError):
                future.result(20)

    def test_interpreter_ends_after_its_calls(self):
        script = self.script("""
            import rpicluster

            def work(number):
                return number + 1

            if __name__ == "__main__":
                cluster = rpicluster.Cluster()
                cluster.submit(work, 1).add_done_callback(lambda future: print(future.result()))
            """)
        began = time.monotonic()
        done = self.run_python(script)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("2\n", "", 0))
        self.assertLess(time.monotonic() - began, 20)

    @time_limit(120)
    def test_restart_of_the_master_in_the_middle(self):
        go = self.cluster.folder / "go"
        with self.executor() as cluster:
            futures = [cluster.submit(python_calls.wait_for_file, str(go), number)
                       for number in range(6)]
            wait_for(lambda: futures[5].running() and not self.nothing_runs(), 20, "one runs")
            self.cluster.master.kill()
            self.cluster.restart_master()
            self.cluster.wait_online("pi1", timeout=20)
            go.touch()
            self.assertEqual([future.result(60) for future in futures], list(range(6)))
