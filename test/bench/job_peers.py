"""Figure m: other systems from Debian, the same no-op load, in the same run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import time

import jobs
from measure import cluster

FOLDER = pathlib.Path(__file__).resolve().parent / "peers"
PATIENCE = 180


class Missing(Exception):
    """This peer cannot be measured here, and why."""


def need(*programs: str, package: str) -> None:
    for program in programs:
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
            raise Missing(f"there is no {program} (apt-get install {package})")


@contextlib.contextmanager
def running(*command, **options):
    """A program that lasts, ended by its own process id."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def rate_of(count: int, *command, **options) -> float:
    began = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL,
                   timeout=PATIENCE, **options)
    return count / (time.monotonic() - began)


def gnu_parallel(folder: pathlib.Path, scale: float) -> float:
    need("parallel", package="parallel")
    count = max(int(300 * scale), 20)
    (folder / "home").mkdir(exist_ok=True)
    items = "\n".join(map(str, range(count)))
    return rate_of(count, "parallel", "--will-cite", "-j2", "/bin/true", input=items.encode(),
                   env=dict(os.environ, HOME=str(folder / "home")))


def gearman(folder: pathlib.Path, scale: float) -> float:
    need("gearmand", package="gearman-job-server")
    need("cc", package="gcc")
    program = folder / "gearman_true"
    built = subprocess.run(["cc", "-O2", "-o", program, FOLDER / "gearman_true.c", "-lgearman"],
                           capture_output=True, check=False)
    if built.returncode != 0:
        raise Missing("its library is not there (apt-get install libgearman-dev)")
    count = max(int(3000 * scale), 100)
    port = cluster.free_port()
    user = ("--user", "root") if os.geteuid() == 0 else ()
    with contextlib.ExitStack() as stack:
        stack.enter_context(running("gearmand", "--listen", "127.0.0.1", "--port", port, *user,
                                    "--log-file", folder / "gearmand.log",
                                    "--pid-file", folder / "gearmand.pid"))
        cluster.wait_for(lambda: cluster.is_listening(port), 10, "gearmand listens")
        for _ in range(2):
            stack.enter_context(running(program, "work", port))
        rate_of(20, program, "ask", port, 20)
        return rate_of(count, program, "ask", port, count)


def dask(_: pathlib.Path, scale: float) -> float:
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import distributed"], capture_output=True,
                      check=False).returncode != 0:
        raise Missing("Python has no module distributed (apt-get install python3-distributed)")
    count = max(int(1000 * scale), 20)
    answer = subprocess.run([python, FOLDER / "dask_true.py", str(count)], check=True,
                            capture_output=True, text=True, timeout=PATIENCE)
    return count / float(answer.stdout.split()[-1])


SLURM = """ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,defer
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def slurm(folder: pathlib.Path, scale: float) -> float:
    need("slurmctld", "slurmd", "sbatch", "munged", package="slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        raise Missing("its daemons want to be root")
    count = max(int(20 * scale), 4)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o400)
    key.write_bytes(os.urandom(128))
    config = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    control, node = cluster.free_port(), cluster.free_port()
    config.write_text(SLURM.format(host=host, folder=folder, control=control, node=node),
                      encoding="ascii")
    env = dict(os.environ, SLURM_CONF=str(config), PATH=os.environ["PATH"] + ":/usr/sbin")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(
            "/usr/sbin/munged", "--foreground", "--force", f"--socket={folder}/munge.socket",
            f"--key-file={key}", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed",
            f"--pid-file={folder}/munged.pid"))
        stack.enter_context(running("/usr/sbin/slurmctld", "-D", "-f", config, env=env))
        stack.enter_context(running("/usr/sbin/slurmd", "-D", "-f", config, env=env))
        state = ["sinfo", "--noheader", "--format=%t"]
        deadline = time.monotonic() + 20
        while subprocess.run(state, env=env, capture_output=True, text=True,
                             check=False).stdout.strip() != "idle":
            if time.monotonic() > deadline:
                raise Missing("its node did not become idle on this machine")
            time.sleep(0.2)
        return rate_of(count, "sbatch", "--wait", "--quiet", f"--array=1-{count}",
                       "--output=/dev/null", "--wrap=/bin/true", env=env, cwd=folder)


PEERS = {"gearman with a C worker (not durable)": gearman, "Dask": dask,
         "GNU parallel": gnu_parallel, "Slurm": slurm}


def peers(bench, report, sizes) -> None:
    report.title("m. the same load with others, 2 slots, processes of /bin/true")
    bench.start_master()
    jobs.start_worker(bench)
    jobs.run_array(bench, 20)
    limits, ours, theirs = [], [], {name: [] for name in PEERS}
    missing = {}
    for number in range(sizes.rounds):
        limits.append(jobs.spawn_limits(bench, sizes.spawn_seconds)["bare"])
        ours.append(sizes.spawned / jobs.run_array(bench, sizes.spawned))
        for name, peer in PEERS.items():
            if name in missing:
                continue
            folder = bench.folder / f"peer-{name.split()[0]}-{number}"
            folder.mkdir()
            try:
                theirs[name].append(peer(folder, sizes.spawned / 3000))
            except Missing as reason:
                missing[name] = str(reason)
            except (subprocess.SubprocessError, AssertionError) as error:
                missing[name] = f"it failed here: {error}"
    limit, own = statistics.median(limits), statistics.median(ours)
    report.figure("posix_spawn + wait", f"{limit:,.0f} a second")
    report.figure("ours, durable", f"{own:,.0f} a second, {100 * own / limit:.0f} % of that")
    for name, rates in theirs.items():
        if name in missing:
            report.figure(name, f"skipped: {missing[name]}")
            continue
        rate = statistics.median(rates)
        report.figure(name, f"{rate:,.1f} a second, {100 * rate / limit:.0f} % of that;"
                            f" ours / theirs {own / rate:.2f}")
