"""What the engine of Ray costs the coordinator, and whether many tasks are under way at once.

    python -m benchmarks.cluster

The cluster is this machine, which says that it has 112 cores; tasks sleep, and so do the trials of
a search with a lag of 64, which has to be the same as with one worker. It takes fifteen minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import psutil

from benchmarks.sleeping import LAG, TRIALS, at_once, most_at_once, search, sleep, tell
from pamdp.engines.cluster import connected
from pamdp.engines.ray import Ray
from pamdp.engines.threads import Threads

CORES = 112
TASKS, EVENTS = 10_000, 10_000
TRIAL = 40.0  # seconds of a trial


def coordinator(items: Sequence[tuple], workers: int) -> tuple[float, float, float]:
    """Seconds by the clock and of this process, and megabytes that it grows, of some tasks."""
    before, started, used = held(), time.monotonic(), time.process_time()
    with Ray(workers) as engine:
        engine.map(tell, items, lambda *_: None)
    return time.monotonic() - started, time.process_time() - used, held() - before


def held() -> float:
    """The memory that this process holds, in megabytes."""
    return psutil.Process().memory_info().rss / 2**20


def main() -> None:
    """Prints the figures."""
    os.environ["PAMDP_WORKERS"] = str(CORES)
    started = time.monotonic()
    connected()
    print(f"Ray starts in {time.monotonic() - started:.1f} s", flush=True)
    with Ray(2) as engine:
        engine.map(sleep, [(0.0,)] * 2)
    _, used, _ = coordinator([(0,)] * 1000, 2)
    print(f"a task costs the coordinator {1e3 * used / 1000:.2f} ms")
    _, more, _ = coordinator([(EVENTS,)], 2)
    print(f"an event costs the coordinator {1e3 * more / EVENTS:.2f} ms")
    for number in (1, 10):
        clock, used, grown = coordinator([(number,)] * TASKS, 2)
        print(
            f"{TASKS:,} tasks of {number} events: {grown:.0f} MB, {used:.0f} s of the coordinator, "
            f"{clock:.0f} s by the clock",
            flush=True,
        )
    with Ray(CORES) as engine:
        spans = engine.map(sleep, [(240.0,)] * CORES)
    print(f"{most_at_once(spans)} of {CORES} tasks were under way at once")
    print(f"all had begun after {max(began for began, _ in spans) - min(spans)[0]:.0f} s")
    for spread in (0.0, 0.5):
        searched(spread)


def searched(spread: float) -> None:
    """Prints how many workers a search keeps busy, and whether it is the same as with one.

    Args:
      spread: of the time that a trial takes, around its mean and as a share of it.
    """
    expected, _ = search(Threads(1), 0.0, spread)
    trials, spans = search(Ray(CORES), TRIAL, spread)
    # From when all have begun until the last trial is asked for.
    begun = sorted(began for began, _ in spans)
    busy = at_once(spans, begun[LAG - 1], begun[-1])
    print(
        f"{TRIALS} trials of {TRIAL:.0f} s, more or less by {spread:.0%}, lag {LAG}: "
        f"{most_at_once(spans)} at once at most, {busy:.1f} in the mean; the same as with one "
        f"worker: {trials == expected}",
        flush=True,
    )


if __name__ == "__main__":
    main()
