"""How long a cell of default size takes on two cores by Ray, in turns with threads.

    python -m benchmarks.engines --rounds 5

All seeds of a cell are trained by each engine in its turn. Both have started and have compiled by
then: Ray, its workers and what they load are not counted. Connecting to a Ray that runs is told.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

from benchmarks.sleeping import CELL
from pamdp.base.lazy import tf
from pamdp.engines import Engine
from pamdp.engines.cluster import connected
from pamdp.engines.ray import Ray
from pamdp.engines.threads import Threads
from pamdp.learning.training import Checkpoint, train
from pamdp.settings import SHIPPED, load

CORES = 2


def trained(engine: Engine, share: float) -> tuple[float, list[bytes]]:
    """Seconds that the seeds of the default study's cell take, and their weights.

    Args:
      engine: that has started.
      share: of the steps.
    """
    settings = load(SHIPPED)
    cell = settings.cell(CELL)
    training = settings.environments[cell.name.environment].training
    training = training.model_copy(update={"steps": round(share * training.steps)})
    items = [(cell, seed, training, None) for seed in settings.study.seeds]
    started = time.monotonic()
    results = engine.map(train, items, lambda *_: None, resumes=Checkpoint)
    seconds = time.monotonic() - started
    return seconds, [leaf.tobytes() for each in results for leaf in tf.nest.flatten(each.weights)]


def main() -> None:
    """Prints the seconds of each round and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ["PAMDP_WORKERS"] = str(CORES)
    started = time.monotonic()
    connected()
    print(f"Ray starts in {time.monotonic() - started:.1f} s", flush=True)
    with Threads(CORES) as threads, Ray(CORES) as ray:
        for engine in (threads, ray):
            seconds, _ = trained(engine, 0.05)
            print(f"{type(engine).__name__}: start and compile in {seconds:.1f} s", flush=True)
        ratios = []
        for _ in range(options.rounds):
            by_threads, expected = trained(threads, 1.0)
            by_ray, found = trained(ray, 1.0)
            if found != expected:
                raise SystemExit("expected the same weights")
            ratios.append(by_ray / by_threads)
            print(f"threads {by_threads:.1f} s, Ray {by_ray:.1f} s: {ratios[-1]:.3f}", flush=True)
    print(f"Ray takes {statistics.median(ratios):.3f} times as long (median)")


if __name__ == "__main__":
    sys.exit(main())
