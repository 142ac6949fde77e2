"""A study on a Ray cluster of three nodes, whose parts are killed: the bytes of one machine.

    python -m tests.soak.cluster --kills 10 --seed 1

The nodes are processes of this machine with two cores each, as Ray counts them. A study of the
engine of threads is the reference. Then one runs on the three nodes, one on a single node, and one
while a node, a worker or the study itself is killed, and the same command runs again.

This takes about twenty minutes and is no part of the test suite.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.pipeline import checkout, small
from tests.soak import soak

KINDS = ("node", "worker", "study")
CORES = 2  # of a node
LONGEST = 40.0  # seconds until the next kill, at most


def nodes(number: int, folder: Path) -> Any:
    """A cluster of a head, which only keeps it together, and some nodes, with a checkout's code."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(folder / "src")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(number):
        cluster.add_node(num_cpus=CORES)
    return cluster


def begun(folder: Path, cluster: Any) -> subprocess.Popen:
    """The study on a cluster, begun or going on, in a session of its own."""
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            ["make", "study"],
            cwd=folder,
            env=checkout.environment(folder, PAMDP_ENGINE="ray", RAY_ADDRESS=cluster.address)
            | small.compiled(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def workers() -> list[psutil.Process]:
    """The processes of this soak's nodes that are at a task."""
    everything = psutil.Process().children(recursive=True)
    return [each for each in everything if "".join(soak.words(each))[:9] == "ray::work"]


def kill(kind: str, cluster: Any, study: subprocess.Popen, rng: random.Random) -> bool:
    """Kills a node, which another one replaces, a worker, or the study; whether there was one."""
    if kind == "node":
        cluster.remove_node(rng.choice(sorted(cluster.worker_nodes, key=id)), allow_graceful=False)
        cluster.add_node(num_cpus=CORES)
    elif kind == "worker":
        if not (found := workers()):
            return False
        rng.choice(found).kill()
    else:
        os.killpg(study.pid, signal.SIGKILL)
        study.wait()
        since = time.monotonic()
        while workers() or any(soak.processes(study.pid)):
            if time.monotonic() - since > soak.LEFT:
                raise SystemExit(f"still running: {workers()}")
            time.sleep(0.1)
    return True


def attacked(folder: Path, cluster: Any, kills: int, rng: random.Random) -> Counter[str]:
    """Runs a study to its end, with at most so many kills on its way."""
    done: Counter[str] = Counter()
    study, next_kill = begun(folder, cluster), time.monotonic() + rng.uniform(5.0, LONGEST)
    ends = 0
    while study.poll() is None or study.returncode:
        if study.poll() is not None:
            ends += 1
            if ends > done["study"]:
                raise SystemExit(folder.with_name(f"{folder.name}.log").read_text())
            study = begun(folder, cluster)
        if done.total() < kills and time.monotonic() > next_kill:
            kind = min(KINDS, key=lambda each: (done[each], rng.random()))  # each as often
            if kill(kind, cluster, study, rng):
                done[kind] += 1
                print(f"  killed: {kind}", flush=True)
            next_kill = time.monotonic() + rng.uniform(5.0, LONGEST)
        time.sleep(0.2)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, done = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed, expected = soak.reference(Path(scratch))
        for number in (3, 1):
            folder = soak.made(Path(scratch, f"nodes-{number}"))
            cluster = nodes(number, folder)
            started = time.monotonic()
            attacked(folder, cluster, 0, rng)
            seconds = time.monotonic() - started
            soak.compare(expected, soak.result(folder))
            print(f"{number} nodes: all is the same; {seconds:.0f} s", flush=True)
            if workers():
                raise SystemExit(f"still running: {workers()}")
            cluster.shutdown()
        folder = soak.made(Path(scratch, "attacked"))
        cluster = nodes(3, folder)
        while done.total() < options.kills:
            started = time.monotonic()
            new = attacked(folder, cluster, options.kills - done.total(), rng)
            done += new
            seconds = time.monotonic() - started
            soak.compare(expected, soak.result(folder))
            soak.clear(folder)
            print(f"{dict(new)}: all is the same; {seconds:.0f} s", flush=True)
        cluster.shutdown()
    print(f"{done.total()} kills: {dict(done)}; undisturbed, with threads: {undisturbed:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
